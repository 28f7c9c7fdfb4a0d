"""Many variables set at once: each statement runs once for all of them, which is what makes it quick."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from rlmd.errors import InvalidInput, RlmdError

from .content import Contents
from .names import check_variable, short
from .records import Kind, Variable
from .statements import ADD_VARIABLES, ADD_VERSION, ENQUEUE, HEADS, MOVE_HEAD
from .values import encode
from .writing import Facts, Writing, row_of, version_of


@dataclass(frozen=True, kw_only=True)
class Item:
    """One variable of a batch."""

    name: str
    value: Any
    writing: Writing


class Batch:
    """Sets variables of one space, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user_id: int, space_id: int, name: str) -> None:
        self._connection = connection
        self._now = now
        self._user = user_id
        self._space = space_id
        self._space_name = name

    def set(self, items: Sequence[Item]) -> list[Variable]:
        """New versions with these values, all or none; gives the variables without values.

        Raises:
            InvalidInput: a variable is named twice.
            Conflict, InvalidInput, TooLarge: as for `Space.set`; `field` begins with the item's place,
                such as `requests[3].value`.
        """
        names = self._names(items)
        heads = {row.name: row for row in self._execute(HEADS, {"space": self._space, "names": names})}
        facts = []
        for place, (item, name) in enumerate(zip(items, names, strict=True)):
            with _at(place):
                item.writing.check(self._now)
                item.writing.check_expected(name, heads.get(name))
                facts.append(self._facts(item.value))
        ids = {name: row.id for name, row in heads.items()} | self._add([n for n in names if n not in heads])
        rows = [
            row_of(ids[name], heads.get(name), fact, item.writing, self._now)
            for item, name, fact in zip(items, names, facts, strict=True)
        ]
        moved = [
            {"variable": row["variable_id"], "head": row["number"], "deleted": False}
            for row in rows
            if row["number"] > 1
        ]
        if moved:
            self._execute(MOVE_HEAD, moved)
        self._execute(ADD_VERSION, rows)
        self._execute(ENQUEUE, [{"space_id": self._space, "variable_id": row["variable_id"]} for row in rows])
        return [
            Variable(space=self._space_name, name=name, version=version_of(row))
            for name, row in zip(names, rows, strict=True)
        ]

    def _names(self, items: Sequence[Item]) -> list[str]:
        names: dict[str, None] = {}
        for place, item in enumerate(items):
            with _at(place):
                name = check_variable(item.name)
                if name in names:
                    raise InvalidInput(
                        f"{short(name)} is there twice", field="name", remedy="Set each variable once."
                    )
            names[name] = None
        return list(names)

    def _facts(self, value: Any) -> Facts:
        encoded = encode(value)
        contents = Contents(self._connection, self._user, text=encoded.kind is Kind.TEXT)
        return Facts(encoded.kind, len(encoded.data), encoded.characters, contents.put(encoded.data))

    def _add(self, names: list[str]) -> dict[str, int]:
        if not names:
            return {}
        rows = [{"space_id": self._space, "name": name, "head": 1, "deleted": False} for name in names]
        return {row.name: row.id for row in self._execute(ADD_VARIABLES, rows)}

    def _execute(self, statement: Any, parameters: Any) -> Any:
        return self._connection.execute(statement, parameters)


@contextlib.contextmanager
def _at(place: int) -> Iterator[None]:
    """Errors say in which item."""
    try:
        yield
    except RlmdError as error:
        error.field = f"requests[{place}].{error.field}"
        raise
