"""Many variables set at once: what can be is done once for all of them, which is what makes it quick."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from rlmd.errors import InvalidInput, RlmdError

from .content import Contents
from .names import check_variable, short
from .records import Kind, Variable
from .statements import ADD_VARIABLE, ADD_VERSION, ENQUEUE, HEADS, MOVE_HEAD
from .values import encode
from .writing import Facts, Writing, next_version, row_of


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
        heads = {row.name: row for row in self._heads(names)}
        versions, contents = [], []
        with _placed() as place:
            for place.number, (item, name) in enumerate(zip(items, names, strict=True)):
                item.writing.check(self._now)
                item.writing.check_expected(name, heads.get(name))
                facts = self._facts(item.value)
                versions.append(next_version(heads.get(name), facts, item.writing, self._now))
                contents.append(facts.content)
        moved = [
            {"variable": heads[name].id, "number": version.number, "gone": False}
            for name, version in zip(names, versions, strict=True)
            if name in heads
        ]
        MOVE_HEAD.run_all(self._connection, moved)
        ids = [heads[name].id if name in heads else self._add(name) for name in names]
        rows = [row_of(*of_one) for of_one in zip(ids, versions, contents, strict=True)]
        ADD_VERSION.run_all(self._connection, rows)
        ENQUEUE.run_all(self._connection, [{"space_id": self._space, "variable_id": id} for id in ids])
        return [
            Variable(space=self._space_name, name=name, version=version)
            for name, version in zip(names, versions, strict=True)
        ]

    def _names(self, items: Sequence[Item]) -> list[str]:
        names: dict[str, None] = {}
        with _placed() as place:
            for place.number, item in enumerate(items):
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

    def _heads(self, names: list[str]) -> list[Any]:
        listed = json.dumps(names, ensure_ascii=False)
        return HEADS.all(self._connection, {"space": self._space, "names": listed})

    def _add(self, name: str) -> int:
        row = {"space_id": self._space, "name": name, "head": 1, "deleted": False}
        return int(ADD_VARIABLE.scalar(self._connection, row))


@dataclass
class _Place:
    """Of the item that is looked at."""

    number: int = 0


@contextlib.contextmanager
def _placed() -> Iterator[_Place]:
    """Errors say in which item."""
    place = _Place()
    try:
        yield place
    except RlmdError as error:
        error.field = f"requests[{place.number}].{error.field}"
        raise
