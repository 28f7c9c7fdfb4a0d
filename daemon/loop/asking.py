"""How a program asks somebody: the question and its row, the answer, and what a message in a chat answers.

The question, its call and the message that shows it to the person commit together. The first answer wins,
wherever it comes from; what comes later is told that it is late.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from rlmd.errors import Cancelled, DeadlineExceeded, InvalidInput
from rlmd.memory import questions
from rlmd.memory.records import Agent, Form, Origin, Question, QuestionState, Run
from rlmd.memory.store import Store, Transaction

from .scribe import Row

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])[a-z]*\s*")
_NUMBERED = re.compile(r"\s*#?(\d{1,15})\s*[:.)]\s*(.+)", re.DOTALL)
MOST_PEOPLE = 20
LONGEST = 10 * 366 * 86_400


@dataclass(frozen=True)
class Match:
    """What a message in a chat is, beside the questions that are open there."""

    question: Question | None = None
    """The one that it answers."""
    answer: str = ""
    told: str = ""
    """What its sender is told if it is an answer, and to none."""
    reason: str = ""
    """Why."""


def duration(given: Any) -> float | None:
    """Seconds, from a number of them or a text such as "20m" or "2 days".

    Raises:
        InvalidInput: it is neither, or out of range.
    """
    if given is None:
        return None
    match = _DURATION.fullmatch(given) if isinstance(given, str) else None
    if match is not None:
        seconds = float(match[1]) * _UNITS[match[2]]
    elif isinstance(given, int | float) and not isinstance(given, bool):
        seconds = float(given)
    else:
        raise InvalidInput(
            f"{given!r} is no length of time", field="timeout", remedy='Give seconds, or "20m", "4h", "2d".'
        )
    if not 0 < seconds <= LONGEST:
        raise InvalidInput(
            f"{given!r} is not between 0 and ten years", field="timeout", remedy="Give another."
        )
    return seconds


def form(choices: Sequence[str] | None, kind: Any) -> Form:
    """What an answer must be, from the arguments of `ask`. Raises InvalidInput."""
    if isinstance(choices, str) or not all(isinstance(choice, str) for choice in choices or ()):
        raise InvalidInput("choices must be a list of texts", field="choices", remedy='Like ["yes", "no"].')
    if isinstance(kind, Mapping):
        return questions.check_form(Form(fields={str(name): str(each) for name, each in kind.items()}))
    return questions.check_form(Form(choices=tuple(choices or ()), type=kind or "text"))


@dataclass(frozen=True, kw_only=True)
class Circle:
    """Whom a call asks."""

    first: Sequence[str]
    """Channels that are asked at once."""
    each: bool = False
    """Whether each of them is to give an answer; else the first answer is that of all."""
    ladder: Sequence[str] = ()
    """Channels that are asked one after another while nobody answers, each after its share of the time."""


def circle(
    channel: str, any_of: Any, all_of: Any, escalate: Any, seconds: float | None, *, named: bool
) -> Circle:
    """Whom to ask, from the arguments of `ask`; `named` tells whether `channel` was one of them.

    Raises:
        InvalidInput: they contradict each other, or are no lists of channels.
    """
    given = [field for field, value in (("any_of", any_of), ("all_of", all_of)) if value is not None]
    if len(given) + named > 1:
        raise InvalidInput(
            "give one of channel, any_of and all_of", field="ask", remedy="Each says whom to ask."
        )
    if escalate is not None and (seconds is None or all_of is not None):
        raise InvalidInput(
            "to go from one to the next takes a timeout, and one answer",
            field="escalate",
            remedy='Give timeout="2h": each has an equal share of it.',
        )
    several = any_of if any_of is not None else all_of
    first = [channel] if several is None else _people(several, given[0])
    ladder = [] if escalate is None else _people(escalate, "escalate")
    if len({*first, *ladder}) < len(first) + len(ladder):
        raise InvalidInput("somebody is in there twice", field="ask", remedy="Name each once.")
    return Circle(first=first, each=all_of is not None, ladder=ladder)


def _people(given: Any, field: str) -> list[str]:
    fit = isinstance(given, list) and all(isinstance(each, str) for each in given)
    if not fit or not 1 <= len(given) <= MOST_PEOPLE:
        raise InvalidInput(
            f"it must be a list of 1 to {MOST_PEOPLE} channels", field=field, remedy="Like [alice, bob]."
        )
    return list(given)


def ask(
    tx: Transaction,
    agent: Agent,
    run: Run,
    call: int,
    *,
    circle: Circle,
    text: str,
    form: Form,
    seconds: float | None,
) -> list[Question]:
    """The open questions of a call, told on their channels: one, or one for each who is to answer."""
    until = None if seconds is None else tx.now + timedelta(seconds=seconds)
    parts = [[channel] for channel in circle.first] if circle.each else [circle.first]
    share = (seconds or 0.0) / (1 + len(circle.ladder))
    ladder = {
        channel: tx.now + timedelta(seconds=share * rung) for rung, channel in enumerate(circle.ladder, 1)
    }
    found = []
    for part, (channel, *others) in enumerate(parts):
        asked = tx.questions.ask(
            agent,
            run,
            call,
            part=part,
            channel=channel,
            text=text,
            form=form,
            expire_time=until,
            also=dict.fromkeys(others, tx.now) | ladder,
        )
        _show(tx, asked, [channel])
        found.append(put_further(tx, asked))
    return found


def put_further(tx: Transaction, asked: Question) -> Question:
    """Put a question where else it is due by now."""
    if asked.next_time is None or asked.next_time > tx.now:
        return asked
    _show(tx, asked, tx.questions.put_further(asked))
    return tx.questions.get(asked.id)


def _show(tx: Transaction, asked: Question, channels: Sequence[str]) -> None:
    wanted = questions.wanted(asked.form)
    _say(tx, asked, channels, f"{asked.text} ({wanted})" if wanted else asked.text)


def _say(tx: Transaction, asked: Question, channels: Sequence[str], text: str) -> None:
    """Write something about a question into the log; clients of the channels are sent the question itself."""
    for channel in channels:
        tx.log(asked.agent).add(
            channel=channel,
            sender=asked.agent,
            text=text,
            origin=Origin.AGENT,
            from_agent=True,
            run=asked.run,
            post=False,
        )


def answer(tx: Transaction, question_id: int, given: Any, *, by: str, on: str) -> Question:
    """Answer an open question, and tell the others who were asked. Raises as `Questions.answer`."""
    asked = tx.questions.answer(question_id, given, by=by, on=on)
    if asked.also:
        others = [channel for channel in (asked.channel, *asked.also) if channel != on]
        _say(tx, asked, others, f"{by} has answered: {asked.text}")
    return asked


def approval(call: int) -> int:
    """Under which number the question is kept whether a call may be made; it may itself ask something."""
    return -call


def told(call: Row, asked: Question) -> Row:
    """The row of a call that asks, with what watchers of the run are told."""
    question = {
        "id": asked.id,
        "channel": asked.channel,
        "text": asked.text,
        "wanted": questions.wanted(asked.form),
        "choices": list(asked.form.choices),
    }
    return replace(call, data={**call.data, "question": question})


async def look(store: Store, asked: Question, now: datetime) -> Question:
    """The question as it stands now: closed if its time is over, put further if nobody answers."""
    current = store.read(lambda tx: tx.questions.get(asked.id))
    if current.state is not QuestionState.OPEN or current.until is None or current.until > now:
        return current

    def work(tx: Transaction) -> Question:
        # Somebody may have answered meanwhile.
        latest = tx.questions.get(asked.id)
        if latest.state is not QuestionState.OPEN:
            return latest
        if latest.expire_time is not None and latest.expire_time <= now:
            tx.questions.close(latest, QuestionState.EXPIRED)
            return tx.questions.get(asked.id)
        return put_further(tx, latest)

    return await store.write(work)


def outcome(asked: Sequence[Question], default: Any, *, each: bool) -> Any:
    """What the program gets: the answer, or, if `each` was to give one, all by their channels.

    Raises:
        DeadlineExceeded: somebody did not answer in time, and there is no default.
        Cancelled: a question was withdrawn.
    """
    if any(question.state is QuestionState.CANCELLED for question in asked):
        raise Cancelled("the question was withdrawn", field="ask")
    silent = [question for question in asked if question.state is QuestionState.EXPIRED]
    if silent and default is None:
        where = " and ".join(channel for question in silent for channel in (question.channel, *question.also))
        heard = "; ".join(
            f"{question.channel} did: {question.answer}" for question in asked if question not in silent
        )
        raise DeadlineExceeded(
            f"nobody on {where} answered in time{f' ({heard})' if heard else ''}",
            field="ask",
            remedy="Catch TimeoutError, or give ask a default.",
        )
    answers = {question.channel: default if question in silent else question.answer for question in asked}
    return answers if each else next(iter(answers.values()))


def withdraw(tx: Transaction, run: Run, call: int) -> tuple[bool, None]:
    """A call that waits is over without its answer. Tells whether it had a question that was still open."""
    tx.channel_calls.withdraw(run, call)
    tx.hive_calls.withdraw(run, call)
    open_still = False
    for number in (call, approval(call)):
        for asked in tx.questions.of_call(run, number):
            open_still |= tx.questions.close(asked, QuestionState.CANCELLED)
    return open_still, None


def withdraw_all(tx: Transaction, run: Run) -> None:
    """A run is over: nothing that it has asked or called is open any more."""
    tx.channel_calls.withdraw(run)
    tx.hive_calls.withdraw(run)
    for asked in tx.questions.page(run=run.id, most=10_000):
        tx.questions.close(asked, QuestionState.CANCELLED)


def matched(tx: Transaction, agent: Agent, channel: str, text: str) -> Match:
    """Which open question a message answers: the only one of its channel that fits, or the one it names."""
    numbered = _NUMBERED.fullmatch(text)
    if numbered is not None and (late := _late(tx, agent, channel, int(numbered[1]), numbered[2])):
        return Match(told=late, reason="the message answers a question that is no longer open")
    if not tx.questions.wait_on(agent, channel):
        return Match()
    asked = tx.questions.page(agent=agent.name, channel=channel, most=100)
    if numbered is not None:
        named = [each for each in asked if each.id == int(numbered[1]) and _fits(each, numbered[2])]
        if named:
            return Match(named[0], numbered[2])
    fitting = [each for each in asked if _fits(each, text)]
    if len(fitting) == 1:
        return Match(fitting[0], text)
    if fitting:
        reason = "several questions are open, and it was not clear which one the message answers"
        return Match(told=which(fitting), reason=reason)
    return Match()


def _late(tx: Transaction, agent: Agent, channel: str, number: int, text: str) -> str:
    """What somebody is told whose answer comes too late; empty if it is none.

    Free text may be anything: a list that begins with "1. Milk" is a message.
    """
    found = tx.questions.find(agent, number)
    if found is None or found.state is QuestionState.OPEN or channel not in (found.channel, *found.also):
        return ""
    if found.form == Form() or not _fits(found, text):
        return ""
    return f"Question {number} {questions.closed(found)}: your answer came too late."


def which(asked: Sequence[Question]) -> str:
    """What a person is told who answered, and nobody can tell what."""
    lines = [f"  {each.id}: {each.text}" for each in reversed(asked)]
    return "\n".join(
        [
            "Which question do you answer?",
            *lines,
            f"Put its number in front, like `{asked[-1].id}: your answer`.",
        ]
    )


def _fits(asked: Question, text: str) -> bool:
    try:
        questions.fit(asked.form, text)
    except InvalidInput:
        return False
    return True
