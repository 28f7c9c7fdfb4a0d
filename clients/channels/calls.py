"""Calls of the functions that a channel offers: each is done once in this process, however often it is sent.

A call comes again with the same key when its result did not arrive, such as after a break. While it is under
way that changes nothing; when it is done, the kept result is sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from contextvars import ContextVar
from typing import TYPE_CHECKING

from rlmd.clients.decode import last
from rlmd.clients.records import Invocation
from rlmd.clients.values import from_time
from rlmd.proto.rlmd.v1 import channels_pb2 as pb

from .outgoing import Outgoing
from .threads import Threads

if TYPE_CHECKING:
    from .declaring import Declared

KEPT_RESULTS = 1_000
KEPT_BYTES = 64 << 20
"""Results that are kept at most, for calls that are sent again; the oldest are let go first."""
LONGEST_RESULT, LONGEST_ERROR = 1_000_000, 10_000
"""Characters that the contract allows."""

log = logging.getLogger("rlmd.channel")
current: ContextVar[Invocation] = ContextVar("current")
"""The call that the running function answers."""


class Calls:
    """What is called, under way and done on one channel. Belongs to one event loop."""

    def __init__(self, declared: Declared, out: Outgoing, threads: Threads) -> None:
        self._declared = declared
        self._out = out
        self._threads = threads
        self._running: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._kept: OrderedDict[str, pb.CallResult] = OrderedDict()
        self._kept_bytes = 0

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The calls under way."""
        return [task for _, task in self._running.values()]

    def invoke(self, invoke: pb.Invoke) -> None:
        """Begin a call, or send its result again."""
        if (kept := self._kept.get(invoke.key)) is not None:
            self._out.result(kept)
        elif invoke.key not in self._running:
            self._running[invoke.key] = invoke.call, asyncio.create_task(self._do(invoke))

    def withdraw(self, call: str) -> None:
        """Nobody waits for a call any more. What runs on a thread goes on; its result is dropped."""
        for key, (own, task) in list(self._running.items()):
            if own == call:
                del self._running[key]
                task.cancel()

    def abandon(self, reason: str) -> None:
        """Tell all that are under way as failed."""
        for call, task in self._running.values():
            task.cancel()
            self._out.result(pb.CallResult(call=call, error=reason))
        self._running.clear()

    async def _do(self, invoke: pb.Invoke) -> None:
        result = pb.CallResult(call=invoke.call)
        try:
            value = await self._call(invoke)
            if len(value) > LONGEST_RESULT:
                raise ValueError(f"the result has {len(value):,} characters, over {LONGEST_RESULT:,}")
            result.result_json = value
        except Exception as exc:
            log.warning("%s failed; the program that called it is told", invoke.function, exc_info=True)
            result.error = f"{type(exc).__name__}: {exc}"[:LONGEST_ERROR]
        if self._running.pop(invoke.key, None) is not None:
            self._keep(invoke.key, result)
            self._out.result(result)

    async def _call(self, invoke: pb.Invoke) -> str:
        offered = self._declared.functions.get(invoke.function)
        if offered is None:
            raise LookupError(f"this client offers no function {invoke.function!r}")
        current.set(_invocation(invoke))
        return await offered.call(invoke.arguments_json, self._threads)

    def _keep(self, key: str, result: pb.CallResult) -> None:
        self._kept[key] = result
        self._kept_bytes += result.ByteSize()
        while len(self._kept) > KEPT_RESULTS or self._kept_bytes > KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.ByteSize()


def _invocation(invoke: pb.Invoke) -> Invocation:
    return Invocation(
        key=invoke.key,
        function=invoke.function,
        agent=last(invoke.agent),
        run=last(invoke.run),
        deadline=from_time(invoke.deadline) if invoke.HasField("deadline") else None,
    )
