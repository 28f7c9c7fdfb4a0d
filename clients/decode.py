"""Messages of the contract as the client's records. Nothing else reads them field by field."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from rlmd.proto.rlmd.v1 import (
    admin_pb2,
    agents_pb2,
    budgets_pb2,
    channels_pb2,
    forgetting_pb2,
    memory_pb2,
    questions_pb2,
    runs_pb2,
    schedules_pb2,
)

from . import updates as up
from .money import MILLION, amount
from .records import (
    AgentInfo,
    Author,
    Budget,
    Call,
    Change,
    ChannelInfo,
    Delivery,
    Erased,
    Fate,
    FunctionInfo,
    Hit,
    Kind,
    Limits,
    Match,
    Message,
    Occurrence,
    Origin,
    Permit,
    Preview,
    Price,
    Purge,
    Question,
    QuestionState,
    Replayed,
    Retention,
    RunInfo,
    RunState,
    Schedule,
    ScheduleState,
    Status,
    Step,
    Stop,
    Token,
    Usage,
    User,
    Variable,
    Version,
)
from .values import from_time, from_value

_KINDS = {
    memory_pb2.VALUE_KIND_JSON: Kind.JSON,
    memory_pb2.VALUE_KIND_TEXT: Kind.TEXT,
    memory_pb2.VALUE_KIND_BYTES: Kind.BYTES,
    memory_pb2.VALUE_KIND_DELETED: Kind.DELETED,
}
_ORIGINS = {
    memory_pb2.ORIGIN_EXTERNAL: Origin.EXTERNAL,
    memory_pb2.ORIGIN_AGENT: Origin.AGENT,
    memory_pb2.ORIGIN_OWNER: Origin.OWNER,
}
_STATES = {
    runs_pb2.RUN_STATE_QUEUED: RunState.QUEUED,
    runs_pb2.RUN_STATE_RUNNING: RunState.RUNNING,
    runs_pb2.RUN_STATE_WAITING: RunState.WAITING,
    runs_pb2.RUN_STATE_DONE: RunState.DONE,
    runs_pb2.RUN_STATE_FAILED: RunState.FAILED,
    runs_pb2.RUN_STATE_CANCELLED: RunState.CANCELLED,
}
PERIODS = {
    "day": budgets_pb2.BUDGET_PERIOD_DAY,
    "month": budgets_pb2.BUDGET_PERIOD_MONTH,
    "total": budgets_pb2.BUDGET_PERIOD_TOTAL,
}
MEASURES = {
    "money": budgets_pb2.BUDGET_MEASURE_MONEY,
    "tokens": budgets_pb2.BUDGET_MEASURE_TOKENS,
    "model_calls": budgets_pb2.BUDGET_MEASURE_MODEL_CALLS,
    "steps": budgets_pb2.BUDGET_MEASURE_STEPS,
    "seconds": budgets_pb2.BUDGET_MEASURE_SECONDS,
}
_PERIODS = {number: name for name, number in PERIODS.items()}
_MEASURES = {number: name for name, number in MEASURES.items()}
_QUESTION_STATES = {
    questions_pb2.QUESTION_STATE_OPEN: QuestionState.OPEN,
    questions_pb2.QUESTION_STATE_ANSWERED: QuestionState.ANSWERED,
    questions_pb2.QUESTION_STATE_EXPIRED: QuestionState.EXPIRED,
    questions_pb2.QUESTION_STATE_CANCELLED: QuestionState.CANCELLED,
}
_SCHEDULE_STATES = {
    schedules_pb2.SCHEDULE_STATE_ACTIVE: ScheduleState.ACTIVE,
    schedules_pb2.SCHEDULE_STATE_PAUSED: ScheduleState.PAUSED,
    schedules_pb2.SCHEDULE_STATE_ENDED: ScheduleState.ENDED,
    schedules_pb2.SCHEDULE_STATE_BROKEN: ScheduleState.BROKEN,
    schedules_pb2.SCHEDULE_STATE_DELETED: ScheduleState.DELETED,
}
_DELIVERIES = {
    runs_pb2.DELIVERY_PENDING: Delivery.PENDING,
    runs_pb2.DELIVERY_HELD: Delivery.HELD,
    runs_pb2.DELIVERY_DELIVERED: Delivery.DELIVERED,
    runs_pb2.DELIVERY_NOTHING: Delivery.NOTHING,
}
_FATES = {
    schedules_pb2.FATE_PENDING: Fate.PENDING,
    schedules_pb2.FATE_RAN: Fate.RAN,
    schedules_pb2.FATE_LATE: Fate.LATE,
    schedules_pb2.FATE_CAUGHT_UP: Fate.CAUGHT_UP,
    schedules_pb2.FATE_SKIPPED: Fate.SKIPPED,
    schedules_pb2.FATE_MISSED: Fate.MISSED,
    schedules_pb2.FATE_FAILED: Fate.FAILED,
}
_POLICIES = {
    schedules_pb2.MISSED_POLICY_SKIP: "skip",
    schedules_pb2.MISSED_POLICY_ONCE: "once",
    schedules_pb2.MISSED_POLICY_ALL: "all",
}
POLICIES = {policy: number for number, policy in _POLICIES.items()}
"""What becomes of what was missed, as the contract numbers it."""
STATES = {state: number for number, state in _STATES.items()}
"""States as the contract numbers them."""
ORIGINS = {origin: number for number, origin in _ORIGINS.items()}
"""Origins as the contract numbers them."""


class _HasField(Protocol):
    def HasField(self, name: Any, /) -> bool: ...


def last(resource: str) -> str:
    """The last id of a resource name: `bob` of `users/bob`."""
    return resource.rpartition("/")[2]


def own_name(resource: str) -> str:
    """A variable's own name: `people/bob` of `spaces/main/variables/people/bob`."""
    return resource.partition("/variables/")[2]


