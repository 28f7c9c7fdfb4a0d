"""Purging: what was in a variable is nowhere any more, but for a row that says that something was erased.

Deleting hides, and the past stays. Purging takes the past too: all versions, what runs that wrote or read
them have in their journals, and with a `text` also what else holds that text: messages, events, questions.
Three things then make it gone from the bytes (erasing.py): the pieces are swept, index and file made anew.

What a purge is about is found on a reader's state of the database, which may take long; then it is erased in
one transaction, and looked for once more, since meanwhile everybody writes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, func, insert, or_, select, update

from rlmd.errors import InvalidInput, NotFound, PreconditionFailed

from .blanking import GONE, blank
from .clock import from_micros, to_micros
from .content import Content, Contents
from .hive_tables import hive_calls
from .names import MAX_NAME, check_prefix, check_text, check_variable, short
from .records import EntryKind, RunState, User
from .schedules import OVER
from .tables import (
    agents,
    channel_calls,
    deliveries,
    events,
    index_queue,
    journal,
    messages,
    purges,
    questions,
    requests,
    runs,
    schedules,
    spaces,
    uploads,
    variables,
    versions,
)

LEAST_TEXT = 4
"""Characters of a text that is looked for everywhere: a shorter one would be found by chance."""
MAX_TEXT = 10_000
MOST = 10_000
"""Variables of one purge."""
TEXTS: Mapping[str, Table] = {table.name: table for table in (messages, events, schedules, deliveries)}
"""Tables of an agent's texts. A schedule that is not over holds off the purge."""
_ENDED = [state.value for state in RunState if state.ended]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be purged."""

    space: str
    names: Sequence[str] = ()
    prefix: str | None = None
    """All variables whose names begin so; the empty one means all."""
    text: str = ""
    """Also whatever of the agent's holds this text. May stand alone."""

    def check(self) -> None:
        """Raises InvalidInput: it names nothing, or too little of a text."""
        for name in self.names:
            check_variable(name, "names")
        if self.prefix is not None:
            check_prefix(self.prefix)
        check_text(self.text, "text", limit=MAX_TEXT)
        if self.text and len(self.text.strip()) < LEAST_TEXT:
            raise InvalidInput(
                f"{short(self.text)} is found in too much",
                field="text",
                remedy=f"Give at least {LEAST_TEXT} characters.",
            )
        if not self.names and self.prefix is None and not self.text:
            raise InvalidInput("nothing is named", field="names", remedy="Give names, a prefix, or a text.")


@dataclass(kw_only=True)
class Found:
    """What a purge erases: ids of rows."""

    variables: list[int] = field(default_factory=list)
    runs: set[int] = field(default_factory=set)
    texts: dict[str, set[int]] = field(default_factory=dict)
    """Of the tables in `TEXTS`."""

    def __bool__(self) -> bool:
        return bool(self.variables or self.runs or any(self.texts.values()))


@dataclass(frozen=True, kw_only=True)
class Purge:
    """That something was erased: how much, and nothing of what."""

    id: int
    space: str
    variables: int
    versions: int
    runs: int
    messages: int
    by: str
    note: str
    time: datetime


