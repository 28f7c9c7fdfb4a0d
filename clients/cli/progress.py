"""How far a long transfer has come, on stderr, if a person reads that."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from rlmd.clients.parts import Progress

SHOWN = 4 * 1024 * 1024
"""Bytes from which a transfer takes long enough to be shown."""


@contextlib.contextmanager
def shown(what: str, total: int | None) -> Iterator[Progress | None]:
    """Something to tell the bytes so far; None where nobody looks. `total`: bytes in all, if known."""
    if not sys.stderr.isatty() or (total is not None and total < SHOWN):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
