"""A model that says what a test tells it to: a real HTTP server that speaks OpenAI's protocol from a script.

    with ModelServer() as server:
        server.script(["```python\nx = 1\n```", Status(429, retry_after=0.1), "Done."])
        server.script([lambda body: body["messages"][-1]["content"].upper()], model="child")
        ...                                   # point the daemon at server.url
        assert len(server.requests) == 3 and server.usage == ...

Each request takes the next item of its model's script, or of the common one if that model has none. An
item is a text, one of the behaviours below, or a function of the request's body that gives one of these. A
script that has run out answers as `always(...)` says, else with status 400, which no client repeats.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from rlmd.daemon.models.api import Usage


@dataclass(frozen=True)
class Text:
    """An answer. `usage` None means that it is made from the lengths of question and answer."""

    text: str
    usage: Usage | None = None
    finish: str = "stop"
    pieces: int = 3
    """In how many pieces it is streamed."""


@dataclass(frozen=True)
class NoUsage:
    """An answer of a provider that counts nothing."""

    text: str


@dataclass(frozen=True)
class Slow:
    """An answer after some seconds; ends early when the client goes away or the server closes."""

    seconds: float
    text: str


@dataclass(frozen=True)
class Status:
    """An HTTP error."""

    code: int
    message: str = "scripted failure"
    retry_after: float | None = None
    """Seconds, for the header `Retry-After`."""
    error_code: str | None = None


@dataclass(frozen=True)
class Null:
    """`content: null`."""


@dataclass(frozen=True)
class Empty:
    """`choices: []`."""


@dataclass(frozen=True)
class Refusal:
    """The model refuses, in the field that the protocol has for it."""

    text: str


@dataclass(frozen=True)
class CutStream:
    """The connection breaks after so many characters of the text."""

    after: int
    text: str = "This answer will never be told to its end."


@dataclass(frozen=True)
class Malformed:
    """A line of the stream is not JSON, after the text in `before`."""

    before: str = ""


@dataclass(frozen=True)
class Huge:
    """An answer of so many bytes."""

    size: int


@dataclass(frozen=True)
class Reset:
    """The connection is reset before any answer."""


@dataclass(frozen=True)
class Raw:
    """Whatever a test wants to send, as it stands: a page of a proxy, a body that breaks off."""

    body: bytes
    code: int = 200
    kind: str = "text/event-stream"
    missing: int = 0
    """So many bytes that the header promises do not come."""

    @classmethod
    def events(cls, *events: str) -> Self:
        """A stream of these data, each as it stands."""
        return cls("".join(f"data: {event}\n\n" for event in (*events, "[DONE]")).encode())


Item = (
    str | Text | NoUsage | Slow | Status | Null | Empty | Refusal | CutStream | Malformed | Huge | Reset | Raw
)
Scripted = Item | Callable[[dict[str, Any]], Item]


@dataclass
class Exchange:
    """One request and what became of it. Times are `time.monotonic()`."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: dict[str, Any]
    received: float
    item: Item | None = None
    usage: Usage | None = None
    """What was handed out; None if nothing was."""
    answered: float | None = None
    """When the last byte had been written; None while it is under way, or if the client left."""
    disconnected: bool = False
    """Whether the client went away before the end."""

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))

    @property
    def messages(self) -> list[dict[str, str]]:
        return list(self.body.get("messages", []))

    @property
    def prompt(self) -> str:
        """All that the model was shown, as one text."""
        return "\n".join(message["content"] for message in self.messages)


@dataclass
class _Script:
    items: deque[Scripted] = field(default_factory=deque)
    always: Scripted | None = None


