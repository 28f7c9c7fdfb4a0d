"""The bell: APScheduler rings it when a schedule is due. It never remembers, and never does the work.

Whoever hears it looks into the tables, where the truth is. The jobs lie in a small file of their own, which
is brought in line with the tables at each start, and made anew if it is missing or damaged. Without the
bell nothing is lost: what is due is found at the next look, only later.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Engine, create_engine, event, exc

from rlmd.memory.clock import Clock

log = logging.getLogger(__name__)

NEAR = timedelta(minutes=10)
"""What fires later than so has no job yet: ten thousand that are far away cost nothing here."""
_ringing: dict[str, Callable[[], object]] = {}
"""What each open bell calls, by its file: a job that is kept in a file can only name a function."""


Times = Callable[[datetime], Mapping[int, datetime]]
"""When each schedule fires next, of those that do until a time."""


class Alarm(Protocol):
    """Who is told when a schedule fires next. From any thread."""

    def set(self, schedule: int, time: datetime | None) -> None:
        """From now on it fires at `time`, or not at all."""
        ...

    def fill(self, times: Times) -> None:
        """Take in what has come near; to be called once a minute at least."""
        ...


class NoAlarm:
    """Nobody is told: what is due is found by looking."""

    def set(self, schedule: int, time: datetime | None) -> None:
        """Nothing to do."""

    def fill(self, times: Times) -> None:
        """Nothing to do."""


class Bell:
    """An `Alarm` on APScheduler. `start` it before use, `stop` it at the end."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._scheduler: Any = None
        self._engine: Engine | None = None
        # One thread, in the order in which it was told; APScheduler's calls wait for its file.
        self._hand = ThreadPoolExecutor(1, thread_name_prefix="bell")
        self._lock = threading.Lock()
        self._told: dict[int, datetime | None] = {}
        self._near: dict[int, datetime] = {}
        """What has a job, or will have one as soon as the thread comes to it."""

    def start(self, ring: Callable[[], object], times: Times) -> None:
        """From now on `ring` is called, on a thread of its own, whenever one of the times has come."""
        _ringing[str(self._path)] = ring
        self._near = dict(times(self._horizon))
        self._hand.submit(self._open, dict(self._near))

    def set(self, schedule: int, time: datetime | None) -> None:
        if time is not None and time > self._horizon:
            time = None  # It is taken in when it has come near.
        with self._lock:
            if self._near.get(schedule) == time:
                return
            if time is None:
                del self._near[schedule]
            else:
                self._near[schedule] = time
            first = not self._told
            self._told[schedule] = time
        if first:
            with contextlib.suppress(RuntimeError):  # It was stopped.
                self._hand.submit(self._pass_on)

    def fill(self, times: Times) -> None:
        for schedule, time in times(self._horizon).items():
            self.set(schedule, time)

    def stop(self) -> None:
        """Ring no more. What is in the file is not needed any more either."""
        _ringing.pop(str(self._path), None)
        self._hand.submit(self._close)
        self._hand.shutdown(wait=True)

    @property
    def _horizon(self) -> datetime:
        return self._clock.now() + NEAR

    # -- on its own thread ------------------------------------------------------------------------

    def _open(self, times: dict[int, datetime]) -> None:
        for _ in range(2):
            try:
                self._scheduler = self._opened(times)
                return
            except Exception as error:
                log.warning("the bell's file %s is made anew: %s", self._path, error)
                self._close()
                with contextlib.suppress(OSError):
                    for file in self._path.parent.glob(f"{self._path.name}*"):
                        file.unlink()
        log.error("there is no bell: what is due is found by looking, up to a minute late")

    def _opened(self, times: dict[int, datetime]) -> Any:
        self._engine = _engine(self._path)
        scheduler = BackgroundScheduler(
            jobstores={"default": SQLAlchemyJobStore(engine=self._engine)},
            # All that a job does is to ring, so it needs no thread of its own.
            executors={"default": DebugExecutor()},
            # However late it is: it rings, once.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
            timezone=UTC,
        )
        scheduler.start(paused=True)
        there = {int(job.id): job.next_run_time for job in scheduler.get_jobs()}
        for schedule in there.keys() - times.keys():
            scheduler.remove_job(str(schedule))
        for schedule, time in times.items():
            if there.get(schedule) != time:
                self._put(scheduler, schedule, time)
        scheduler.resume()
        return scheduler

    def _pass_on(self) -> None:
        """Tell APScheduler what it was told. It looks at its file only once for all of it."""
        with self._lock:
            told, self._told = self._told, {}
        if self._scheduler is None:
            return
        try:
            self._scheduler.pause()
            for schedule, time in told.items():
                if time is not None:
                    self._put(self._scheduler, schedule, time)
                else:
                    with contextlib.suppress(JobLookupError):
                        self._scheduler.remove_job(str(schedule))
            self._scheduler.resume()
        except (exc.SQLAlchemyError, OSError) as error:
            log.warning("the bell cannot be set (%s): what is due is found by looking", error)

    def _put(self, scheduler: Any, schedule: int, time: datetime) -> None:
        scheduler.add_job(
            strike, "date", run_date=time, args=(str(self._path),), id=str(schedule), replace_existing=True
        )

    def _close(self) -> None:
        if self._scheduler is not None:
            # A job that fires just now is not found any more once it is shut down: this waits for its end.
            self._scheduler.pause()
            self._scheduler.get_jobs()
            self._scheduler.shutdown(wait=True)
            self._scheduler = None
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


def strike(path: str) -> None:
    """What APScheduler calls: ring the bell whose file this is, if it is open."""
    ring = _ringing.get(path)
    if ring is not None:
        ring()


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: object) -> None:
        # All of it can be made anew: it need not survive a power cut.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")

    return engine
