"""What tests of imports share: a file as an import reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rlmd.clients.importing import DateOrder, Entry, Item, Options, Problem, Reader, find

BERLIN = ZoneInfo("Europe/Berlin")


def read(*paths: Path, prefix: str | None = None, date_order: DateOrder | None = None) -> list[Entry]:
    """All that is found there."""
    reader = Reader(Options(zone=BERLIN, prefix=prefix, date_order=date_order))
    entries: list[Entry] = []
    for one in find(paths):
        entries += [one] if isinstance(one, Problem) else reader.read(one)
    return entries


def taken(*paths: Path, prefix: str | None = None, date_order: DateOrder | None = None) -> list[Item]:
    """The items; there must be no problem."""
    entries = read(*paths, prefix=prefix, date_order=date_order)
    assert [entry for entry in entries if isinstance(entry, Problem)] == []
    return [entry for entry in entries if isinstance(entry, Item)]


def problems(*paths: Path) -> list[tuple[str, str]]:
    """Where, from the file's name on, and why."""
    return [
        (entry.where.rpartition("/")[2], entry.reason) for entry in read(*paths) if isinstance(entry, Problem)
    ]


def export(path: Path, data: Any) -> Path:
    """A JSON file."""
    path.write_text(json.dumps(data))
    return path
