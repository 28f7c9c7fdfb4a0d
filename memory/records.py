"""The records that memory gives out: frozen, complete, and free of any database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Kind(StrEnum):
    """Kinds of value. A `str` is text, `bytes` are bytes, everything else is JSON data."""

    JSON = "json"
    TEXT = "text"
    BYTES = "bytes"
    DELETED = "deleted"


class Origin(IntEnum):
    """Where content came from first. Ordered: what is derived from several has the lowest of them."""

    EXTERNAL = 1
    AGENT = 2
    OWNER = 3


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in (RunState.DONE, RunState.FAILED, RunState.CANCELLED)


class EntryKind(StrEnum):
    """Kinds of row in a run's journal."""

    STARTED = "started"
    STEP = "step"
    CALL = "call"
    ARRIVED = "arrived"
    """What a call came to is there, and paid; its program has not got it yet."""
    SETTLED = "settled"
    """A program got what its call came to. The order of these rows is that in which it got them."""
    OBSERVATION = "observation"
    RESTARTED = "restarted"
    WAITING = "waiting"
    """The run was parked: from here on it is only rows."""
    WOKEN = "woken"
    ENDED = "ended"


class QuestionState(StrEnum):
    OPEN = "open"
    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class CallState(StrEnum):
    """States of a call of a channel's function."""

    OPEN = "open"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def has_outcome(self) -> bool:
        """Whether a client has said what it came to."""
        return self in (CallState.DONE, CallState.FAILED)


class ParcelKind(StrEnum):
    """What an outbox holds."""

    MESSAGE = "message"
    QUESTION = "question"
    CLOSED = "closed"
    """That a question is no longer open."""


class ScheduleState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"
    """Nothing is due any more."""
    BROKEN = "broken"
    """It failed by itself and was set aside; the reason says how."""
    DELETED = "deleted"

    @property
    def over(self) -> bool:
        return self in (ScheduleState.ENDED, ScheduleState.DELETED)


class Missed(StrEnum):
    """What becomes of due instants that went by unseen, for longer than the grace."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class Fate(StrEnum):
    """What became of a due instant."""

    PENDING = "pending"
    """Its run is under way."""
    RAN = "ran"
    LATE = "late"
    CAUGHT_UP = "caught_up"
    SKIPPED = "skipped"
    MISSED = "missed"
    FAILED = "failed"


class DeliveryState(StrEnum):
    PENDING = "pending"
    """Its run is under way."""
    HELD = "held"
    """It waits until the agent may disturb."""
    DELIVERED = "delivered"
    NOTHING = "nothing"
    """The run had nothing to say."""


@dataclass(frozen=True, kw_only=True)
class User:
    id: int
    name: str
    administrator: bool
    create_time: datetime


@dataclass(frozen=True, kw_only=True)
class Token:
    """A right to call. The secret is not in it: only its hash is kept."""

    id: int
    user: str
    label: str
    create_time: datetime
    expire_time: datetime | None = None
    revoke_time: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class RunLimits:
    """What a run may use; None means the daemon's default. `depth` counts levels of `rlm` below the run."""

    steps: int | None = None
    depth: int | None = None
    seconds: int | None = None
    model_calls: int | None = None
    tokens: int | None = None
    """Of all model calls together; None means that only budgets bound them, and so for `money`."""
    money: int | None = None
    """Micro-dollars."""


@dataclass(frozen=True, kw_only=True)
class Agent:
    id: int
    name: str
    instructions: str
    model: str
    sub_model: str
    space: str
    """Name of its home space."""
    limits: RunLimits
    quiet: str = ""
    """When what its schedules have to say is held back (see quiet.py); empty for never."""
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who wrote a version: a user by hand, or a call of a run of theirs."""

    user: str
    agent: str = ""
    run: int | None = None
    step: int = 0
    call: int = 0


@dataclass(frozen=True, kw_only=True)
class Version:
    """One entry of a variable's history."""

    number: int
    kind: Kind
    size: int
    """Bytes."""
    characters: int
    """Characters of a text, else 0."""
    write_time: datetime
    source_time: datetime | None
    """When what it tells happened, if the writer said so."""
    author: Author
    origin: Origin
    note: str


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable at one of its versions. `value` is None where it was not asked for, or is deleted."""

    space: str
    name: str
    version: Version
    value: Any = None


@dataclass(frozen=True, kw_only=True)
class GrepMatch:
    name: str
    line: int
    """From 1."""
    start: int
    """Character of the text at which the match starts, from 0."""
    text: str
    version: int


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A hit of a search: where it stands, what it says, how well it fits (0 to 1, within one search)."""

    key: str
    """Name of the variable, or id of the message."""
    version: int
    start: int
    """Character of the value's text at which the passage starts, from 0."""
    text: str
    time: datetime
    """Source time if known, else write time."""
    origin: Origin
    score: float


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
    run: int | None = None


