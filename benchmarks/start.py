"""Starting and standing still: the command line, a cold start with much to remember, and an idle daemon.

python -m benchmarks.start [--variables 100000] [--idle-seconds 10]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

import rlmd
from tests.daemon_process import DaemonProcess

from .figures import Cpu, report, timed
from .filling import fill, wait_for_index

MB = 1024 * 1024


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--variables", type=int, default=100_000)
    options.add_argument("--idle-seconds", type=float, default=10.0)
    given = options.parse_args()
    _command_line()
    with tempfile.TemporaryDirectory() as folder:
        _daemon(Path(folder) / "data", given.variables, given.idle_seconds)


def _command_line() -> None:
    command = [sys.executable, "-m", "rlmd.clients.cli.main", "version"]
    taken = timed(lambda: subprocess.run(command, check=True, capture_output=True), 5)
    report("start.version_command", taken, "ms", most=300)
    spent = []
    for _ in range(5):
        before = _children_seconds()
        subprocess.run(command, check=True, capture_output=True)
        spent.append((_children_seconds() - before) * 1000)
    report("start.version_command.cpu", spent, "ms")


def _children_seconds() -> float:
    used = psutil.Process().cpu_times()
    return float(used.children_user + used.children_system)


def _daemon(data: Path, variables: int, idle_seconds: float) -> None:
    with DaemonProcess(data) as daemon:
        daemon.stop()
        fill(data, variables)
        daemon.start()
        with rlmd.connect(data=data) as client:
            # The index is built once, in the background; what is measured is a start with it.
            indexed = wait_for_index(client)
        report("start.index_of_variables", [indexed], "s", variables=variables)
        first = []
        for _ in range(3):
            daemon.stop()
            began = time.perf_counter()
            daemon.start()
            with rlmd.connect(data=data) as client:
                assert client.agent("main").memory.get("bench/0") is not None
            first.append(time.perf_counter() - began)
        report("start.cold_to_first_answer", first, "s", most=3, variables=variables)
        time.sleep(3.0)
        cpu = Cpu(daemon.pid)
        before = cpu.seconds()
        time.sleep(idle_seconds)
        share = (cpu.seconds() - before) / idle_seconds * 100
        report("start.idle_cpu", [share], "% of a core", most=1, seconds=idle_seconds)
        process = psutil.Process(daemon.pid)
        report("start.idle_rss", [process.memory_info().rss / MB], "MB", most=250, variables=variables)


if __name__ == "__main__":
    main()
