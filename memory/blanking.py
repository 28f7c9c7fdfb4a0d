"""What a purge leaves of a run: its frame, which says what kind of thing happened when, and nothing of what.

Every row of the journal stays in its place and can still be read, so that a list of runs, their steps and
their costs is what it was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from rlmd.errors import PreconditionFailed

from .content import Content, Contents
from .hive_tables import hive_calls
from .questions import dump
from .records import Entry, EntryKind, Form, Run
from .tables import channel_calls, journal, occurrences, questions, runs

GONE = "(purged)"
"""Stands where a text was."""


def blank(connection: Connection, contents: Contents, run_id: int) -> None:
    """Leave the frame of a run: what kind of thing happened when, and nothing of what."""
    rows = connection.execute(select(journal).where(journal.c.run_id == run_id).order_by(journal.c.seq)).all()
    for row in rows:
        data = json.loads(contents.read(Content(row.inline, row.root)))
        framed = json.dumps(_frame(EntryKind(row.kind), data), separators=(",", ":")).encode()
        connection.execute(
            update(journal)
            .where(journal.c.run_id == run_id, journal.c.seq == row.seq)
            .values(inline=framed, root=None)
        )
    connection.execute(update(runs).where(runs.c.id == run_id).values(result=None))
    connection.execute(update(runs).where(runs.c.id == run_id, runs.c.reason != "").values(reason=GONE))
    connection.execute(
        update(questions)
        .where(questions.c.run_id == run_id)
        .values(text=GONE, answer=None, form=dump(Form()))
    )
    connection.execute(
        update(channel_calls)
        .where(channel_calls.c.run_id == run_id)
        .values(arguments="{}", result=None, error="")
    )
    connection.execute(
        update(hive_calls)
        .where((hive_calls.c.run_id == run_id) | (hive_calls.c.callee_run_id == run_id))
        .values(result=None, error="")
    )
    connection.execute(
        update(occurrences)
        .where(occurrences.c.run_id == run_id, occurrences.c.reason != "")
        .values(reason=GONE)
    )


def refuse_purged(run: Run, entries: Sequence[Entry]) -> None:
    """Raises PreconditionFailed: what the run did was erased, and can be done neither again nor otherwise."""
    if entries and entries[0].data.get("purged"):
        raise PreconditionFailed(
            f"the journal of run {run.id} was purged", field="name", remedy="Only its frame is left."
        )


def _frame(kind: EntryKind, data: dict[str, Any]) -> dict[str, Any]:
    """A row without what it says, that can still be read."""
    match kind:
        case EntryKind.STARTED:
            return {"model": data.get("model", ""), "context": [], "purged": True}
        case EntryKind.STEP:
            kept: dict[str, Any] = {key: data[key] for key in ("model", "usage", "finish") if key in data}
            return {**kept, "reply": GONE, "blocks": [], "note": ""}
        case EntryKind.CALL:
            outcome = {"result": None} if "result" in data or "error" in data else {}
            return {"args": {"args": [], "kwargs": {}}, "digest": "", **outcome}
        case EntryKind.SETTLED:
            return {"result": None}
        case EntryKind.OBSERVATION:
            return {"text": GONE, "full": GONE, "fault": "", "ran": 0, "lost": bool(data.get("lost"))}
        case EntryKind.ENDED:
            return {"state": data["state"], "reason": GONE if data.get("reason") else "", "result": None}
        case EntryKind.WAITING:
            return {"until": data.get("until")}
    return {key: value for key, value in data.items() if key in ("attempt",)}
