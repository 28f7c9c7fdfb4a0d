"""What the client gives out: frozen records, the same for the sync and the async face.

Times are aware datetimes in UTC. Names are short (`people/bob`, `main`), not resource names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self


class Kind(StrEnum):
    """Kinds of value. A `str` is text, `bytes` are bytes, everything else is JSON data."""

    JSON = "json"
    TEXT = "text"
    BYTES = "bytes"
    DELETED = "deleted"


class Origin(StrEnum):
    """Where content came from first."""

    EXTERNAL = "external"
    AGENT = "agent"
    OWNER = "owner"


class RunState(StrEnum):
    """States of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self in (RunState.DONE, RunState.FAILED, RunState.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who wrote a version: a user by hand, or a call of a run of theirs."""

    user: str
    agent: str = ""
    run: str = ""
    """Empty if no run wrote it."""
    step: int = 0
    call: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Version(int):
    """A version of a variable: an `int`, its number, that knows when, by whom and why it was written."""

    number: int
    kind: Kind
    size: int
    """Bytes."""
    time: datetime
    """When it was written."""
    source_time: datetime | None
    """When what it tells happened, if the writer said so."""
    author: Author
    origin: Origin
    note: str

    def __new__(cls, *, number: int, **_: object) -> Self:
        return super().__new__(cls, number)

    def __str__(self) -> str:
        return str(self.number)

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, int]]:
        return (), {"number": self.number}


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable at one of its versions."""

    name: str
    version: Version
    characters: int
    """Length of a text, else 0."""
    value: Any = None
    """None in lists and for deleted variables."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A passage that a search found."""

    name: str
    version: int
    text: str
    start: int
    """Character of the variable's text at which the passage starts, from 0."""
    score: float
    """From 0 to 1, comparable within one search."""
    time: datetime
    """When what it tells happened if that is known, else when it was written."""
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class Match:
    """A line that a pattern matched."""

    name: str
    line: int
    """From 1."""
    start: int
    """Character of the text at which the match starts, from 0."""
    text: str
    version: int


@dataclass(frozen=True, kw_only=True)
class Message:
    """Something said, by whom, on which channel."""

    id: int
    agent: str
    channel: str
    sender: str
    text: str
    time: datetime
    origin: Origin
    from_agent: bool
    run: str
    """The run that it woke or that said it; empty if none."""
    score: float | None = None
    """How well it fits, 0 to 1; only in the results of a search."""


class QuestionState(StrEnum):
    """States of a question."""

    OPEN = "open"
    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class Question:
    """Something that a run has asked, and for whose answer it waits."""

    id: str
    agent: str
    run: str
    """The run that asks."""
    channel: str
    text: str
    wanted: str
    """What an answer must be, in words such as `yes or no`; empty if any text will do."""
    choices: tuple[str, ...]
    state: QuestionState
    answer: Any
    answered_by: str
    answered_on: str
    """The channel on which it was answered; empty if by the library or the command line."""
    ask_time: datetime
    expire_time: datetime | None
    """Until when it is open; None if for ever."""
    end_time: datetime | None


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What doing a run again from its journal found."""

    equal: bool
    difference: str
    """The first one, with both sides; empty if there is none."""
    steps: int
    """Steps that were done again."""
    calls: int
    """Calls that were answered from the journal."""
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a run, with those below it, has done to one variable."""

    space: str
    name: str
    before: int
    """The version that the run found; 0 if there was none."""
    after: int
    """The last version that the run wrote."""
    created: bool
    """There was no value before."""
    moved_on: bool
    """Somebody else has written it since."""
    undone: bool
    """It has again the value from before."""


@dataclass(frozen=True, kw_only=True)
class Permit:
    """Something that an agent's runs may do without an approval."""

    what: str
    """`{channel}.{function}`, `{channel}.tell` or `{channel}.ask`."""
    create_time: datetime


@dataclass(frozen=True, kw_only=True)
class Undone:
    """What taking back the changes of a run did."""

    undone: int
    """Variables that have their value from before."""
    kept: int
    """Variables that were left alone, because somebody else has written them since."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one run may use. None means the daemon's default."""

    steps: int | None = None
    depth: int | None = None
    """Levels of `rlm` below a run."""
    seconds: int | None = None
    model_calls: int | None = None
    tokens: int | None = None
    money: float | None = None
    """Dollars. It and `tokens` are for the run and all below it; None means that only budgets bound them."""


@dataclass(frozen=True, kw_only=True)
class AgentInfo:
    """What an agent is."""

    name: str
    instructions: str
    model: str
    """Empty means the daemon's."""
    sub_model: str
    quiet: str
    """Hours in which what its schedules have to say is held back; empty for none."""
    space: str
    limits: Limits
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens and model calls, summed."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    model_calls: int = 0
    estimated: bool = False
    """Whether some of it is an estimate, because the provider gave no count."""
    cost: float = 0.0
    """Dollars, of the calls whose price is known."""
    unpriced_calls: int = 0
    """Calls whose price nobody knows."""
    group: str = ""
    """What it is the sum of, in the results of `usage`."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One crossing of the sandbox's border."""

    number: int
    function: str
    arguments: str
    """JSON text: {"args": [...], "kwargs": {...}}; cut to 10,000 characters."""
    result: str
    """JSON text, cut to 10,000 characters; empty if there is none."""
    error: str
    settled: bool


@dataclass(frozen=True, kw_only=True)
class Step:
    """One turn of a run: the model wrote, the REPL ran, the observation went back."""

    number: int
    reply: str
    code: str
    observation: str
    calls: Sequence[Call]
    model: str
    usage: Usage
    note: str
    start_time: datetime | None
    end_time: datetime | None


class Delivery(StrEnum):
    """Where what a run of a schedule has to say has got to."""

    PENDING = "pending"
    HELD = "held"
    DELIVERED = "delivered"
    NOTHING = "nothing"


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What an agent did, or does, about one event."""

    id: str
    agent: str
    state: RunState
    reason: str
    """Why it failed or was cancelled; empty otherwise."""
    event_kind: str
    event_text: str
    channel: str
    parent: str
    """The run that called `rlm`, if this is a child."""
    depth: int
    step_count: int
    call_count: int
    result: Any
    """What `done(value)` gave."""
    usage: Usage
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None
    steps: Sequence[Step] = field(default=(), repr=False)
    delivery: Delivery | None = None
    """Where what it has to say has got to, if a schedule began it; only in lists."""
    deliver_time: datetime | None = None
    """When that was told, or will be."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much may be used in a time, and how much is."""

    agent: str
    """Empty: all of the user's agents together."""
    schedule: str
    """The number of the agent's schedule, if it bounds only the runs of one."""
    period: str
    """`day`, `month` or `total`."""
    measure: str
    """`money` (in dollars), `tokens`, `model_calls`, `steps` or `seconds` (at work)."""
    limit: float
    spent: float
    """With what is reserved for model calls under way."""
    by_default: bool
    """Whether it comes from the daemon's settings."""
    end_time: datetime | None
    """When the time is over; None: never."""


@dataclass(frozen=True, kw_only=True)
class Purge:
    """That something was erased: how much, and nothing of what."""

    id: int
    space: str
    variables: int
    versions: int
    runs: int
    """Whose journals lost what they said."""
    messages: int
    note: str
    time: datetime


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long variables are kept whose names begin so."""

    prefix: str
    """Of a pinned one it is the whole name."""
    seconds: int | None
    """Since the last write; then they are hidden."""
    versions: int | None
    """The last ones; older ones are erased."""
    pinned: bool


@dataclass(frozen=True, kw_only=True)
class Erased:
    """What a purge has done."""

    purge: Purge | None
    """None if it only finished another one."""
    copies: Sequence[str]
    """Copies of the database from before upgrades, in which it may still stand."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a model costs, in dollars for a million tokens."""

    model: str
    """Its name; `*` in it stands for any text."""
    input: float
    cached: float
    output: float
    own: bool
    """Whether you have set it; else it came with rlmd."""


@dataclass(frozen=True, kw_only=True)
class Token:
    """A right to call, without its secret."""

    name: str
    """`users/{user}/tokens/{token}`."""
    label: str
    create_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None


@dataclass(frozen=True, kw_only=True)
class User:
    """An account."""

    name: str
    administrator: bool
    create_time: datetime


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Runs stand still until `resume_all`."""

    everyone: bool
    """Whether it is everybody's runs; otherwise yours."""
    by: str
    """The user who said so."""
    reason: str
    time: datetime


@dataclass(frozen=True, kw_only=True)
class Status:
    """What the daemon is at this moment."""

    version: str
    pid: int
    data: str
    addresses: Sequence[str]
    model: str
    """One line for people."""
    model_name: str
    embedder: str
    index: str
    """`ready`, `rebuilding`, `failing` (it tries again by itself) or `stopped`."""
    index_pending: int
    index_detail: str
    start_time: datetime
    agents: int
    variables: int
    messages: int
    active_runs: int
    stop: Stop | None
    """Set if your runs are stopped."""


@dataclass(frozen=True, kw_only=True)
class FunctionInfo:
    """A function that a channel offers to programs."""

    name: str
    doc: str
    parameters: Any
    """JSON Schema of the arguments, an object; None if there are none."""
    result: Any
    """JSON Schema of the result; None if it can be anything."""
    side_effects: bool
    """Whether it changes something in the world."""
    trusted: bool
    """Whether what it gives is as good as the owner's word, and not text from outside."""
    time_limit: timedelta | None
    """How long a call may take, waiting for the channel included; None means the daemon's default."""
    waits: bool
    """Whether a call waits for the channel while nobody is connected; else it fails at once."""


@dataclass(frozen=True, kw_only=True)
class ChannelInfo:
    """A channel that has connected at least once."""

    name: str
    functions: tuple[FunctionInfo, ...]
    """What it offers, or offered when it was last there."""
    connections: int
    """How many clients are connected as it now."""
    external: bool
    """Whether what it says is text from outside."""
    seen_time: datetime | None
    """When one was last there; now, if one is."""
    pending: int
    """How many messages, questions and calls nobody has acknowledged."""

    @property
    def online(self) -> bool:
        """Whether anybody is connected as it."""
        return self.connections > 0


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """A call of a function that a channel offers, as the function sees it."""

    key: str
    """The same whenever this call is sent again, to whatever client: do nothing twice under one key."""
    function: str
    agent: str
    """Whose program calls."""
    run: str
    deadline: datetime | None
    """When the program stops waiting."""


class ScheduleState(StrEnum):
    """States of a schedule."""

    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"
    BROKEN = "broken"
    DELETED = "deleted"


class Fate(StrEnum):
    """What became of an instant at which a schedule was due."""

    PENDING = "pending"
    RAN = "ran"
    LATE = "late"
    CAUGHT_UP = "caught_up"
    SKIPPED = "skipped"
    MISSED = "missed"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What wakes an agent at a time, or again and again."""

    id: str
    agent: str
    name: str
    """A name for people; empty if it has none."""
    kind: str
    """`at`, `every` or `cron`."""
    spec: str
    """An ISO time, an interval such as `20m`, or a crontab line."""
    timezone: str
    text: str
    """What the event says."""
    channel: str
    """Where the outcome is told."""
    condition: str
    """Code that tells at each due instant whether it holds; empty for always."""
    start_time: datetime | None
    end_time: datetime | None
    jitter: timedelta
    missed: str
    """What becomes of due instants that were missed: `skip`, `once` or `all`."""
    most: int
    """How many are caught up on at most, for `all`."""
    grace: timedelta
    state: ScheduleState
    reason: str
    """Why it was set aside; empty if it was not."""
    due_time: datetime | None
    """When it is due next; None if it is not."""
    next_time: datetime | None
    """When that fires: later by the jitter."""
    run: str | None
    """The run that made it; None if a user did."""
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """An instant at which a schedule was due, and what became of it."""

    id: str
    agent: str
    schedule: str
    due_time: datetime
    fate: Fate
    reason: str
    run: str | None
    """The run that was made for it; None if none was."""
    create_time: datetime
    end_time: datetime | None
    """When its fate was known; None while its run is under way."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """How a phrase was understood, and when that is due next."""

    kind: str
    spec: str
    timezone: str
    times: tuple[datetime, ...]
