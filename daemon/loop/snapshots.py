"""Snapshots of runs that wait: a cache of files, by which a run goes on without being replayed.

    take       when a run is parked, beside its last row in the journal
    use        when it is woken, if that row is still its last and everything fits; then the file is gone

A snapshot is believed only with a signature by this data directory's key over all of it: the run, the place
in its journal, and the version of the sandbox. Whatever is wrong with one, or if there is none, the run is
replayed; so all of them may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import logging
import os
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rlmd.daemon.repl.frozen import Frozen
from rlmd.memory.records import Origin

log = logging.getLogger(__name__)

FORMAT = f"1, pydantic-monty {version('pydantic-monty')}"
"""What must not have changed: how it is laid out here, and the sandbox whose dump it is."""
MOST_BYTES = 8 * 1024 * 1024
"""Of a snapshot. A larger one takes longer to write than most journals to replay."""
_SIGNATURE = hashlib.sha256().digest_size


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What the host of a run knows beside its journal, in the middle of a step."""

    step: int
    count: int
    origin: Origin
    effects: list[tuple[int, str]]
    replied: bool
    result: Any
    standing: list[int]


class Snapshots:
    """Those of one data directory, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key: bytes | None = None

    def take(self, run: int, place: int, frozen: Frozen, standing: Standing) -> None:
        """Keep a snapshot of a run that was parked by the row at `place`. Where it cannot, there is none."""
        try:
            head = json.dumps(
                {
                    "format": FORMAT,
                    "run": run,
                    "place": place,
                    "frozen": frozen.state(),
                    "standing": asdict(standing),
                },
                allow_nan=False,
            ).encode(errors="surrogatepass")
            body = len(head).to_bytes(4, "big") + head + frozen.dump
            if len(body) > MOST_BYTES:
                return
            _write(self._path(run), self._sign(body) + body)
        except (OSError, TypeError, ValueError) as error:
            log.debug("run %s has no snapshot: %s", run, error)

    def use(self, run: int, place: int) -> tuple[Frozen, Standing] | None:
        """The snapshot of a run that waits at `place`, if there is one to be believed. It is used up."""
        path = self._path(run)
        try:
            whole = path.read_bytes()
            path.unlink()
        except OSError:
            return None
        signature, body = whole[:_SIGNATURE], whole[_SIGNATURE:]
        if len(whole) < _SIGNATURE + 4 or not hmac.compare_digest(signature, self._sign(body)):
            log.warning("the snapshot of run %s is damaged or a stranger's; the run is replayed", run)
            return None
        size = 4 + int.from_bytes(body[:4], "big")
        head = json.loads(body[4:size].decode(errors="surrogatepass"))
        if (head["format"], head["run"], head["place"]) != (FORMAT, run, place):
            log.info("the snapshot of run %s is of another time or sandbox; the run is replayed", run)
            return None
        kept = head["standing"]
        standing = Standing(
            **{
                **kept,
                "origin": Origin(kept["origin"]),
                "effects": [(call, text) for call, text in kept["effects"]],
            }
        )
        return Frozen.of(head["frozen"], body[size:]), standing

    def drop(self, run: int) -> None:
        """A run has ended, or has gone on otherwise."""
        with contextlib.suppress(OSError):
            self._path(run).unlink(missing_ok=True)

    def sweep(self, waiting: Collection[int]) -> None:
        """Drop those of runs that do not wait any more: they were cancelled, or deleted with their agent."""
        kept = {str(run) for run in waiting}
        for path in self._folder.glob("*.snapshot"):
            if path.stem not in kept:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _path(self, run: int) -> Path:
        return self._folder / f"{run}.snapshot"

    def _sign(self, body: bytes) -> bytes:
        if self._key is None:
            self._key = self._make_key()
        return hmac.digest(self._key, body, "sha256")

    def _make_key(self) -> bytes:
        """The key of this folder, made at its first use."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / "key"
        with contextlib.suppress(FileNotFoundError):
            if len(key := path.read_bytes()) == 32:
                return key
        key = secrets.token_bytes(32)
        _write(path, key)
        return key


def _write(path: Path, data: bytes) -> None:
    """A file that is there whole or not at all, for its owner alone."""
    scratch = path.with_suffix(".new")
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    scratch.replace(path)
