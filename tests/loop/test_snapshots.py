"""Snapshots of runs that wait: used where they fit, and else the run is replayed, to the same end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rlmd.daemon.loop import snapshots as module
from rlmd.daemon.loop.snapshots import Snapshots
from rlmd.daemon.models.api import Usage
from rlmd.daemon.repl.frozen import Frozen
from tests.model_server import ModelServer, Text

from .lives import world
from .runner import py
from .test_property import difference

STEPS = [
    "trip = {'to': 'Bern'}\ndef shout(x): return x.upper()\nprint(1)",
    """
import random
drawn = random.random()
print('before')
answers = await asyncio.gather(
    ask('nobody: 1', timeout='3h', default='a'), ask('nobody: 2', timeout='5h', default='b'), llm('word'))
print(trip, answers)
memory.append('log', 'x')
more = await rlm('child', trip)
memory.set('random', drawn != random.random())
memory.append('log', 'y')
""",
    "reply(shout(str([trip, answers, more])))\ndone(trip)",
]
CHILD = "memory.set('of/child', event.context)\ndone(await ask('nobody: 3', timeout='2h', default='c'))"
SPENT = Usage(input_tokens=100, output_tokens=10)
PARKS = 4
"""At most, of the run: for its two questions, one after the other, and for its child; and of the child."""


def answer(body: dict[str, list[dict[str, str]]]) -> Text:
    messages = body["messages"]
    if messages[0]["content"].startswith("This is a sub-call"):
        return Text("WORD", usage=SPENT)
    if messages[0]["content"].startswith("You are a child"):
        return Text(py(CHILD), usage=SPENT)
    return Text(py(STEPS[(len(messages) - 2) // 2]), usage=SPENT)


class Harmed(Snapshots):
    """Snapshots to which something happens while a run waits."""

    harm: Callable[[Path, int], object] | None = None

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder
        self.used: list[bool] = []

    def use(self, run: int, place: int) -> tuple[Frozen, module.Standing] | None:
        path = self.folder / f"{run}.snapshot"
        if not path.exists():
            return None  # It could not be frozen in that moment.
        assert path.stat().st_mode & 0o777 == 0o600
        if self.harm is not None:
            self.harm(path, place)
        found = super().use(run, place)
        assert not path.exists(), "it is used once"
        self.used.append(found is not None)
        return found


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


HARM: dict[str, Callable[[Path, int], object]] = {
    "deleted": lambda path, _: path.unlink(),
    "empty": lambda path, _: path.write_bytes(b""),
    "cut": lambda path, _: path.write_bytes(path.read_bytes()[:-1]),
    "a bit of the dump": lambda path, _: flip(path, -100),
    "a bit of the head": lambda path, _: flip(path, 60),
    "a bit of the signature": lambda path, _: flip(path, 3),
    "another run's": lambda path, _: shutil.copy(path.with_name("another"), path),
}


async def test_a_run_that_waits_goes_on_from_its_snapshot_and_ends_as_by_replay(
    tmp_path: Path, model_server: ModelServer
) -> None:
    model_server.always(answer, model="m")
    async with world(tmp_path, model_server) as lives:
        lives.snapshots = None
        replayed = await lives.carry_out("m", [])
        lives.snapshots = kept = Harmed(tmp_path / "snapshots")
        asked = len(model_server.requests)
        frozen = await lives.carry_out("m", [])
        assert len(model_server.requests) - asked == asked, "nothing was asked for again"
        assert kept.used == [True] * len(kept.used)
        assert 0 < len(kept.used) <= PARKS
        assert difference(replayed, frozen) == ""
        assert frozen.memory["log"][1][4] == "xy"
        assert frozen.memory["random"][0][4] is True
        assert [file.name for file in kept.folder.iterdir()] == ["key"]
        assert (kept.folder.stat().st_mode & 0o777, (kept.folder / "key").stat().st_mode & 0o777) == (
            0o700,
            0o600,
        )


@pytest.mark.parametrize("kind", [*HARM, "another version", "another place"])
async def test_a_snapshot_that_does_not_fit_is_refused_and_the_run_replayed(
    kind: str, tmp_path: Path, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_server.always(answer, model="m")
    async with world(tmp_path, model_server) as lives:
        lives.snapshots = None
        replayed = await lives.carry_out("m", [])
        lives.snapshots = kept = Harmed(tmp_path / "snapshots")
        take = Snapshots.take

        def taken(self: Snapshots, run: int, place: int, frozen: Frozen, standing: module.Standing) -> None:
            """As another daemon would have."""
            with monkeypatch.context() as patch:
                if kind == "another version":
                    patch.setattr(module, "FORMAT", "1, pydantic-monty 0.0.1")
                take(self, run, place - (kind == "another place"), frozen, standing)
                take(self, 9999, place, frozen, standing)
                (kept.folder / "9999.snapshot").rename(kept.folder / "another")

        monkeypatch.setattr(Snapshots, "take", taken)
        kept.harm = HARM.get(kind)
        assert difference(replayed, await lives.carry_out("m", [])) == ""
        assert kept.used == [False] * len(kept.used)
        assert kept.used
