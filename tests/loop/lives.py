"""An engine that dies and lives again, in the test's process, over the real store, sandbox and model.

    async with world(folder, server) as lives:
        whole = await lives.carry_out("p7", [])                   undisturbed
        other = await lives.carry_out("p7", [Cut(writes=3)])      cut off after three commits
        assert other == whole

A life ends as with kill -9: nothing that it still does reaches the disk. The next begins with what is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import select

from rlmd.daemon.feed import Feed
from rlmd.daemon.loop.engine import Engine
from rlmd.daemon.loop.equipment import Equipment
from rlmd.daemon.loop.snapshots import Snapshots
from rlmd.daemon.models.openai import OpenAIModel
from rlmd.daemon.repl.sandbox import Sandbox
from rlmd.errors import PreconditionFailed, Unavailable
from rlmd.memory.records import Entry, EntryKind, RunState, User
from rlmd.memory.store import House, Store, Transaction
from rlmd.memory.tables import agents, model_calls
from rlmd.settings import Settings
from tests.model_server import ModelServer

from .bench import NoSearch
from .generate import NOBODY, given

T = TypeVar("T")
LOOK_SECONDS = 0.006
STUCK_SECONDS = 180.0


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How a life ends."""

    writes: int | None = None
    """At this one of its commits, counted from 0."""
    written: bool = True
    """Whether that commit is on disk."""
    seconds: float | None = None
    """After this time."""
    clean: bool = False
    """By a stop as of SIGTERM, not by a kill."""


@dataclass
class Fuse:
    """What cuts a life off from the disk."""

    left: int | None = None
    written: bool = True
    blown: bool = False


class MortalStore(Store):
    def __init__(self, house: House, user: User, fuse: Fuse) -> None:
        super().__init__(house, user)
        self._fuse = fuse

    async def write(self, work: Callable[[Transaction], T]) -> T:
        fuse = self._fuse
        if fuse.left is not None and not fuse.blown:
            fuse.left -= 1
            if fuse.left < 0:
                fuse.blown = True
                if fuse.written:
                    await super().write(work)
        if fuse.blown:
            raise Unavailable("this life is over")
        return await super().write(work)


class MortalHouse(House):
    fuse = Fuse()

    def store(self, user: User) -> Store:
        return MortalStore(self, user, self.fuse)


