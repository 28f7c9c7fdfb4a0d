"""Answers the calls of one run's programs, and journals every one of them.

A memory effect and its row commit in one transaction; a read's row waits for the next commit. What
a call raises is the program's to catch; only a failing store ends the step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from rlmd.daemon.repl import hive
from rlmd.daemon.repl.api import Call, Ended, Outcome, Raised, Returned
from rlmd.daemon.repl.channels import NOBODY, Listing
from rlmd.daemon.schedules import background
from rlmd.errors import InternalError, InvalidInput, ModelError, NotFound, RlmdError, Unavailable
from rlmd.memory.hive_records import Verb
from rlmd.memory.log import MAX_TEXT
from rlmd.memory.records import Agent, Author, Entry, EntryKind, Origin, Run
from rlmd.memory.settling import woken_by_agent
from rlmd.memory.store import Store, Transaction
from rlmd.memory.variables import Writing

from . import asking, calling, calls, hiving, planning, sharing
from .calls import Answer, Place
from .equipment import Equipment, Tree
from .members import Members, done
from .others import Others
from .planning import PLANS
from .resting import Rest
from .scribe import Row, Scribe
from .searches import Searches
from .shown import digest, error_of, preview
from .snapshots import Standing

REPLY_SENT = "reply sent"
LARGE = 256 * 1024
"""Bytes of a value from which it is read off the event loop."""
WITH_ROWS = frozenset({*hiving.WAITING, "ask", "channels.call"})
"""Calls that wait for a row of their own."""
ABANDONED = {"type": "Cancelled", "message": "the step ended first"}
"""What the journal has as the error of a call that nobody awaited to its end."""


class ChildFailed(RuntimeError):
    """A child run ended without a value; its parent's program may catch this."""


class Mind(Protocol):
    """What a run can ask of models; `run.Runner` is one."""

    async def ask_model(self, call: Call, text: str, model: str | None) -> str: ...

    async def spawn(
        self, call: Call, task: str, context: tuple[Any, ...], max_steps: int | None, model: str | None
    ) -> tuple[Any, int]:
        """Run a child; gives its value and its number.

        Raises:
            ChildFailed: it ended without a value.
        """
        ...


CAUGHT = (
    RlmdError,
    ChildFailed,
    calling.ChannelFailed,
    hiving.MemberFailed,
    ValueError,
    TypeError,
    LookupError,
)
"""What a call raises for the program."""


@dataclass(frozen=True)
class Effect:
    """Something that a call changed, in a few words for the observation."""

    call: int
    text: str


