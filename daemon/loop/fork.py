"""A new run that shares another's past up to a call, and differs from there.

It has the same event, the same randomness and a copy of the journal until that call's outcome, which is the
answer given, or is had anew. What the past had done to memory stays done, once; from the fork on it is live.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlmd.errors import InvalidInput, NotFound, PreconditionFailed
from rlmd.memory import questions
from rlmd.memory.blanking import refuse_purged
from rlmd.memory.records import Entry, EntryKind, Run
from rlmd.memory.store import Transaction

from . import restore
from .calls import WRITES
from .planning import PLANS
from .schemas import fault

_PASSED_OVER = (EntryKind.WAITING, EntryKind.WOKEN, EntryKind.RESTARTED, EntryKind.ENDED)
"""What happened to the first run and is not part of its program."""
MISSING = object()
"""No answer was given: the call is made anew."""


def fork(tx: Transaction, run: Run, at: int, answer: Any = MISSING) -> Run:
    """A copy of the run, queued, that gets another answer from call `at`.

    Raises:
        NotFound: the run has made no such call.
        InvalidInput: the answer does not fit, or the call takes none.
        PreconditionFailed: it is a child, whose value only its parent's program can use.
    """
    if run.parent is not None:
        raise PreconditionFailed(
            f"run {run.id} is a child of run {run.parent}", field="name", remedy=f"Fork run {run.root}."
        )
    rows = tx.journal(run.id).entries()
    refuse_purged(run, rows)
    call = next((row for row in rows if row.kind is EntryKind.CALL and row.call == at), None)
    if call is None:
        raise NotFound(
            f"run {run.id} has no call {at}", field="at_call", remedy="`rlmd run show` lists its calls."
        )
    ends = next(
        (
            place
            for place, row in enumerate(rows)
            if row.call == at and row.kind is not EntryKind.ARRIVED and restore.settled(row.data)
        ),
        len(rows),
    )
    given = None if answer is MISSING else {"result": _fitting(tx, run, call, answer)}
    forked = tx.runs.copy(run)
    journal = tx.journal(forked.id)
    for row in rows[:ends]:
        other = row.call != at or row.kind is not EntryKind.ARRIVED
        if row.kind not in _PASSED_OVER and other and (row is not call or given is not None):
            journal.add(row.kind, row.data, **_place(row))
    if given is not None:
        if ends == len(rows):
            journal.add(EntryKind.SETTLED, given, **_place(call))
        elif rows[ends] is call:
            made = {key: value for key, value in call.data.items() if key not in ("result", "error")}
            journal.add(EntryKind.CALL, {**made, **given}, **_place(call))
        else:
            journal.add(EntryKind.SETTLED, given, **_place(rows[ends]))
    return tx.runs.get(forked.id)


def _place(row: Entry) -> dict[str, Any]:
    return {"step": row.step, "call": row.call, "name": row.name, "time": row.time}


def _fitting(tx: Transaction, run: Run, call: Entry, answer: Any) -> Any:
    if call.name in (*WRITES, *PLANS, "reply", "channels.tell", "done", "sys.sleep"):
        raise InvalidInput(
            f"call {call.call} is {call.name}, which has no answer",
            field="answer",
            remedy="Fork at a call that reads or asks, or without an answer.",
        )
    called = tx.channel_calls.of_call(run, call.call)
    if called is not None and (problem := fault(called.result_schema, answer)):
        raise InvalidInput(
            f"{called.channel}.{called.function} does not give that: {problem}",
            field="answer",
            remedy="Give what it could.",
        )
    asked = tx.questions.of_call(run, call.call)
    if len(asked) < 2:
        return questions.fit(asked[0].form, answer) if asked else answer
    if not isinstance(answer, Mapping) or set(answer) != {each.channel for each in asked}:
        raise InvalidInput(
            "several were asked, and there is not an answer for each",
            field="answer",
            remedy=f"Give a value for each of {', '.join(each.channel for each in asked)}.",
        )
    return {each.channel: questions.fit(each.form, answer[each.channel]) for each in asked}
