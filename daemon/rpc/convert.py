"""Records of memory as messages of the contract."""

from __future__ import annotations

from rlmd.memory.changes import Change
from rlmd.memory.permits import Permit
from rlmd.memory.questions import wanted
from rlmd.memory.records import (
    Agent,
    Author,
    Delivery,
    DeliveryState,
    GrepMatch,
    Kind,
    Message,
    Passage,
    Question,
    QuestionState,
    Run,
    RunLimits,
    RunState,
    Token,
    Usage,
    User,
    Variable,
    Version,
)
from rlmd.memory.stops import Stop
from rlmd.proto.rlmd.v1 import admin_pb2, agents_pb2, channels_pb2, memory_pb2, questions_pb2, runs_pb2

from .names import (
    agent_name,
    message_name,
    permit_name,
    question_name,
    run_name,
    space_name,
    token_name,
    user_name,
    variable_name,
)
from .values import json_text, time_to, value_to

KINDS = {
    Kind.JSON: memory_pb2.VALUE_KIND_JSON,
    Kind.TEXT: memory_pb2.VALUE_KIND_TEXT,
    Kind.BYTES: memory_pb2.VALUE_KIND_BYTES,
    Kind.DELETED: memory_pb2.VALUE_KIND_DELETED,
}
STATES = {
    RunState.QUEUED: runs_pb2.RUN_STATE_QUEUED,
    RunState.RUNNING: runs_pb2.RUN_STATE_RUNNING,
    RunState.WAITING: runs_pb2.RUN_STATE_WAITING,
    RunState.DONE: runs_pb2.RUN_STATE_DONE,
    RunState.FAILED: runs_pb2.RUN_STATE_FAILED,
    RunState.CANCELLED: runs_pb2.RUN_STATE_CANCELLED,
}
QUESTION_STATES = {
    QuestionState.OPEN: questions_pb2.QUESTION_STATE_OPEN,
    QuestionState.ANSWERED: questions_pb2.QUESTION_STATE_ANSWERED,
    QuestionState.EXPIRED: questions_pb2.QUESTION_STATE_EXPIRED,
    QuestionState.CANCELLED: questions_pb2.QUESTION_STATE_CANCELLED,
}
DELIVERIES = {
    DeliveryState.PENDING: runs_pb2.DELIVERY_PENDING,
    DeliveryState.HELD: runs_pb2.DELIVERY_HELD,
    DeliveryState.DELIVERED: runs_pb2.DELIVERY_DELIVERED,
    DeliveryState.NOTHING: runs_pb2.DELIVERY_NOTHING,
}
SHOWN_EVENT = 1_000
"""Characters of an event's text in lists."""


def stop(record: Stop) -> admin_pb2.Stop:
    return admin_pb2.Stop(
        everyone=record.user is None,
        by=user_name(record.by),
        reason=record.reason,
        time=time_to(record.time),
    )


def permit(record: Permit) -> agents_pb2.Permit:
    name = permit_name(record.agent, record.what)
    return agents_pb2.Permit(name=name, what=record.what, create_time=time_to(record.create_time))


def change(record: Change) -> runs_pb2.Change:
    return runs_pb2.Change(
        variable=variable_name(record.space, record.name),
        before_version=record.first - 1,
        after_version=record.last,
        created=not record.existed,
        moved_on=record.moved_on,
        undone=record.undone,
    )


def variable(record: Variable, *, value: bool = False) -> memory_pb2.Variable:
    """`value`: with its value, which has been read."""
    version = record.version
    return memory_pb2.Variable(
        name=variable_name(record.space, record.name),
        version=version.number,
        kind=KINDS[version.kind],
        value=value_to(record.value, version.kind) if value else None,
        size_bytes=version.size,
        characters=version.characters,
        write_time=time_to(version.write_time),
        source_time=time_to(version.source_time),
        author=author(version.author),
        origin=memory_pb2.Origin.ValueType(version.origin),
        note=version.note,
    )


def version(record: Version) -> memory_pb2.Version:
    return memory_pb2.Version(
        number=record.number,
        kind=KINDS[record.kind],
        size_bytes=record.size,
        write_time=time_to(record.write_time),
        source_time=time_to(record.source_time),
        author=author(record.author),
        origin=memory_pb2.Origin.ValueType(record.origin),
        note=record.note,
    )


def author(record: Author) -> memory_pb2.Author:
    return memory_pb2.Author(
        user=record.user, run=run_name(record.agent, record.run), step=record.step, call=record.call
    )


