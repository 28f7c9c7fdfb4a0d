"""Statements of SQLAlchemy Core, compiled once, and then run by the driver itself.

Core takes several times longer over a small statement than SQLite: for caches, events, contexts and
results. What each call, write or step does is written in Core all the same, and prepared:

    HEAD = Prepared(select(variables.c.head).where(variables.c.name == bindparam("name")))
    row = HEAD.first(connection, {"name": "plan"})     # a named tuple, or None

Values go in and come out as the driver has them: integers, floats, texts and bytes. A boolean is a 0 or a
1 when it comes out. Errors are the driver's own; `database.translated` knows them.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Insert, Select
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.dml import UpdateBase

Parameters = Mapping[str, Any]


class Prepared:
    """One statement. Parameters are named by its `bindparam`s; those of an `insert` by the table's columns.

    Args:
        columns: Of an `insert` that leaves some out, beside the number that SQLite gives.
    """

    def __init__(self, statement: Select[Any] | UpdateBase, columns: Sequence[str] | None = None) -> None:
        if columns is None and isinstance(statement, Insert):
            given = statement.table.autoincrement_column  # type: ignore[attr-defined]
            columns = [column.name for column in statement.table.c if column is not given]
        compiled: Any = statement.compile(dialect=sqlite.dialect(), column_keys=columns)
        self._sql = str(compiled)
        constant = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        self._values = _values(compiled.positiontup or (), constant)
        if isinstance(statement, Insert):
            self._values = _exactly(len(columns or ()), self._values)
        self._row = _row(statement)

    def first(self, connection: Connection, parameters: Parameters) -> Any:
        """The first row, or None if there is none."""
        row = driver(connection).execute(self._sql, self._values(parameters)).fetchone()
        return None if row is None else self._row(row)

    def scalar(self, connection: Connection, parameters: Parameters) -> Any:
        """The first column of the first row, or None if there is none."""
        row = driver(connection).execute(self._sql, self._values(parameters)).fetchone()
        return None if row is None else row[0]

    def all(self, connection: Connection, parameters: Parameters) -> list[Any]:
        """All rows."""
        return list(map(self._row, driver(connection).execute(self._sql, self._values(parameters))))

    def run(self, connection: Connection, parameters: Parameters) -> int:
        """How many rows it changed."""
        changed: int = driver(connection).execute(self._sql, self._values(parameters)).rowcount
        return changed

    def run_all(self, connection: Connection, rows: Sequence[Parameters]) -> None:
        """Once for each of the rows."""
        driver(connection).executemany(self._sql, list(map(self._values, rows)))


def driver(connection: Connection) -> Any:
    """The driver's connection below."""
    return connection.connection.dbapi_connection


def _values(names: Sequence[str], constant: Parameters) -> Callable[[Parameters], tuple[Any, ...]]:
    """Puts parameters in the order of the statement's places."""
    if constant:
        return lambda parameters: tuple([{**constant, **parameters}[name] for name in names])
    if len(names) < 2:
        return lambda parameters: tuple([parameters[name] for name in names])
    return itemgetter(*names)


def _exactly(count: int, values: Callable[[Parameters], tuple[Any, ...]]) -> Callable[[Parameters], Any]:
    """Refuses a value for which the statement has no place: it would be lost in silence."""

    def exact(parameters: Parameters) -> tuple[Any, ...]:
        if len(parameters) != count:
            raise RuntimeError(f"{count} columns are inserted, not {', '.join(parameters)}")
        return values(parameters)

    return exact


def _row(statement: ClauseElement) -> Callable[[Any], Any]:
    columns: Any = getattr(statement, "exported_columns", None)
    if not columns:
        return tuple
    names = [column.key for column in columns]
    made: Any = namedtuple("Row", names)  # type: ignore[misc]
    row: Callable[[Any], Any] = made._make
    return row
