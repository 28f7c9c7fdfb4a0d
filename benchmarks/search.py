"""Search over many passages, and whether adding one memory at a time slows it down.

    python -m benchmarks.search [--passages 100000] [--adds 10000]

A real daemon process; each question is one `Search` through gRPC, k=10, all different.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import rlmd
from tests.daemon_process import DaemonProcess

from .figures import percentile, report
from .filling import fill, sentence, wait_for_index

QUESTIONS = 200


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
            before = _search(client, "search.of_passages", passages=given.passages)
            memory = client.agent("main").memory
            began = time.perf_counter()
            for number in range(given.adds):
                memory.set(f"added/{number}", sentence(f"added {number}"))
            seconds = time.perf_counter() - began
            report("search.single_adds", [given.adds / seconds], "1/s", adds=given.adds)
            _search(client, "search.right_after_adds", adds=given.adds)
            wait_for_index(client)
            after = _search(client, "search.after_adds", adds=given.adds)
            report("search.slowdown_by_adds", [(after / before - 1) * 100], "%", most=20)


def _search(client: rlmd.Client, name: str, **more: int) -> float:
    memory = client.agent("main").memory
    taken = []
    for number in range(QUESTIONS + 5):
        # Words of a text that is there, in another order than it has them.
        words = sentence(f"bench/{number * 37}").rstrip(".").split()
        began = time.perf_counter()
        assert memory.search(" ".join(reversed(words[:9])), k=10)
        taken.append((time.perf_counter() - began) * 1000)
    report(f"{name}.p95", [percentile(taken[5:], 0.95)], "ms", most=80, **more)
    return report(f"{name}.p50", taken[5:], "ms", most=30, **more)


if __name__ == "__main__":
    main()