class ModelServer:
    """See the module. Use as a context manager; all threads and connections are gone when it closes."""

    def __init__(self, *, dimension: int = 16) -> None:
        self.dimension = dimension
        """Of the vectors that /v1/embeddings gives."""
        self.embeddings_fail: Status | None = None
        """If set, what /v1/embeddings answers."""
        self.knows_stream_options = True
        """If not, a request with `stream_options` is refused, as some providers do."""
        self.requests: list[Exchange] = []
        """Every chat request, in the order in which they came in."""
        self.embedding_requests: list[Exchange] = []
        self.closing = threading.Event()
        self._scripts: dict[str | None, _Script] = {}
        self._changed = threading.Condition()
        self._http = _Server(("127.0.0.1", 0), self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="model-server")

    @property
    def url(self) -> str:
        """What `OPENAI_BASE_URL` should be."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def usage(self) -> Usage:
        """Sum of all usage handed out."""
        with self._changed:
            return sum((e.usage for e in self.requests if e.usage is not None), Usage())

    def script(self, items: Iterable[Scripted], *, model: str | None = None) -> Self:
        """Add answers to the script of a model, or to that of all models without their own."""
        with self._changed:
            self._scripts.setdefault(model, _Script()).items.extend(items)
        return self

    def always(self, item: Scripted, *, model: str | None = None) -> Self:
        """What to answer when the script has run out."""
        with self._changed:
            self._scripts.setdefault(model, _Script()).always = item
        return self

    def wait_for(self, count: int, *, seconds: float = 10.0) -> list[Exchange]:
        """Wait until `count` chat requests have come in, and give them."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= count, timeout=seconds):
                raise TimeoutError(f"{len(self.requests)} of {count} requests came within {seconds} s")
            return list(self.requests)

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.close_connections()
        self._http.server_close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def next_item(self, exchange: Exchange) -> Item:
        """Record a chat request and choose what answers it."""
        with self._changed:
            self.requests.append(exchange)
            self._changed.notify_all()
            script = self._scripts.get(exchange.model) or self._scripts.get(None) or _Script()
            scripted = script.items.popleft() if script.items else script.always
        if scripted is None:
            return Status(400, f"the script has no more answers for model {exchange.model!r}")
        return scripted(exchange.body) if callable(scripted) else scripted


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: ModelServer) -> None:
        super().__init__(address, _Handler)
        self.owner = owner
        self.connections: set[socket.socket] = set()

    def close_connections(self) -> None:
        """Wake the threads that wait for another request on a connection that is kept alive."""
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are the point of many tests, not worth a trace."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """The test's output is not the place."""

    def do_GET(self) -> None:
        models = [{"id": name, "object": "model"} for name in ("scripted", "child")]
        if self.path.rstrip("/") == "/v1/models":
            self._send_json(200, {"object": "list", "data": models})
        else:
            self._send_status(Status(404, f"no such path: {self.path}"))

    def do_POST(self) -> None:
        received = time.monotonic()
        raw = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        exchange = Exchange(self.path.rstrip("/"), headers, json.loads(raw), received)
        try:
            match exchange.path:
                case "/v1/chat/completions":
                    self._chat(exchange)
                case "/v1/embeddings":
                    self._embed(exchange)
                case _:
                    self._send_status(Status(404, f"no such path: {self.path}"))
            exchange.answered = None if exchange.disconnected else time.monotonic()
        except OSError:
            exchange.disconnected = True
            self.close_connection = True

    def _chat(self, exchange: Exchange) -> None:
        owner = self.server.owner
        if "stream_options" in exchange.body and not owner.knows_stream_options:
            owner.requests.append(exchange)
            self._send_status(Status(400, "Unrecognized request argument supplied: stream_options"))
            return
        item = exchange.item = owner.next_item(exchange)
        match item:
            case Status():
                self._send_status(item)
            case Reset():
                self._reset()
            case Raw():
                self._send(item.code, item.body, {"Content-Type": item.kind}, missing=item.missing)
                self.close_connection |= item.missing > 0
            case Slow():
                if self._still_there_after(item.seconds):
                    self._answer(exchange, Text(item.text))
                else:
                    exchange.disconnected = self.close_connection = True
            case str():
                self._answer(exchange, Text(item))
            case _:
                self._answer(exchange, item)

    def _answer(self, exchange: Exchange, item: Item) -> None:
        if exchange.body.get("stream"):
            self._stream(exchange, item)
            return
        message: dict[str, Any] = {"role": "assistant", "content": _full_text(item)}
        if isinstance(item, Refusal):
            message |= {"content": None, "refusal": item.text}
        choice = {"index": 0, "message": message, "finish_reason": _finish(item)}
        answer = _envelope(exchange, "chat.completion") | {
            "choices": [] if isinstance(item, Empty) else [choice]
        }
        if not isinstance(item, NoUsage):
            exchange.usage = _usage(exchange, item)
            answer["usage"] = _usage_fields(exchange.usage)
        self._send_json(200, answer)

    def _stream(self, exchange: Exchange, item: Item) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        envelope = _envelope(exchange, "chat.completion.chunk")

        def choice(delta: dict[str, Any], finish: str | None = None) -> None:
            self._event(envelope | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

        if isinstance(item, Empty):
            self._event(envelope | {"choices": []})
        else:
            choice({"role": "assistant", "content": None if isinstance(item, Null | Refusal) else ""})
            for piece in _pieces(item):
                choice({"refusal" if isinstance(item, Refusal) else "content": piece})
            if isinstance(item, CutStream):
                self._break()
                exchange.disconnected = True
                return
            if isinstance(item, Malformed):
                self._chunk(b'data: {"choices": [{"delta"\n\n')
            choice({}, _finish(item))
        wanted = (exchange.body.get("stream_options") or {}).get("include_usage")
        if wanted and not isinstance(item, NoUsage):
            exchange.usage = _usage(exchange, item)
            self._event(envelope | {"choices": [], "usage": _usage_fields(exchange.usage)})
        self._chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data: dict[str, Any]) -> None:
        self._chunk(b"data: " + json.dumps(data).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _break(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _still_there_after(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.server.owner.closing.wait(min(0.02, left)):
                return False
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                return False
        return True

    def _embed(self, exchange: Exchange) -> None:
        owner = self.server.owner
        owner.embedding_requests.append(exchange)
        if owner.embeddings_fail is not None:
            self._send_status(owner.embeddings_fail)
            return
        given = exchange.body["input"]
        texts: list[str] = [given] if isinstance(given, str) else given
        data: list[dict[str, Any]] = []
        for index, text in enumerate(texts):
            vector: list[float] | str = embed(text, owner.dimension)
            if exchange.body.get("encoding_format") == "base64":
                vector = base64.b64encode(struct.pack(f"<{owner.dimension}f", *vector)).decode()
            data.append({"object": "embedding", "index": index, "embedding": vector})
        tokens = sum(_tokens(text) for text in texts)
        exchange.usage = Usage(input_tokens=tokens)
        self._send_json(
            200,
            {
                "object": "list",
                "model": exchange.model,
                "data": data,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            },
        )

    def _send_status(self, status: Status) -> None:
        headers = {} if status.retry_after is None else {"Retry-After": f"{status.retry_after:g}"}
        error = {"message": status.message, "type": "scripted", "param": None, "code": status.error_code}
        self._send_json(status.code, {"error": error}, headers)

    def _send_json(self, code: int, data: object, headers: Mapping[str, str] = {}) -> None:
        self._send(code, json.dumps(data).encode(), {"Content-Type": "application/json", **headers})

    def _send(self, code: int, raw: bytes, headers: Mapping[str, str], *, missing: int = 0) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(raw) + missing), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)


def embed(text: str, dimension: int) -> list[float]:
    """A small vector of length 1 that depends on the text's words alone: texts that share words are near."""
    vector = [0.0] * dimension
    for word in re.findall(r"\w+", text.lower()) or [""]:
        digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
        vector[int.from_bytes(digest[:4], "big") % dimension] += 1.0 if digest[4] % 2 else -1.0
    length = math.hypot(*vector)
    return [x / length for x in vector] if length else [1.0] + [0.0] * (dimension - 1)


def _full_text(item: Item) -> str | None:
    match item:
        case Text() | NoUsage():
            return item.text
        case CutStream():
            return item.text[: item.after]
        case Malformed():
            return item.before
        case Huge():
            return "x" * item.size
        case _:
            return None


def _pieces(item: Item) -> Iterator[str]:
    if isinstance(item, Huge):
        for start in range(0, item.size, 65_536):
            yield "x" * min(65_536, item.size - start)
        return
    text = item.text if isinstance(item, Refusal) else _full_text(item) or ""
    count = item.pieces if isinstance(item, Text) else 3
    size = max(1, math.ceil(len(text) / count))
    for start in range(0, len(text), size):
        yield text[start : start + size]


def _finish(item: Item) -> str:
    return item.finish if isinstance(item, Text) else "stop"


def _envelope(exchange: Exchange, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-scripted", "object": kind, "created": int(time.time()), "model": exchange.model}


def _tokens(text: str) -> int:
    return len(text) // 4 + 1


def _usage(exchange: Exchange, item: Item) -> Usage:
    if isinstance(item, Text) and item.usage is not None:
        return item.usage
    answer = item.text if isinstance(item, Refusal) else _full_text(item) or ""
    return Usage(input_tokens=_tokens(exchange.prompt), output_tokens=_tokens(answer))


def _usage_fields(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
