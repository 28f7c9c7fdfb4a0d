"""One sandbox worker, checked out for one run: feeds it code, knows what it was fed, throws it away.

A worker serves one run and is then killed, so no run can find anything of another. `discard` is safe
at any moment, also in the middle of a turn.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic_monty import (
    AsyncFutureSnapshot,
    AsyncMonty,
    AsyncMontySession,
    AsyncSnapshot,
    ExternalModule,
    MontyClassProxy,
    MontyCrashedError,
    MontyError,
    ResourceLimits,
)

from rlmd.errors import SandboxError

from . import channels, hive, prelude
from .api import Limits
from .frozen import Frozen
from .source import LAST, Source, read
from .surface import MODULES, READY, members
from .system import policy
from .values import named

WRITTEN = {channels.NAME: channels, hive.NAME: hive}
"""Modules that are written for a step, from a list of who is there."""
_OURS = prelude.MODULES | WRITTEN.keys()
Print = Callable[[Literal["stdout", "stderr"], str], None]

_OPENING = f"""\
import random as rlmd_random__
import {", ".join((*MODULES, *READY))}
ConnectionError = IOError = EnvironmentError = OSError
UnicodeError = ValueError
"""


def _declared() -> None:
    """What a module's function is declared as; calls of it always reach the driver instead."""


def _modules() -> dict[str, ExternalModule]:
    return {name: ExternalModule(dict.fromkeys(members(name), _declared)) for name in MODULES}


def _resources(limits: Limits) -> ResourceLimits:
    return ResourceLimits(
        max_feed_duration_secs=limits.step_seconds,
        max_memory=limits.memory_bytes,
        max_recursion_depth=limits.recursion,
        # The default of 1000 ends a step uncatchably; the driver counts the calls itself.
        max_suspensions=2**31 - 1,
        max_total_sleep_secs=limits.sleep_seconds,
    )


async def _checked_out(pool: AsyncMonty, now: datetime, limits: Limits) -> AsyncMontySession:
    """Raises SandboxError: no worker could be had."""
    session = pool.checkout(
        script_name="step.py",
        limits=_resources(limits),
        os_policy=policy(now),
        external_modules=_modules(),
    )
    try:
        await session.__aenter__()
    except (MontyCrashedError, RuntimeError, OSError) as exc:
        raise SandboxError(f"no sandbox could be started ({exc}).", remedy="Try again in a moment.") from exc
    return session


