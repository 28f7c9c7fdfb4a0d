"""Variables of one space: every write makes a version, and no version ever changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from rlmd.errors import InvalidInput, NotFound, PreconditionFailed, TooLarge

from .batch import Batch, Item
from .clock import to_micros
from .content import Content, Contents
from .diff import check_size, unified
from .grep import Pattern
from .names import MAX_NAME, check_page, check_past, check_prefix, check_variable, short
from .pieces import Piece
from .prepared import Prepared
from .records import GrepMatch, Kind, Origin, Variable, Version
from .statements import (
    ADD_VARIABLE,
    ADD_VERSION,
    DATED,
    ENQUEUE,
    HEAD,
    HISTORY,
    LISTED,
    LISTED_WITH_DELETED,
    MOVE_HEAD,
    NAMES,
    NUMBERED,
)  # fmt: skip
from .values import MAX_BYTES, PLAIN, decode, encode, readable
from .writing import Facts, next_version, row_of, version_of
from .writing import Writing as Writing

BLOCK = 256 * 1024
"""Bytes of a text that a pattern is looked for in at a time."""


@dataclass(frozen=True, kw_only=True)
class Slice:
    value: str | bytes
    length: int
    """Of the whole: characters of a text, bytes of a bytes value."""
    version: int


@dataclass(frozen=True, kw_only=True)
class Diff:
    text: str
    """Unified diff; empty if both are equal."""
    before: int
    after: int


class Space:
    """The variables of one space, over one connection. `Transaction.space` makes it and checks it."""

    def __init__(self, connection: Connection, now: datetime, user_id: int, space_id: int, name: str) -> None:
        self._connection = connection
        self._now = now
        self._user = user_id
        self.id = space_id
        self.name = name

    # -- reading ----------------------------------------------------------------------------------

    def get(self, name: str, *, version: int | None = None, as_of: datetime | None = None) -> Variable:
        """The variable with its value: the latest, a version, or as it stood at a time.

        Raises:
            NotFound: no such variable or version, or it is (was) deleted.
            InvalidInput: a bad name, both `version` and `as_of`, or a time in the future.
        """
        row = self._row(name, version=version, as_of=as_of)
        value = decode(Kind(row.kind), self._data(row))
        return self._variable(row, value)

    def find(self, name: str) -> Variable | None:
        """The variable's latest version without its value; None if there is none or it is deleted."""
        row = self._fetch(HEAD, check_variable(name))
        return None if row is None or row.kind == Kind.DELETED else self._variable(row)

    def facts(self, name: str, *, version: int | None = None, as_of: datetime | None = None) -> Variable:
        """As `get`, without the value."""
        return self._variable(self._row(name, version=version, as_of=as_of))

    def part(self, name: str, version: int, start: int, end: int) -> bytes:
        """Bytes [start, end) of a version, of any kind; the cut may fall inside a character.

        Raises:
            NotFound: there is no such version.
        """
        row = self._row(name, version=version)
        return Contents(self._connection, self._user).slice(Content(row.inline, row.root), start, end)

    def names(self, prefix: str = "") -> list[str]:
        """Names that begin so, in order, without deleted ones."""
        prefix = check_prefix(prefix)
        rows = NAMES.all(self._connection, {"space": self.id, "low": prefix, "high": _last(prefix)})
        return [row.name for row in rows]

    def page(
        self, prefix: str = "", *, after: str = "", most: int = 100, deleted: bool = False
    ) -> list[Variable]:
        """Variables in the order of their names, from the first after `after`, without values."""
        prefix = check_prefix(prefix)
        statement = LISTED_WITH_DELETED if deleted else LISTED
        rows = statement.all(
            self._connection,
            {"space": self.id, "after": after, "low": prefix, "high": _last(prefix), "most": most},
        )
        return [self._variable(row) for row in rows]

    def history(self, name: str, *, before: int | None = None, most: int = 100) -> list[Version]:
        """Versions, newest first, deleted ones too; `before` is the number at which the last page ended.

        Raises:
            NotFound: there never was such a variable.
        """
        name = check_variable(name)
        parameters = {"space": self.id, "name": name, "before": before or 1 << 62, "most": most}
        rows = HISTORY.all(self._connection, parameters)
        if not rows and before is None:
            raise self._missing(name)
        return [version_of(row) for row in rows]

    def diff(self, name: str, before: int | None = None, after: int | None = None) -> Diff:
        """What changed from version `before` (default: the one before) to `after` (default: the latest).

        Raises:
            NotFound: no such variable or version.
            TooLarge: too much to compare (see diff.py).
        """
        later = self._row(name, version=after, deleted=True)
        earlier = self._row(name, version=before or max(later.number - 1, 1), deleted=True)
        check_size(later.size + earlier.size)
        old, new = (readable(Kind(row.kind), self._data(row)) for row in (earlier, later))
        text = unified(old, new, (f"{later.name}@{earlier.number}", f"{later.name}@{later.number}"))
        return Diff(text=text, before=earlier.number, after=later.number)

    def slice(self, name: str, start: int, end: int, *, version: int | None = None) -> Slice:
        """Characters [start, end) of a text, or bytes of a bytes value, reading only what they are in."""
        row = self._row(name, version=version)
        if start < 0 or end < start:
            raise InvalidInput(
                f"[{start}, {end}) is not a range", field="start", remedy="Give 0 <= start <= end."
            )
        if row.kind == Kind.JSON:
            raise PreconditionFailed(
                f"{short(name)} is JSON data, which has no slices", field="name", remedy="Use get."
            )
        data = self._contents(row).slice(Content(row.inline, row.root), start, end)
        if row.kind == Kind.TEXT:
            return Slice(value=data.decode(), length=row.characters, version=row.number)
        return Slice(value=data, length=row.size, version=row.number)

    def chunks(self, name: str, *, version: int | None = None) -> Iterator[bytes]:
        """The bytes of the value in order, a piece at a time."""
        row = self._row(name, version=version)
        return self._contents(row).chunks(Content(row.inline, row.root))

    def grep(self, pattern: str, prefix: str = "", *, most: int = 100) -> tuple[list[GrepMatch], bool]:
        """Lines of texts that match a regular expression, and whether there are more than `most`.

        Raises:
            InvalidInput: the pattern is not a regular expression.
            DeadlineExceeded: the pattern takes too long on some line.
        """
        most = check_page(most, most=10_000, field="limit")
        expression = Pattern(pattern)
        found: list[GrepMatch] = []
        for variable in self._texts(prefix):
            chunks = self.chunks(variable.name, version=variable.version.number)
            for line, start, text in expression.lines(_blocks(chunks)):
                if len(found) == most:
                    return found, True
                found.append(
                    GrepMatch(
                        name=variable.name, line=line, start=start, text=text, version=variable.version.number
                    )
                )
        return found, False

    def _texts(self, prefix: str) -> Iterator[Variable]:
        after = ""
        while page := self.page(prefix, after=after, most=1000):
            yield from (variable for variable in page if variable.version.kind is Kind.TEXT)
            after = page[-1].name

    # -- writing ----------------------------------------------------------------------------------

    def set(self, name: str, value: Any, writing: Writing) -> Variable:
        """A new version with this value; creates the variable if there is none.

        Raises:
            Conflict: the variable is not at `writing.expect`.
            InvalidInput: a bad name, value, note or time.
            TooLarge: a value over 1 GiB.
        """
        name, encoded = check_variable(name), encode(value)
        head = self._expected(name, writing)
        contents = Contents(self._connection, self._user, text=encoded.kind is Kind.TEXT)
        facts = Facts(encoded.kind, len(encoded.data), encoded.characters, contents.put(encoded.data))
        return self._add(name, head, facts, writing, value)

    def set_all(self, items: Sequence[Item]) -> list[Variable]:
        """`set` for many variables at once, all or none; see `Batch.set`."""
        return Batch(self._connection, self._now, self._user, self.id, self.name).set(items)

    def append(self, name: str, value: Any, writing: Writing) -> Variable:
        """Text onto text, bytes onto bytes, one item onto a list; creates the variable if there is none.

        Raises:
            PreconditionFailed: the variable is of another kind (or JSON, but not a list).
            Conflict, InvalidInput, TooLarge: as for `set`.
        """
        name = check_variable(name)
        head = self._expected(name, writing)
        if head is None or head.kind == Kind.DELETED:
            return self.set(name, value if isinstance(value, PLAIN) else [value], writing)
        kind = Kind(head.kind)
        contents = self._contents(head)
        content = Content(head.inline, head.root)
        added = encode([value]) if kind is Kind.JSON else encode(value)
        if kind is Kind.JSON:
            if contents.slice(content, 0, 1) != b"[":
                raise PreconditionFailed(
                    f"{short(name)} is JSON data but not a list",
                    field="value",
                    remedy="Get it, change it, and set it.",
                )
            data = added.data[1:-1] if head.size == 2 else b"," + added.data[1:-1]
            before = b"]"
        else:
            check_kind(name, kind, added.kind)
            data, before = added.data, b""
        _check_total(head.size + len(data))
        facts = Facts(
            kind,
            head.size + len(data),
            head.characters + added.characters,
            contents.append(content, data, before=before) if data else content,
        )
        return self._add(name, head, facts, _lower(writing, head))

    def check(self, name: str, writing: Writing) -> None:
        """What can be known before the value is there, but for `expect`. Raises InvalidInput."""
        check_variable(name)
        writing.check(self._now)

    def adopt(
        self, name: str, kind: Kind, leaves: Sequence[Piece], writing: Writing, *, append: bool
    ) -> Variable:
        """A new version of leaves that are stored already (see uploads.py), or of what is there and these.

        Raises:
            PreconditionFailed: the variable is of another kind, and `append` was asked for.
            Conflict, InvalidInput, TooLarge: as for `set`.
        """
        name = check_variable(name)
        head = self._expected(name, writing)
        contents = Contents(self._connection, self._user, text=kind is Kind.TEXT)
        size, characters = sum(leaf.size for leaf in leaves), sum(leaf.characters for leaf in leaves)
        if not append or head is None or head.kind == Kind.DELETED:
            return self._add(name, head, Facts(kind, size, characters, contents.join(leaves)), writing)
        check_kind(name, Kind(head.kind), kind)
        _check_total(head.size + size)
        content = contents.join(leaves, after=Content(head.inline, head.root))
        facts = Facts(kind, head.size + size, head.characters + characters, content)
        return self._add(name, head, facts, _lower(writing, head))

    def delete(self, name: str, writing: Writing) -> Variable:
        """Hide the variable: a version without a value. Its past stays.

        Raises:
            NotFound: there is none, or it is deleted already.
        """
        name = check_variable(name)
        head = self._expected(name, writing)
        if head is None or head.kind == Kind.DELETED:
            raise self._missing(name, head)
        return self._add(name, head, Facts(Kind.DELETED, 0, 0, Content(None, None)), writing)

    def undelete(self, name: str, writing: Writing) -> Variable:
        """Bring a deleted variable back with the value it had: a new version.

        Raises:
            NotFound: there never was such a variable.
            PreconditionFailed: it is not deleted.
        """
        name = check_variable(name)
        head = self._expected(name, writing)
        if head is None:
            raise self._missing(name)
        if head.kind != Kind.DELETED:
            raise PreconditionFailed(
                f"{short(name)} is not deleted", field="name", remedy="There is nothing to do."
            )
        return self._again(name, head, head.number - 1, writing)

    def revert(self, name: str, version: int, writing: Writing) -> Variable:
        """Make the value of an earlier version the latest: a new version; those between stay.

        Raises:
            NotFound: no such variable or version, or that version is a deletion.
        """
        name = check_variable(name)
        head = self._expected(name, writing)
        if head is None:
            raise self._missing(name)
        return self._again(name, head, version, writing)

    def _again(self, name: str, head: Any, number: int, writing: Writing) -> Variable:
        old = self._row(name, version=number)
        facts = Facts(Kind(old.kind), old.size, old.characters, Content(old.inline, old.root))
        return self._add(name, head, facts, _lower(writing, old))

    def _expected(self, name: str, writing: Writing) -> Any:
        """The head row, checked against what the writer expects; None if there never was such a variable."""
        writing.check(self._now)
        head = self._fetch(HEAD, name)
        writing.check_expected(name, head)
        return head

    def _add(self, name: str, head: Any, facts: Facts, writing: Writing, value: Any = None) -> Variable:
        version = next_version(head, facts, writing, self._now)
        gone = facts.kind is Kind.DELETED
        if head is None:
            row = {"space_id": self.id, "name": name, "head": 1, "deleted": gone}
            variable_id = ADD_VARIABLE.scalar(self._connection, row)
        else:
            variable_id = head.id
            MOVE_HEAD.run(self._connection, {"variable": variable_id, "number": version.number, "gone": gone})
        ADD_VERSION.run(self._connection, row_of(variable_id, version, facts.content))
        ENQUEUE.run(self._connection, {"space_id": self.id, "variable_id": variable_id})
        return Variable(space=self.name, name=name, version=version, value=value)

    # -- rows -------------------------------------------------------------------------------------

    def _fetch(self, statement: Prepared, name: str, **parameters: Any) -> Any:
        """The row, or None."""
        return statement.first(self._connection, {"space": self.id, "name": name, **parameters})

    def _row(
        self, name: str, *, version: int | None = None, as_of: datetime | None = None, deleted: bool = False
    ) -> Any:
        name = check_variable(name)
        if version is not None and as_of is not None:
            raise InvalidInput(
                "version and as_of exclude each other", field="as_of", remedy="Give one of them."
            )
        if version is not None:
            if version < 1:
                raise InvalidInput(
                    f"{version} is not a version", field="version", remedy="Versions count from 1."
                )
            row = self._fetch(NUMBERED, name, number=version)
        elif as_of is not None:
            check_past(as_of, self._now, "as_of")
            row = self._fetch(DATED, name, time=to_micros(as_of))
        else:
            row = self._fetch(HEAD, name)
        if row is not None and (deleted or row.kind != Kind.DELETED):
            return row
        head = self._fetch(HEAD, name)
        if head is None or (version is None and as_of is None):
            raise self._missing(name, head)
        if as_of is not None:
            when = as_of.isoformat(timespec="seconds")
            raise NotFound(
                f"{short(name)} did not exist at {when}", field="as_of", remedy="Its history has the times."
            )
        what = "is a deletion" if row is not None else f"does not exist; the latest is {head.number}"
        raise NotFound(
            f"version {version} of {short(name)} {what}", field="version", remedy="See its history."
        )

    def _missing(self, name: str, head: Any = None) -> NotFound:
        if head is None:
            return NotFound(
                f"there is no variable {short(name)} in space {short(self.name)}",
                field="name",
                remedy="List the names that exist, or set it first.",
            )
        return NotFound(
            f"{short(name)} was deleted (version {head.number})",
            field="name",
            remedy=f"Undelete it, or read version {head.number - 1}.",
        )

    def _data(self, row: Any) -> bytes:
        return self._contents(row).read(Content(row.inline, row.root))

    def _contents(self, row: Any) -> Contents:
        return Contents(self._connection, self._user, text=row.kind == Kind.TEXT)

    def _variable(self, row: Any, value: Any = None) -> Variable:
        return Variable(space=self.name, name=row.name, version=version_of(row), value=value)


def _blocks(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Several leaves at a time: what is done once a block is done less often."""
    gathered: list[bytes] = []
    size = 0
    for chunk in chunks:
        gathered.append(chunk)
        size += len(chunk)
        if size >= BLOCK:
            yield b"".join(gathered)
            gathered, size = [], 0
    yield b"".join(gathered)


def _lower(writing: Writing, old: Any) -> Writing:
    """A write of which a part stood in an older version: it comes from where that came from, too."""
    return replace(writing, origin=min(Origin(old.origin), writing.origin))


def check_kind(name: str, kind: Kind, added: Kind) -> None:
    """Raises PreconditionFailed: a value of the kind `added` cannot be added to the variable."""
    if added is not kind:
        raise PreconditionFailed(
            f"{short(name)} is {kind.value}, and a {added.value} value cannot be added to it",
            field="value",
            remedy=f"Append {kind.value}, or set it anew.",
        )


def _check_total(size: int) -> None:
    if size > MAX_BYTES:
        raise TooLarge("the value would be over 1 GiB", field="value", remedy="Begin another variable.")


def _last(prefix: str) -> str:
    """The greatest name that can begin so; names are in the order of their code points."""
    return prefix.ljust(MAX_NAME, "\U0010ffff")
