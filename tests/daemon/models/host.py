"""A host whose memory is a dict with versions: enough to run the built-in model's programs for real."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rlmd.daemon.models.api import Message as Said
from rlmd.daemon.models.api import Request
from rlmd.daemon.models.builtin import BuiltinModel
from rlmd.daemon.models.fences import parse
from rlmd.daemon.repl.api import Call, Ended, Limits, Outcome, Raised, Returned, StepResult, World
from rlmd.daemon.repl.records import Hit, Message, Version
from rlmd.daemon.repl.sandbox import Sandbox

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=ZoneInfo("Europe/Berlin"))
DELETED = object()


def _words(text: str) -> set[str]:
    return {word[:4] for word in re.findall(r"\w+", text.lower())}


@dataclass
class Mind:
    """Memory, log and the loop in small: `say` is one run of the built-in model in a real sandbox."""

    sandbox: Sandbox
    now: datetime = NOON
    values: dict[str, list[Any]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    log: list[Message] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    steps: int = 0
    calls: int = 0

    async def say(self, text: str, *, sender: str = "alice") -> str:
        """What the agent replies to a message."""
        self.now += timedelta(minutes=1)
        self._logged(sender, text)
        self.replies, self.steps = [], 0
        event = {"channel": "cli", "sender": sender, "text": text, "time": self.now, "attachments": []}
        session = await self.sandbox.open(World(event=event, now=self.now, seed=1, depth=1), Limits())
        card = f"The time is {self.now}.\n<event 1 from {sender}>\n{text}\n</event>\nYou have 3 variables."
        messages = [Said("system", "You are main."), Said("user", card)]
        try:
            while self.steps < 3:
                self.steps += 1
                request = Request(messages=messages, model="builtin")
                answer = (await BuiltinModel().complete(request)).text
                parsed = parse(answer)
                assert parsed.problem is None
                (block,) = parsed.blocks
                result = await session.run_step(block.code, self, self.calls + 1)
                if result.ended:
                    break
                messages += [Said("assistant", answer), Said("user", _observation(self.steps, result))]
        finally:
            await session.close()
        assert len(self.replies) <= 1, self.replies
        reply = "\n".join(self.replies)
        self._logged("main", reply)
        return reply

    def _logged(self, sender: str, text: str) -> None:
        self.log.append(
            Message(time=self.now, channel="cli", sender=sender, text=text, from_agent=sender == "main")
        )

    async def call(self, call: Call) -> Outcome:
        self.calls = call.number
        method = getattr(self, call.name.replace(".", "_"))
        try:
            return Returned(method(*call.args, **call.kwargs))
        except Exception as exc:
            return Raised(exc)

    async def settle(self, call: Call, outcome: Outcome) -> None:
        raise AssertionError(call)

    async def abandon(self, call: Call) -> None:
        raise AssertionError(call)

    def rests(self, calls: Collection[int]) -> bool:
        return False

    def reply(self, text: str) -> None:
        self.replies.append(text)

    def done(self, value: Any = None) -> None:
        raise Ended

    def memory_get(self, name: str, version: int | None = None) -> Any:
        if version is None:
            value = self.values.get(name, [DELETED])[-1]
            return None if value is DELETED else value
        value = self.values[name][version - 1]
        if value is DELETED:
            raise LookupError(f"version {version} of {name} is a deletion")
        return value

    def memory_set(self, name: str, value: Any, note: str = "") -> Version:
        self.values.setdefault(name, []).append(value)
        self.notes.setdefault(name, []).append(note)
        return self.memory_history(name)[-1]

    def memory_append(self, name: str, value: Any, note: str = "") -> Version:
        old = self.memory_get(name)
        if old is not None and not isinstance(old, list):
            raise TypeError(f"{name} is not a list")
        return self.memory_set(name, [*(old or []), value], note)

    def memory_delete(self, name: str) -> None:
        if self.memory_get(name) is None:
            raise LookupError(name)
        self.memory_set(name, DELETED)

    def memory_undelete(self, name: str) -> None:
        if self.memory_get(name) is not None:
            raise RuntimeError(f"{name} is not deleted")
        self.memory_set(name, self.values[name][-2])

    def memory_revert(self, name: str, version: int, note: str = "") -> Version:
        return self.memory_set(name, self.memory_get(name, version), note)

    def memory_version(self, name: str) -> int:
        return len(self.values.get(name, []))

    def memory_names(self, prefix: str = "") -> list[str]:
        return sorted(n for n in self.values if n.startswith(prefix) and self.memory_get(n) is not None)

    def memory_history(self, name: str) -> list[Version]:
        return [
            Version(version=number, time=self.now, author="main", note=note, size=1)
            for number, note in enumerate(self.notes[name], 1)
        ]

    def memory_search(self, query: str, k: int = 10) -> list[Hit]:
        hits = [
            Hit(name=n, version=self.memory_version(n), text=text, time=self.now, score=0.5, start=0)
            for n in self.memory_names()
            if _words(query) & _words(text := str(self.memory_get(n)))
        ]
        return hits[:k]

    def log_search(self, query: str, k: int = 10) -> list[Message]:
        return [m for m in reversed(self.log) if _words(query) & _words(m.text)][:k]


def _observation(step: int, result: StepResult) -> str:
    lines = [f"[observation of step {step}]", result.output.rstrip()]
    if result.value_repr is not None:
        lines.append(result.value_repr)
    if result.fault is not None:
        lines.append(f"{result.fault.type}: {result.fault.message} (line {result.fault.line})")
    return "\n".join(filter(None, lines))
