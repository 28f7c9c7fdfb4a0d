"""One daemon per data directory: an exclusive `flock` on `<data>/lock`, which ends with its holder.

The file says who holds it, for people and for clients: JSON with `pid`, `version` and `addresses`. Its
content is worth something only while the lock is held.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rlmd.errors import Exhausted, PreconditionFailed


class DataLock:
    """The right to be the daemon of a data directory. `acquire` it before anything in there is touched."""

    def __init__(self, path: Path, *, version: str) -> None:
        self.path = path
        self._version = version
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock, making the directory (0700) if there is none.

        Raises:
            PreconditionFailed: another daemon holds it (the reason names its pid), or the directory
                is not ours.
            Exhausted: the disk is full.
        """
        private_folder(self.path.parent)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _described(os.pread(file, 65_536, 0))
            os.close(file)
            raise PreconditionFailed(
                f"another daemon{holder} holds {self.path.parent}",
                field="data",
                remedy="Use that one, stop it with `rlmd down`, or name another directory with --data.",
            ) from None
        except BaseException:
            os.close(file)
            raise
        os.fchmod(file, 0o600)
        self._file = file
        try:
            self.announce(())
        except BaseException:
            self.release()
            raise

    def announce(self, addresses: Sequence[str]) -> None:
        """Write down where this daemon listens.

        Raises:
            Exhausted: the disk is full.
        """
        if self._file is None:
            raise RuntimeError("the lock is not held")
        content = {"pid": os.getpid(), "version": self._version, "addresses": list(addresses)}
        # One write, then the cut: a reader in between sees the new text and at worst a tail of spaces.
        data = json.dumps(content).encode()
        size = os.fstat(self._file).st_size
        try:
            os.pwrite(self._file, data.ljust(size), 0)
        except OSError as error:
            raise Exhausted(
                f"{self.path} cannot be written: {error.strerror}; is the disk full?",
                field="data",
                remedy="Free some space, then start the daemon again.",
            ) from error
        os.ftruncate(self._file, len(data))

    def release(self) -> None:
        """Let go; no effect if it is not held."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> DataLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def private_folder(path: Path) -> Path:
    """Make `path`, and what is missing above it, with mode 0700, and see that it is ours alone.

    Raises:
        PreconditionFailed: it belongs to somebody else, or is no directory.
    """
    for folder in [*reversed(path.parents), path]:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
    if not path.is_dir():
        raise PreconditionFailed(
            f"{path} is not a directory", field="data", remedy="Move it away, or name another with --data."
        )
    facts = path.stat()
    if facts.st_uid != os.geteuid():
        raise PreconditionFailed(
            f"{path} belongs to the system user {facts.st_uid}, not to {os.geteuid()}",
            field="data",
            remedy="Run the daemon as its owner, or name another directory with --data.",
        )
    if facts.st_mode & 0o077:
        path.chmod(0o700)
    return path


def _described(content: bytes) -> str:
    """` (pid 42, rlmd 0.1.0)` from the lock file, or nothing if its holder has not written it yet."""
    with contextlib.suppress(ValueError):
        holder: Any = json.loads(content)
        if isinstance(holder, dict) and "pid" in holder:
            return f" (pid {holder['pid']}, rlmd {holder.get('version', '?')})"
    return ""
