"""An import on its way into memory: what is new is written, what is there is left, what fails is noted."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
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


@dataclass(kw_only=True)
class Intake:
    """What an import has done so far."""

    memory: Memory
    dry_run: bool
    written: list[dict[str, Any]] = field(default_factory=list)
    """Names and versions."""
    unchanged: int = 0
    problems: list[importing.Problem] = field(default_factory=list)

    def run(self, paths: Sequence[Path], options: importing.Options) -> None:
        """Take all that is in these files and folders.

        A file is read when what came before it is written: one that is stopped leaves nothing half done.

        Raises:
            RlmdError: whatever would fail with the next item as well, such as a full disk.
        """
        reader = importing.Reader(options)
        found = list(importing.find(paths))
        with Bar(sum(one.size for one in found if isinstance(one, importing.Source))) as bar:
            for one in found:
                if isinstance(one, importing.Problem):
                    self.problems.append(one)
                    continue
                bar.begin(one)
                for entry in reader.read(one):
                    self._take(entry, bar)
                bar.end(one)

    def _take(self, entry: importing.Entry, bar: Bar) -> None:
        if isinstance(entry, importing.Problem):
            self.problems.append(entry)
            return
        try:
            version, same = _there(self.memory, entry)
            if same:
                self.unchanged += 1
                return
            version = version + 1 if self.dry_run else _write(self.memory, entry, bar)
        except (InvalidInput, TooLarge) as exc:
            self.problems.append(importing.Problem(where=entry.where, reason=str(exc)))
            return
        self.written.append({"name": entry.name, "version": version})


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