class ShiftedClock:
    """The machine's clock, and what it was put on by."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset


@dataclass(frozen=True)
class Left:
    """What a run has left in the world, whatever way it took."""

    memory: dict[str, Any]
    messages: Counter[str]
    questions: Counter[tuple[Any, ...]]
    runs: Counter[tuple[Any, ...]]
    calls: Counter[tuple[Any, ...]]
    spent: Counter[tuple[Any, ...]]


@dataclass
class Lives:
    house: MortalHouse
    user: User
    clock: ShiftedClock
    make: Callable[[Snapshots | None], Equipment]
    snapshots: Snapshots | None
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    lives: int = 0
    parks: int = 0

    async def carry_out(self, model: str, cuts: Sequence[Cut]) -> Left:
        """Let a new agent with this model do something, through a life for each cut, and one more."""
        name = f"a{next(self._numbers)}"
        self.house.fuse = Fuse()
        await self.house.store(self.user).write(lambda tx: tx.agents.create(name, model=model))
        waiting = list(cuts)
        deadline = time.monotonic() + 2 * STUCK_SECONDS
        while not await self._live(name, waiting.pop(0) if waiting else None):
            if time.monotonic() > deadline:
                stands = self._read(lambda tx: [(r.id, r.state, r.reason) for r in tx.runs.page(agent=name)])
                raise AssertionError(f"it does not come to an end: {stands}")
        engine = Engine(self.house, self.make(self.snapshots))
        for each in self._read(lambda tx: tx.runs.page(agent=name, children=True)):
            found = await engine.replay(self.house.store(self.user), each.id)
            assert not found.difference, f"run {each.id}, done again: {found.difference}"
        return self._read(lambda tx: left(tx, name))

    def _read(self, work: Callable[[Transaction], T]) -> T:
        return self.house.store(self.user).read(work)

    async def _live(self, name: str, cut: Cut | None) -> bool:
        """One life; whether the run has ended in it."""
        self.lives += 1
        fuse = self.house.fuse = Fuse()
        if cut is not None and not cut.clean:
            fuse.left, fuse.written = cut.writes, cut.written
        end = None if cut is None or cut.seconds is None else time.monotonic() + cut.seconds
        engine = Engine(self.house, self.make(self.snapshots))
        try:
            try:
                await engine.start()
                return await self._watch(engine, name, fuse, end)
            except Unavailable:
                if not fuse.blown:
                    raise
                return False
        finally:
            if cut is None or not cut.clean:
                fuse.blown = True
            await engine.stop(0)

    async def _watch(self, engine: Engine, name: str, fuse: Fuse, end: float | None) -> bool:
        store = self.house.store(self.user)
        accepted = await engine.accept(
            store, name, text="Go.", channel="chat", sender="ann", request_id=f"{name} go"
        )
        stuck = time.monotonic() + STUCK_SECONDS
        while not fuse.blown and (end is None or time.monotonic() < end):
            state = store.read(lambda tx: tx.runs.state(accepted.run.id))
            if state.ended:
                return True
            asked = store.read(lambda tx: tx.questions.page(agent=name, most=100))
            for question in asked:
                if not question.text.startswith(NOBODY):
                    with contextlib.suppress(PreconditionFailed):
                        await engine.answer(store, question.id, given(question.text), by="ann")
                    break
            else:
                if state is RunState.WAITING and self._past():
                    self.parks += 1
                    return False
            assert time.monotonic() < stuck, f"run {accepted.run.id} is {state} and stays so"
            await asyncio.sleep(LOOK_SECONDS)
        return False

    def _past(self) -> bool:
        """Put the clock on to when a run that waits goes on; False if it goes on by itself."""
        _, after = self.house.waking(self.clock.now())
        if after is None:
            return False
        self.clock.offset += after - self.clock.now()
        return True


def left(tx: Transaction, name: str) -> Left:
    space = tx.space(name)
    runs = tx.runs.page(agent=name, children=True, most=1000)
    calls: Counter[tuple[Any, ...]] = Counter()
    for run in runs:
        entries = tx.journal(run.id).entries()
        rows = [entry for entry in entries if entry.kind is EntryKind.CALL]
        assert [row.call for row in rows] == list(range(1, len(rows) + 1)), f"calls of run {run.id}"
        settled = Counter(entry.call for entry in entries if entry.kind is EntryKind.SETTLED)
        assert not [call for call, count in settled.items() if count > 1], f"settled twice in run {run.id}"
        calls.update((run.event.text, row.step, row.name, _digest(row)) for row in rows)
    spent = tx._connection.execute(
        select(
            model_calls.c.step, model_calls.c.model, model_calls.c.input_tokens, model_calls.c.output_tokens
        )
        .join(agents, agents.c.id == model_calls.c.agent_id)
        .where(agents.c.name == name, ~model_calls.c.estimated)
    )
    return Left(
        memory={
            variable.name: _versions(space, variable.name) for variable in space.page(most=1000, deleted=True)
        },
        messages=Counter(message.text for message in tx.log(name).recent(1000)),
        questions=Counter(
            (asked.text, asked.state, repr(asked.answer))
            for asked in tx.questions.page(agent=name, all_states=True, most=1000)
        ),
        runs=Counter((run.depth, run.event.text, run.state, run.reason, repr(run.result)) for run in runs),
        calls=calls,
        spent=Counter(tuple(row) for row in spent),
    )


def _digest(row: Entry) -> str:
    """What stands for a call's arguments; what was drawn or read off the clock is another each time."""
    (first, *_) = row.data["args"]["args"] or [""]
    return "" if "kept/" in str(first) else str(row.data["digest"])


def _versions(space: Any, name: str) -> Any:
    """All versions of a variable; of one that several calls race for, only what hangs on no order."""
    versions = sorted(space.history(name), key=lambda version: version.number)
    if name.endswith("race"):
        return sorted(map(repr, space.get(name).value)), len(versions)
    if "kept/" in name:
        return len(versions)
    return [
        (
            v.number,
            v.kind,
            v.note,
            v.author.step,
            None if v.kind.value == "deleted" else space.get(name, version=v.number).value,
        )
        for v in versions
    ]


@asynccontextmanager
async def world(folder: Path, server: ModelServer) -> AsyncIterator[Lives]:
    """A house with nobody in it yet, and all that an engine works with."""
    clock = ShiftedClock()
    model = OpenAIModel(base_url=server.url)
    with MortalHouse.open(folder / "rlmd.db", clock) as house:
        assert isinstance(house, MortalHouse)
        user = house.write(lambda accounts: accounts.create_user("owner", administrator=True)).result()
        settings = Settings(data=folder, model="scripted")
        try:
            async with Sandbox() as sandbox:

                def make(snapshots: Snapshots | None) -> Equipment:
                    return Equipment(
                        clock=clock,
                        zone=ZoneInfo("UTC"),
                        settings=settings,
                        model=model,
                        sandbox=sandbox,
                        searcher=NoSearch(),
                        feed=Feed(),
                        snapshots=snapshots,
                    )

                yield Lives(house, user, clock, make, Snapshots(folder / "snapshots"))
        finally:
            await model.close()
