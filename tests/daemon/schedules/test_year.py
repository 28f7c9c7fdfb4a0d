"""A year in which everything goes wrong: each due instant has one row, and nothing runs twice.

The tick, the store and the rules are real; time is moved by hand. Between ticks the daemon is gone, killed
amid a tick, or the clock is set. What must then be true is reckoned here from the rules alone.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlmd.daemon.schedules.bell import NoAlarm
from rlmd.daemon.schedules.tick import Ticker
from rlmd.memory.agents import Agents
from rlmd.memory.catching_up import rule_of
from rlmd.memory.clock import ManualClock
from rlmd.memory.records import (
    Author,
    Fate,
    Missed,
    Occurrence,
    Origin,
    Run,
    RunLimits,
    RunState,
    Schedule,
    User,
)
from rlmd.memory.schedules import Draft
from rlmd.memory.store import House, Store, Transaction

BEGIN = datetime(2026, 1, 1, 5, 17, tzinfo=UTC)
YEAR = timedelta(days=365)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago"]
SPECS = [
    ("every", "5h"),
    ("every", "1d"),
    ("every", "1w"),
    ("cron", "30 2 * * *"),
    ("cron", "0 */6 * * *"),
    ("cron", "15 1 * * 1-5"),
    ("cron", "0 0 1 * 0"),
    ("at", "2026-03-29 02:30"),
    ("at", "2026-10-25 02:30"),
]

drafts = st.builds(
    lambda spec, zone, missed, most, grace, jitter: Draft(
        kind=spec[0],
        spec=spec[1],
        text="x",
        timezone=zone,
        missed=missed,
        most=most,
        grace=timedelta(minutes=grace),
        jitter=timedelta(minutes=jitter),
    ),
    st.sampled_from(SPECS),
    st.sampled_from(ZONES),
    st.sampled_from(list(Missed)),
    st.integers(1, 5),
    st.sampled_from([0, 10, 600]),
    st.sampled_from([0, 0, 45]),
)
events = st.lists(
    st.tuples(
        st.sampled_from(["tick", "tick", "sleep", "restart", "kill", "set back", "set forth"]),
        st.floats(0.0, 1.0),
    ),
    min_size=5,
    max_size=25,
)


class Killed(BaseException):
    """As kill -9 looks from inside: what was not committed is gone."""


class World:
    """A house and its ticker, over restarts."""

    def __init__(self, path: Path, clock: ManualClock) -> None:
        self.path, self.clock = path, clock
        self.handed: Counter[int] = Counter()
        self._house: House | None = None

    @property
    def house(self) -> House:
        if self._house is None:
            self._house = House.open(self.path, self.clock)
        return self._house

    @property
    def store(self) -> Store:
        return self.house.store(self.house.read(lambda accounts: accounts.user("owner")))

    def close(self) -> None:
        if self._house is not None:
            self._house.close()
        self._house = None

    def tick(self, *, dies_after: int | None = None) -> None:
        """One tick; with `dies_after`, the process ends before so many runs are handed over."""
        left = [dies_after]

        def hand_over(store: Store, run: Run) -> None:
            if left[0] is not None:
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
            self.handed[run.id] += 1
            self.finish(run)

        equipment: Any = SimpleNamespace(limits=lambda wanted: RunLimits(steps=1), alarm=NoAlarm())
        Ticker(self.house, equipment, lambda store, run: None).tick(hand_over)

    def finish(self, run: Run) -> None:
        """What a daemon does with a run, in short: it starts, and ends."""

        def work(tx: Transaction) -> None:
            tx.runs.start(run)
            tx.runs.end(run, RunState.DONE)
            tx.schedules.ended(run, RunState.DONE, "")

        self.store.submit(work).result()

    def recover(self) -> None:
        """What a start does: runs that were made and not carried out are."""
        for _, number in self.house.unfinished():
            run = self.store.read(lambda tx, number=number: tx.runs.get(number))  # type: ignore[misc]
            self.handed[run.id] += 1
            self.finish(run)


@contextmanager
def world(draft_list: list[Draft]) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        made = World(Path(folder) / "rlmd.db", ManualClock(BEGIN))
        try:
            made.house.write(_owner).result()
            for draft in draft_list:
                made.store.submit(lambda tx, draft=draft: _create(tx, draft)).result()  # type: ignore[misc]
            yield made
        finally:
            made.close()


def _owner(accounts: Any) -> User:
    user: User = accounts.create_user("owner", administrator=True)
    Agents(accounts.connection, accounts.now, user).create("main")
    return user


def _create(tx: Transaction, draft: Draft) -> Schedule:
    author = Author(user="owner")
    return tx.schedules.create(tx.agents.get("main"), draft, author=author, origin=Origin.OWNER)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(draft_list=st.lists(drafts, min_size=1, max_size=4), script=events)
def test_a_year_in_which_everything_goes_wrong(
    draft_list: list[Draft], script: list[tuple[str, float]]
) -> None:
    with world(draft_list) as it:
        share = YEAR / (len(script) + 1)
        latest = it.clock.now()
        for what, chance in script:
            if what == "set back":
                it.clock.move(-timedelta(days=chance))
            elif what == "set forth":
                it.clock.move(timedelta(days=chance))
            elif what == "tick":
                it.clock.move(timedelta(hours=chance * 4))
            else:
                it.clock.move(share * chance)
            if what == "kill":
                try:
                    it.tick(dies_after=int(chance * 4))
                except Killed:
                    it.close()
                    it.recover()
            elif what == "restart":
                it.close()
                it.recover()
            it.tick()
            latest = max(latest, it.clock.now())
        it.clock.move(max(latest - it.clock.now(), timedelta()))
        it.tick()
        found = it.store.read(lambda tx: tx.schedules.page(over=True, most=100))
        rows = it.store.read(lambda tx: tx.schedules.occurrences(most=1_000_000))
        for schedule in found:
            _check(schedule, [row for row in rows if row.schedule == schedule.id][::-1], it.clock.now())
        assert set(it.handed.values()) <= {1}, "a run was carried out twice"
        assert set(it.handed) == {row.run for row in rows if row.run is not None}


def _check(schedule: Schedule, rows: list[Occurrence], now: datetime) -> None:
    """Each due instant until now has one row, in order, and each row is one of them."""
    due = sorted(row.due_time for row in rows)
    first = rule_of(schedule).after(schedule.create_time)
    assert len(set(due)) == len(due)
    expected: list[datetime] = []
    for instant in rule_of(schedule).from_(first) if first is not None else ():
        if instant + schedule.jitter > now and instant not in due:
            break
        expected.append(instant)
    told_in_one = [row for row in rows if "too many" in row.reason]
    if not told_in_one:
        assert due == expected
    assert set(due) <= set(expected)
    for row in rows:
        assert row.end_time is not None
        assert (row.run is not None) == (row.fate in (Fate.RAN, Fate.LATE, Fate.CAUGHT_UP))
        if schedule.missed is Missed.SKIP:
            assert row.fate is not Fate.CAUGHT_UP
        if row.fate in (Fate.RAN, Fate.LATE):
            assert row.create_time - row.due_time <= schedule.grace + schedule.jitter
    _check_most(schedule, rows)


def _check_most(schedule: Schedule, rows: list[Occurrence]) -> None:
    """Of what is found due at once, no more is caught up on than the policy says."""
    most = schedule.most if schedule.missed is Missed.ALL else 1
    at_once = Counter(row.create_time for row in rows if row.fate is Fate.CAUGHT_UP)
    assert all(count <= most for count in at_once.values())
    assert all(a.due_time < b.due_time for a, b in pairwise(rows))
