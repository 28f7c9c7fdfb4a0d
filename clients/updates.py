"""What a run tells while it works: one typed record a kind of update.

`sequence` is the place in the run's journal, from 1, without gaps; 0 for what is not kept:
`Writing` and `Halted`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rlmd.errors import PreconditionFailed

from .records import Call, RunState, Step, Stop


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
class Arrived(_Update):
    """What an earlier call came to is there and on disk, but its program has not got it yet."""

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
class Halted(_Update):
    """All runs of the user are stopped; this one goes on after `client.admin.resume_all()`. Not kept."""

    everyone: bool
    """Whether it is everybody's runs."""
    by: str
    """The user who said so."""
    reason: str


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
    | Arrived
    | Settled
    | Said
    | Asked
    | Waiting
    | Woken
    | Halted
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


def stopped(halted: Halted) -> PreconditionFailed:
    """The error of who waits for a run while all are stopped."""
    return PreconditionFailed(
        f"{stopped_text(halted)}. What you said is kept, in run {halted.run}.", remedy=resume_text(halted)
    )


def stopped_text(stop: Halted | Stop) -> str:
    """That nothing is set to work, in a few words."""
    why = f": {stop.reason}" if stop.reason else ""
    return f"All runs {'of everybody ' if stop.everyone else ''}are stopped, by {stop.by}{why}"


def resume_text(stop: Halted | Stop) -> str:
    """How they go on, in a sentence."""
    return f"They go on after `rlmd resume{' --everyone' if stop.everyone else ''}`."