def _agent(resource: str) -> str:
    """`main` of `agents/main/runs/1`."""
    return resource.split("/", 2)[1] if resource else ""


def _time(message: _HasField, name: str) -> datetime | None:
    stamp: Timestamp = getattr(message, name)
    return from_time(stamp) if message.HasField(name) else None


def _json(text: str) -> Any:
    return json.loads(text) if text else None


def author(message: memory_pb2.Author) -> Author:
    run = message.run
    return Author(user=message.user, agent=_agent(run), run=last(run), step=message.step, call=message.call)


def version(message: memory_pb2.Version) -> Version:
    return _version(message, message.number)


def written(message: memory_pb2.Variable) -> Version:
    """The version that a variable is shown at."""
    return _version(message, message.version)


def _version(message: memory_pb2.Version | memory_pb2.Variable, number: int) -> Version:
    return Version(
        number=number,
        kind=_KINDS[message.kind],
        size=message.size_bytes,
        time=from_time(message.write_time),
        source_time=_time(message, "source_time"),
        author=author(message.author),
        origin=_ORIGINS.get(message.origin, Origin.OWNER),
        note=message.note,
    )


def variable(message: memory_pb2.Variable) -> Variable:
    return Variable(
        name=own_name(message.name),
        version=written(message),
        characters=message.characters,
        value=from_value(message.value),
    )


def content(kind: Kind, data: bytes) -> Any:
    """A value from all its bytes."""
    if kind is Kind.BYTES:
        return data
    return _json(data.decode()) if kind is Kind.JSON else data.decode()


def hit(message: memory_pb2.Hit) -> Hit:
    return Hit(
        name=own_name(message.name),
        version=message.version,
        text=message.text,
        start=message.start,
        score=message.score,
        time=from_time(message.time),
        origin=_ORIGINS.get(message.origin, Origin.OWNER),
    )


def match(message: memory_pb2.GrepMatch) -> Match:
    return Match(
        name=own_name(message.name),
        line=message.line,
        start=message.start,
        text=message.text,
        version=message.version,
    )


def message(message: channels_pb2.Message, score: float | None = None) -> Message:
    return Message(
        id=int(last(message.name)),
        agent=_agent(message.name),
        channel=message.channel,
        sender=message.sender,
        text=message.text,
        time=from_time(message.time),
        origin=_ORIGINS.get(message.origin, Origin.OWNER),
        from_agent=message.from_agent,
        run=last(message.run),
        score=score,
    )


def channel(message: channels_pb2.Channel) -> ChannelInfo:
    return ChannelInfo(
        name=last(message.name),
        functions=tuple(map(function, message.functions)),
        connections=message.connections,
        external=message.external,
        seen_time=_time(message, "seen_time"),
        pending=message.pending,
    )


def function(message: channels_pb2.Function) -> FunctionInfo:
    return FunctionInfo(
        name=message.name,
        doc=message.doc,
        parameters=_json(message.parameters_json),
        result=_json(message.result_json),
        side_effects=message.side_effects,
        trusted=message.trusted,
        time_limit=message.time_limit.ToTimedelta() if message.HasField("time_limit") else None,
        waits=message.offline != channels_pb2.OFFLINE_FAIL,
    )


