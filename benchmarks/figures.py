"""A figure as a line of JSON: what was measured, in which unit, against which goal, on which machine.

The value is the median of the rounds and the spread their least and greatest: on a machine that others
use too, the spread says how far to trust the value. `goal` is what we want, `peer` what another program
does at the same work here. `met` is missing where there is no goal.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil


@functools.cache
def machine() -> dict[str, Any]:
    """Where this was measured, with the load that was there already."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "cpu": models[0] if models else platform.processor(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }


def report(
    name: str,
    values: Sequence[float],
    unit: str,
    *,
    most: float | None = None,
    least: float | None = None,
    peer: float | None = None,
    **more: Any,
) -> float:
    """Print a figure and give its value; `most` or `least` is the goal."""
    value = statistics.median(values)
    line: dict[str, Any] = {"name": name, "value": _short(value), "unit": unit}
    if most is not None:
        line |= {"goal": f"<= {most:g}", "met": value <= most}
    if least is not None:
        line |= {"goal": f">= {least:g}", "met": value >= least}
    if peer is not None:
        line["peer"] = _short(peer)
    line |= {"spread": [_short(min(values)), _short(max(values))], "rounds": len(values), **more}
    print(json.dumps(line | {"machine": machine()}, ensure_ascii=False), flush=True)
    return value


def timed(work: Callable[[], object], rounds: int, *, warm: int = 2) -> list[float]:
    """Milliseconds of each round, after some that do not count."""
    for _ in range(warm):
        work()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return taken


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


class Cpu:
    """CPU seconds of a process and of all below it: what a busy machine does not blur."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    def seconds(self) -> float:
        total = 0.0
        for process in [self._root, *self._root.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                used = process.cpu_times()
                total += used.user + used.system
        return total

    @contextlib.contextmanager
    def per(self, count: int, into: list[float]) -> Iterator[None]:
        """Append the milliseconds of CPU for each of `count` operations in the block."""
        before = self.seconds()
        yield
        into.append((self.seconds() - before) * 1000 / count)


def _short(value: float) -> float:
    return float(f"{value:.4g}")
