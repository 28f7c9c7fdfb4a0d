"""What every write of a version has in common: who writes, what it must find, and the row that it makes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rlmd.errors import Conflict, InvalidInput

from .clock import from_micros, to_micros
from .content import Content
from .names import MAX_NOTE, check_past, check_text, short
from .records import Author, Kind, Origin, Version


@dataclass(frozen=True, kw_only=True)
class Writing:
    """Who writes and why: what a version says beside its value."""

    author: Author
    origin: Origin
    note: str = ""
    expect: int | None = None
    """The version that the variable must be at; 0: it must not exist. None: any."""
    source_time: datetime | None = None

    def check(self, now: datetime) -> None:
        """Raises InvalidInput: a note too long, or a time in the future."""
        check_text(self.note, "note", limit=MAX_NOTE)
        check_past(self.source_time, now, "source_time")

    def check_expected(self, name: str, head: Any | None) -> None:
        """Raises Conflict: the variable, whose latest row is `head`, is not at the version expected."""
        expect = self.expect
        if expect is None:
            return
        if expect < 0:
            raise InvalidInput(
                f"{expect} is not a version", field="expect_version", remedy="Versions count from 1."
            )
        current = 0 if head is None or head.kind == Kind.DELETED else head.number
        if expect != current:
            state = (
                f"is at version {current}, not {expect}" if current else f"does not exist, so not at {expect}"
            )
            raise Conflict(
                f"{short(name)} {state}: get it again",
                field="expect_version",
                remedy="Then repeat the change.",
            )


@dataclass(frozen=True)
class Facts:
    """What a version is of."""

    kind: Kind
    size: int
    characters: int
    content: Content


def next_version(head: Any | None, facts: Facts, writing: Writing, now: datetime) -> Version:
    """The version behind `head`, the row of the variable's latest one."""
    return Version(
        number=1 if head is None else head.number + 1,
        kind=facts.kind,
        size=facts.size,
        characters=facts.characters,
        # A clock that was set back must not reorder a variable's past.
        write_time=now if head is None else max(now, from_micros(head.write_time)),
        source_time=writing.source_time,
        author=writing.author,
        origin=writing.origin,
        note=writing.note,
    )


def row_of(variable_id: int, version: Version, content: Content) -> dict[str, Any]:
    """The version's row."""
    author = version.author
    return {
        "variable_id": variable_id,
        "number": version.number,
        "kind": version.kind.value,
        "size": version.size,
        "characters": version.characters,
        "inline": content.inline,
        "root": content.root,
        "author_user": author.user,
        "author_agent": author.agent,
        "author_run": author.run,
        "author_step": author.step,
        "author_call": author.call,
        "origin": version.origin.value,
        "note": version.note,
        "write_time": to_micros(version.write_time),
        "source_time": None if version.source_time is None else to_micros(version.source_time),
    }


def version_of(row: Any) -> Version:
    """The record of a row."""
    return Version(
        number=row.number,
        kind=Kind(row.kind),
        size=row.size,
        characters=row.characters,
        write_time=from_micros(row.write_time),
        source_time=None if row.source_time is None else from_micros(row.source_time),
        author=Author(
            user=row.author_user,
            agent=row.author_agent,
            run=row.author_run,
            step=row.author_step,
            call=row.author_call,
        ),
        origin=Origin(row.origin),
        note=row.note,
    )
