"""A run that another agent has called for is over: that settles the call, in the same transaction."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from .clock import to_micros
from .crossings import Side, cross
from .hive_tables import hive_calls
from .records import CallState, Origin, Run, RunState
from .tables import model_calls

CALL, TOLD = "call", "told"
"""Kinds of event by which an agent wakes another: the first waits for an answer."""


def woken_by_agent(run: Run) -> bool:
    """Whether another agent has called for this run: then its reply is for that one."""
    return run.parent is None and run.event.kind in (CALL, TOLD)


_of_run = select(hive_calls).where(hive_calls.c.callee_run_id == bindparam("run"))
_end = (
    update(hive_calls)
    .where(hive_calls.c.id == bindparam("number"), hive_calls.c.state == CallState.OPEN.value)
    .values(
        state=bindparam("to"),
        result=bindparam("value"),
        error=bindparam("why"),
        model_calls=bindparam("calls"),
        tokens=bindparam("tokens"),
        money=bindparam("money"),
        origin=bindparam("lowest"),
        end_time=bindparam("time"),
    )
)
_used = select(
    func.count().label("calls"),
    func.coalesce(func.sum(model_calls.c.input_tokens + model_calls.c.output_tokens), 0).label("tokens"),
    func.coalesce(func.sum(model_calls.c.cost), 0).label("money"),
).where(model_calls.c.root_id == bindparam("run"))


def settle(
    connection: Connection, now: datetime, run: Run, state: RunState, reason: str, result: Any, origin: Origin
) -> None:
    """A run has ended, which had read what is of this origin. No effect if nobody waits for it."""
    if not woken_by_agent(run):
        return
    called = connection.execute(_of_run, {"run": run.id}).first()
    if called is None:
        return
    done = state is RunState.DONE
    given = {
        "number": called.id,
        "to": (CallState.DONE if done else CallState.FAILED).value,
        "value": json.dumps(result, ensure_ascii=False) if done else None,
        "why": "" if done else f"{state.value}: {reason}" if reason else state.value,
        **connection.execute(_used, {"run": run.id}).one()._mapping,
        "lowest": int(origin if called.user_id == called.callee_user_id else Origin.EXTERNAL),
        "time": to_micros(now),
    }
    if connection.execute(_end, given).rowcount and called.waits:
        callee = Side(user=called.callee_user_id, name=called.callee, run=run.id)
        caller = Side(user=called.user_id, name=called.caller, run=called.run_id)
        cross(connection, now, called.hive, callee, caller, "answer", given["value"] or given["why"])
