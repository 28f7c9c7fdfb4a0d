"""Agents that ask each other, with the built-in rules as their model, which take no time.

    python -m benchmarks.hive [--rounds 200] [--agents 100] [--seconds 60] [--writers 32]

One member asks another, again and again; many members ask a random other once a second; and many write to one
shared variable by compare-and-set. All of it is journalled on both sides and on disk.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rlmd
from rlmd.clients.records import RunState
from tests.daemon_process import DaemonProcess

from .figures import Cpu, percentile, report

ASK = """\
/py import time
from hive import m1
taken = []
for _ in range({rounds}):
    began = time.time()
    await m1.ask('/py reply(1)')
    taken.append((time.time() - began) * 1000)
reply(taken)"""
ASK_ANY = "/py from hive import m{other}\nawait m{other}.ask('/py reply(1)')\ndone(1)"
COUNT = """\
/py tries = 0
for _ in range({rounds}):
    while True:
        tries += 1
        version = memory.version('@team/count')
        try:
            memory.set('@team/count', memory.get('@team/count') + 1, expect=version)
            break
        except RuntimeError:
            pass
done(tries)"""
ENDED = [state for state in RunState if state.ended]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument("--agents", type=int, default=100)
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--writers", type=int, default=32)
    given = options.parse_args()
    with _team(2) as client:
        client.agent("m0").chat(ASK.format(rounds=10))
        spent: list[float] = []
        with Cpu(client.status().pid).per(given.rounds, spent):
            taken = json.loads(client.agent("m0").chat(ASK.format(rounds=given.rounds)).text)
        report("hive.ask_and_answer", taken, "ms", most=60, p95=percentile(taken, 0.95))
        report("hive.ask_and_answer.cpu", spent, "ms")
    with _team(given.agents) as client:
        _once_a_second(client, given.agents, given.seconds)
    with _team(given.writers) as client:
        _writers(client, given.writers)


@contextmanager
def _team(agents: int) -> Iterator[rlmd.Client]:
    """A daemon with so many agents in a hive."""
    with (
        tempfile.TemporaryDirectory() as folder,
        DaemonProcess(Path(folder) / "data") as daemon,
        rlmd.connect(data=daemon.data) as client,
    ):
        client.hives.create("team")
        client.hives.grant("team", ["ask", "write"], rate=100_000)
        for number in range(agents):
            client.create_agent(f"m{number}")
            client.hives.join("team", f"m{number}")
        yield client


def _once_a_second(client: rlmd.Client, agents: int, seconds: int) -> None:
    """Each asks a random other once a second; then it is waited until the last has its answer."""
    began = time.monotonic()
    late = []
    for second in range(seconds):
        time.sleep(max(began + second - time.monotonic(), 0))
        for number in range(agents):
            other = random.choice([each for each in range(agents) if each != number])
            client.agent(f"m{number}").send(ASK_ANY.format(other=other))
        late.append(time.monotonic() - began - second)
    sent = agents * seconds
    end = time.monotonic() + 10 * seconds + 60
    while (runs := _ended(client, agents))[1] < sent:
        assert time.monotonic() < end, f"{runs[1]} of {sent} questions were answered"
        time.sleep(0.5)
    good, done = runs
    report("hive.once_a_second.answered", [good / done], "", least=1, agents=agents, questions=sent)
    behind = time.monotonic() - began - seconds
    report("hive.once_a_second.behind", [max(behind, 0)], "s", agents=agents, seconds=seconds)
    report("hive.once_a_second.sending", late, "s", agents=agents)


def _ended(client: rlmd.Client, agents: int) -> tuple[int, int]:
    """How many of those who asked are done, and how many have ended in any way."""
    runs = [
        run
        for number in range(agents)
        for run in client.agent(f"m{number}").runs(states=ENDED)
        if run.event_kind == "message"
    ]
    return sum(run.state is RunState.DONE for run in runs), len(runs)


def _writers(client: rlmd.Client, writers: int, rounds: int = 5) -> None:
    """Each counts a shared variable up several times by compare-and-set."""
    first = client.agent("m0")
    first.chat("/py memory.set('@team/count', 0)\nreply('ok')")
    began = time.monotonic()
    runs = [client.agent(f"m{number}").send(COUNT.format(rounds=rounds)) for number in range(writers)]
    tries = sum(int(run.wait().result) for run in runs)
    seconds = time.monotonic() - began
    counted = int(first.chat("/py reply(memory.get('@team/count'))").text)
    assert counted == writers * rounds, f"{counted} of {writers * rounds} updates"
    report("hive.compare_and_set", [counted / seconds], "updates/s", writers=writers, tries=tries)


if __name__ == "__main__":
    main()
