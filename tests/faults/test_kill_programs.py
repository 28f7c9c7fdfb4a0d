"""Random programs on a daemon that is killed with -9 again and again: they leave what they leave without.

Each is carried out twice by the same daemon, once before the kills. Delays and programs come from a seed that
is printed; `RLMD_TEST_SEED` repeats one, `RLMD_TEST_KILLS` says how often it is killed.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from pathlib import Path

import pytest

import rlmd
from rlmd.clients.records import Limits
from rlmd.memory.clock import SystemClock
from rlmd.memory.store import House
from tests.conftest import StartDaemon
from tests.loop.generate import NOBODY, SHORT, answers, given, steps
from tests.loop.lives import Left, left
from tests.loop.test_property import difference
from tests.model_server import ModelServer

KILLS = int(os.environ.get("RLMD_TEST_KILLS", 8))
SEED = int(os.environ.get("RLMD_TEST_SEED", random.SystemRandom().randrange(1 << 30)))
TOGETHER = 4
"""Programs at work at once, and kills that they live through: after one more a run may be set aside."""
PROGRAMS = -(-KILLS // TOGETHER) * TOGETHER


class Person(threading.Thread):
    """Answers what is asked, as soon as it is, whatever becomes of the daemon."""

    def __init__(self, data: Path) -> None:
        super().__init__()
        self._data = data
        self._over = threading.Event()

    def run(self) -> None:
        with rlmd.connect(data=self._data) as client:
            while not self._over.wait(0.02):
                with contextlib.suppress(rlmd.Unavailable, rlmd.PreconditionFailed, rlmd.DeadlineExceeded):
                    for question in client.questions.list():
                        if not question.text.startswith(NOBODY):
                            client.questions.answer(question.id, given(question.text))

    def leave(self) -> None:
        self._over.set()
        self.join()


@pytest.mark.slow
def test_random_programs_on_a_daemon_that_is_killed(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    print(f"RLMD_TEST_SEED={SEED}")  # pytest shows it if the test fails
    delays = random.Random(SEED)
    daemon = start_daemon(model_server)
    seeds = [SEED + number for number in range(PROGRAMS)]
    person = Person(daemon.data)
    person.start()
    try:
        with rlmd.connect(data=daemon.data) as client:
            for seed in seeds:
                model_server.always(answers(seed, waits=SHORT), model=f"p{seed}")
                for name in ("whole", "killed"):
                    client.create_agent(f"{name}-{seed}", model=f"p{seed}", limits=Limits(seconds=600))
            for run in [client.agent(f"whole-{seed}").send("Go.") for seed in seeds]:
                run.wait()
            for first in range(0, PROGRAMS, TOGETHER):
                runs = [
                    client.agent(f"killed-{seed}").send("Go.") for seed in seeds[first : first + TOGETHER]
                ]
                for _ in range(TOGETHER):
                    time.sleep(delays.uniform(0.05, 0.6))
                    daemon.kill()
                    daemon.start()
                for run in runs:
                    run.wait()
    finally:
        person.leave()
    daemon.stop()
    with House.open(daemon.data / "rlmd.db", SystemClock()) as house:
        store = house.store(house.read(lambda accounts: accounts.user("owner")))
        for seed in seeds:
            whole: Left = store.read(lambda tx, seed=seed: left(tx, f"whole-{seed}"))  # type: ignore[misc]
            killed: Left = store.read(lambda tx, seed=seed: left(tx, f"killed-{seed}"))  # type: ignore[misc]
            found = difference(whole, killed)
            assert not found, f"program {seed}: {found}\n" + "\n---\n".join(steps(seed, waits=SHORT))
