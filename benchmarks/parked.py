"""Runs that wait: what ten thousand of them cost, and how soon one goes on once it is answered.

    python -m benchmarks.parked [--runs 10000] [--answers 50] [--calls 1000]

One run is parked by a real daemon, and its rows are copied: that is all that a parked run is.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psutil

import rlmd
from rlmd.clients.records import RunState
from rlmd.clients.sync import Run
from rlmd.clients.updates import Said
from tests.daemon_process import DaemonProcess

from .figures import percentile, report

PROGRAM = """\
/py seen = [memory.get('x') for _ in range({calls})]
reply('heard ' + await ask('Well?', channel='desk'))"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=10_000)
    options.add_argument("--answers", type=int, default=50)
    options.add_argument("--calls", type=int, default=1_000)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, DaemonProcess(Path(folder) / "data") as daemon:
        _long(daemon, given.calls)
        with rlmd.connect(data=daemon.data) as client:
            _park(client.agent().send(PROGRAM.format(calls=3)))
        daemon.stop()
        first = _copy(daemon.data / "rlmd.db", given.runs)
        began = time.monotonic()
        daemon.start()
        with rlmd.connect(data=daemon.data) as client:
            report("parked.cold_start", [time.monotonic() - began], "s", most=5, runs=given.runs)
            resident = psutil.Process(daemon.pid).memory_info().rss / 2**20
            report("parked.rss", [resident], "MiB", most=400, runs=given.runs)
            _answered(client, random.sample(range(first, first + given.runs), given.answers))


def _park(run: Run) -> None:
    while run.get().state is not RunState.WAITING:
        time.sleep(0.01)


def _long(daemon: DaemonProcess, calls: int) -> None:
    """From the answer to the reply of a program that had made many calls: by its snapshot, and without."""
    for figure, most in (("by_snapshot", 50), ("by_replay", 500)):
        taken = []
        with rlmd.connect(data=daemon.data) as client:
            for _ in range(5):
                run = client.agent().send(PROGRAM.format(calls=calls))
                _park(run)
                time.sleep(0.1)
                snapshot = daemon.data / f"snapshots/{run.id}.snapshot"
                assert snapshot.exists()
                if figure == "by_replay":
                    snapshot.unlink()
                (question,) = client.questions.list()
                taken.append(_answer(client, question.id, run, calls))
        report(f"parked.answer_to_reply_{figure}", taken, "ms", most=most, calls=calls)


def _answered(client: rlmd.Client, questions: list[int]) -> None:
    taken = []
    for number in questions:
        question = client.questions.get(str(number))
        taken.append(_answer(client, question.id, client.agent().run(question.run)))
    report("parked.answer_to_reply", taken, "ms", most=50, p95=percentile(taken, 0.95))


def _answer(client: rlmd.Client, question: str, run: Run, after: int = 0) -> float:
    """Milliseconds; what the run did before the place `after` is not asked for again."""
    began = time.perf_counter()
    client.questions.answer(question, "yes")
    for update in run.watch(after):
        if isinstance(update, Said):
            break
    return (time.perf_counter() - began) * 1000


def _copy(database: Path, count: int) -> int:
    """So many copies of the last run, with journal and question. Gives the first question's number."""
    with closing(sqlite3.connect(database)) as connection:
        run = connection.execute("SELECT max(id) FROM runs").fetchone()[0]
        first: int = connection.execute("SELECT max(id) + 1 FROM questions").fetchone()[0]
        names = {
            table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for table in ("runs", "journal", "questions")
        }
        for new in range(run + 1, run + 1 + count):
            for table, key in (("runs", "id"), ("journal", "run_id"), ("questions", "run_id")):
                kept = [name for name in names[table] if not (table == "questions" and name == "id")]
                values = [{key: "?1", "root_id": "?1"}.get(name, name) for name in kept]
                connection.execute(
                    f"INSERT INTO {table} ({', '.join(kept)}) "
                    f"SELECT {', '.join(values)} FROM {table} WHERE {key} = ?2",
                    (new, run),
                )
        connection.commit()
    return first


if __name__ == "__main__":
    main()
