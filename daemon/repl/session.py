"""The steps of one run: each is checked, run in the run's worker, and told as a `StepResult`.

Names last from step to step because the worker does. When a limit fires or the worker dies it is
thrown away, the result says so, and the next step starts in a fresh one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic_monty import AsyncSnapshot, MontyComplete, MontyError

from . import channels, lint
from .api import Ended, Fault, Host, Limits, Parked, StepResult, World
from .drive import Drive
from .faults import LimitMet, from_sandbox, limit_fault
from .frozen import Frozen
from .output import Printed, shorten
from .source import Source, read
from .values import outward
from .worker import Worker

if TYPE_CHECKING:
    from .sandbox import Sandbox

_PLAIN = (int, float, bytes)
"""Types whose repr is the same here. Not text: a function comes out of the sandbox as one."""


@dataclass(frozen=True)
class Woken:
    """A step that was frozen, in a worker again, where it waits."""

    frozen: Frozen
    snapshot: AsyncSnapshot
    printed: Printed


class Session:
    """A run's place in the sandbox. Made by `Sandbox.open`; not for two steps at once."""

    def __init__(
        self,
        sandbox: Sandbox,
        world: World,
        limits: Limits,
        worker: Worker,
        woken: Woken | None = None,
    ) -> None:
        """`woken`: a step that was frozen, for `go_on`."""
        self._sandbox = sandbox
        self._world = world
        self._limits = limits
        self._worker: Worker | None = worker
        self._steps = self._turn = 0
        self._names: frozenset[str] = frozenset(woken.frozen.names if woken else ())
        self._woken = woken

    @property
    def pid(self) -> int | None:
        """The worker's process; None while it computes or when there is none."""
        return self._worker.pid if self._worker else None

    async def close(self) -> None:
        """Give the worker back. Safe to repeat."""
        await self._lose()

    async def run_step(
        self,
        code: str,
        host: Host,
        first_call: int,
        *,
        turn: int | None = None,
        checked: bool = False,
        there: channels.Listing = channels.NOBODY,
    ) -> StepResult:
        """Check and run one step.

        Args:
            code: Python, as the model wrote it.
            host: Answers the calls.
            first_call: Number that the step's first call gets.
            turn: Seeds `random`, with the run's own seed; None to count the steps of this session.
            checked: Whether it has been checked before, since it is run again.
            there: The channels and members of hives that it finds, if it imports them.

        Raises:
            asyncio.CancelledError: the step was cancelled; its session is lost and nothing goes on.
            Parked: it waits for something that takes long; its session is gone, and a replay goes on with it.
            SandboxError: no worker could be had.
            Exception: whatever the host raised instead of returning it; the session is lost.
        """
        source = read(code)
        self._woken = None
        self._steps += 1
        self._turn = self._steps if turn is None else turn
        fault = None if checked else await self._check(source)
        if fault is not None:
            return StepResult(output="", fault=fault)
        self._names |= source.names
        printed = Printed(self._limits.output_chars)
        try:
            return await self._run(source, host, first_call, printed, there)
        except Parked as parked:
            frozen = self._whole(parked.frozen, printed)
            await self._lose()
            raise Parked(frozen) from None
        except BaseException:
            await self._lose()
            raise

    async def go_on(self, host: Host) -> StepResult:
        """Go on with the step that was frozen; raises as `run_step`."""
        assert self._woken is not None, "no step of this session was frozen"
        assert self._worker is not None, "a session that was thawed has a worker"
        frozen, printed = self._woken.frozen, self._woken.printed
        self._turn = frozen.turn
        source = self._worker.sources[frozen.filename]
        try:
            return await self._run(source, host, frozen.next_call, printed, channels.NOBODY)
        except Parked as parked:
            again = self._whole(parked.frozen, printed)
            await self._lose()
            raise Parked(again) from None
        except BaseException:
            await self._lose()
            raise

    def _whole(self, frozen: Frozen | None, printed: Printed) -> Frozen | None:
        """A frozen step with what the session knows of it; None if it printed too much."""
        text, cut = printed.finish()
        if frozen is None or cut:
            return None
        return replace(frozen, names=sorted(self._names), turn=self._turn, printed=text)

    async def _check(self, source: Source) -> Fault | None:
        found = lint.lint(source, known=self._names, depth=self._world.depth)
        if source.tree is not None:
            found += await self._sandbox.checker.check(source, known=self._names)
        return lint.fault(found)

    async def _run(
        self, source: Source, host: Host, first_call: int, printed: Printed, there: channels.Listing
    ) -> StepResult:
        worker = self._worker
        if worker is None:
            worker = self._worker = await self._sandbox.worker(self._world, self._limits)
        fault: Fault | None = None
        ended = lost = False
        value: Any = None
        shown: str | None = None
        unawaited: list[str] = []
        try:
            snapshot = await self._begin(worker, source, printed, there)
            drive = Drive(worker, host, self._limits, first_call=first_call, depth=self._world.depth)
            if self._woken is not None:
                drive.thaw(self._woken.frozen)
            try:
                value, shown = await self._value(worker, source, await drive.run(snapshot))
            finally:
                await drive.close()
                unawaited = drive.unawaited
        except Ended:
            ended = lost = True
        except LimitMet as exc:
            fault, lost = limit_fault(exc.limit, str(exc), self._limits), True
        except MontyError as exc:
            fault, lost = from_sandbox(exc, self._limits, worker.filename)
        if lost:
            await self._lose()
        output, cut = printed.finish()
        return StepResult(
            output=output,
            cut_chars=cut,
            value=value,
            value_repr=shown,
            fault=fault,
            ended=ended,
            session_lost=lost,
            unawaited=tuple(unawaited),
        )

    async def _begin(
        self, worker: Worker, source: Source, printed: Printed, there: channels.Listing
    ) -> AsyncSnapshot:
        if self._woken is not None:
            return self._woken.snapshot
        await worker.seed(self._world.seed * 1_000_003 + self._turn)
        await worker.load_modules(source.imports)
        await worker.load_written(source.imports, there)
        return await worker.start(source, printed, self._turn)

    async def _value(self, worker: Worker, source: Source, complete: MontyComplete) -> tuple[Any, str | None]:
        """The last expression's value, as JSON if it has that form, and its repr."""
        value = complete.output
        if value is None:
            return None, None
        plain = isinstance(value, _PLAIN) or not source.keeps_last
        shown = repr(value) if plain else await worker.last_repr()
        try:
            value = outward(value)
        except TypeError:
            value = None
        return value, shorten(shown, self._limits.output_chars)

    async def _lose(self) -> None:
        worker, self._worker = self._worker, None
        self._names = frozenset()
        if worker is not None:
            await self._sandbox.release(worker)