def agent(message: agents_pb2.Agent) -> AgentInfo:
    limits = message.limits
    return AgentInfo(
        name=last(message.name),
        instructions=message.instructions,
        model=message.model,
        sub_model=message.sub_model,
        quiet=message.quiet,
        space=last(message.space),
        limits=Limits(
            steps=limits.steps or None,
            depth=max(limits.depth, 0) if limits.depth else None,
            seconds=limits.seconds or None,
            model_calls=limits.model_calls or None,
            tokens=limits.tokens or None,
            money=limits.money / MILLION if limits.money else None,
        ),
        create_time=from_time(message.create_time),
        update_time=from_time(message.update_time),
    )


def usage(message: runs_pb2.UsageTotals, group: str = "") -> Usage:
    return Usage(
        input_tokens=message.input_tokens,
        output_tokens=message.output_tokens,
        cached_tokens=message.cached_tokens,
        model_calls=message.model_calls,
        estimated=message.estimated,
        cost=message.cost / MILLION,
        unpriced_calls=message.unpriced_calls,
        group=group,
    )


def budget(message: budgets_pb2.Budget) -> Budget:
    measure = _MEASURES[message.measure]
    return Budget(
        agent=last(message.agent),
        schedule=last(message.schedule),
        period=_PERIODS[message.period],
        measure=measure,
        limit=amount(message.limit, measure),
        spent=amount(message.spent, measure),
        by_default=message.by_default,
        end_time=_time(message, "end_time"),
    )


def purge(message: forgetting_pb2.Purge) -> Purge:
    return Purge(
        id=message.id,
        space=last(message.space),
        variables=message.variable_count,
        versions=message.version_count,
        runs=message.run_count,
        messages=message.message_count,
        note=message.note,
        time=from_time(message.purge_time),
    )


def retention(message: forgetting_pb2.Retention) -> Retention:
    return Retention(
        prefix=message.prefix,
        seconds=message.seconds if message.HasField("seconds") else None,
        versions=message.versions if message.HasField("versions") else None,
        pinned=message.pinned,
    )


def erased(message: forgetting_pb2.PurgeVariablesResponse) -> Erased:
    return Erased(
        purge=purge(message.purge) if message.HasField("purge") else None, copies=tuple(message.copies)
    )


def price(message: budgets_pb2.Price) -> Price:
    return Price(
        model=message.model,
        input=message.input / MILLION,
        cached=message.cached / MILLION,
        output=message.output / MILLION,
        own=message.own,
    )


def call(message: runs_pb2.Call) -> Call:
    return Call(
        number=message.number,
        function=message.function,
        arguments=message.arguments_json,
        result=message.result_json,
        error=message.error,
        settled=message.settled,
    )


def step(message: runs_pb2.Step) -> Step:
    return Step(
        number=message.number,
        reply=message.reply,
        code=message.code,
        observation=message.observation,
        calls=tuple(map(call, message.calls)),
        model=message.model,
        usage=usage(message.usage),
        note=message.note,
        start_time=_time(message, "start_time"),
        end_time=_time(message, "end_time"),
    )


def run(message: runs_pb2.Run) -> RunInfo:
    return RunInfo(
        id=last(message.name),
        agent=_agent(message.name),
        state=_STATES[message.state],
        reason=message.reason,
        event_kind=message.event_kind,
        event_text=message.event_text,
        channel=message.channel,
        parent=last(message.parent),
        depth=message.depth,
        step_count=message.step_count,
        call_count=message.call_count,
        result=_json(message.result_json),
        usage=usage(message.usage),
        create_time=from_time(message.create_time),
        start_time=_time(message, "start_time"),
        end_time=_time(message, "end_time"),
        steps=tuple(map(step, message.steps)),
        delivery=_DELIVERIES.get(message.delivery),
        deliver_time=_time(message, "deliver_time"),
    )


def update(message: runs_pb2.RunUpdate) -> up.Update | None:
    """An update; None for a kind that this client does not know yet."""
    base: dict[str, Any] = {
        "run": last(message.run),
        "sequence": message.sequence,
        "time": from_time(message.time),
    }
    match message.WhichOneof("update"):
        case "started":
            return up.Started(**base, model=message.started.model)
        case "restarted":
            return up.Restarted(**base, reason=message.restarted.reason)
        case "text_delta":
            return up.Writing(**base, step=message.text_delta.step, text=message.text_delta.text)
        case "step":
            return up.Stepped(**base, step=step(message.step))
        case "call":
            return up.Called(**base, call=call(message.call))
        case "arrived":
            return up.Arrived(**base, call=call(message.arrived))
        case "settled":
            return up.Settled(**base, call=call(message.settled))
        case "reply":
            number = last(message.reply.message)
            return up.Said(**base, message=int(number or 0), text=message.reply.text)
        case "asked":
            asked = message.asked
            return up.Asked(
                **base,
                question=last(asked.question),
                channel=asked.channel,
                text=asked.text,
                wanted=asked.wanted,
                choices=tuple(asked.choices),
                call=call(asked.call),
            )
        case "waiting":
            return up.Waiting(
                **base,
                until=_time(message.waiting, "until"),
                reason=message.waiting.reason,
                passing=message.waiting.passing,
            )
        case "woken":
            return up.Woken(**base)
        case "halted":
            halted = message.halted
            return up.Halted(**base, everyone=halted.everyone, by=last(halted.by), reason=halted.reason)
        case "observation":
            return up.Observed(**base, step=message.observation.step, text=message.observation.text)
        case "ended":
            ended = message.ended
            result = _json(ended.result_json)
            return up.Ended(**base, state=_STATES[ended.state], reason=ended.reason, result=result)
    return None


