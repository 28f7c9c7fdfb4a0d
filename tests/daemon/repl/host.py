"""A small host: memory is a dict, models echo, and every call is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rlmd.daemon.repl.api import Call, Ended, Outcome, Raised, Returned
from rlmd.daemon.repl.records import Hit

Answer = Callable[[Call], Awaitable[Any]]


@dataclass
class DictHost:
    """Answers memory from a dict; `answers` takes precedence, by the name of the call."""

    memory: dict[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Answer] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    settled: list[int] = field(default_factory=list)
    abandoned: list[int] = field(default_factory=list)
    replies: list[Any] = field(default_factory=list)

    async def call(self, call: Call) -> Outcome:
        self.calls.append(call)
        try:
            if call.name in self.answers:
                return Returned(await self.answers[call.name](call))
            return Returned(await self._own(call))
        except Exception as exc:
            return Raised(exc)

    async def settle(self, call: Call, outcome: Outcome) -> None:
        self.settled.append(call.number)

    async def abandon(self, call: Call) -> None:
        self.abandoned.append(call.number)

    def rests(self, calls: Collection[int]) -> bool:
        return False

    async def _own(self, call: Call) -> Any:
        match call.name, call.args:
            case "memory.get", (name,):
                return self.memory.get(name)
            case "memory.set", (name, value):
                self.memory[name] = value
            case "memory.append", (name, value):
                self.memory.setdefault(name, []).append(value)
            case "memory.names", prefix:
                return [name for name in self.memory if name.startswith(prefix[0] if prefix else "")]
            case "memory.size", (name,):
                return len(self.memory[name])
            case "memory.slice", (name, start, end):
                return self.memory[name][start:end]
            case "memory.search", _:
                now = datetime(2026, 11, 1, tzinfo=UTC)
                return [
                    Hit(name=n, version=1, text=str(v), score=1.0, time=now, start=0)
                    for n, v in self.memory.items()
                ]
            case "reply", (text,):
                self.replies.append(text)
            case "done", _:
                raise Ended
            case "llm", parts:
                await asyncio.sleep(0)
                return f"llm:{' '.join(map(str, parts))[:40]}"
            case "sys.now", _:
                return datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
            case "sys.time", _:
                return 1_795_000_000.0
            case "sys.sleep", (seconds,):
                await asyncio.sleep(min(seconds, 0.05))
            case _:
                raise LookupError(f"{call.name} is not known to this host")
        return None

    def names(self) -> list[str]:
        """Names of the calls, in order."""
        return [call.name for call in self.calls]