class RunHost:
    """The `Host` of one run."""

    def __init__(
        self,
        equipment: Equipment,
        store: Store,
        agent: Agent,
        run: Run,
        tree: Tree,
        scribe: Scribe,
        mind: Mind,
    ) -> None:
        self._equipment = equipment
        self._store = store
        self._agent = agent
        self._run = run
        self._scribe = scribe
        self._mind = mind
        self._others = Others(equipment, store, agent, run, tree, scribe, self)
        self._members = Members(equipment, store, agent, run, tree, scribe, self)
        self.place = Place(user=store.user.name, whose=agent, zone=equipment.zone, run=run.id)
        self._searches = Searches(equipment, store, agent, run, self.place)
        self.origin = run.origin
        """The lowest origin of what the run was given and has read."""
        self._children: dict[int, int] = {}
        self._standing: set[int] = set()
        """Calls whose row is in the journal without what they come to."""
        self._tree = tree
        self._settled: set[int] = set()
        """Calls whose outcome was about to be delivered."""
        self._resting: dict[int, Rest] = {}
        self._parked = False
        self.mark = 0
        """How often the run had been woken when it was last found to rest."""
        self.wake_time: datetime | None = None
        """When the first of the calls that it then rested on is over by itself; None if none will be."""
        self.wait_reason = ""
        """Which used up budget one of them waits for."""
        self.passing = False
        """Whether it then waited for other agents alone."""
        self.step = 0
        self.count = run.calls
        """Calls so far."""
        self.effects: list[Effect] = []
        """Of the current step."""
        self.replied = False
        """Whether the current step has called `reply`."""
        self.ended = False
        self.result: Any = None
        """What `done` gave; in a child, what `reply` gave if `done` gave nothing."""

    def begin(self, step: int) -> None:
        """A new step."""
        self.step, self.effects, self.replied = step, [], False

    def standing(self) -> Standing:
        """What a run that waits in the middle of a step must not forget, beside its journal."""
        return Standing(
            step=self.step,
            count=self.count,
            origin=self.origin,
            effects=[(effect.call, effect.text) for effect in self.effects],
            replied=self.replied,
            result=self.result,
            standing=sorted(self._standing),
        )

    def recall(self, rows: Iterable[Entry]) -> None:
        """A step that is over is not done again: what it had changed, from the rows of the run's calls."""
        mine = [row for row in rows if row.step == self.step and row.name not in calls.READS]
        self.effects = [Effect(row.call, row.name) for row in mine if "result" in row.data]

    def stand(self, standing: Standing) -> None:
        """Be in the middle of that step again."""
        self.begin(standing.step)
        self.lower(standing.origin)
        self.count = standing.count
        self.effects = [Effect(call, text) for call, text in standing.effects]
        self.replied, self.result = standing.replied, standing.result
        self._standing = set(standing.standing)

    def lower(self, origin: Origin) -> None:
        """The run has read something of this origin. It never rises again."""
        self.origin = min(self.origin, origin)

    def listing(self, blocks: Sequence[str]) -> Listing:
        """Who is there for a step that imports the channels; nobody for another."""
        code = "\n".join(blocks)

        def read(tx: Transaction) -> Listing:
            there = calling.listing(tx, self._agent, code) if calling.imports(code) else NOBODY
            return {**there, **(hiving.listing(tx, self._agent) if hiving.imports(code) else NOBODY)}

        return self._store.read(read) if calling.imports(code) or hiving.imports(code) else NOBODY

    # -- the sandbox's side -----------------------------------------------------------------------

    async def call(self, call: Call) -> Outcome:
        self.count = max(self.count, call.number)
        try:
            if call.name in WITH_ROWS:
                # Its row commits with its question, or what it calls.
                return Returned(await self._awaited(call, None))
            if call.waits:
                # Its row stands where the program made it, whenever it settles.
                self._note(EntryKind.CALL, call, {**self.arguments(call), **self._until(call)})
                return Returned(await self._awaited(call, None))
            return Returned(await self._plain(call))
        except Ended as error:
            return Raised(error)
        except (Unavailable, InternalError):
            raise
        except CAUGHT as error:
            self._fail(call, error)
            return Raised(error)

    def _fail(self, call: Call, error: Exception) -> None:
        """Record why a call that does not wait came to nothing; of one that does, `settle` will."""
        if not call.waits:
            row = self.outcome(call, {"error": error_of(error)})
            self._scribe.note(row.kind, row.data, step=row.step, call=row.call, name=row.name)

    async def settle(self, call: Call, outcome: Outcome) -> None:
        self._settled.add(call.number)
        if isinstance(outcome, Raised):
            # An error, too, may tell what comes from elsewhere.
            self._note(EntryKind.SETTLED, call, {"error": error_of(outcome.error), **_low(self.origin)})
        elif call.name == "rlm":
            child = self._store.read(lambda tx: tx.runs.get(self._children[call.number]))
            self.lower(child.origin)
            data = {"result": outcome.value, "run": child.id, **_low(child.origin)}
            self._note(EntryKind.SETTLED, call, data)
        elif call.name == "channels.call":
            self._called(call)
            self._note(EntryKind.SETTLED, call, {"result": outcome.value, **_low(self.origin)})
        else:
            self._note(EntryKind.SETTLED, call, {"result": calls.kept(outcome.value), **_low(self.origin)})
        # What a model was paid for is on disk before the program sees it.
        await self._scribe.commit()

    async def abandon(self, call: Call) -> None:
        if self._goes_on or call.number in self._settled:
            return
        self._note(EntryKind.SETTLED, call, {"error": ABANDONED})
        if call.name in WITH_ROWS:
            await self._scribe.commit(lambda tx: asking.withdraw(tx, self._run, call.number))

    def rests(self, calls: Collection[int]) -> bool:
        now = self._equipment.clock.now()
        rests = [self._resting[call] for call in calls if call in self._resting]
        if not rests or len(rests) < len(calls) or not all(rest.is_long(self._tree, now) for rest in rests):
            return False
        self._parked = True
        self.mark = self._tree.wakes(self._run.id)
        self.wake_time = min((rest.until for rest in rests if rest.until is not None), default=None)
        self.wait_reason = next((rest.reason for rest in rests if rest.reason), "")
        self.passing = set(calls) <= self._members.waiting
        return True

    @property
    def _goes_on(self) -> bool:
        """Whether the run is only interrupted, so that its open calls will be taken up again."""
        return self._parked or self._tree.suspended

    @contextmanager
    def resting(
        self, call: Call, until: datetime | None, reason: str = "", *, run: int | None = None, mark: int = 0
    ) -> Iterator[None]:
        """The call waits for something that outlives the process; it ends at `until` in any case.

        Args:
            reason: Which budget is used up, if that is what it waits for.
            run: By whose wakes it may end before.
            mark: How many of those there had been when it was looked whether to wait.
        """
        self._resting[call.number] = Rest(until, reason, run, mark)
        try:
            yield
        finally:
            del self._resting[call.number]

    # -- going on with a run that was cut off -----------------------------------------------------

    async def resume(self, call: Call, entry: Entry) -> Outcome:
        """Take up a call whose row is in the journal without its outcome: it was under way."""
        self.stands(call)
        try:
            return Returned(await self._awaited(call, entry))
        except (Unavailable, InternalError):
            raise
        except CAUGHT as error:
            self._fail(call, error)
            return Raised(error)

    def remember(self, call: Call, data: Mapping[str, Any]) -> None:
        """A call that was answered from the journal has done this to the run; `data` has its outcome."""
        self.count = max(self.count, call.number)
        self.lower(Origin(data.get("origin", Origin.OWNER)))
        if "error" in data:
            return
        if call.name in calls.WRITES:
            self.effects.append(_written(call, data["result"]))
        elif call.name == "channels.tell":
            self._told(call)
        elif call.name == "channels.call":
            self._called(call)
        elif call.name in hiving.PLAIN:
            self.effects.append(Effect(call.number, done(call)))
        elif call.name in PLANS:
            self.effects.append(Effect(call.number, planning.told(call.name, data["result"])))
        elif call.name == "reply" and self._run.parent is None:
            self._replied(call)
        elif call.name in ("reply", "done"):
            self._end_with(call.name, *call.args)

    # -- what calls do ----------------------------------------------------------------------------

    async def _plain(self, call: Call) -> Any:
        name = call.name
        if name in calls.READS:
            return await self._read(call, lambda: self._reading(call))
        if name in calls.WRITES:
            return await self._write(call, None)
        if name in PLANS:
            return await self._plan(call, None)
        match name:
            case "memory.search":
                return await self._read(call, lambda: self._searches.memory(*call.args, **call.kwargs))
            case "log.search":
                return await self._read(call, lambda: self._searches.log(*call.args, **call.kwargs))
            case "reply":
                return await self._reply(call, *call.args)
            case "channels.tell":
                return await self._tell(call, None)
            case "hive.tell" | "hive.tell_all" | "hive.log":
                return await self._tell_members(call, None)
            case "done":
                return self._done(call, *call.args)
            case "sys.now" | "sys.time":
                return self._clock(call)
            case "sys.sleep":
                self._note(EntryKind.CALL, call, {**self.arguments(call), **self._until(call)})
                return await self._sleep(call, None)
        raise NotFound(f"{name} is not offered here", field="call", remedy="See what is already imported.")

    async def _awaited(self, call: Call, entry: Entry | None) -> Any:
        """Do a call that takes time; `entry` is its row if it was begun before the daemon stopped."""
        match call.name:
            case "ask":
                return await self._others.ask(call, entry, *call.args, **call.kwargs)
            case "channels.call":
                return await self._others.call(call, entry, *call.args)
            case "llm":
                return await self._llm(call, *call.args, **call.kwargs)
            case "rlm":
                task, *context = call.args
                value, child = await self._rlm(call, task, tuple(context), **call.kwargs)
                self._children[call.number] = child
                return value
            case "sys.sleep":
                return await self._sleep(call, entry)
            case "channels.tell":
                return await self._tell(call, entry)
            case "hive.ask" | "hive.ask_all" | "hive.vote":
                return await self._members.ask(call, entry)
            case "hive.tell" | "hive.tell_all" | "hive.log":
                return await self._tell_members(call, entry)
            case name if name in calls.WRITES:
                return await self._write(call, entry)
            case name if name in PLANS:
                return await self._plan(call, entry)
        raise NotFound(
            f"{call.name} is not offered here", field="call", remedy="See what is already imported."
        )

    async def _tell(self, call: Call, entry: Entry | None) -> None:
        channel, value = call.args
        await self._others.tell(call, entry, channel, value)
        self._told(call)

    async def _tell_members(self, call: Call, entry: Entry | None) -> None:
        self.effects.append(Effect(call.number, await self._members.tell(call, entry)))

    def _called(self, call: Call) -> None:
        self.effects.append(Effect(call.number, f"{call.args[0]}.{call.args[1]} called"))

    def _until(self, call: Call) -> dict[str, str]:
        """When a sleep is over: kept, so that it is not slept again after a restart."""
        if call.name != "sys.sleep":
            return {}
        return {"until": (self._equipment.clock.now() + timedelta(seconds=call.args[0])).isoformat()}

    async def _sleep(self, call: Call, entry: Entry | None) -> None:
        until = datetime.fromisoformat((self._until(call) if entry is None else entry.data)["until"])
        try:
            with self.resting(call, until):
                await asyncio.sleep(self._equipment.seconds_until(until) or 0)
        except asyncio.CancelledError:
            if not call.waits and not self._goes_on:
                self._note(EntryKind.SETTLED, call, {"error": ABANDONED})
            raise
        # A call that is awaited is settled when the program gets its outcome; this one has it now.
        if not call.waits:
            self._note(EntryKind.SETTLED, call, {"result": None})

    async def _read(self, call: Call, work: Callable[[], Awaitable[Answer]]) -> Any:
        answer = await work()
        self.lower(answer.origin)
        data = {**self.arguments(call), "result": answer.kept, **_low(answer.origin)}
        if answer.uses:
            # What comes from another user is written down on both sides before the program has it.
            row = self._row(EntryKind.CALL, call, data)

            def cross(tx: Transaction) -> tuple[None, Row]:
                sharing.note(tx, self.place, answer.uses)
                return None, row

            await self._scribe.commit(cross)
        else:
            self._note(EntryKind.CALL, call, data)
        return answer.value

    async def _reading(self, call: Call) -> Answer:
        read = calls.READS[call.name]

        def work(transaction: Transaction) -> Answer:
            return read(transaction, self.place, *call.args, **call.kwargs)

        if call.name in calls.LONG or (
            call.name in ("memory.get", "memory.size") and self._is_large(call.args[0])
        ):
            return await asyncio.to_thread(self._store.read, work)
        return self._store.read(work)

    def _is_large(self, name: str) -> bool:
        def read(tx: Transaction) -> bool:
            spot = sharing.spot(tx, self.place, Verb.READ, name)
            found = spot.space.find(spot.name)
            return found is not None and found.version.size > LARGE

        return self._store.read(read)

    async def _write(self, call: Call, entry: Entry | None) -> Any:
        if call.args[0].startswith(hive.MARK):
            await self._members.share(call, entry, self.place)
        write = calls.WRITES[call.name]
        kwargs = dict(call.kwargs)
        note, expect = kwargs.pop("note", None), kwargs.pop("expect", None)
        args = list(call.args)
        if call.name == "memory.revert" and len(args) == 3:
            note = args.pop()
        writing = Writing(
            author=self._author(call),
            origin=min(Origin.AGENT, self.origin),
            note=note or "",
            expect=expect,
        )

        def work(transaction: Transaction) -> tuple[Answer, Row]:
            answer = write(transaction, self.place, writing, *args, **kwargs)
            return answer, self.outcome(call, {"result": answer.kept})

        answer = await self._scribe.commit(work)
        assert answer is not None, "a write gives an answer"
        self.effects.append(_written(call, answer.kept))
        return answer.value

    async def _plan(self, call: Call, entry: Entry | None) -> Any:
        await self._others.may_plan(call, entry)
        planner = planning.planner(
            self._equipment, self._store, self._run, self.place, self._author(call), self.origin
        )

        def row(answer: Answer) -> Row:
            return self.outcome(call, {"result": answer.kept})

        schedule, answer = await planning.carry_out(planner, call, self._scribe, row)
        self._equipment.alarm.set(schedule.id, schedule.next_time)
        self.effects.append(Effect(call.number, planning.told(call.name, answer.kept)))
        return answer.value

    def _author(self, call: Call) -> Author:
        return Author(
            user=self._store.user.name,
            agent=self._agent.name,
            run=self._run.id,
            step=self.step,
            call=call.number,
        )

    async def _reply(self, call: Call, value: Any) -> None:
        text = "" if value is None else calls.as_text(value)
        if not text.strip():
            what = "there is no text in None" if value is None else "the text is empty"
            raise InvalidInput(what, field="reply", remedy="Give it something to say.")
        if len(text) > MAX_TEXT:
            raise InvalidInput(
                f"{len(text):,} characters are more than {MAX_TEXT:,}",
                field="reply",
                remedy="Keep the whole with memory.set and reply with a summary and its name.",
            )
        if self._run.parent is not None:
            # Nobody but the parent listens to a child.
            self._end_with("reply", value)
            self._note(EntryKind.CALL, call, {**self.arguments(call), "result": None})
            return
        await self._scribe.commit(lambda tx: (None, self._say(tx, call, text)))
        self._replied(call)

    def _replied(self, call: Call) -> None:
        if woken_by_agent(self._run):
            self._end_with("reply", *call.args)
        self.replied = True
        self.effects.append(Effect(call.number, REPLY_SENT))

    def _say(self, transaction: Transaction, call: Call, text: str) -> Row:
        origin = min(Origin.AGENT, self.origin)
        data = {
            "args": {"args": [text], "kwargs": {}},
            "digest": digest(call),
            "result": background.say(transaction, self._agent, self._run, text, origin),
        }
        return self._row(EntryKind.CALL, call, data)

    def _told(self, call: Call) -> None:
        self.effects.append(Effect(call.number, f"{call.args[0]} told"))

    def _end_with(self, name: str, value: Any = None) -> None:
        """The value of a run: what `done` gave, in a child what `reply` gave."""
        if name == "reply":
            self.result = value
            return
        self.ended = True
        if value is not None:
            self.result = value

    def _done(self, call: Call, value: Any = None) -> None:
        self._end_with("done", value)
        self._note(EntryKind.CALL, call, {**self.arguments(call), "result": None})
        raise Ended

    def _clock(self, call: Call) -> Any:
        now = self._equipment.local_now()
        self._note(EntryKind.CALL, call, {**self.arguments(call), "result": now.isoformat()})
        return now if call.name == "sys.now" else now.timestamp()

    async def _llm(self, call: Call, *parts: Any, model: str | None = None) -> str:
        text = "\n\n".join(calls.as_text(part) for part in parts)
        if not text.strip():
            raise InvalidInput(
                "there is nothing to ask", field="llm", remedy="Give it an instruction and the text."
            )
        try:
            answer = await self._mind.ask_model(call, text, model)
        except ModelError as error:
            self._note(EntryKind.ARRIVED, call, {"error": error_of(error)})
            await self._scribe.commit()
            raise
        # The program may be in no hurry to look at it, but it is paid.
        self._note(EntryKind.ARRIVED, call, {"result": answer})
        await self._scribe.commit()
        return answer

    async def _rlm(
        self,
        call: Call,
        task: str,
        context: tuple[Any, ...],
        *,
        max_steps: int | None = None,
        model: str | None = None,
    ) -> tuple[Any, int]:
        if not task.strip():
            raise InvalidInput("the task is empty", field="rlm", remedy="Say what the child shall do.")
        if max_steps is not None and max_steps < 1:
            raise InvalidInput(
                f"{max_steps} is less than 1", field="max_steps", remedy="A child needs a step."
            )
        return await self._mind.spawn(call, task, context, max_steps, model)

    # -- rows -------------------------------------------------------------------------------------

    def _row(self, kind: EntryKind, call: Call, data: dict[str, Any]) -> Row:
        time = self._equipment.clock.now()
        return Row(kind=kind, data=data, step=self.step, call=call.number, name=call.name, time=time)

    def stands(self, call: Call) -> None:
        """The row of the call is in the journal; what it comes to will be another."""
        self._standing.add(call.number)

    def outcome(self, call: Call, data: Mapping[str, Any]) -> Row:
        """The row with what a call that does not wait has come to."""
        if call.number in self._standing:
            return self._row(EntryKind.SETTLED, call, dict(data))
        return self._row(EntryKind.CALL, call, {**self.arguments(call), **data})

    def _note(self, kind: EntryKind, call: Call, data: dict[str, Any]) -> None:
        self._scribe.note(kind, data, step=self.step, call=call.number, name=call.name)

    def arguments(self, call: Call) -> dict[str, Any]:
        shown = {"args": preview(list(call.args)), "kwargs": preview(dict(call.kwargs))}
        return {"args": shown, "digest": digest(call)}


def _low(origin: Origin) -> dict[str, int]:
    """What a row keeps of an origin that is not the owner."""
    return {} if origin is Origin.OWNER else {"origin": int(origin)}


def _written(call: Call, kept: Mapping[str, Any]) -> Effect:
    return Effect(call.number, f"{call.name} {kept['variable']} -> version {kept['version']}")