def question(message: questions_pb2.Question) -> Question:
    return Question(
        id=last(message.name),
        agent=_agent(message.name),
        run=last(message.run),
        channel=message.channel,
        text=message.text,
        wanted=message.wanted,
        choices=tuple(message.choices),
        state=_QUESTION_STATES[message.state],
        answer=_json(message.answer_json),
        answered_by=message.answered_by,
        answered_on=message.answered_on,
        ask_time=from_time(message.ask_time),
        expire_time=_time(message, "expire_time"),
        end_time=_time(message, "end_time"),
    )


def replayed(message: runs_pb2.ReplayRunResponse) -> Replayed:
    return Replayed(
        equal=message.equal,
        difference=message.difference,
        steps=message.step_count,
        calls=message.call_count,
        seconds=message.seconds,
    )


def permit(message: agents_pb2.Permit) -> Permit:
    return Permit(what=message.what, create_time=from_time(message.create_time))


def change(message: runs_pb2.Change) -> Change:
    return Change(
        space=message.variable.split("/", 2)[1],
        name=own_name(message.variable),
        before=message.before_version,
        after=message.after_version,
        created=message.created,
        moved_on=message.moved_on,
        undone=message.undone,
    )


def token(message: admin_pb2.Token) -> Token:
    return Token(
        name=message.name,
        label=message.label,
        create_time=from_time(message.create_time),
        expire_time=_time(message, "expire_time"),
        revoke_time=_time(message, "revoke_time"),
    )


def user(message: admin_pb2.User) -> User:
    return User(
        name=last(message.name),
        administrator=message.administrator,
        create_time=from_time(message.create_time),
    )


def status(message: admin_pb2.Status) -> Status:
    return Status(
        version=message.version,
        pid=message.pid,
        data=message.data,
        addresses=tuple(message.addresses),
        model=message.model,
        model_name=message.model_name,
        embedder=message.embedder,
        index=message.index.state,
        index_pending=message.index.pending,
        index_detail=message.index.detail,
        start_time=from_time(message.start_time),
        agents=message.agents,
        variables=message.variables,
        messages=message.messages,
        active_runs=message.active_runs,
        stop=stop(message.stop) if message.HasField("stop") else None,
    )


def stop(message: admin_pb2.Stop) -> Stop:
    return Stop(
        everyone=message.everyone,
        by=last(message.by),
        reason=message.reason,
        time=from_time(message.time),
    )


def schedule(message: schedules_pb2.Schedule) -> Schedule:
    return Schedule(
        id=last(message.name),
        agent=_agent(message.name),
        name=message.label,
        kind=message.kind,
        spec=message.spec,
        timezone=message.timezone,
        text=message.text,
        channel=message.channel,
        condition=message.condition,
        start_time=_time(message, "start_time"),
        end_time=_time(message, "end_time"),
        jitter=message.jitter.ToTimedelta(),
        missed=_POLICIES[message.missed],
        most=message.most,
        grace=message.grace.ToTimedelta(),
        state=_SCHEDULE_STATES[message.state],
        reason=message.reason,
        due_time=_time(message, "due_time"),
        next_time=_time(message, "next_time"),
        run=last(message.run) or None,
        create_time=from_time(message.create_time),
        update_time=from_time(message.update_time),
    )


def occurrence(message: schedules_pb2.Occurrence) -> Occurrence:
    return Occurrence(
        id=last(message.name),
        agent=_agent(message.name),
        schedule=message.name.split("/")[3],
        due_time=from_time(message.due_time),
        fate=_FATES[message.fate],
        reason=message.reason,
        run=last(message.run) or None,
        create_time=from_time(message.create_time),
        end_time=_time(message, "end_time"),
    )


def preview(message: schedules_pb2.PreviewScheduleResponse) -> Preview:
    return Preview(
        kind=message.kind,
        spec=message.spec,
        timezone=message.timezone,
        times=tuple(map(from_time, message.times)),
    )