def match(space: str, record: GrepMatch) -> memory_pb2.GrepMatch:
    return memory_pb2.GrepMatch(
        name=variable_name(space, record.name),
        line=record.line,
        start=record.start,
        text=record.text,
        version=record.version,
    )


def hit(space: str, record: Passage) -> memory_pb2.Hit:
    return memory_pb2.Hit(
        name=variable_name(space, record.key),
        version=record.version,
        text=record.text,
        start=record.start,
        score=record.score,
        time=time_to(record.time),
        origin=memory_pb2.Origin.ValueType(record.origin),
    )


def agent(record: Agent) -> agents_pb2.Agent:
    return agents_pb2.Agent(
        name=agent_name(record.name),
        instructions=record.instructions,
        model=record.model,
        sub_model=record.sub_model,
        space=space_name(record.space),
        limits=limits(record.limits),
        quiet=record.quiet,
        create_time=time_to(record.create_time),
        update_time=time_to(record.update_time),
    )


def limits(record: RunLimits) -> agents_pb2.RunLimits:
    """Unset is 0 in the contract, and a depth of none is -1."""
    return agents_pb2.RunLimits(
        steps=record.steps or 0,
        depth=-1 if record.depth == 0 else record.depth or 0,
        seconds=record.seconds or 0,
        model_calls=record.model_calls or 0,
        tokens=record.tokens or 0,
        money=record.money or 0,
    )


def limits_from(message: agents_pb2.RunLimits) -> RunLimits:
    """The reverse. Ranges are checked by memory."""
    return RunLimits(
        steps=message.steps or None,
        depth=0 if message.depth == -1 else message.depth or None,
        seconds=message.seconds or None,
        model_calls=message.model_calls or None,
        tokens=message.tokens or None,
        money=message.money or None,
    )


def message(record: Message, *, run: int | None = None) -> channels_pb2.Message:
    """`run`: the run that it woke, if the record was made before it."""
    return channels_pb2.Message(
        name=message_name(record.agent, record.id),
        channel=record.channel,
        sender=record.sender,
        text=record.text,
        time=time_to(record.time),
        origin=memory_pb2.Origin.ValueType(record.origin),
        from_agent=record.from_agent,
        run=run_name(record.agent, record.run if run is None else run),
    )


def run(record: Run, *, whole: bool = False, delivery: Delivery | None = None) -> runs_pb2.Run:
    """`whole`: with all of the event's text."""
    text = record.event.text
    return runs_pb2.Run(
        name=run_name(record.agent, record.id),
        state=STATES[record.state],
        reason=record.reason,
        event_kind=record.event.kind,
        event_text=text if whole else text[:SHOWN_EVENT],
        channel=record.event.channel,
        parent=run_name(record.agent, record.parent),
        depth=record.depth,
        step_count=record.steps,
        call_count=record.calls,
        result_json="" if record.result is None else json_text(record.result),
        usage=usage(record.usage),
        create_time=time_to(record.create_time),
        start_time=time_to(record.start_time),
        end_time=time_to(record.end_time),
        delivery=runs_pb2.DELIVERY_UNSPECIFIED if delivery is None else DELIVERIES[delivery.state],
        deliver_time=None if delivery is None else time_to(delivery.time),
    )


def usage(record: Usage) -> runs_pb2.UsageTotals:
    return runs_pb2.UsageTotals(
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        cached_tokens=record.cached_tokens,
        model_calls=record.model_calls,
        estimated=record.estimated,
        cost=record.cost,
        unpriced_calls=record.unpriced,
    )


def user(record: User) -> admin_pb2.User:
    return admin_pb2.User(
        name=user_name(record.name),
        administrator=record.administrator,
        create_time=time_to(record.create_time),
    )


def token(record: Token) -> admin_pb2.Token:
    return admin_pb2.Token(
        name=token_name(record.user, record.id),
        label=record.label,
        create_time=time_to(record.create_time),
        expire_time=time_to(record.expire_time),
        revoke_time=time_to(record.revoke_time),
    )


def question(record: Question) -> questions_pb2.Question:
    return questions_pb2.Question(
        name=question_name(record.agent, record.id),
        run=run_name(record.agent, record.run),
        channel=record.channel,
        text=record.text,
        wanted=wanted(record.form),
        choices=record.form.choices,
        state=QUESTION_STATES[record.state],
        answer_json="" if record.answer is None else json_text(record.answer),
        answered_by=record.answered_by,
        answered_on=record.answered_on,
        ask_time=time_to(record.ask_time),
        expire_time=time_to(record.expire_time),
        end_time=time_to(record.end_time),
    )
