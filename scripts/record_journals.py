"""Keep a database with runs of every kind, as this version writes it: later versions must go on with them.

    python -m scripts.record_journals NAME      write tests/fixtures/journals/NAME; for each release

What is kept is never made again: it stands for what users have on their disks. The test of it,
tests/faults/test_old_journals.py, opens each with the code of today, lets every run go on or replays it, and
compares with `story.json`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import zstandard

import rlmd
from rlmd.clients.records import RunState
from tests.daemon_process import DaemonProcess, model_env
from tests.loop.runner import py
from tests.model_server import ModelServer, Scripted, Slow

ROOT = Path(__file__).resolve().parent.parent
JOURNALS = ROOT / "tests/fixtures/journals"

EVERYTHING = """
import random
from datetime import datetime
memory.set('a', {'n': 1}, note='first')
memory.append('list', ['x'])
memory.set('a', 2, expect=1)
try:
    memory.set('a', 3, expect=1)
except RuntimeError as error:
    print(type(error).__name__)
drawn, now = random.random(), datetime.now()
words = await asyncio.gather(llm('one'), rlm('child', {'k': [1, None, 'ä']}), asyncio.sleep(0.01))
memory.set('large', 'long ' * 100_000)
seen = [memory.get('a', version=1), memory.size('large'), memory.slice('large', 0, 4), memory.names()]
seen += [[v.note for v in memory.history('a')], len(memory.grep('long', 'large')), memory.get('none')]
memory.delete('list')
"""

STORY: list[dict[str, Any]] = [
    {
        "agent": "everything",
        "steps": [EVERYTHING, "assert drawn != random.random()\nreply(words)\ndone(seen)"],
        "sub": ["ONE", py("done(event.context[0]['k'])")],
        "left": "done",
        "said": ['["ONE", [1, null, "ä"], null]'],
        "memory": {"a": 2, "list": None},
    },
    {
        "agent": "asks",
        "steps": [
            "trip = {'to': 'Bern'}\nprint(1)",
            "reply(trip['to'] + await ask('Which day?', ['Monday', 'Friday']))",
        ],
        "left": "waiting",
        "answers": {"Which day?": "friday"},
        "said": ["BernFriday"],
    },
    {
        "agent": "child-asks",
        "steps": ["memory.set('before', 1)\nreply(await rlm('ask') + 1)"],
        "sub": [py("done(await ask('How many?', type='number'))")],
        "left": "waiting",
        "answers": {"How many?": "41"},
        "said": ["42"],
        "memory": {"before": 1},
    },
    {
        "agent": "half-answered",
        "steps": ["reply('+'.join(await asyncio.gather(ask('Second?'), ask('First?'))))"],
        "early": {"First?": "one"},
        "left": "waiting",
        "answers": {"Second?": "two"},
        "said": ["two+one"],
    },
    {
        "agent": "sleeps",
        "steps": ["await asyncio.sleep(5)\nreply('awake')"],
        "left": "waiting",
        "said": ["awake"],
    },
    {
        "agent": "cut-off",
        "steps": [
            "memory.append('log', 'x')\nword = await llm('slow')\nmemory.append('log', 'y')\nreply(word)"
        ],
        "sub": [60],
        "left": "running",
        "said": ["LATE"],
        "memory": {"log": "xy"},
    },
    {
        "agent": "fails",
        "steps": ["memory.append('log', 'x')\n1 // 0"] * 3,
        "left": "failed",
        "said": [],
        "memory": {"log": "xxx"},
    },
]


def main(name: str) -> None:
    folder = JOURNALS / name
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch, ModelServer() as server:
        daemon = DaemonProcess(Path(scratch) / "data", env=model_env(server))
        with daemon, rlmd.connect(data=daemon.data) as client:
            for story in STORY:
                _tell(client, server, story)
            # Last of all, so that what is under way is cut off.
            time.sleep(1)
            daemon.kill()
            database = (daemon.data / "rlmd.db", daemon.data / "rlmd.db-wal")
            for file in database:
                if file.exists():
                    packed = zstandard.ZstdCompressor(level=19).compress(file.read_bytes())
                    (folder / f"{file.name}.zst").write_bytes(packed)
    (folder / "story.json").write_text(json.dumps(STORY, indent=1, ensure_ascii=False) + "\n")


def _tell(client: rlmd.Client, server: ModelServer, story: dict[str, Any]) -> None:
    """Let an agent live its story, as far as it is to be left."""
    name = story["agent"]
    server.script([py(step) for step in story["steps"]], model=name)
    sub: list[Scripted] = [Slow(each, "") if isinstance(each, int) else each for each in story.get("sub", ())]
    server.script(sub, model=f"{name}-sub")
    agent = client.create_agent(name, model=name, sub_model=f"{name}-sub")
    run = agent.send("Go.")
    end = time.monotonic() + 30
    while run.get().state is not RunState(story["left"]):
        assert time.monotonic() < end, run.get()
        for question in client.questions.list(agent=name):
            if question.text in story.get("early", {}):
                client.questions.answer(question.id, story["early"][question.text])
        time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1])
