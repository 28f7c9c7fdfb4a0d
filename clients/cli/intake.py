"""An import on its way into memory: what is new is written, what is there is left, what fails is noted."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rlmd.clients import importing
from rlmd.clients.records import Kind, Origin, Variable
from rlmd.clients.sync import Memory
from rlmd.errors import InvalidInput, NotFound, TooLarge

from . import out

if TYPE_CHECKING:
    from rich.progress import Progress

NOTE = "imported"
AT_ONCE = 8
"""Items on their way to the daemon."""


@dataclass(kw_only=True)
class Intake:
    """What an import has done so far."""

    memory: Memory
    dry_run: bool
    written: list[dict[str, Any]] = field(default_factory=list)
    """Names and versions."""
    unchanged: int = 0
    problems: list[importing.Problem] = field(default_factory=list)
    _flying: deque[tuple[importing.Item, Future[int | None]]] = field(default_factory=deque)
    """Items on their way, the oldest first."""

    def run(self, paths: Sequence[Path], options: importing.Options) -> None:
        """Take all that is in these files and folders.

        Some items are on their way at once, because the daemon commits together what comes together. The next
        file is read when there is room: however much it is, little of it is held in memory.

        Raises:
            RlmdError: whatever would fail with the next item as well, such as a full disk.
        """
        reader = importing.Reader(options)
        found = list(importing.find(paths))
        total = sum(one.size for one in found if isinstance(one, importing.Source))
        with Bar(total) as bar, ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for one in found:
                    if isinstance(one, importing.Problem):
                        self.problems.append(one)
                        continue
                    bar.begin(one)
                    for entry in reader.read(one):
                        self._take(entry, pool, bar)
                    bar.end(one)
                self._settle(0)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                self._count_landed()
                raise

    def _take(self, entry: importing.Entry, pool: ThreadPoolExecutor, bar: Bar) -> None:
        if isinstance(entry, importing.Problem):
            self.problems.append(entry)
            return
        large = isinstance(entry.value, Path)
        # A file that was named twice is written once: the second time it is seen to be there.
        if large or any(entry.name == item.name for item, _ in self._flying):
            self._settle(0)
        self._flying.append((entry, pool.submit(_bring, self.memory, entry, bar, dry_run=self.dry_run)))
        # Nothing else beside a large one: it alone says how far the file is.
        self._settle(0 if large else AT_ONCE)

    def _settle(self, most: int) -> None:
        """Wait until at most so many are on their way."""
        while len(self._flying) > most:
            item, future = self._flying[0]
            try:
                version = future.result()
            except (InvalidInput, TooLarge) as exc:
                self.problems.append(importing.Problem(where=item.where, reason=str(exc)))
            else:
                self._count(item, version)
            self._flying.popleft()

    def _count(self, item: importing.Item, version: int | None) -> None:
        if version is None:
            self.unchanged += 1
        else:
            self.written.append({"name": item.name, "version": version})

    def _count_landed(self) -> None:
        """After a failure: what has been written all the same."""
        for item, future in self._flying:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._count(item, future.result())


def _bring(memory: Memory, item: importing.Item, bar: Bar, *, dry_run: bool) -> int | None:
    """Write an item; its new version, or None if it was there already."""
    version, same = _there(memory, item)
    if same:
        return None
    return version + 1 if dry_run else _write(memory, item, bar)


def _there(memory: Memory, item: importing.Item) -> tuple[int, bool]:
    """The latest version (0: none), and whether it is the item already."""
    try:
        if isinstance(item.value, Path):
            reader = memory.open(item.name)
            there = reader.variable
            same = _is_file(there, reader.chunks(), item.value)
        else:
            there = memory.variable(item.name)
            # As JSON: to Python, 1, 1.0 and True are equal.
            same = json.dumps(there.value, sort_keys=True) == json.dumps(item.value, sort_keys=True)
    except NotFound:
        return 0, False
    deleted = there.version.kind is Kind.DELETED
    moved = item.dated and there.version.source_time != item.time
    return int(there.version), same and not deleted and not moved


def _is_file(there: Variable, chunks: Iterator[bytes], path: Path) -> bool:
    """Whether a text is what the file holds; read side by side, and only as far as they agree."""
    if there.version.kind is not Kind.TEXT or there.version.size != path.stat().st_size:
        return False
    with path.open("rb") as file:
        return all(file.read(len(chunk)) == chunk for chunk in chunks)


def _write(memory: Memory, item: importing.Item, bar: Bar) -> int:
    if isinstance(item.value, Path):
        return int(
            memory.upload(
                item.name,
                item.value,
                note=NOTE,
                source_time=item.time,
                origin=Origin.EXTERNAL,
                progress=bar.within,
            )
        )
    return int(memory.set(item.name, item.value, note=NOTE, source_time=item.time, origin=Origin.EXTERNAL))


class Bar:
    """How much of all files is done, in bytes, on stderr, if a person reads that."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._stack = ExitStack()
        self._shown: Progress | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
            progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._shown = self._stack.enter_context(progress)
            self._task = self._shown.add_task("importing", total=self._total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def begin(self, source: importing.Source) -> None:
        """A file comes."""
        if self._shown is not None:
            from rich.markup import escape

            self._shown.update(self._task, description=escape(out.cut(out.safe(source.path.name), 30)))

    def within(self, done: int) -> None:
        """So many bytes of the file are written."""
        if self._shown is not None:
            self._shown.update(self._task, completed=self._done + done)

    def end(self, source: importing.Source) -> None:
        """The file is done."""
        self._done += source.size
        self.within(0)
