"""Sixty-four writers in a process that is going to be killed. Run by test_kill_writers.py.

    python writers.py DATABASE ROUND

Waits for a line on its input and says `ready`; then says `writer sequence version` for each write
once it is acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from rlmd.memory.clock import SystemClock
from rlmd.memory.records import Author, Origin
from rlmd.memory.store import House, Store, Transaction, digest_of
from rlmd.memory.variables import Writing

WRITERS = 64


def name_of(writer: int) -> str:
    return f"writers/{writer}"


def value_of(turn: int, writer: int, sequence: int) -> str:
    """Every seventh is too long for the row, and goes into pieces."""
    value = f"turn {turn}, writer {writer}, write {sequence}\n"
    return value * 200 if sequence % 7 == 3 else value


async def keep_writing(store: Store, turn: int, writer: int) -> None:
    order = Writing(author=Author(user="owner"), origin=Origin.OWNER)
    sequence = 0
    while True:
        value = value_of(turn, writer, sequence)
        request = f"{turn}/{writer}/{sequence}"

        def work(tx: Transaction, value: str = value, request: str = request) -> bytes:
            def write() -> bytes:
                return str(tx.space("main").set(name_of(writer), value, order).version.number).encode()

            return tx.once(request, digest_of("set", value.encode()), write)

        version = await store.write(work)
        os.write(1, b"%d %d %s\n" % (writer, sequence, version))
        sequence += 1


async def main(path: Path, turn: int) -> None:
    with House.open(path, SystemClock()) as house:
        store = house.store(house.read(lambda accounts: accounts.user("owner")))
        os.write(1, b"ready\n")
        await asyncio.gather(*(keep_writing(store, turn, writer) for writer in range(WRITERS)))


if __name__ == "__main__":
    sys.stdin.readline()
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
