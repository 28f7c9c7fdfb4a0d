"""The index under a real daemon: gone, cut short, altered. It serves and finds what it did."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import rlmd
from tests.conftest import StartDaemon

TOWNS = ("Berlin", "Lisbon", "Oslo", "Rome", "Vienna")
QUERIES = ("Who lives in Berlin?", "friend in Oslo", "number 17")


def remove(index: Path) -> None:
    shutil.rmtree(index)


def truncate(index: Path) -> None:
    for file in files(index):
        with file.open("r+b") as opened:
            opened.truncate(file.stat().st_size // 2)


def empty_newest_manifest(index: Path) -> None:
    """What a power cut leaves of a file that was never synced."""
    for folder in index.glob("*.lance/_versions"):
        max(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns).write_bytes(b"")


def flip_bits(index: Path) -> None:
    chance = random.Random(20)
    for file in files(index):
        data = bytearray(file.read_bytes())
        for _ in range(8):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data)


def files(index: Path) -> list[Path]:
    found = sorted(file for file in index.rglob("*") if file.is_file() and file.stat().st_size)
    assert found, "there is no index to be damaged"
    return found


def searched(memory: rlmd.Memory) -> list[list[str]]:
    return [[hit.name for hit in memory.search(query, k=3)] for query in QUERIES]


@pytest.mark.slow
def test_a_damaged_index_is_made_anew_while_the_daemon_serves(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    with rlmd.connect(data=daemon.data) as client:
        memory = client.agent().memory
        memory.set_all({f"people/{n}": f"Friend number {n} lives in {TOWNS[n % 5]}." for n in range(60)})
        until_ready(client)
        before = searched(memory)
    damages: tuple[Callable[[Path], None], ...] = (remove, truncate, empty_newest_manifest, flip_bits)
    for damage in damages:
        until_built(daemon.data / "index")
        daemon.stop()
        damage(daemon.data / "index")
        daemon.start()
        with rlmd.connect(data=daemon.data) as client:
            memory = client.agent().memory
            assert memory.get("people/17"), damage.__name__
            until_ready(client)
            assert searched(memory) == before, damage.__name__


def until_ready(client: rlmd.Client, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while (status := client.status()).index != "ready" or status.index_pending:
        assert time.monotonic() < until, status
        time.sleep(0.05)


def until_built(index: Path, seconds: float = 10.0) -> None:
    """Wait until there is something to be damaged: what is small is searched before it is built."""
    until = time.monotonic() + seconds
    while not any(index.glob("*.lance/_versions/*")):
        assert time.monotonic() < until, "there is no index"
        time.sleep(0.05)
