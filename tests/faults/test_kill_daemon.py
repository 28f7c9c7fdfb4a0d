"""The whole daemon and kill -9, again and again under load: what was acknowledged is there, and once.

Clients do not know of the kills: the library says the same request again until a daemon answers. The
delays come from a seed that is printed; `RLMD_TEST_SEED` repeats one.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import rlmd
from tests.conftest import StartDaemon

KILLS = int(os.environ.get("RLMD_TEST_KILLS", 8))
WRITERS = 6
BACK_SECONDS = 5.0
MESSAGE_EVERY = 25
"""Every so many writes, a writer says something to the agent instead."""


@dataclass
class Writer:
    """One client: appends to a list of its own, and now and then sends a message."""

    data: Path
    number: int
    stop: threading.Event
    appended: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    failure: BaseException | None = None

    @property
    def variable(self) -> str:
        return f"load/{self.number}"

    def work(self) -> None:
        try:
            with rlmd.connect(data=self.data) as client:
                agent = client.agent()
                for sequence in range(1_000_000):
                    if self.stop.is_set():
                        return
                    if sequence % MESSAGE_EVERY == self.number:
                        text = f"writer {self.number}, message {sequence}"
                        agent.send(text, channel=f"load-{self.number}")
                        self.said.append(text)
                    agent.memory.append(self.variable, [sequence])
                    self.appended.append(sequence)
        except BaseException as error:
            self.failure = error


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_or_done_twice(start_daemon: StartDaemon) -> None:
    seed = int(os.environ.get("RLMD_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"RLMD_TEST_SEED={seed}")  # pytest shows it if the test fails
    delays = random.Random(seed)
    daemon = start_daemon()
    with rlmd.connect(data=daemon.data) as client:
        for number in range(WRITERS):
            client.agent().memory.set(f"load/{number}", [])
    stop = threading.Event()
    writers = [Writer(daemon.data, number, stop) for number in range(WRITERS)]
    threads = [threading.Thread(target=writer.work) for writer in writers]
    back = []
    for thread in threads:
        thread.start()
    try:
        for _ in range(KILLS):
            time.sleep(delays.uniform(0.05, 1.2))
            daemon.kill()
            began = time.monotonic()
            daemon.start()
            back.append(time.monotonic() - began)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for writer in writers:
        if writer.failure is not None:
            raise writer.failure
    operations = sum(len(writer.appended) + len(writer.said) for writer in writers)
    print(f"{operations:,} operations acknowledged; back after at most {max(back):.1f} s")
    assert operations > KILLS * WRITERS
    assert max(back) < BACK_SECONDS
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        for writer in writers:
            assert agent.memory.get(writer.variable) == [[number] for number in writer.appended]
            assert agent.memory.version(writer.variable) == len(writer.appended) + 1
        heard = Counter(message.text for message in agent.log.recent(100_000) if not message.from_agent)
        assert heard == Counter(text for writer in writers for text in writer.said)
    daemon.stop()
    with closing(sqlite3.connect(daemon.data / "rlmd.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
