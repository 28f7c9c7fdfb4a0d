"""What the sandbox and the rest of the daemon say to each other.

A `Session` (session.py) runs the steps of one run. Everything its program does outside itself is a
`Call`, numbered in the run, and answered by a `Host`, which the loop implements: the host does the
work, writes the journal, and alone knows memory, channels and models. Nothing in this package does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .frozen import Frozen


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one step may use. All are always set; a step that meets one is over and its session is lost."""

    step_seconds: float = 60.0
    """Seconds of computing in one step; waiting for the host does not count."""
    memory_bytes: int = 256 * 1024 * 1024
    """Bytes of the sandbox's heap."""
    recursion: int = 500
    """Depth of calls inside the sandbox."""
    calls_per_step: int = 10_000
    """Calls to the host in one step; reaching it raises in the program, which may catch it."""
    sleep_seconds: float = 366 * 86_400.0
    """Seconds of `asyncio.sleep` and `time.sleep` in one step: a year, since a run that sleeps is parked."""
    park_seconds: float = 0.25
    """Seconds for which a program that waits keeps its worker, in case it need not wait long."""
    output_chars: int = 200_000
    """Characters of printed output that are kept in one step; of more, head and tail are."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One crossing of the sandbox's border."""

    number: int
    """Number of the call in its run, from 1, in the order in which the program made them."""
    name: str
    """Dotted name as the program knows it: `memory.set`, `llm`, `log.search`, `sys.now`."""
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    line: int
    """Line in the step's code, from 1; 0 where unknown."""
    waits: bool
    """Whether the call is awaited (`llm`, `rlm`) and may settle after calls that were made later."""


@dataclass(frozen=True)
class Returned:
    """The call gave `value`."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """The call raises in the program: the nearest built-in base of the class, with the whole message."""

    error: Exception


Outcome = Returned | Raised


class Host(Protocol):
    """Answers the calls of a program. All methods run on the daemon's event loop."""

    async def call(self, call: Call) -> Outcome:
        """Do what the call asks and give its outcome. Never raises for a fault that the program may see.

        For a plain call this is where effect and journal row commit. A call with `waits` is started in its
        own task: this method is then entered in the order of the calls and may finish in any order.
        """
        ...

    async def settle(self, call: Call, outcome: Outcome) -> None:
        """Tell the host that the outcome of a call with `waits` is about to be delivered.

        The order of these calls *is* the settling order, which the journal keeps and replay repeats.
        """
        ...

    async def abandon(self, call: Call) -> None:
        """Tell the host that a call with `waits` will never be delivered: its step ended without it."""
        ...

    def rests(self, calls: Collection[int]) -> bool:
        """Whether all these calls wait for something that may take long and outlives the process.

        If so, the session is thrown away (`Parked`), and the run goes on later by a replay. Calls that are
        abandoned after that are not over: they wait on.
        """
        ...


class Parked(Exception):
    """The program waits, and will for long: its session is gone, its journal is all that is needed."""

    def __init__(self, frozen: Frozen | None = None) -> None:
        super().__init__("the program waits")
        self.frozen = frozen
        """By which it goes on without being done again, if it could be frozen."""


class Ended(Exception):
    """Given to the session by a host (as `Raised`) to end the step at once: `done(...)` was called.

    The program cannot catch it: code after it does not run.
    """


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Why a step did not run to its end."""

    kind: str
    """`refused` (nothing ran), `raised` (an exception), `limit` (of the sandbox) or `crashed`."""
    type: str
    """Type of the exception, or the name of the limit (`step_seconds`, `memory_bytes`, ...).

    Of a refused step: `SyntaxError`, `Unsupported` (not in this Python) or `CheckFailed`.
    """
    message: str
    line: int = 0
    """Line in the step's code, from 1; 0 where unknown."""
    hints: Sequence[str] = ()
    """Ways around, one sentence each."""


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What became of one step."""

    output: str
    """What it printed, head and tail if it was too much."""
    cut_chars: int = 0
    """How many characters of output are missing in the middle."""
    value: Any = None
    """Value of a last bare expression, if there is one."""
    value_repr: str | None = None
    """Its `repr` as the sandbox shows it; None if the step does not end in an expression, or it is None."""
    fault: Fault | None = None
    ended: bool = False
    """Whether `Ended` stopped it."""
    session_lost: bool = False
    """Whether the names of this run are gone: the next step starts in an empty session."""
    unawaited: Sequence[str] = field(default=())
    """Names of calls that were started and never awaited."""


@dataclass(frozen=True, kw_only=True)
class World:
    """What a program finds when it starts, apart from modules."""

    event: Mapping[str, Any]
    """Fields of `event`, which the program sees as a namedtuple."""
    now: datetime
    """The time at the start, aware, in the owner's zone."""
    seed: int
    """Seeds `random` in the sandbox, step by step."""
    depth: int
    """How many levels of `rlm` are left; at 0 the function is not offered."""
