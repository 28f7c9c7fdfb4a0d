"""What a run tells while it works: one typed record a kind of update.

`sequence` is the place in the run's journal, from 1, without gaps; 0 for `Writing`, which is not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .records import Call, RunState, Step


@dataclass(frozen=True, kw_only=True)
class _Update:
    run: str
    sequence: int
    time: datetime


@dataclass(frozen=True, kw_only=True)
class Started(_Update):
    """The run has started."""

    model: str


@dataclass(frozen=True, kw_only=True)
class Restarted(_Update):
    """The daemon had stopped under the run; it goes on where it was."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Writing(_Update):
    """The model is writing: the next piece of its reply, which will be this step."""

    step: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Stepped(_Update):
    """The model has written a step, whose code runs now. Without observation and calls."""

    step: Step


@dataclass(frozen=True, kw_only=True)
class Called(_Update):
    """A call was made; it may have settled in one."""

    call: Call


@dataclass(frozen=True, kw_only=True)
class Settled(_Update):
    """A call that was made earlier has settled."""

    call: Call


@dataclass(frozen=True, kw_only=True)
class Said(_Update):
    """The agent says something to the person."""

    message: int
    """Number of the message in the log."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Asked(_Update):
    """The run asks somebody, and waits for the answer."""

    question: str
    """Number of the question."""
    channel: str
    text: str
    wanted: str
    """What an answer must be, in words such as `yes or no`; empty if any text will do."""
    choices: tuple[str, ...]
    call: Call


@dataclass(frozen=True, kw_only=True)
class Waiting(_Update):
    """The run waits for something that takes long, and is parked: until it is woken it uses nothing."""

    until: datetime | None
    """When it goes on in any case; None if only an answer wakes it."""
    reason: str = ""
    """Which budget is used up; empty if it waits for something else."""
    passing: bool = False
    """Whether it waits for other agents alone."""


@dataclass(frozen=True, kw_only=True)
class Woken(_Update):
    """The run goes on."""


@dataclass(frozen=True, kw_only=True)
class Observed(_Update):
    """A step is over: what the model is shown of its outcome."""

    step: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Ended(_Update):
    """The run has ended; the last update."""

    state: RunState
    reason: str
    result: Any


Update = (
    Started
    | Restarted
    | Writing
    | Stepped
    | Called
    | Settled
    | Said
    | Asked
    | Waiting
    | Woken
    | Observed
    | Ended
)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What an agent answered. As text (`str(reply)`) it is what it said and asked, in one piece."""

    text: str
    run: str
    state: RunState
    """`waiting` if it has asked something, or waits otherwise, and will go on."""
    asked: tuple[Asked, ...] = ()
    """What it asks, on whatever channel; say something on that channel to answer."""
    result: Any = None
    """What `done(value)` gave."""

    def __str__(self) -> str:
        return self.text


def question_text(asked: Asked) -> str:
    """A question as a person reads it, with what an answer must be."""
    return f"{asked.text} ({asked.wanted})" if asked.wanted else asked.text
