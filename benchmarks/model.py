"""A model of no latency: an OpenAI-compatible server in a process of its own, which plays short scripts.

What it answers stands in the prompt. A message `bench <id> <steps> <program>` makes a run of so many steps:
each but the last is the program, the last replies. It keeps what each id was last sent, for who counts.

    python -m benchmarks.model        # prints its address
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

PROGRAMS = {
    "set": "memory.set('bench/last', {'n': 1})\nprint('ok')",
    "print": "print('ok')",
    "reads": "for i in range(1000):\n    memory.get('bench/last')\nprint('ok')",
    "writes": "for i in range(1000):\n    memory.set(f'bench/many/{i}', {'n': i})\nprint('ok')",
    "long": "print('A line of output that a step may well have.\\n' * 200)",
}
_ORDER = re.compile(rb"bench (\w+) (\d+) (\w+)")


class Script:
    """Which step each id is at, and the last request of each."""

    def __init__(self) -> None:
        self._steps: Counter[bytes] = Counter()
        self.last: dict[str, Any] = {}

    def answer(self, body: bytes) -> str:
        orders = _ORDER.findall(body)
        if not orders:
            return "ok"
        # The event stands last in the prompt; earlier orders are the conversation's tail.
        name, steps, program = orders[-1]
        self._steps[name] += 1
        self.last[name.decode()] = body
        last = self._steps[name] >= int(steps)
        if program == b"rlms":
            code = "answer['content'] = 'done'\nanswer['ready'] = True" if last else "print('ok')"
            return f"```repl\n{code}\n```"
        code = 'reply("done")' if last else PROGRAMS[program.decode()]
        return f"```python\n{code}\n```"


async def _serve(script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(int(found[1]) if found else 0)
            if head.startswith(b"GET"):
                name = head.split(b" ", 2)[1].decode().strip("/")
                kind, answer = "application/json", script.last.get(name, b"{}")
            elif b'"stream":true' in body or b'"stream": true' in body:
                kind, answer = "text/event-stream", _stream(script.answer(body))
            else:
                kind, answer = "application/json", _whole(script.answer(body))
            head = (
                f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(answer)}\r\n\r\n".encode()
            )
            writer.write(head + answer)
            await writer.drain()
    writer.close()


_USAGE = {"prompt_tokens": 1000, "completion_tokens": 20, "total_tokens": 1020}
_COMMON = {"id": "bench", "created": 0, "model": "bench"}


def _whole(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({**_COMMON, "object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()


def _stream(text: str) -> bytes:
    def event(choices: list[Any], usage: dict[str, int] | None = None) -> str:
        chunk = {**_COMMON, "object": "chat.completion.chunk", "choices": choices, "usage": usage}
        return f"data: {json.dumps(chunk)}\n\n"

    events = [
        event([{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}]),
        event([{"index": 0, "delta": {}, "finish_reason": "stop"}]),
        event([], _USAGE),
        "data: [DONE]\n\n",
    ]
    return "".join(events).encode()


async def _main() -> None:
    script = Script()
    server = await asyncio.start_server(lambda r, w: _serve(script, r, w), "127.0.0.1", 0, limit=1 << 26)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """The address of such a server, which ends with the block."""
    process = subprocess.Popen([sys.executable, "-m", __name__], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def last_prompt(url: str, name: str) -> list[str]:
    """The texts of the messages that the run `name` last sent."""
    with urlopen(f"{url}/{name}") as answer:
        return [message["content"] for message in json.load(answer)["messages"]]


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main())
