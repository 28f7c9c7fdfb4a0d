"""Drives one step: answers what the program asks until it ends, call by call.

Calls that wait run in tasks of their own; their outcomes are delivered one at a time, in the order in
which they settled. So the order of calls and the order of settling decide the whole trace: that is
what a journal must keep for a replay.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_monty import (
    AsyncFunctionSnapshot,
    AsyncFutureSnapshot,
    AsyncNameLookupSnapshot,
    AsyncSnapshot,
    MontyComplete,
)

from . import hints, hive, prelude, system
from .api import Call, Ended, Host, Limits, Outcome, Parked, Raised, Returned
from .faults import LimitMet, to_program
from .frozen import Frozen, call_of, opened
from .surface import BY_NAME, FUNCTIONS, INNER, MODULES, Offer
from .values import inward, outward
from .worker import WRITTEN, Worker

MAX_REFUSED = 1000
"""Refused calls, over the limit of calls, after which a program that goes on regardless is stopped."""

_FUTURE: Any = {"future": ...}


@dataclass
class _Open:
    """A call answered by a future and not delivered yet."""

    call: Call
    task: asyncio.Task[Outcome] | None
    answer: Any = None
    """The answer itself, where there is no task: a plain call that the program awaits."""
    seen: bool = False
    """Whether the program was seen waiting for it."""


class Drive:
    """The calls of one step."""

    def __init__(self, worker: Worker, host: Host, limits: Limits, *, first_call: int, depth: int) -> None:
        self._worker = worker
        self._host = host
        self._limits = limits
        self._next = first_call
        self._depth = depth
        self._open: dict[int, _Open] = {}
        self._ready: list[int] = []
        self._settled = asyncio.Event()
        self._calls = 0
        self._slept = 0.0
        self.unawaited: list[str] = []

    async def run(self, snapshot: AsyncSnapshot) -> MontyComplete:
        """Answer until the program is complete.

        Raises:
            Ended: the host ended the step.
            Parked: the program waits for something that takes long.
            LimitMet: a limit that is held here was met.
            MontyError: what the program or the worker came to.
        """
        while not isinstance(snapshot, MontyComplete):
            if isinstance(snapshot, AsyncFutureSnapshot):
                snapshot = await self._deliver(snapshot)
            elif isinstance(snapshot, AsyncNameLookupSnapshot):
                snapshot = await _look_up(snapshot)
            elif snapshot.is_os_function:
                snapshot = await self._system(snapshot)
            else:
                snapshot = await self._function(snapshot)
        return snapshot

    async def close(self) -> None:
        """Cancel what is still open, and tell the host that it will never be delivered."""
        left = sorted(self._open.values(), key=lambda entry: entry.call.number)
        tasks = [entry.task for entry in left if entry.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._worker.abandoned.update(self._open)
        self.unawaited = [entry.call.name for entry in left if not entry.seen]
        self._open.clear()
        for entry in left:
            if entry.call.waits:
                await self._host.abandon(entry.call)

    async def _function(self, snapshot: AsyncFunctionSnapshot) -> AsyncSnapshot:
        name = str(snapshot.function_name)
        offer = BY_NAME.get(name) or INNER.get(name)
        if offer is None:
            return await snapshot.resume(
                {"exc_type": "NameError", "message": f"name {name!r} is not defined"}
            )
        name = offer.name
        if name == "rlm" and self._depth <= 0:
            return await snapshot.resume({"exc_type": "RuntimeError", "message": hints.NO_RECURSION})
        try:
            args, kwargs, default = self._arguments(offer, snapshot.args, snapshot.kwargs)
        except TypeError as exc:
            return await snapshot.resume({"exception": exc})
        refused = self._count()
        if refused:
            return await snapshot.resume(refused)
        call = self._call(snapshot, name, args, kwargs, waits=offer.waits)
        if offer.waits:
            self._start(snapshot.call_id, call)
            return await snapshot.resume(_FUTURE)
        outcome = await (self._patiently(call) if _may_wait(call) else self._host.call(call))
        missing = isinstance(outcome, Returned) and outcome.value is None
        answer: Any = {"return_value": default} if missing else _answer(outcome)
        if self._is_awaited(snapshot):
            self._open[snapshot.call_id] = _Open(call, None, answer)
            self._ready.append(snapshot.call_id)
            return await snapshot.resume(_FUTURE)
        return await snapshot.resume(answer)

    def _arguments(
        self, offer: Offer, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], Mapping[str, Any], Any]:
        bound = offer.bind(args, kwargs)
        default = bound.arguments.pop(offer.substitute, None)
        pending = {*self._open, *self._worker.abandoned}
        for name, value in bound.arguments.items():
            many = offer.signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
            if many:
                bound.arguments[name] = tuple(
                    outward(part, f"{name}[{at}]", pending=pending) for at, part in enumerate(value)
                )
            else:
                takes_bytes = offer.takes_bytes and name == "value"
                bound.arguments[name] = outward(value, name, pending=pending, takes_bytes=takes_bytes)
        offer.check(bound.arguments)
        return bound.args, bound.kwargs, default

    async def _system(self, snapshot: AsyncFunctionSnapshot) -> AsyncSnapshot:
        name = str(snapshot.function_name)
        if name == "import":
            return await self._import(snapshot)
        if name not in system.CLOCK and name not in system.SLEEP:
            return await snapshot.resume(system.refusal(name))  # type: ignore[arg-type]
        refused = self._count()
        if refused:
            return await snapshot.resume(refused)
        if name in system.CLOCK:
            return await self._clock(snapshot, name)
        return await self._sleep(snapshot, name)

    async def _import(self, snapshot: AsyncFunctionSnapshot) -> AsyncSnapshot:
        name = str(snapshot.args[0])
        if name in MODULES:
            return await snapshot.resume_auto()
        if name in WRITTEN and (problem := self._not_there(name, snapshot)):
            return await snapshot.resume({"exc_type": "ImportError", "message": problem})
        served = await self._worker.module(name)
        if served is not None:
            return await snapshot.resume({"return_value": served})
        there = ", ".join(sorted({*hints.MODULES, *MODULES, *prelude.MODULES, *WRITTEN}))
        message = f"No module named {name!r}. There are: {there}"
        return await snapshot.resume({"exc_type": "ModuleNotFoundError", "message": message})

    def _not_there(self, module: str, snapshot: AsyncFunctionSnapshot) -> str:
        """What is wrong with what is imported of who is there; the sandbox would not say who is there."""
        source = self._worker.sources.get(snapshot.position.filename)
        wanted = () if source is None else source.imported_at(module, snapshot.position.start)
        problem: str = WRITTEN[module].missing(self._worker.there[module], wanted)
        return problem

    async def _clock(self, snapshot: AsyncFunctionSnapshot, name: str) -> AsyncSnapshot:
        outcome = await self._host.call(self._call(snapshot, system.CLOCK[name], (), {}))
        if isinstance(outcome, Raised):
            return await snapshot.resume(_answer(outcome))
        return await snapshot.resume(
            {"return_value": system.clock_answer(name, snapshot.args, outcome.value)}
        )

    async def _sleep(self, snapshot: AsyncFunctionSnapshot, name: str) -> AsyncSnapshot:
        try:
            seconds = system.sleep_seconds(snapshot.args)
        except ValueError as exc:
            return await snapshot.resume({"exception": exc})
        self._slept += seconds
        if self._slept > self._limits.sleep_seconds:
            raise LimitMet("sleep_seconds", f"the step wanted to sleep {self._slept:g} seconds")
        waits = name in system.AWAITED_SLEEP
        call = self._call(snapshot, "sys.sleep", (seconds,), {}, waits=waits)
        if waits:
            self._start(snapshot.call_id, call)
            return await snapshot.resume(_FUTURE)
        return await snapshot.resume(_answer(await self._patiently(call)))

    async def _patiently(self, call: Call) -> Outcome:
        """The outcome of a plain call that may take long."""
        task = asyncio.create_task(self._host.call(call), name=f"call {call.number} {call.name}")
        try:
            while not (await asyncio.wait([task], timeout=self._limits.park_seconds))[0]:
                if self._host.rests([call.number, *self._open_calls()]):
                    raise Parked
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        return task.result()

    def _open_calls(self) -> list[int]:
        return [entry.call.number for entry in self._open.values()]

    def _count(self) -> Any:
        """Count a call; the answer that refuses it if it is one too many, otherwise None."""
        self._calls += 1
        allowed = self._limits.calls_per_step
        if self._calls <= allowed:
            return None
        if self._calls > allowed + MAX_REFUSED:
            raise LimitMet("calls_per_step", "the step went on calling after its calls were used up")
        message = f"this step has made its {allowed} calls. End it here and go on in the next step"
        return {"exc_type": "RuntimeError", "message": message}

    def _call(
        self,
        snapshot: AsyncFunctionSnapshot,
        name: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        waits: bool = False,
    ) -> Call:
        number = self._next
        self._next += 1
        position = snapshot.position
        here = position.filename == self._worker.filename
        line = self._worker.sources[position.filename].line(position.start) if here else 0
        return Call(number=number, name=name, args=args, kwargs=kwargs, line=line, waits=waits)

    def _is_awaited(self, snapshot: AsyncFunctionSnapshot) -> bool:
        source = self._worker.sources.get(snapshot.position.filename)
        return source is not None and (snapshot.position.start, snapshot.position.end) in source.awaited

    def _start(self, call_id: int, call: Call) -> None:
        async def answer() -> Outcome:
            return await self._host.call(call)

        task = asyncio.create_task(answer(), name=f"call {call.number} {call.name}")

        def settled(_task: asyncio.Task[Outcome]) -> None:
            self._ready.append(call_id)
            self._settled.set()

        task.add_done_callback(settled)
        self._open[call_id] = _Open(call, task)

    async def _deliver(self, snapshot: AsyncFutureSnapshot) -> AsyncSnapshot:
        """Deliver the outcome that settled first among those that the program waits for."""
        waited = set(snapshot.pending_call_ids)
        for call_id in waited & self._open.keys():
            self._open[call_id].seen = True
        if not waited & self._open.keys():
            # A coroutine of an earlier step: the sandbox raises the error itself.
            return await snapshot.resume({})
        while not (ready := [call_id for call_id in self._ready if call_id in waited]):
            self._settled.clear()
            try:
                async with asyncio.timeout(self._limits.park_seconds):
                    await self._settled.wait()
            except TimeoutError:
                if self._host.rests(self._open_calls()):
                    raise Parked(self._freeze(snapshot)) from None
        call_id = ready[0]
        self._ready.remove(call_id)
        entry = self._open[call_id]
        answer = entry.answer
        if entry.task is not None:
            outcome = _outcome(entry.task)
            await self._host.settle(entry.call, outcome)
            answer = _answer(outcome)
        del self._open[call_id]
        return await snapshot.resume({call_id: answer})

    def _freeze(self, snapshot: AsyncFutureSnapshot) -> Frozen | None:
        """The step as it waits; None if it cannot be frozen."""
        worker = self._worker
        tasks = [entry.task for entry in self._open.values()]
        if self._ready or None in tasks or not worker.freezes:
            return None
        return Frozen(
            dump=snapshot.dump(),
            filename=worker.filename,
            feeds=worker.feeds,
            turns=worker.turns,
            names=(),
            turn=0,
            next_call=self._next,
            calls=self._calls,
            slept=self._slept,
            printed="",
            abandoned=sorted(worker.abandoned),
            open=[opened(call_id, entry.call, entry.seen) for call_id, entry in self._open.items()],
        )

    def thaw(self, frozen: Frozen) -> None:
        """Take up the calls that are open in a step that was frozen, before `run`."""
        self._calls, self._slept = frozen.calls, frozen.slept
        for data in frozen.open:
            self._start(data["id"], call_of(data))
            self._open[data["id"]].seen = data["seen"]


def _may_wait(call: Call) -> bool:
    """Whether a plain call reaches others, for which it may need somebody's approval."""
    first = call.args[0] if call.args else None
    shared = isinstance(first, str) and first.startswith(hive.MARK) and call.name.startswith("memory.")
    return shared or call.name.startswith(("channels.", "hive."))


async def _look_up(snapshot: AsyncNameLookupSnapshot) -> AsyncSnapshot:
    """A name without a value: one of our functions, used as a value, or a mistake."""
    name = snapshot.variable_name
    if snapshot.object_id is None and (name in FUNCTIONS or name in INNER):
        return await snapshot.resume(value=_function_named(name))
    return await snapshot.resume()


def _function_named(name: str) -> Any:
    def function() -> None: ...

    # The sandbox knows a host function by its name alone.
    function.__name__ = function.__qualname__ = name
    return function


def _outcome(task: asyncio.Task[Outcome]) -> Outcome:
    if task.cancelled():
        return Raised(RuntimeError("the call was cancelled"))
    return task.result()


def _answer(outcome: Outcome) -> Any:
    """An outcome as the sandbox takes it.

    Raises:
        Ended: the outcome ends the step.
    """
    if isinstance(outcome, Raised):
        if isinstance(outcome.error, Ended):
            raise outcome.error
        return to_program(outcome.error)
    return {"return_value": inward(outcome.value)}
