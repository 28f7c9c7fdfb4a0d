"""A run's journal as clients see it: rows as updates in a stream, and as steps with their calls.

One row is one update, and its `sequence` is the row's place; so a client that reconnects with the last
sequence it saw gets each row once. Text that is being written has no row and no sequence.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rlmd.daemon.feed import Delta
from rlmd.memory.records import Entry, EntryKind, RunState
from rlmd.memory.stops import Stop
from rlmd.memory.store import Store, Transaction
from rlmd.proto.rlmd.v1 import runs_pb2 as pb

from .api import Engine
from .convert import STATES
from .names import message_name, question_name, run_name, user_name
from .values import json_text, time_to

SHOWN_JSON = 10_000
"""Characters of a call's arguments and result."""
BATCH = 100
"""Rows that are read together."""


async def follow(
    store: Store, engine: Engine, agent: str, run_id: int, after: int, *, parked: bool = False
) -> AsyncGenerator[pb.RunUpdate, None]:
    """The run's updates after a place, then live until it has ended, or with `parked` until it waits.

    Waiting for other agents does not count: that passes.
    Where all is stopped that is told once, and with `parked` is the last: the run waits for it to go on.
    """

    def look(tx: Transaction) -> tuple[list[Entry], bool]:
        """The next rows; and if there are none, whether none will come: seen in one state of the store."""
        entries = tx.journal(run_id).entries(after=after, most=BATCH)
        return entries, not entries and tx.runs.get(run_id).state.ended

    # The watcher comes first: what is written between the reading and the waiting wakes it.
    with engine.feed.watching(run_id) as watcher:
        behind, step = True, 0
        told: Stop | None = None
        while True:
            news: Sequence[Entry | Delta]
            if behind:
                news, over = store.read(look)
                if over:
                    return
                behind = len(news) == BATCH
            else:
                told, before = engine.stopped(store.user), told
                if told is not None and told != before:
                    yield _halted(agent, run_id, told)
                    if parked:
                        return
                news = await watcher.next()
                behind = not news or _gap(news, after)
                if behind:
                    continue
            for new in news:
                if isinstance(new, Entry) and new.seq > after:
                    after, step = new.seq, max(step, new.step)
                    yield update(agent, new)
                    waits = new.kind is EntryKind.WAITING and not new.data.get("passing")
                    if new.kind is EntryKind.ENDED or (parked and waits):
                        return
                elif isinstance(new, Delta) and new.step > step:  # Else its step has been sent whole already.
                    text = pb.TextDelta(text=new.text, step=new.step)
                    yield pb.RunUpdate(run=run_name(agent, run_id), text_delta=text)


def _gap(news: Sequence[Entry | Delta], after: int) -> bool:
    """Whether rows are missing between what was sent and what is new: a watcher that was too slow."""
    first = next((new.seq for new in news if isinstance(new, Entry) and new.seq > after), after + 1)
    return first > after + 1


def update(agent: str, entry: Entry) -> pb.RunUpdate:
    """The update that a row is."""
    message = pb.RunUpdate(sequence=entry.seq, run=run_name(agent, entry.run), time=time_to(entry.time))
    data = entry.data
    match entry.kind:
        case EntryKind.STARTED:
            message.started.CopyFrom(pb.Started(model=data.get("model", "")))
        case EntryKind.STEP:
            message.step.CopyFrom(_step(entry))
        case EntryKind.CALL if (said := _said(agent, entry)) is not None:
            message.reply.CopyFrom(said)
        case EntryKind.CALL if "question" in data:
            message.asked.CopyFrom(_asked(agent, entry))
        case EntryKind.CALL:
            message.call.CopyFrom(_call(entry))
        case EntryKind.ARRIVED:
            message.arrived.CopyFrom(_call(entry))
        case EntryKind.SETTLED:
            message.settled.CopyFrom(_call(entry))
        case EntryKind.OBSERVATION:
            message.observation.CopyFrom(pb.Observation(step=entry.step, text=data.get("text", "")))
        case EntryKind.RESTARTED:
            message.restarted.CopyFrom(pb.Restarted(reason=data.get("reason", "")))
        case EntryKind.WAITING:
            until = data.get("until")
            end = None if until is None else time_to(datetime.fromisoformat(until))
            message.waiting.CopyFrom(
                pb.Waiting(until=end, reason=data.get("reason", ""), passing=data.get("passing", False))
            )
        case EntryKind.WOKEN:
            message.woken.CopyFrom(pb.Woken())
        case EntryKind.ENDED:
            message.ended.CopyFrom(_ended(data))
    return message


