"""Large texts through the library: in and out, parts of them, and what the daemon holds of them meanwhile.

    python -m benchmarks.large [--megabytes 100]

The text is lines as people write them, some with letters beyond ASCII. It is read back and compared. What the
daemon's memory grows by is its peak while the text goes in and out, over what it had before. Parts are looked
at when the index has taken in the text, which goes on beside the export.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

import rlmd
from tests.daemon_process import DaemonProcess

from .figures import Cpu, percentile, report, timed
from .filling import sentence, wait_for_index

NAME = "bench/large.txt"
PATTERNS = {
    "word": "nowhere to be found",
    "branches": "nowhere|never seen",
    "any_case": "(?i)nowhere to be found",
    "expression": r"moved to \w+ in 1066",
    "digits": r"\d{7}",
}
"""None is in the text: all of it is searched."""
ROUNDS = 3


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--megabytes", type=int, default=100, help="of the text")
    megabytes = options.parse_args().megabytes
    with tempfile.TemporaryDirectory() as folder, DaemonProcess(Path(folder) / "data") as daemon:
        source, target = Path(folder) / "in.txt", Path(folder) / "out.txt"
        size = _write(source, megabytes * 1_000_000) / 1e6
        with rlmd.connect(data=daemon.data, timeout=600) as client:
            wait_for_index(client)
            memory = client.agent().memory
            memory.set("bench/small", "a first value")
            with _growth(daemon.pid) as grown:
                taken = _seconds(lambda: memory.upload(NAME, source))
                report("large.import", [size / taken], "MB/s", least=10, megabytes=megabytes)
                taken = _seconds(lambda: memory.download(NAME, target))
                report("large.export", [size / taken], "MB/s", least=10)
            assert _digest(source) == _digest(target), "what came out is not what went in"
            report("large.daemon_grows_by", [grown()], "MB", most=200)
            report("large.index", [size / wait_for_index(client)], "MB/s")
            _parts(memory, size, Cpu(daemon.pid))
        # Its index may be amid the text that was appended to, which it would finish first.
        daemon.kill()


def _parts(memory: rlmd.Memory, size: float, cpu: Cpu) -> None:
    for kind, pattern in PATTERNS.items():
        memory.grep(pattern, "bench/large")
        spent: list[float] = []
        taken: list[float] = []
        for _ in range(ROUNDS):
            with cpu.per(1, spent):
                taken.append(_seconds(lambda pattern=pattern: memory.grep(pattern, "bench/large")))  # type: ignore[misc]
        rates = [size / one for one in taken]
        report(f"large.grep.{kind}", rates, "MB/s", least=200, per_cpu_second=size * 1000 / min(spent))
    length = memory.size(NAME)
    places = iter(range(0, length, length // 60))
    taken = timed(lambda: memory.slice(NAME, at := next(places), at + 4000), 50)
    report("large.slice", taken, "ms", most=10, p95=percentile(taken, 0.95))
    taken = timed(lambda: memory.size(NAME), 50)
    report("large.size", taken, "ms", most=10, p95=percentile(taken, 0.95))
    taken = timed(lambda: memory.append(NAME, "a line that is appended\n" * 42), 50)
    report("large.append_1_kb", taken, "ms", most=10, p95=percentile(taken, 0.95))


def _write(path: Path, size: int) -> int:
    """A text file of about so many bytes; gives how many."""
    written, number = 0, 0
    with path.open("w") as file:
        while written < size:
            line = sentence(str(number)) + (" Größe: 5 €\n" if number % 7 == 0 else "\n")
            file.write(line)
            written, number = written + len(line.encode()), number + 1
    return written


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _growth(pid: int) -> Iterator[Callable[[], float]]:
    """Tells, after the block, by how many MB a process has grown at most."""
    process = psutil.Process(pid)
    peak = before = process.memory_info().rss
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            peak = max(peak, process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: (peak - before) / 1e6
    finally:
        done.set()
        thread.join()


if __name__ == "__main__":
    main()