@dataclass(frozen=True, kw_only=True)
class Event:
    """What wakes an agent."""

    id: int
    kind: str
    """`message`, `schedule`, `call` or `told` by another agent, or `rlm` for a child run."""
    channel: str
    sender: str
    text: str
    time: datetime
    message: int | None = None
    attachments: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class Form:
    """What an answer must be: one of `choices`, a value for each of `fields`, or one of type `type`."""

    type: str = "text"
    """`text`, `yesno`, `number` or `date`."""
    choices: Sequence[str] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    """Types by their names."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Something that a run has asked somebody."""

    id: int
    agent: str
    run: int
    root: int
    """The run at the top of its tree, which goes on when it is answered."""
    call: int
    channel: str
    """Where it was asked first."""
    text: str
    form: Form
    state: QuestionState
    answer: Any
    """JSON data that fits the form; None while there is none."""
    answered_by: str
    answered_on: str
    """The channel on which it was answered; empty for the command line and the API."""
    ask_time: datetime
    expire_time: datetime | None
    end_time: datetime | None
    also: Sequence[str] = ()
    """Where else it was asked."""
    next_time: datetime | None = None
    """When it is to be asked somewhere else, if it is still open."""

    @property
    def until(self) -> datetime | None:
        """When there is something to do about it, if nobody answers; None if there will not be."""
        return min((time for time in (self.next_time, self.expire_time) if time is not None), default=None)


@dataclass(frozen=True, kw_only=True)
class Function:
    """Something that a channel offers to programs."""

    name: str
    doc: str
    parameters: str
    """JSON Schema of the arguments, an object; empty if there are none."""
    result: str
    """JSON Schema of the result; empty if it may be anything."""
    side_effects: bool
    seconds: float
    """How long a call may take, waiting for the channel included."""
    waits: bool
    """Whether a call waits for the channel while nobody is connected; else it fails at once."""
    trusted: bool = False
    """Whether its results are the owner's own data, with no text from outside in them."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A party that has connected at least once."""

    id: int
    name: str
    functions: Sequence[Function]
    external: bool
    """Whether what it says, and what its functions give, comes from outside."""
    sent: int
    """The last sequence number in its outbox."""
    acknowledged: int
    """The last that a client has acknowledged."""
    seen_time: datetime


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """Something in the outbox of a channel, by reference."""

    sequence: int
    kind: ParcelKind
    agent: str
    item: int
    """Id of the message or question."""


@dataclass(frozen=True, kw_only=True)
class ChannelCall:
    """A program's call of a channel's function."""

    id: int
    channel: str
    agent: str
    run: int
    root: int
    call: int
    function: str
    arguments: str
    """A JSON object."""
    result_schema: str
    state: CallState
    result: str | None
    """The value as JSON text; None while there is none."""
    error: str
    """Why there is no value."""
    trusted: bool
    """Whether what it gives is the owner's own."""
    expire_time: datetime


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A trigger that makes events, by a rule (see instants.py)."""

    id: int
    agent: str
    name: str
    """A label; empty for none."""
    kind: str
    """`at`, `every` or `cron`."""
    spec: str
    timezone: str
    anchor: datetime
    """From where intervals count."""
    start_time: datetime | None
    end_time: datetime | None
    jitter: timedelta
    """An occurrence fires up to so much later than it is due."""
    text: str
    """What the event says."""
    channel: str
    """Where the outcome is told."""
    condition: str
    """Code that tells at each due instant whether to act; empty for always."""
    truth: bool
    """What the condition was when it was last looked at: it acts when it becomes true."""
    missed: Missed
    most: int
    """How many are caught up on, for `Missed.ALL`."""
    grace: timedelta
    """What fires later than this is missed."""
    state: ScheduleState
    reason: str
    due_time: datetime | None
    next_time: datetime | None
    """When it fires next; None if it does not."""
    author: Author
    origin: Origin
    create_time: datetime
    update_time: datetime

    @property
    def label(self) -> str:
        """By which people and programs call it."""
        return self.name or str(self.id)


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """A due instant of a schedule, and what became of it."""

    id: int
    schedule: int
    agent: str
    due_time: datetime
    run: int | None
    """The run that was made for it."""
    fate: Fate
    reason: str
    create_time: datetime
    end_time: datetime | None


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Where what a run of a schedule has to say has got to."""

    state: DeliveryState
    time: datetime | None
    """When it was told, or will be."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens, model calls and money, summed."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    model_calls: int = 0
    estimated: bool = False
    cost: int = 0
    """Micro-dollars, of the calls whose price is known."""
    unpriced: int = 0
    """Calls whose price nobody knows."""


@dataclass(frozen=True, kw_only=True)
class Run:
    id: int
    agent: str
    state: RunState
    reason: str
    event: Event
    parent: int | None
    root: int
    """The run at the top of its tree; itself if it has no parent."""
    depth: int
    limits: RunLimits
    """As in force for this run: nothing is None once it is made."""
    seed: int
    attempts: int
    origin: Origin
    """The lowest origin of what it was given; at its end, also of what it has read."""
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None
    result: Any = None
    steps: int = 0
    calls: int = 0
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of a run's journal. Rows are only ever added."""

    run: int
    seq: int
    """Place in the journal, from 1, without gaps."""
    kind: EntryKind
    step: int
    """The step it belongs to, from 1; 0 before the first."""
    call: int
    """The call it belongs to, from 1; 0 if none."""
    name: str
    """Name of the call, or empty."""
    data: Mapping[str, Any]
    time: datetime


@dataclass(frozen=True, kw_only=True)
class ModelCall:
    """What one call of a model cost, for the ledger."""

    run: int
    step: int
    call: int
    """0 for the call that wrote the step, else the `llm` call that made it."""
    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    estimated: bool
    tries: int
    note: str
    seconds: float


@dataclass(frozen=True)
class Page(Generic[T]):
    """A page of a list; `next` is the token of the next one, None on the last."""

    items: Sequence[T]
    next: str | None = None
