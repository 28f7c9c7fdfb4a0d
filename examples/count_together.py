"""Twenty writers count in one variable, and none of them overwrites another: compare-and-set.

rlmd up --detach
python examples/count_together.py
"""

from __future__ import annotations

import asyncio

import rlmd

NAME = "examples/count"
WRITERS = 20


async def count(memory: rlmd.aio.Memory) -> int:
    """Add one; returns how many tries it took."""
    tries = 0
    while True:
        tries += 1
        version = await memory.version(NAME)
        value = await memory.get(NAME, 0, version=version or None)
        try:
            await memory.set(NAME, value + 1, expect=version)
            return tries
        except rlmd.Conflict:
            # Somebody was faster: read again what they wrote.
            continue


async def main() -> None:
    async with await rlmd.connect_async() as client:
        memory = client.agent("main").memory
        before = await memory.get(NAME, 0)
        tries = await asyncio.gather(*[count(memory) for _ in range(WRITERS)])
        print(f"{WRITERS} writers, {sum(tries)} tries")
        print(f"counted: {await memory.get(NAME) - before}")


if __name__ == "__main__":
    asyncio.run(main())