class Worker:
    """A live session of the sandbox. Made by `Worker.open`."""

    def __init__(self, session: AsyncMontySession) -> None:
        self._session = session
        self.feeds = 0
        """Pieces of code that it was fed."""
        self.turns: dict[str, int] = {}
        """Turns of the steps, by the same file names."""
        self._served: dict[str, MontyClassProxy] = {}
        self.there: dict[str, channels.Listing] = {}
        """Who was there when a module of `WRITTEN` was written, by its name."""
        self.sources: dict[str, Source] = {}
        """Code of the steps, by the file name under which the sandbox reports positions in it."""
        self.filename = ""
        """That of the step fed last."""
        self.abandoned: set[int] = set()
        """Numbers of coroutines of earlier steps that nobody awaited: their text must not get out."""

    @classmethod
    async def open(cls, pool: AsyncMonty, now: datetime, limits: Limits) -> Worker:
        """Check out a worker and put in it what every program finds; `now` tells the owner's zone.

        Raises:
            SandboxError: no worker could be had.
        """
        worker = cls(await _checked_out(pool, now, limits))
        try:
            await worker.run(_OPENING)
        except BaseException:
            await worker.discard()
            raise
        return worker

    @classmethod
    async def thaw(
        cls, pool: AsyncMonty, now: datetime, limits: Limits, frozen: Frozen, codes: Mapping[int, str]
    ) -> Worker:
        """A worker for a step that was frozen, not woken yet; `codes` of the steps by their turns.

        Raises:
            SandboxError: no worker could be had.
        """
        worker = cls(await _checked_out(pool, now, limits))
        worker.feeds, worker.filename = frozen.feeds, frozen.filename
        worker.turns = dict(frozen.turns)
        worker.sources = {name: read(codes[turn]) for name, turn in frozen.turns.items()}
        worker.abandoned = set(frozen.abandoned)
        return worker

    async def wake(self, frozen: Frozen, printed: Print) -> AsyncFutureSnapshot:
        """Wake the step. Raises SandboxError: it is not what was frozen."""
        try:
            snapshot = await self._session.load_snapshot(frozen.dump, print_callback=printed)
        except (MontyError, RuntimeError, ValueError) as exc:
            raise SandboxError(f"a snapshot cannot be read ({exc}).", remedy="Replay the run.") from exc
        open_ids = {data["id"] for data in frozen.open}
        if not isinstance(snapshot, AsyncFutureSnapshot) or not open_ids.issuperset(
            snapshot.pending_call_ids
        ):
            raise SandboxError("a snapshot waits for something else.", remedy="Replay the run.")
        return snapshot

    async def begin(self, event: Mapping[str, Any]) -> None:
        """Give the worker to a run: its program finds `event`.

        Raises:
            MontyCrashedError: the process has died meanwhile.
        """
        await self.run("event", {"event": named("Event", event)})

    @property
    def pid(self) -> int | None:
        """The process; None while it computes."""
        return self._session.worker_pid

    @property
    def freezes(self) -> bool:
        """Whether the step can be frozen: our modules live in the session, and do not go with a dump."""
        return not self.sources[self.filename].imports & _OURS

    async def start(self, source: Source, printed: Print, turn: int) -> AsyncSnapshot:
        """Feed a step; gives its first suspension."""
        self.filename = self._next_name()
        self.sources[self.filename] = source
        self.turns[self.filename] = turn
        return await self._session.feed_start(source.fed.decode(), print_callback=printed)

    async def run(self, code: str, inputs: dict[str, Any] | None = None) -> Any:
        """Run code of our own, which makes no calls."""
        self._next_name()
        return await self._session.feed_run(code, inputs=inputs, print_callback=lambda _stream, _text: None)

    async def seed(self, number: int) -> None:
        """Seed `random`."""
        await self.run(f"rlmd_random__.seed({number})")

    async def last_repr(self) -> str:
        """The repr of the last bare expression's value, by the sandbox."""
        return str(await self.run(f"repr({LAST})"))

    async def module(self, name: str) -> MontyClassProxy | None:
        """The prelude's module of that name; None if there is none or it was not loaded before the step."""
        return self._served.get(name)

    async def load_modules(self, names: frozenset[str]) -> None:
        """Put the prelude's modules of these names into the session, if they are not in it."""
        for name in sorted(names & prelude.MODULES - self._served.keys()):
            served = await self.run(prelude.source(name))
            assert isinstance(served, MontyClassProxy)
            self._served[name] = served

    async def load_written(self, names: frozenset[str], there: channels.Listing) -> None:
        """Put in the modules that tell who is there; what an earlier step has imported stays as it is."""
        for name in sorted(names & WRITTEN.keys()):
            if self.there.get(name) == there:
                continue
            served = await self.run(WRITTEN[name].source(there))
            assert isinstance(served, MontyClassProxy)
            self._served[name] = served
            self.there[name] = there

    async def discard(self) -> None:
        """Give the worker back, which ends it. Never raises for what became of it."""
        closing = asyncio.ensure_future(self._close())
        while not closing.done():
            # A cancellation meant for the caller must not leave a process behind.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(closing)

    async def _close(self) -> None:
        with contextlib.suppress(Exception):
            await self._session.__aexit__(None, None, None)

    def _next_name(self) -> str:
        name = f"<python-input-{self.feeds}>"
        self.feeds += 1
        return name
