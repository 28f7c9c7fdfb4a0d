"""What the daemon does now and then on its own: it drops what nobody will ask for any more.

That is answers of request ids, what channels have acknowledged, and what deleted agents and broken uploads
have left.

APScheduler fires; nothing of importance hangs on a firing, because each one finds out by itself what
there is to do.
"""

from __future__ import annotations

import logging
from types import TracebackType

from apscheduler.schedulers.background import BackgroundScheduler

from rlmd.errors import RlmdError
from rlmd.memory.store import House

log = logging.getLogger(__name__)

EVERY_SECONDS = 3600


class Upkeep:
    """Runs in a thread of its own while it is entered."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._scheduler = BackgroundScheduler(
            timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    def __enter__(self) -> Upkeep:
        self._scheduler.add_job(self._forget_requests, "interval", seconds=EVERY_SECONDS)
        self._scheduler.add_job(self._forget_parcels, "interval", seconds=EVERY_SECONDS)
        self._scheduler.add_job(self._expire, "interval", seconds=EVERY_SECONDS)
        self._scheduler.add_job(self._sweep, "interval", seconds=EVERY_SECONDS)
        self._scheduler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scheduler.shutdown(wait=True)

    def _forget_requests(self) -> None:
        try:
            if dropped := self._house.forget_requests().result():
                log.debug("dropped the answers of %d old requests", dropped)
        except RlmdError as error:
            log.warning("old requests could not be dropped: %s", error)

    def _forget_parcels(self) -> None:
        try:
            if dropped := self._house.forget_parcels().result():
                log.debug("dropped %d things that channels have acknowledged", dropped)
        except RlmdError as error:
            log.warning("what channels have acknowledged could not be dropped: %s", error)

    def _expire(self) -> None:
        try:
            if expired := self._house.expire():
                log.info("%d variables were hidden or thinned, as their rules say", expired)
        except RlmdError as error:
            log.warning("what is over its time could not be hidden: %s", error)

    def _sweep(self) -> None:
        try:
            if swept := self._house.sweep():
                log.debug("deleted %d pieces that nothing reached", swept)
        except RlmdError as error:
            log.warning("what nothing reaches could not be deleted: %s", error)
