"""Much to remember, made fast: variables written below the daemon, which must not be running."""

from __future__ import annotations

import random
import time
from itertools import islice
from pathlib import Path

import rlmd
from rlmd.memory.clock import SystemClock
from rlmd.memory.records import Author, Origin
from rlmd.memory.store import House, Transaction
from rlmd.memory.variables import Writing

BATCH = 1_000
_PEOPLE = [
    "Anna",
    "Bob",
    "Chiara",
    "David",
    "Emre",
    "Fatima",
    "George",
    "Hana",
    "Ivan",
    "Julia",
    "Kofi",
    "Lena",
    "Mateo",
    "Nina",
    "Omar",
    "Priya",
]
_PLACES = [
    "Berlin",
    "Lisbon",
    "Oslo",
    "Kyoto",
    "Lagos",
    "Lima",
    "Quito",
    "Riga",
    "Turin",
    "Utrecht",
    "Vienna",
    "Warsaw",
    "Zagreb",
    "Accra",
]
_DEEDS = [
    "moved to",
    "visited",
    "wrote about",
    "works in",
    "bought a house in",
    "gave a talk in",
    "missed a train to",
]
_THINGS = [
    "guitar",
    "bicycle",
    "garden",
    "novel",
    "puppy",
    "telescope",
    "recipe",
    "marathon",
    "piano",
    "ferry",
    "lantern",
    "orchard",
]


def fill(data: Path, count: int) -> None:
    """Have `bench/0` to `bench/<count - 1>` in the space `main`; those that are there stay."""
    writing = Writing(author=Author(user="owner"), origin=Origin.OWNER)
    with House.open(data / "rlmd.db", SystemClock()) as house:
        store = house.store(house.read(lambda accounts: accounts.users(most=1))[0])
        there = set(store.read(lambda tx: tx.space("main").names("bench/")))
        missing = (f"bench/{n}" for n in range(count) if f"bench/{n}" not in there)

        def work(tx: Transaction, names: list[str]) -> None:
            space = tx.space("main")
            for name in names:
                space.set(name, sentence(name), writing)

        while names := list(islice(missing, BATCH)):
            store.submit(lambda tx, names=names: work(tx, names)).result()  # type: ignore[misc]


def sentence(seed: str) -> str:
    """A text as people write them; the same for the same seed."""
    chance = random.Random(seed)
    who, other = chance.sample(_PEOPLE, 2)
    year = chance.randint(1990, 2026)
    return (
        f"{who} {chance.choice(_DEEDS)} {chance.choice(_PLACES)} in {year} with {other}, "
        f"because of the {chance.choice(_THINGS)} number {chance.randint(1, 99_999)}."
    )


def wait_for_index(client: rlmd.Client) -> float:
    """Seconds until a running daemon's index has taken in all."""
    began = time.perf_counter()
    while (status := client.status()).index != "ready" or status.index_pending:
        time.sleep(0.2)
    return time.perf_counter() - began