def steps(entries: Iterable[Entry]) -> list[pb.Step]:
    """A journal as steps with their calls, in the order in which they were written."""
    found: list[pb.Step] = []
    calls: dict[int, pb.Call] = {}
    for entry in entries:
        if entry.kind is EntryKind.STEP:
            found.append(_step(entry))
        elif not found:
            continue
        elif entry.kind is EntryKind.CALL:
            found[-1].calls.append(_call(entry))
            calls[entry.call] = found[-1].calls[-1]
        elif entry.kind is EntryKind.SETTLED and entry.call in calls:
            settled, call = _call(entry), calls[entry.call]
            call.result_json, call.error, call.settled = settled.result_json, settled.error, True
        elif entry.kind is EntryKind.OBSERVATION:
            found[-1].observation = entry.data.get("text", "")
            found[-1].end_time.MergeFrom(time_to(entry.time))
    return found


def _step(entry: Entry) -> pb.Step:
    data = entry.data
    usage = data.get("usage") or {}
    return pb.Step(
        number=entry.step,
        reply=data.get("reply", ""),
        code="\n\n".join(data.get("blocks", ())),
        model=data.get("model", ""),
        usage=pb.UsageTotals(
            input_tokens=usage.get("input_tokens", 0),
            output_tokens=usage.get("output_tokens", 0),
            cached_tokens=usage.get("cached_tokens", 0),
            model_calls=1,
            estimated=usage.get("estimated", False),
        ),
        note=data.get("note", ""),
        start_time=time_to(entry.time),
    )


def _call(entry: Entry) -> pb.Call:
    data = entry.data
    error = data.get("error")
    return pb.Call(
        number=entry.call,
        function=entry.name,
        arguments_json=json_text(data["args"])[:SHOWN_JSON] if "args" in data else "",
        result_json=json_text(data["result"])[:SHOWN_JSON] if "result" in data else "",
        error=f"{error.get('type', 'Error')}: {error.get('message', '')}" if error else "",
        settled="result" in data or error is not None,
    )


def _asked(agent: str, entry: Entry) -> pb.Asked:
    question = entry.data["question"]
    return pb.Asked(
        question=question_name(agent, question["id"]),
        channel=question["channel"],
        text=question["text"],
        wanted=question["wanted"],
        choices=question["choices"],
        call=_call(entry),
    )


def _said(agent: str, entry: Entry) -> pb.ReplyMessage | None:
    """What a settled call of `reply` said; None for any other call."""
    result = entry.data.get("result")
    if entry.name != "reply" or not isinstance(result, Mapping) or "message" not in result:
        return None
    arguments: Mapping[str, Any] = entry.data.get("args") or {}
    given = [*arguments.get("args", ()), *arguments.get("kwargs", {}).values()]
    text = result.get("text", given[0] if given else "")
    return pb.ReplyMessage(
        message=message_name(agent, result["message"]),
        text=text if isinstance(text, str) else json_text(text),
    )


def _halted(agent: str, run_id: int, stop: Stop) -> pb.RunUpdate:
    halted = pb.Halted(everyone=stop.user is None, by=user_name(stop.by), reason=stop.reason)
    return pb.RunUpdate(run=run_name(agent, run_id), time=time_to(stop.time), halted=halted)


def _ended(data: Mapping[str, Any]) -> pb.RunEnded:
    result = data.get("result")
    return pb.RunEnded(
        state=STATES[RunState(data["state"])],
        reason=data.get("reason", ""),
        result_json="" if result is None else json_text(result),
    )
