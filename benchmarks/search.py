"""Search over many passages, while single memories are added, and after many were.

    python -m benchmarks.search [--passages 100000] [--adds 10000]

A real daemon process; each question is one `Search` through gRPC, k=10, all different. The ratios compare
with the same questions over the same passages at rest, so that the machine's speed cancels out.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import rlmd
from tests.daemon_process import DaemonProcess

from .figures import Cpu, percentile, report
from .filling import fill, sentence, wait_for_index

QUESTIONS = 200
WARM = 5
SETTLE_SECONDS = 5.0
"""The index puts itself in order in the quiet, which takes from the searches meanwhile."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--passages", type=int, default=100_000)
    options.add_argument("--adds", type=int, default=10_000)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, DaemonProcess(Path(folder) / "data") as daemon:
        daemon.stop()
        fill(daemon.data, given.passages)
        daemon.start()
        with rlmd.connect(data=daemon.data) as client:
            seconds = wait_for_index(client)
            report("search.passages_indexed", [given.passages / seconds], "1/s", passages=given.passages)
            cpu = Cpu(daemon.pid)
            spent: list[float] = []
            with cpu.per(QUESTIONS + WARM, spent):
                before = _search(client)
            _told("search.of_passages", before, passages=given.passages)
            report("search.of_passages.cpu", spent[:1], "ms", passages=given.passages)
            _misspelt(client, passages=given.passages)
            during, added, seconds = _while_adding(daemon.data, client, given.adds)
            report("search.single_adds", [added / seconds], "1/s", adds=added, searching=True)
            _told("search.while_adding", during, adds=given.adds)
            _compared("search.while_adding", during, before, most=2.0)
            _compared("search.right_after_adds", _search(client), before, most=1.2)
            wait_for_index(client)
            time.sleep(SETTLE_SECONDS)
            with cpu.per(QUESTIONS + WARM, spent):
                after = _search(client)
            _told("search.after_adds", after, adds=given.adds)
            _compared("search.after_adds", after, before, most=1.2)
            ratio = spent[1] / spent[0]
            report("search.after_adds.cpu.ratio", [ratio], "of the CPU at rest", most=1.2, adds=given.adds)


def _search(client: rlmd.Client) -> list[float]:
    """Milliseconds of each question."""
    memory = client.agent("main").memory
    taken = []
    for number in range(QUESTIONS + WARM):
        began = time.perf_counter()
        assert memory.search(_question(number), k=10)
        taken.append((time.perf_counter() - began) * 1000)
    return taken[WARM:]


def _question(number: int) -> str:
    """Words of a text that is there, in another order than it has them."""
    return " ".join(reversed(sentence(f"bench/{number * 37}").rstrip(".").split()[:9]))


def _misspelt(client: rlmd.Client, **more: int) -> None:
    memory = client.agent("main").memory
    taken = []
    for number in range(QUESTIONS // 4):
        # A letter too many in the longest word: nothing holds it.
        words = _question(number).split()
        longest = max((word for word in words if word.isalpha()), key=len)
        words[words.index(longest)] = longest[:3] + "q" + longest[3:]
        began = time.perf_counter()
        assert memory.search(" ".join(words), k=10)
        taken.append((time.perf_counter() - began) * 1000)
    report("search.misspelt.p50", taken, "ms", **more)


def _while_adding(data: Path, client: rlmd.Client, adds: int) -> tuple[list[float], int, float]:
    """Milliseconds of the questions that were asked while memories were added one at a time."""
    done = threading.Event()
    seconds = [0.0]

    def add() -> None:
        with rlmd.connect(data=data) as other:
            memory = other.agent("main").memory
            began = time.perf_counter()
            for number in range(adds):
                memory.set(f"added/{number}", sentence(f"added {number}"))
            seconds[0] = time.perf_counter() - began
        done.set()

    adding = threading.Thread(target=add)
    adding.start()
    memory = client.agent("main").memory
    taken: list[float] = []
    while not done.wait(0.05):
        began = time.perf_counter()
        assert memory.search(_question(len(taken)), k=10)
        taken.append((time.perf_counter() - began) * 1000)
    adding.join()
    return taken, adds, seconds[0]


def _told(name: str, taken: list[float], **more: int) -> None:
    report(f"{name}.p50", taken, "ms", most=30, **more)
    report(f"{name}.p95", [percentile(taken, 0.95)], "ms", most=80, **more)


def _compared(name: str, taken: list[float], before: list[float], *, most: float) -> None:
    ratio = percentile(taken, 0.5) / percentile(before, 0.5)
    report(f"{name}.ratio", [ratio], "of the p50 at rest", most=most)


if __name__ == "__main__":
    main()
