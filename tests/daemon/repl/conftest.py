"""A real sandbox for every test, and a shorthand to run steps in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from rlmd.daemon.repl.api import Limits, StepResult, World
from rlmd.daemon.repl.sandbox import Sandbox
from rlmd.daemon.repl.session import Session

from .host import DictHost

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=BERLIN)
QUICK = Limits(step_seconds=1.0, memory_bytes=64 * 1024 * 1024, output_chars=10_000, calls_per_step=200)


def world(depth: int = 1, seed: int = 7) -> World:
    event = {"channel": "cli", "sender": "alice", "text": "hello", "time": NOON, "attachments": []}
    return World(event=event, now=NOON, seed=seed, depth=depth)


@dataclass
class Steps:
    """A session with its host; calling it runs a step."""

    session: Session
    host: DictHost = field(default_factory=DictHost)

    async def __call__(self, code: str) -> StepResult:
        return await self.session.run_step(code, self.host, len(self.host.calls) + 1)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(max_processes=16) as sandbox:
        yield sandbox


@pytest.fixture
async def run(sandbox: Sandbox) -> AsyncIterator[Steps]:
    session = await sandbox.open(world(), QUICK)
    yield Steps(session)
    await session.close()
