"""Variables of one space: every write makes a version, and no version ever changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from rlmd.errors import Conflict, InvalidInput, NotFound, PreconditionFailed, TooLarge

from .clock import from_micros, to_micros
from .content import Content, Contents
from .diff import check_size, unified
from .grep import Pattern
from .names import MAX_NAME, MAX_NOTE, check_page, check_past, check_prefix, check_text, check_variable, short
from .records import Author, GrepMatch, Kind, Origin, Variable, Version
from .tables import index_queue, variables, versions
from .values import MAX_BYTES, PLAIN, decode, encode, readable

_FACTS = (
    versions.c.number, versions.c.kind, versions.c.size, versions.c.characters, versions.c.author_user,
    versions.c.author_agent, versions.c.author_run, versions.c.author_step, versions.c.author_call,
    versions.c.origin, versions.c.note, versions.c.write_time, versions.c.source_time,
)  # fmt: skip
_CONTENT = (versions.c.inline, versions.c.root)
_IDENTITY = (variables.c.id, variables.c.name)

_of_variable = versions.c.variable_id == variables.c.id
_named = (variables.c.space_id == bindparam("space")) & (variables.c.name == bindparam("name"))
_head = select(*_IDENTITY, *_FACTS, *_CONTENT).where(
    _named, _of_variable, versions.c.number == variables.c.head
)
_numbered = select(*_IDENTITY, *_FACTS, *_CONTENT).where(
    _named, _of_variable, versions.c.number == bindparam("number")
)
_dated = (
    select(*_IDENTITY, *_FACTS, *_CONTENT)
    .where(_named, _of_variable, versions.c.write_time <= bindparam("time"))
    .order_by(versions.c.number.desc())
    .limit(1)
)
_history = (
    select(*_FACTS)
    .where(_named, _of_variable, versions.c.number < bindparam("before"))
    .order_by(versions.c.number.desc())
    .limit(bindparam("most"))
)
_listed = (
    select(*_IDENTITY, *_FACTS)
    .where(
        variables.c.space_id == bindparam("space"),
        variables.c.name > bindparam("after"),
        variables.c.name >= bindparam("low"),
        variables.c.name <= bindparam("high"),
        _of_variable,
        versions.c.number == variables.c.head,
    )
    .order_by(variables.c.name)
    .limit(bindparam("most"))
)
_add_variable = insert(variables).returning(variables.c.id)
_move_head = (
    update(variables)
    .where(variables.c.id == bindparam("variable"))
    .values(head=bindparam("head"), deleted=bindparam("deleted"))
)
_add_version = insert(versions)
_enqueue = insert(index_queue)


@dataclass(frozen=True, kw_only=True)
class Writing:
    """Who writes and why: what a version says beside its value."""

    author: Author
    origin: Origin
    note: str = ""
    expect: int | None = None
    """The version that the variable must be at; 0: it must not exist. None: any."""
    source_time: datetime | None = None


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
        row = self._fetch(_head, check_variable(name))
        return None if row is None or row.kind == Kind.DELETED else self._variable(row)

    def names(self, prefix: str = "") -> list[str]:
        """Names that begin so, in order, without deleted ones."""
        prefix = check_prefix(prefix)
        statement = (
            select(variables.c.name)
            .where(
                variables.c.space_id == self.id,
                variables.c.name >= prefix,
                variables.c.name <= _last(prefix),
                variables.c.deleted.is_(False),
            )
            .order_by(variables.c.name)
        )
        return list(self._connection.execute(statement).scalars())

    def page(
        self, prefix: str = "", *, after: str = "", most: int = 100, deleted: bool = False
    ) -> list[Variable]:
        """Variables in the order of their names, from the first after `after`, without values."""
        prefix = check_prefix(prefix)
        statement = _listed if deleted else _listed.where(variables.c.deleted.is_(False))
        rows = self._connection.execute(
            statement,
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
        rows = self._connection.execute(_history, parameters).all()
        if not rows and before is None:
            raise self._missing(name)
        return [_version(row._mapping) for row in rows]

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
            for line, start, text in expression.lines(chunk.decode() for chunk in chunks):
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
        facts = _Facts(encoded.kind, len(encoded.data), encoded.characters, contents.put(encoded.data))
        return self._add(name, head, facts, writing, value)

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
            if added.kind is not kind:
                raise PreconditionFailed(
                    f"{short(name)} is {kind.value}, and a {added.kind.value} value cannot be added to it",
                    field="value",
                    remedy=f"Append {kind.value}, or set it anew.",
                )
            data, before = added.data, b""
        if head.size + len(data) > MAX_BYTES:
            raise TooLarge("the value would be over 1 GiB", field="value", remedy="Begin another variable.")
        facts = _Facts(
            kind,
            head.size + len(data),
            head.characters + added.characters,
            contents.append(content, data, before=before) if data else content,
        )
        return self._add(name, head, facts, writing)

    def delete(self, name: str, writing: Writing) -> Variable:
        """Hide the variable: a version without a value. Its past stays.

        Raises:
            NotFound: there is none, or it is deleted already.
        """
        name = check_variable(name)
        head = self._expected(name, writing)
        if head is None or head.kind == Kind.DELETED:
            raise self._missing(name, head)
        return self._add(name, head, _Facts(Kind.DELETED, 0, 0, Content(None, None)), writing)

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

    def _again(self, name: str, head: Row[Any], number: int, writing: Writing) -> Variable:
        old = self._row(name, version=number)
        facts = _Facts(Kind(old.kind), old.size, old.characters, Content(old.inline, old.root))
        return self._add(name, head, facts, writing, origin=min(Origin(old.origin), writing.origin))

    def _expected(self, name: str, writing: Writing) -> Row[Any] | None:
        """The head row, checked against what the writer expects; None if there never was such a variable."""
        check_text(writing.note, "note", limit=MAX_NOTE)
        check_past(writing.source_time, self._now, "source_time")
        head = self._fetch(_head, name)
        expect = writing.expect
        if expect is None:
            return head
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
        return head

    def _add(
        self,
        name: str,
        head: Row[Any] | None,
        facts: _Facts,
        writing: Writing,
        value: Any = None,
        *,
        origin: Origin | None = None,
    ) -> Variable:
        number = 1 if head is None else head.number + 1
        deleted = facts.kind is Kind.DELETED
        # A clock that was set back must not reorder a variable's past.
        write_time = max(to_micros(self._now), head.write_time if head is not None else 0)
        if head is None:
            row = {"space_id": self.id, "name": name, "head": number, "deleted": deleted}
            variable_id = self._connection.execute(_add_variable, row).scalar_one()
        else:
            variable_id = head.id
            self._connection.execute(
                _move_head, {"variable": variable_id, "head": number, "deleted": deleted}
            )
        version = {
            "variable_id": variable_id,
            "number": number,
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
            "origin": int(writing.origin if origin is None else origin),
            "note": writing.note,
            "write_time": write_time,
            "source_time": None if writing.source_time is None else to_micros(writing.source_time),
        }
        self._connection.execute(_add_version, version)
        self._connection.execute(_enqueue, {"space_id": self.id, "variable_id": variable_id})
        return Variable(space=self.name, name=name, version=_version(version), value=value)

    # -- rows -------------------------------------------------------------------------------------

    def _fetch(self, statement: Any, name: str, **parameters: Any) -> Row[Any] | None:
        row: Row[Any] | None = self._connection.execute(
            statement, {"space": self.id, "name": name, **parameters}
        ).first()
        return row

    def _row(
        self, name: str, *, version: int | None = None, as_of: datetime | None = None, deleted: bool = False
    ) -> Row[Any]:
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
            row = self._fetch(_numbered, name, number=version)
        elif as_of is not None:
            check_past(as_of, self._now, "as_of")
            row = self._fetch(_dated, name, time=to_micros(as_of))
        else:
            row = self._fetch(_head, name)
        if row is not None and (deleted or row.kind != Kind.DELETED):
            return row
        head = self._fetch(_head, name)
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

    def _missing(self, name: str, head: Row[Any] | None = None) -> NotFound:
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

    def _data(self, row: Row[Any]) -> bytes:
        return self._contents(row).read(Content(row.inline, row.root))

    def _contents(self, row: Row[Any]) -> Contents:
        return Contents(self._connection, self._user, text=row.kind == Kind.TEXT)

    def _variable(self, row: Any, value: Any = None) -> Variable:
        return Variable(space=self.name, name=row.name, version=_version(row._mapping), value=value)


@dataclass(frozen=True)
class _Facts:
    kind: Kind
    size: int
    characters: int
    content: Content


def _version(row: Any) -> Version:
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


def _last(prefix: str) -> str:
    """The greatest name that can begin so; names are in the order of their code points."""
    return prefix.ljust(MAX_NAME, "\U0010ffff")
