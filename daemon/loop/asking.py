"""How a program asks somebody: the question and its row, the answer, and what a message in a chat answers.

The question, its call and the message that shows it to the person commit together. The first answer wins,
wherever it comes from; what comes later is told that it is late.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from rlmd.errors import Cancelled, DeadlineExceeded, InvalidInput
from rlmd.memory import questions
from rlmd.memory.records import Agent, Form, Origin, Question, QuestionState, Run
from rlmd.memory.store import Store, Transaction

from .scribe import Row

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])[a-z]*\s*")
_NUMBERED = re.compile(r"\s*#?(\d{1,15})\s*[:.)]\s*(.+)", re.DOTALL)
LONGEST = 10 * 366 * 86_400


@dataclass(frozen=True)
class Match:
    """What a message in a chat is, beside the questions that are open there."""

    question: Question | None = None
    answer: str = ""
    ambiguous: Sequence[Question] = ()
    """The questions that it may answer, where nobody can tell which."""


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


def ask(
    tx: Transaction,
    agent: Agent,
    run: Run,
    call: int,
    *,
    channel: str,
    text: str,
    form: Form,
    until: datetime | None,
) -> Question:
    """An open question of a call, told on its channel."""
    asked = tx.questions.ask(agent, run, call, channel=channel, text=text, form=form, expire_time=until)
    wanted = questions.wanted(form)
    tx.log(agent.name).add(
        channel=channel,
        sender=agent.name,
        text=f"{text} ({wanted})" if wanted else text,
        origin=Origin.AGENT,
        from_agent=True,
        run=run.id,
        # Clients of the channel are sent the question itself.
        post=False,
    )
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
    """The question as it stands now; one whose time is over is closed."""
    current = store.read(lambda tx: tx.questions.get(asked.id))
    over = current.expire_time is not None and current.expire_time <= now
    if current.state is not QuestionState.OPEN or not over:
        return current

    def close(tx: Transaction) -> Question:
        tx.questions.close(current, QuestionState.EXPIRED)
        return tx.questions.get(asked.id)

    return await store.write(close)


def outcome(asked: Question, default: Any) -> Any:
    """What the program gets.

    Raises:
        DeadlineExceeded: nobody answered in time, and there is no default.
        Cancelled: the question was withdrawn.
    """
    match asked.state:
        case QuestionState.ANSWERED:
            return asked.answer
        case QuestionState.EXPIRED if default is not None:
            return default
        case QuestionState.EXPIRED:
            raise DeadlineExceeded(
                f"nobody on {asked.channel} answered in time",
                field="ask",
                remedy="Catch TimeoutError, or give ask a default.",
            )
    raise Cancelled("the question was withdrawn", field="ask")


def withdraw(tx: Transaction, run: Run, call: int) -> tuple[bool, None]:
    """A call that waits is over without its answer. Tells whether it had a question that was still open."""
    tx.channel_calls.withdraw(run, call)
    tx.hive_calls.withdraw(run, call)
    asked = [tx.questions.of_call(run, each) for each in (call, approval(call))]
    closed = [tx.questions.close(each, QuestionState.CANCELLED) for each in asked if each is not None]
    return any(closed), None


def withdraw_all(tx: Transaction, run: Run) -> None:
    """A run is over: nothing that it has asked or called is open any more."""
    tx.channel_calls.withdraw(run)
    tx.hive_calls.withdraw(run)
    for asked in tx.questions.page(run=run.id, most=10_000):
        tx.questions.close(asked, QuestionState.CANCELLED)


def matched(tx: Transaction, agent: Agent, channel: str, text: str) -> Match:
    """Which open question a message answers: the only one of its channel that fits, or the one it names."""
    if not tx.questions.wait_on(agent, channel):
        return Match()
    asked = tx.questions.page(agent=agent.name, channel=channel, most=100)
    numbered = _NUMBERED.fullmatch(text)
    if numbered is not None:
        named = [each for each in asked if each.id == int(numbered[1]) and _fits(each, numbered[2])]
        if named:
            return Match(named[0], numbered[2])
    fitting = [each for each in asked if _fits(each, text)]
    if len(fitting) == 1:
        return Match(fitting[0], text)
    return Match(ambiguous=fitting)


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