class Purging:
    """The purges of one user, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self._now = now
        self._user = user
        self._contents = Contents(connection, user.id)

    # -- finding ----------------------------------------------------------------------------------

    def find(self, wish: Wish) -> Found:
        """What the wish is about. Reads the journals of the space's agent, and may take long.

        Raises:
            NotFound: no such space, or a name that is none there.
            InvalidInput: it names nothing, or too much.
        """
        wish.check()
        space_id, agent_id = self._place(wish.space)
        named = dict(self._variables(space_id, wish))
        found = Found(variables=list(named))
        found.runs.update(self._writers(named))
        needle = wish.text.encode(errors="surrogatepass")
        for run_id, kind, name, data in self._rows(agent_id):
            if run_id not in found.runs and (
                (named and kind == EntryKind.CALL.value and _reads(name, data, set(named.values())))
                or (needle and _holds(data, wish.text, needle))
            ):
                found.runs.add(run_id)
        if needle:
            self._refuse_others(space_id, named, wish.text, needle)
            self._refuse_in_use(agent_id, wish.text)
            found.texts = {name: self._with(table, agent_id, wish.text) for name, table in TEXTS.items()}
            for table in (questions, channel_calls):
                found.runs.update(self._asked(table, agent_id, wish.text))
        self._spread(found)
        return found

    def _spread(self, found: Found) -> None:
        """What one run has seen, it may have passed to those below it and above it, and to those it called.

        Agents of the user's own are followed over calls in a hive; those of others are not theirs to purge.
        """
        spread: set[int] = set()
        while found.runs - spread:
            spread |= found.runs
            roots = select(runs.c.root_id).where(runs.c.id.in_(found.runs))
            trees = select(runs.c.id, runs.c.event_id, runs.c.parent_id).where(runs.c.root_id.in_(roots))
            for row in self._connection.execute(trees).all():
                found.runs.add(row.id)
                if row.parent_id is not None:
                    found.texts.setdefault("events", set()).add(row.event_id)
            called = select(hive_calls.c.callee_run_id, runs.c.event_id).join(
                runs, runs.c.id == hive_calls.c.callee_run_id
            )
            called = called.where(
                hive_calls.c.run_id.in_(found.runs), hive_calls.c.callee_user_id == self._user.id
            )
            for callee in self._connection.execute(called).all():
                found.runs.add(callee.callee_run_id)
                found.texts.setdefault("events", set()).add(callee.event_id)
            callers = select(hive_calls.c.run_id).where(
                hive_calls.c.callee_run_id.in_(found.runs), hive_calls.c.user_id == self._user.id
            )
            found.runs.update(self._connection.scalars(callers))

    def _place(self, space: str) -> tuple[int, int]:
        statement = (
            select(agents.c.space_id, agents.c.id)
            .join(spaces, agents.c.space_id == spaces.c.id)
            .where(spaces.c.user_id == self._user.id, spaces.c.name == space)
        )
        row = self._connection.execute(statement).first()
        if row is None:
            raise NotFound(f"there is no space {short(space)}", field="name", remedy="List the agents.")
        return row.space_id, row.id

    def _variables(self, space_id: int, wish: Wish) -> Iterator[tuple[int, str]]:
        mine = variables.c.space_id == space_id
        wanted = {check_variable(name, "names") for name in wish.names}
        statement = select(variables.c.id, variables.c.name).where(mine, variables.c.name.in_(wanted))
        rows = list(self._connection.execute(statement))
        missing = wanted - {row.name for row in rows}
        if missing:
            raise NotFound(
                f"there is no variable {short(min(missing))}, not even a deleted one",
                field="names",
                remedy="`rlmd memory list --deleted` lists them.",
            )
        if wish.prefix is not None:
            low = check_prefix(wish.prefix)
            high = low.ljust(MAX_NAME, "\U0010ffff")
            statement = select(variables.c.id, variables.c.name).where(
                mine, variables.c.name >= low, variables.c.name <= high
            )
            rows += self._connection.execute(statement)
        if len(rows) > MOST:
            raise InvalidInput(
                f"{len(rows):,} variables are too many for one purge",
                field="prefix",
                remedy=f"Purge at most {MOST:,} at a time, or delete the agent.",
            )
        yield from ((row.id, row.name) for row in rows)

    def _writers(self, ids: Collection[int]) -> list[int]:
        statement = select(versions.c.author_run).where(
            versions.c.variable_id.in_(ids), versions.c.author_run.is_not(None)
        )
        return list(self._connection.scalars(statement.distinct()))

    def _rows(self, agent_id: int) -> Iterator[tuple[int, str, str, bytes]]:
        """Rows of all journals of the agent."""
        statement = (
            select(journal.c.run_id, journal.c.kind, journal.c.name, journal.c.inline, journal.c.root)
            .join(runs, journal.c.run_id == runs.c.id)
            .where(runs.c.agent_id == agent_id)
            .order_by(journal.c.run_id, journal.c.seq)
        )
        for row in self._connection.execute(statement.execution_options(yield_per=500)):
            yield row.run_id, row.kind, row.name, self._contents.read(Content(row.inline, row.root))

    def _refuse_others(self, space_id: int, named: Collection[int], text: str, needle: bytes) -> None:
        """A variable may hold the text among much that is to stay: only who names it can know."""
        statement = (
            select(variables.c.id, variables.c.name, versions.c.inline, versions.c.root)
            .join(versions, versions.c.variable_id == variables.c.id)
            .where(variables.c.space_id == space_id, variables.c.id.not_in(named))
            .order_by(variables.c.id)
        )
        holding: dict[int, str] = {}
        for row in self._connection.execute(statement.execution_options(yield_per=500)):
            if row.id not in holding and _holds(
                self._contents.read(Content(row.inline, row.root)), text, needle
            ):
                holding[row.id] = row.name
        if holding:
            names = ", ".join(short(name) for name in [*holding.values()][:5])
            raise PreconditionFailed(
                f"{len(holding)} other variables hold the text, or did: {names}",
                field="text",
                remedy="Name those that are to be purged too. To keep one, copy what is to stay of it"
                " into a new one first.",
            )

    def _refuse_in_use(self, agent_id: int, text: str) -> None:
        """What says what the agent shall do is not for a purge to change."""
        asked = select(agents.c.id).where(agents.c.id == agent_id, _has(agents.c.instructions, text))
        if self._connection.execute(asked).first() is not None:
            raise PreconditionFailed(
                "the agent's instructions hold the text", field="text", remedy="Change them first."
            )
        live = select(schedules.c.id).where(
            schedules.c.agent_id == agent_id, schedules.c.state.not_in(OVER), _in_schedule(text)
        )
        schedule = self._connection.scalars(live.limit(1)).first()
        if schedule is not None:
            raise PreconditionFailed(
                f"schedule {schedule} holds the text",
                field="text",
                remedy=f"Edit it, or `rlmd schedule delete {schedule}` first.",
            )

    def _with(self, table: Any, agent_id: int, text: str) -> set[int]:
        has = _in_schedule(text) if table is schedules else _has(table.c.text, text)
        statement = select(table.c.id).where(table.c.agent_id == agent_id, has)
        return set(self._connection.scalars(statement))

    def _asked(self, table: Any, agent_id: int, text: str) -> list[int]:
        columns = [table.c[name] for name in ("text", "answer", "arguments", "result") if name in table.c]
        plain = [_has(column, text) for column in columns]
        escaped = [_has(column, json.dumps(text)[1:-1]) for column in columns]
        statement = select(table.c.run_id).where(table.c.agent_id == agent_id, or_(*plain, *escaped))
        return list(self._connection.scalars(statement))

    # -- erasing ----------------------------------------------------------------------------------

    def erase(self, wish: Wish, found: Found, note: str = "") -> Purge:
        """Erase what was found, and write down that something was. The rest is the sweep's, and the file's.

        Raises:
            PreconditionFailed: a run that has to do with it is not over; it would go on without its past.
        """
        check_text(note, "note", limit=1_000)
        space_id, agent_id = self._place(wish.space)
        self._refuse_active(found.runs)
        count = self._connection.execute(
            select(func.count()).where(versions.c.variable_id.in_(found.variables))
        ).scalar_one()
        self._connection.execute(delete(versions).where(versions.c.variable_id.in_(found.variables)))
        self._connection.execute(delete(variables).where(variables.c.id.in_(found.variables)))
        for run_id in found.runs:
            blank(self._connection, self._contents, run_id)
        for name, ids in found.texts.items():
            table = TEXTS[name]
            gone = {"text": GONE, "condition": ""} if table is schedules else {"text": GONE}
            self._connection.execute(update(table).where(table.c.id.in_(ids)).values(**gone))
        self._forget_requests(wish)
        # A row that names nothing drops a shelf of the index with all its files; it is made anew.
        self._connection.execute(insert(index_queue), [{"space_id": space_id, "agent_id": None}])
        if found.texts.get("messages"):
            self._connection.execute(insert(index_queue), [{"space_id": None, "agent_id": agent_id}])
        self._connection.execute(insert(uploads), {"user_id": self._user.id, "time": 0})
        row = {
            "user_id": self._user.id,
            "space": wish.space,
            "variables": len(found.variables),
            "versions": count,
            "runs": len(found.runs),
            "messages": len(found.texts.get("messages", ())),
            "note": note,
            "time": to_micros(self._now),
        }
        added = self._connection.execute(insert(purges).returning(purges), row).one()
        return self._purge(added)

    def _refuse_active(self, found: Collection[int]) -> None:
        statement = (
            select(runs.c.id).where(runs.c.id.in_(found), runs.c.state.not_in(_ENDED)).order_by(runs.c.id)
        )
        active = self._connection.scalars(statement.limit(1)).first()
        if active is not None:
            raise PreconditionFailed(
                f"run {active} has to do with it, and is not over",
                field="names",
                remedy=f"Wait for it, or `rlmd run cancel {active}`, and purge again.",
            )

    def _forget_requests(self, wish: Wish) -> None:
        """Answers to request ids tell names and notes; who repeats such a request now makes it anew."""
        needles = [*wish.names, *([wish.prefix] if wish.prefix else []), *([wish.text] if wish.text else [])]
        for needle in needles:
            has = func.instr(requests.c.response, bindparam("needle", needle.encode()))
            mine = requests.c.user_id == self._user.id
            self._connection.execute(delete(requests).where(mine, has > 0))

    # -- what is left -----------------------------------------------------------------------------

    def page(self, *, before: int | None = None, most: int = 100) -> list[Purge]:
        """That something was erased, newest first."""
        statement = select(purges).where(purges.c.user_id == self._user.id)
        if before is not None:
            statement = statement.where(purges.c.id < before)
        return [
            self._purge(row)
            for row in self._connection.execute(statement.order_by(purges.c.id.desc()).limit(most))
        ]

    def unfinished(self) -> bool:
        """Whether bytes of something that was erased may still be in the pieces or in the index."""
        word = select(uploads.c.id).where(uploads.c.user_id == self._user.id, uploads.c.time == 0)
        shelf = (
            select(index_queue.c.seq)
            .outerjoin(spaces, spaces.c.id == index_queue.c.space_id)
            .outerjoin(agents, agents.c.id == index_queue.c.agent_id)
            .where(
                index_queue.c.variable_id.is_(None),
                index_queue.c.message_id.is_(None),
                (spaces.c.user_id == self._user.id) | (agents.c.user_id == self._user.id),
            )
        )
        return any(self._connection.execute(each.limit(1)).first() for each in (word, shelf))

    def _purge(self, row: Any) -> Purge:
        return Purge(
            id=row.id,
            space=row.space,
            variables=row.variables,
            versions=row.versions,
            runs=row.runs,
            messages=row.messages,
            by=self._user.name,
            note=row.note,
            time=from_micros(row.time),
        )


def _has(column: Any, text: str) -> Any:
    return func.instr(column, text) > 0


def _in_schedule(text: str) -> Any:
    return or_(_has(schedules.c.text, text), _has(schedules.c.condition, text))


def _holds(data: bytes, text: str, needle: bytes) -> bool:
    """Whether a row's JSON holds a text: as it is, or as JSON writes it."""
    return needle in data or json.dumps(text, ensure_ascii=False)[1:-1].encode(errors="surrogatepass") in data


def _reads(name: str, data: bytes, names: Collection[str]) -> bool:
    """Whether a call has read or written one of the variables."""
    if not name.startswith("memory."):
        return False
    row = json.loads(data)
    given = (row.get("args") or {}).get("args") or []
    if given and name not in ("memory.search", "memory.grep", "memory.names") and given[0] in names:
        return True
    return _names(row.get("result"), names)


def _names(result: Any, names: Collection[str]) -> bool:
    if isinstance(result, list):
        return any(_names(each, names) for each in result)
    if not isinstance(result, dict):
        return False
    return result.get("variable") in names or result.get("name") in names
