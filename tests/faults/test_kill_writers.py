"""Sixty-four writers and kill -9, twenty times over one database: nothing acknowledged is lost.

The delays come from a seed that is printed; `RLMD_TEST_SEED` repeats one.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.memory.host import Home, opened

from .writers import WRITERS, name_of, value_of

TURNS = int(os.environ.get("RLMD_TEST_KILLS", 20))


@pytest.mark.slow
def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "rlmd.db"
    with opened(path):
        pass
    seed = int(os.environ.get("RLMD_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"RLMD_TEST_SEED={seed}")  # pytest shows it if the test fails
    delays = random.Random(seed)
    heads: Counter[int] = Counter()
    acknowledged = 0
    with ExitStack() as stack:
        process = stack.enter_context(writers(path, 0))
        for turn in range(TURNS):
            acks = killed(process, delays.uniform(0.05, 0.6))
            if turn + 1 < TURNS:
                # It loads its modules while we check, and opens the database when it is told to.
                process = stack.enter_context(writers(path, turn + 1))
            with opened(path) as home:
                check(home, turn, heads, acks)
            acknowledged += sum(map(len, acks.values()))
    assert acknowledged > TURNS * WRITERS
    print(f"{acknowledged:,} acknowledged writes, {heads.total():,} versions")


def killed(process: subprocess.Popen[bytes], delay: float) -> dict[int, list[tuple[int, int]]]:
    """Let the writers write for `delay` seconds and kill them.

    Returns what was acknowledged: by writer, pairs of sequence and version.
    """
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"go\n")
    assert process.stdout.readline() == b"ready\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=delay)
    process.kill()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -9
    acks: dict[int, list[tuple[int, int]]] = {writer: [] for writer in range(WRITERS)}
    for line in output.splitlines(keepends=True):
        if line.endswith(b"\n"):
            writer, sequence, version = map(int, line.split())
            acks[writer].append((sequence, version))
    return acks


def check(home: Home, turn: int, heads: Counter[int], acks: dict[int, list[tuple[int, int]]]) -> None:
    """`heads` are the versions at which the writers' variables were before, and are afterwards."""
    for writer, acked in acks.items():
        name, before = name_of(writer), heads[writer]
        variable = home.look(lambda space, name=name: space.find(name))  # type: ignore[misc]
        head = 0 if variable is None else variable.version.number
        # A write may be on disk whose acknowledgement came no more; only the last can be.
        assert len(acked) <= head - before <= len(acked) + 1
        assert acked == [(sequence, before + 1 + sequence) for sequence in range(len(acked))]
        for number in range(before + 1, head + 1):
            found = home.look(lambda space, name=name, number=number: space.get(name, version=number))  # type: ignore[misc]
            assert found.value == value_of(turn, writer, number - before - 1)
        if head:
            history = home.look(lambda space, name=name: space.history(name, most=1_000_000))  # type: ignore[misc]
            assert [version.number for version in history] == list(range(head, 0, -1))
        heads[writer] = head
    with home.house.database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        # A write and the answer to its request are there together, or neither is.
        assert connection.exec_driver_sql("SELECT count(*) FROM requests").scalar() == heads.total()
        assert connection.exec_driver_sql("SELECT count(*) FROM versions").scalar() == heads.total()


@contextmanager
def writers(path: Path, turn: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.faults.writers", str(path), str(turn)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, cwd=root
    ) as process:
        try:
            yield process
        finally:
            process.kill()
