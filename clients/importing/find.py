"""Files in folders, at any depth, in a stable order. Hidden ones are passed over, links are followed once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from .records import Problem, Source


def find(paths: Sequence[Path]) -> Iterator[Source | Problem]:
    """The files that are meant by these paths. A hidden one is taken if it is named itself."""
    for path in paths:
        if path.is_dir():
            yield from _folder(path, (path.resolve().name,), set())
        else:
            yield _file(path, (path.name,))


def _folder(folder: Path, named: tuple[str, ...], seen: set[tuple[int, int]]) -> Iterator[Source | Problem]:
    try:
        found = folder.stat()
        if (found.st_dev, found.st_ino) in seen:
            # A link back to a folder that was read: a loop, or the same files again.
            return
        seen.add((found.st_dev, found.st_ino))
        names = sorted(os.listdir(folder))
    except OSError as exc:
        yield Problem(where=str(folder), reason=f"It cannot be read: {exc.strerror}.")
        return
    for name in names:
        if name.startswith("."):
            continue
        path = folder / name
        if path.is_dir():
            yield from _folder(path, (*named, name), seen)
        else:
            yield _file(path, (*named, name))


def _file(path: Path, named: tuple[str, ...]) -> Source | Problem:
    try:
        found = path.stat()
    except OSError as exc:
        return Problem(where=str(path), reason=f"It cannot be read: {exc.strerror}.")
    if not stat.S_ISREG(found.st_mode):
        # Reading a pipe or a device may never end.
        return Problem(where=str(path), reason="It is no regular file.")
    time = datetime.fromtimestamp(int(found.st_mtime), UTC)
    # Clocks differ, and the daemon takes no time that has not been.
    past = time if time <= datetime.now(UTC) else None
    return Source(path=path, named=tuple(filter(None, named)), size=found.st_size, time=past)
