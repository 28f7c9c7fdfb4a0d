"""The pool of sandbox workers: where runs get theirs.

    async with Sandbox() as sandbox:
        session = await sandbox.open(world, Limits())
        result = await session.run_step("memory.names()", host, first_call=1)
        await session.close()

What runs model code here is an interpreter in another process, without any authority of its own. It
protects files, network and the daemon's memory from programs. Against a fault in the interpreter itself
that lets a program take over its worker process there is a second wall only where bubblewrap works
(jail.py); without it, such a program has the rights of the daemon's system user.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic_monty import AsyncMonty, MontyError, OSPolicy

from rlmd.errors import InvalidInput, SandboxError

from .api import Limits, World
from .check import Checker
from .frozen import Frozen
from .jail import Jail
from .output import Printed
from .session import Session, Woken
from .system import policy
from .worker import Worker

_DESCRIPTORS_PER_WORKER = 4
_DESCRIPTORS_FOR_OTHERS = 1024
_SETTLE_SECONDS = 0.05
_SPARE = 2
"""Workers that must be free before one is made ready: it must not stand in the way of a run."""
_REFILL_SECONDS = 0.05
"""From the start of a run until a worker is made ready for the next: they would share a processor."""


@dataclass(frozen=True)
class _Ready:
    """A worker that waits for its run."""

    kind: tuple[OSPolicy, Limits]
    """Zone and limits, which cannot be changed once it lives."""
    worker: Worker


class Sandbox:
    """A pool of workers, to be entered once."""

    def __init__(
        self,
        *,
        folder: Path | None = None,
        max_processes: int = 512,
        turn_seconds: float = 600.0,
        checkout_seconds: float = 60.0,
    ) -> None:
        """
        Args:
            folder: Where the program that locks workers in is kept; None for a temporary one.
            max_processes: Workers that may live at once: one for each run that has begun, about 1 MB each.
            turn_seconds: A worker that computes longer than this without a word is killed, whatever the
                limits of its session; these must be lower.
            checkout_seconds: How long `open` waits for a worker when all are taken.
        """
        self._turn_seconds = turn_seconds
        self._max_processes = max_processes
        self._jail = Jail(folder)
        self._pool = AsyncMonty(
            binary_path=self._jail.program,
            min_processes=1,
            max_processes=max_processes,
            checkout_timeout=checkout_seconds,
            request_timeout=turn_seconds,
            # A worker that has served one run is not given to another.
            max_checkouts_per_worker=1,
        )
        self._entered = False
        self._workers: set[Worker] = set()
        self._ready: _Ready | None = None
        self._refilling: asyncio.Task[None] | None = None
        self.checker = Checker(self._pool)

    @property
    def confined(self) -> bool:
        """Whether workers run under bubblewrap."""
        return self._jail.confined

    async def __aenter__(self) -> Self:
        _raise_descriptors(self._max_processes * _DESCRIPTORS_PER_WORKER + _DESCRIPTORS_FOR_OTHERS)
        try:
            await self._pool.__aenter__()
        except (OSError, RuntimeError) as exc:
            raise SandboxError(
                f"the sandbox could not be started ({exc}).", remedy="Look at `rlmd doctor`."
            ) from exc
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False
        if self._refilling is not None:
            self._refilling.cancel()
            await asyncio.wait([self._refilling])
        # The pool does not end workers that are still checked out.
        await asyncio.gather(*map(self.release, list(self._workers)))
        await self.checker.close()
        await self._pool.__aexit__(kind, value, trace)
        self._jail.close()
        # A thread of the closed pool still touches the interpreter for a moment; a process that
        # exits right now is aborted.
        await asyncio.sleep(_SETTLE_SECONDS)

    async def open(self, world: World, limits: Limits) -> Session:
        """Start a session for one run; close it when the run ends or parks.

        Raises:
            InvalidInput: a limit is out of range.
            SandboxError: no worker could be had.
        """
        return Session(self, world, limits, await self.worker(world, limits))

    async def thaw(self, world: World, limits: Limits, frozen: Frozen, codes: Mapping[int, str]) -> Session:
        """A session whose step was frozen; `Session.go_on` goes on with it.

        Args:
            codes: Of the steps, by their turns.

        Raises:
            SandboxError: no worker could be had, or it cannot read the dump.
        """
        if not self._entered:
            raise RuntimeError("enter the Sandbox with `async with` first")
        worker = await Worker.thaw(self._pool, world.now, limits, frozen, codes)
        self._workers.add(worker)
        printed = Printed(limits.output_chars)
        printed("stdout", frozen.printed)
        try:
            snapshot = await worker.wake(frozen, printed)
        except BaseException:
            await self.release(worker)
            raise
        self._refill(world.now, limits)
        return Session(self, world, limits, worker, Woken(frozen, snapshot, printed))

    async def worker(self, world: World, limits: Limits) -> Worker:
        """Check out a worker; the session that asks for it releases it."""
        if not self._entered:
            raise RuntimeError("enter the Sandbox with `async with` first")
        if not 0 < limits.step_seconds < self._turn_seconds:
            raise InvalidInput(
                f"must be over 0 and under {self._turn_seconds:g}, not {limits.step_seconds:g}.",
                field="limits.step_seconds",
                remedy="Lower it.",
            )
        kind = (policy(world.now), limits)
        ready, self._ready = self._ready, None
        if ready is not None and ready.kind == kind:
            try:
                await ready.worker.begin(world.event)
            except MontyError:
                await self.release(ready.worker)  # It died while it waited.
            except BaseException:
                await self.release(ready.worker)
                raise
            else:
                self._refill(world.now, limits)
                return ready.worker
        elif ready is not None:
            await self.release(ready.worker)
        worker = await self._open(world.now, limits)
        try:
            await worker.begin(world.event)
        except BaseException:
            await self.release(worker)
            raise
        self._refill(world.now, limits)
        return worker

    async def _open(self, now: datetime, limits: Limits) -> Worker:
        worker = await Worker.open(self._pool, now, limits)
        self._workers.add(worker)
        return worker

    def _refill(self, now: datetime, limits: Limits) -> None:
        """Make a worker ready for the next run, a little later: to start one takes longer than a step."""

        async def refill() -> None:
            await asyncio.sleep(_REFILL_SECONDS)
            # Where no worker can be had now, the next run will ask for one itself.
            with contextlib.suppress(SandboxError):
                self._ready = _Ready((policy(now), limits), await self._open(now, limits))

        spare = self._max_processes - len(self._workers) > _SPARE
        # While a run waited for a worker of its own, another may have been made ready already.
        if spare and self._ready is None and (self._refilling is None or self._refilling.done()):
            self._refilling = asyncio.create_task(refill(), name="refill")

    async def release(self, worker: Worker) -> None:
        """End a worker, whatever it is doing."""
        self._workers.discard(worker)
        await worker.discard()


def _raise_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ceiling = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < ceiling:
        resource.setrlimit(resource.RLIMIT_NOFILE, (ceiling, hard))
