"""The journal of one run: its steps and calls in order, only ever added to.

From these rows alone the run's program can be fed to a new sandbox and its calls be answered as they
were: each step's code, each call's name, digest of arguments and result (a value by reference to its
version), and, for calls that were awaited, the order in which they settled, which is the rows' order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select

from .clock import from_micros, to_micros
from .content import Content, Contents
from .records import Entry, EntryKind
from .tables import journal

_add = insert(journal)
_length = select(func.max(journal.c.seq)).where(journal.c.run_id == bindparam("run"))
_of_step = (
    select(journal)
    .where(journal.c.run_id == bindparam("run"), journal.c.step == bindparam("step"))
    .order_by(journal.c.seq)
)
_after = (
    select(journal)
    .where(journal.c.run_id == bindparam("run"), journal.c.seq > bindparam("after"))
    .order_by(journal.c.seq)
    .limit(bindparam("most"))
)


class Journal:
    """Rows of one run, over one connection. Made by `Transaction.journal`, which checks whose it is."""

    def __init__(self, connection: Connection, now: datetime, user_id: int, run_id: int) -> None:
        self._connection = connection
        self._now = now
        self._contents = Contents(connection, user_id)
        self._run = run_id
        # The place of the last row, once known: nobody else can write while this transaction does.
        self._last: int | None = None

    def add(
        self,
        kind: EntryKind,
        data: Mapping[str, Any],
        *,
        step: int = 0,
        call: int = 0,
        name: str = "",
        time: datetime | None = None,
    ) -> Entry:
        """Write the next row; `time` is when it happened, if that was before now."""
        time = time or self._now
        seq = (self.length() if self._last is None else self._last) + 1
        # What a model wrote may hold half a surrogate pair; the journal keeps it as it was.
        encoded = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")
        content = self._contents.put(encoded)
        row = {
            "run_id": self._run,
            "seq": seq,
            "kind": kind.value,
            "step": step,
            "call": call,
            "name": name,
            "inline": content.inline,
            "root": content.root,
            "time": to_micros(time),
        }
        self._connection.execute(_add, row)
        self._last = seq
        return Entry(run=self._run, seq=seq, kind=kind, step=step, call=call, name=name, data=data, time=time)

    def length(self) -> int:
        return self._connection.execute(_length, {"run": self._run}).scalar() or 0

    def entries(self, *, after: int = 0, most: int | None = None) -> list[Entry]:
        """Rows after a place, in order."""
        given = {"run": self._run, "after": after, "most": most or 1 << 62}
        return [self._entry(row) for row in self._connection.execute(_after, given)]

    def of_step(self, step: int) -> list[Entry]:
        """Rows of one step, in order."""
        rows = self._connection.execute(_of_step, {"run": self._run, "step": step})
        return [self._entry(row) for row in rows]

    def _entry(self, row: Any) -> Entry:
        return Entry(
            run=row.run_id,
            seq=row.seq,
            kind=EntryKind(row.kind),
            step=row.step,
            call=row.call,
            name=row.name,
            data=json.loads(self._contents.read(Content(row.inline, row.root))),
            time=from_micros(row.time),
        )
