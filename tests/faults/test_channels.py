"""A channel amid kills and drops: what it is told comes once and in order, what it does is done once.

The delays come from a seed that is printed; `RLMD_TEST_SEED` repeats one.
"""

from __future__ import annotations

import json
import os
import random
import threading
from pathlib import Path

import grpc
import pytest

import rlmd
from rlmd.clients.records import RunState
from tests.conftest import StartDaemon
from tests.wire import Wire, offer

COUNT = 60
KILLS = 3
"""Fewer than those after which an event that does not get a step further is set aside."""
PROGRAM = f"""/py from channels import home
total = []
for n in range({COUNT}):
    home.tell(str(n))
    total.append(await home.double(n))
reply(total)"""
DOUBLE = offer("double", {"type": "integer"}, trusted=True, n={"type": "integer"})


class Bot:
    """Comes back after every drop, also of its own making, and goes on behind what it has processed."""

    def __init__(self, data: Path, delays: random.Random) -> None:
        self._data = data
        self._delays = delays
        self._thread = threading.Thread(target=self._work)
        self._over = threading.Event()
        self._last = 0
        self._wire: Wire | None = None
        self.heard: list[str] = []
        self.done: dict[str, int] = {}
        """What was done, by key."""
        self.drops = self.repeats = 0

    def __enter__(self) -> Bot:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._wire is not None:
            self._wire.close()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.is_set():
            try:
                with Wire(self._data, "home", [DOUBLE], after=self._last) as wire:
                    self._wire = wire
                    self._serve(wire, self._delays.randrange(1, 30))
            except grpc.RpcError:
                self.drops += 1
                self._over.wait(0.05)

    def _serve(self, wire: Wire, most: int) -> None:
        """Take so many things at most, then drop the connection in the middle of whatever it is."""
        for _ in range(most):
            response = wire.read()
            if response.HasField("message"):
                self.heard.append(response.message.text)
                self._last = response.sequence
                wire.ack(response.sequence)
            elif response.HasField("invoke"):
                invoke = response.invoke
                self.repeats += invoke.key in self.done
                value = self.done.setdefault(invoke.key, 2 * json.loads(invoke.arguments_json)["n"])
                wire.answer(invoke, value)
        self.drops += 1


@pytest.mark.slow
def test_told_once_and_done_once_over_kills_and_drops(start_daemon: StartDaemon) -> None:
    seed = int(os.environ.get("RLMD_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"RLMD_TEST_SEED={seed}")  # pytest shows it if the test fails
    delays = random.Random(seed)
    daemon = start_daemon()
    with Wire(daemon.data, "home", [DOUBLE]):
        pass
    with rlmd.connect(data=daemon.data) as client, Bot(daemon.data, random.Random(seed + 1)) as bot:
        run = client.agent().send(PROGRAM, channel="desk")
        for _ in range(KILLS):
            threading.Event().wait(delays.uniform(0.2, 1.0))
            daemon.kill()
            daemon.restart()
        ended = run.wait()
        assert ended.state is RunState.DONE, ended.reason
        assert run.replay().difference == ""
        said = client.agent().log.recent(1)[0].text
    assert json.loads(said) == [2 * n for n in range(COUNT)]
    assert bot.drops > KILLS
    assert bot.heard[:COUNT] == [str(n) for n in range(COUNT)]
    assert sorted(bot.done.values()) == [2 * n for n in range(COUNT)]
