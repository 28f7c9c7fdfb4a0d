"""Whatever a program does, and wherever it is cut off: it leaves the world as if nothing had happened.

Random programs (generate.py) are carried out once undisturbed and once through several lives (lives.py).
Memory with its versions, messages, questions, results, what was spent and the calls must be the same; and
every run must be the same again when it is replayed. The seed is printed; `RLMD_TEST_SEED` repeats one, and
`RLMD_TEST_PROGRAMS` says how many.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.model_server import ModelServer

from .generate import answers, steps
from .lives import Cut, Left, Lives, world

PROGRAMS = int(os.environ.get("RLMD_TEST_PROGRAMS", 200))
SEED = int(os.environ.get("RLMD_TEST_SEED", random.SystemRandom().randrange(1 << 30)))
PARTS = 4
"""Of the test, which may be at work on one processor each."""
HOUSES = 4
"""At once in each: a program that waits leaves the processor to others."""


def cuts(rng: random.Random) -> list[Cut]:
    """How the lives of a run end."""
    found = []
    for _ in range(rng.randint(1, 3)):
        kind = rng.random()
        if kind < 0.7:
            found.append(Cut(writes=rng.randint(0, 14), written=rng.random() < 0.5))
        else:
            found.append(Cut(seconds=rng.uniform(0, 0.2), clean=kind > 0.85))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
async def test_a_random_program_that_is_cut_off_leaves_the_world_as_if_nothing_had_happened(
    part: int, tmp_path: Path, model_server: ModelServer
) -> None:
    print(f"RLMD_TEST_SEED={SEED}")  # pytest shows it if the test fails
    seeds = [SEED + number for number in range(PROGRAMS) if number % PARTS == part]

    async def work(house: int) -> None:
        folder = tmp_path / str(house)
        folder.mkdir()
        async with world(folder, model_server) as lives:
            for seed in seeds[house::HOUSES]:
                await check(lives, seed, model_server)

    async with asyncio.TaskGroup() as group:
        for house in range(HOUSES):
            group.create_task(work(house))


async def check(lives: Lives, seed: int, server: ModelServer) -> None:
    """One program."""
    model = f"p{seed}"
    server.always(answers(seed), model=model)
    lost = cuts(random.Random(seed))
    try:
        whole = await lives.carry_out(model, [])
        other = await lives.carry_out(model, lost)
        assert difference(whole, other) == ""
    except AssertionError as error:
        error.add_note(f"RLMD_TEST_SEED={seed} RLMD_TEST_PROGRAMS=1, cut off by {lost}")
        error.add_note("\n---\n".join(steps(seed)))
        raise


def difference(whole: Left, other: Left) -> str:
    """What two ways have left that is not the same; empty if nothing."""
    found = []
    for name in sorted({*whole.memory, *other.memory}):
        one, two = whole.memory.get(name), other.memory.get(name)
        if one != two:
            found.append(f"{name}: {str(one)[:500]} is now {str(two)[:500]}")
    for what in ("messages", "questions", "runs", "calls", "spent"):
        one, two = getattr(whole, what), getattr(other, what)
        if one != two:
            found.append(f"{what}: missing {one - two}, too many {two - one}")
    return "\n".join(found)
