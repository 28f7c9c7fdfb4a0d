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


def row_of(
    variable_id: int, head: Any | None, facts: Facts, writing: Writing, now: datetime
) -> dict[str, Any]:
    """The row of a variable's next version; `head` is that of its latest."""
    return {
        "variable_id": variable_id,
        "number": 1 if head is None else head.number + 1,
        "kind": facts.kind.value,
        "size": facts.size,
        "characters": facts.characters,
        "inline": facts.content.inline,
        "root": facts.content.root,
        "author_user": writing.author.user,
        "author_agent": writing.author.agent,
        "author_run": writing.author.run,
        "author_step": writing.author.step,
        "author_call": writing.author.call,
        "origin": int(writing.origin),
        "note": writing.note,
        # A clock that was set back must not reorder a variable's past.
        "write_time": max(to_micros(now), head.write_time if head is not None else 0),
        "source_time": None if writing.source_time is None else to_micros(writing.source_time),
    }


def version_of(row: Any) -> Version:
    """The record of a row."""
    return Version(
        number=row["number"],
        kind=Kind(row["kind"]),
        size=row["size"],
        characters=row["characters"],
        write_time=from_micros(row["write_time"]),
        source_time=None if row["source_time"] is None else from_micros(row["source_time"]),
        author=Author(
            user=row["author_user"],
            agent=row["author_agent"],
            run=row["author_run"],
            step=row["author_step"],
            call=row["author_call"],
        ),
        origin=Origin(row["origin"]),
        note=row["note"],
    )
