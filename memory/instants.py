"""When a schedule is due: pure computation from its rule, the same answer for the same question.

    at     one instant
    every  an instant of `anchor` and each interval after it; whole days and weeks keep the hour of the
           clock on the wall, shorter intervals keep their length
    change never by time: whenever variables change whose names begin so
    cron   the five fields of crontab(5), read in the schedule's zone; APScheduler's CronTrigger steps
           through them

An hour that the clocks skip in spring is due at the next valid moment, once. One that they repeat in autumn
is due the first time only, unless the rule says every hour: then each of them counts.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

from rlmd.errors import InvalidInput

from .names import check_prefix, short

MICRO = timedelta(microseconds=1)
LEAST = timedelta(seconds=1)
MOST = timedelta(days=3_660)
_DAY = timedelta(days=1)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_INTERVAL = re.compile(r"(\d{1,9})([smhdw])")
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = ("minute", "hour", "day of the month", "month", "day of the week")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_ITEM = re.compile(r"(?:\*|(?P<first>[a-z]+|\d{1,2})(?:-(?P<last>[a-z]+|\d{1,2}))?)(?:/(?P<step>\d{1,2}))?")
_EXAMPLE = 'Write it like "0 9 * * 1-5": minute, hour, day of the month, month, day of the week.'
_SEARCHED = timedelta(days=3)
"""Between two looks for a change of the clocks: no zone changes twice in so short a time."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When something is due."""

    kind: str
    """`at`, `every`, `cron` or `change`."""
    spec: str
    """An ISO time, an interval such as `20m`, a crontab line, or how names begin: as `checked` gives them."""
    zone: str
    """Name of the time zone in which it is meant."""
    anchor: datetime
    """From where intervals count."""
    start: datetime | None = None
    end: datetime | None = None
    """Nothing is due before the one or after the other."""

    def after(self, moment: datetime) -> datetime | None:
        """The first due instant later than `moment`, in UTC; None if there is none."""
        if self.start is not None and moment < self.start:
            moment = self.start - MICRO
        found = self._after(moment.astimezone(UTC))
        return None if found is None or (self.end is not None and found > self.end) else found

    def from_(self, first: datetime) -> Iterator[datetime]:
        """The due instants from `first` on, which is one, in order."""
        due: datetime | None = first
        while due is not None:
            yield due
            due = self.after(due)

    def _after(self, moment: datetime) -> datetime | None:
        match self.kind:
            case "at":
                instant = datetime.fromisoformat(self.spec).astimezone(UTC)
                return instant if instant > moment else None
            case "change":
                return None
            case "every":
                length = interval(self.spec)
                if self.spec[-1] in "dw":
                    begin = _wall(self.anchor, _zone(self.zone))
                    return self._on_the_wall(moment, lambda wall: _step(begin, length, wall, self._first))
                return _step(self.anchor.astimezone(UTC), length, moment, self._first)
        hourly = self.spec.split()[1].startswith("*")
        return self._on_the_wall(moment, functools.partial(_cron_after, self.spec), again=hourly)

    @property
    def _first(self) -> int:
        """The first interval that counts: what is to start at a time is due then, else one later."""
        return 1 if self.start is None else 0

    def _on_the_wall(
        self, moment: datetime, step: Callable[[datetime], datetime | None], *, again: bool = False
    ) -> datetime | None:
        """The first instant after `moment` at which the clock on the wall shows one of the times of `step`.

        `step` goes from a wall time to the next, both written as if they were UTC; `again` tells whether
        a time that the clock shows twice counts twice.
        """
        zone = _zone(self.zone)
        wall = _wall(moment, zone)
        while (next_wall := step(wall)) is not None:
            wall = next_wall
            for instant in _instants(wall, zone)[: 2 if again else 1]:
                if instant > moment:
                    return self._repeated(moment, instant, step, zone) if again else instant
        return None

    def _repeated(
        self,
        moment: datetime,
        found: datetime,
        step: Callable[[datetime], datetime | None],
        zone: ZoneInfo,
    ) -> datetime:
        """What was found after `moment`, or what comes before it because the clocks go back between them."""
        change = _change(moment, found, zone)
        if change is None or _wall(change, zone) > _wall(change - MICRO, zone):
            return found
        wall = step(_wall(change, zone) - MICRO)
        return found if wall is None else min(found, _instants(wall, zone)[-1])


def jittered(schedule: int, due: datetime, jitter: timedelta) -> datetime:
    """When an occurrence fires: up to `jitter` after it is due, by chance, but always the same."""
    if not jitter:
        return due
    seed = blake2b(f"{schedule} {due.isoformat()}".encode(), digest_size=7).digest()
    return due + jitter * (int.from_bytes(seed) / 256**7)


def checked(kind: str, spec: str, zone: str) -> str:
    """A spec in the form that is kept.

    Raises:
        InvalidInput: it is none of its kind, or there is no such zone.
    """
    check_zone(zone)
    match kind:
        case "at":
            return _instant(spec, zone)
        case "every":
            interval(spec)
            return spec
        case "cron":
            return _crontab(spec)
        case "change":
            return check_prefix(spec.strip(), "names")
    raise InvalidInput(
        f"{short(kind)} is no kind of schedule", field="kind", remedy="at, every, cron or change."
    )


def check_zone(name: str) -> str:
    """Raises InvalidInput: there is no such time zone."""
    try:
        _zone(name)
    except (ValueError, OSError, LookupError):
        raise InvalidInput(
            f"there is no time zone {short(name)}",
            field="timezone",
            remedy="Give a name such as Europe/Berlin or UTC.",
        ) from None
    return name


def interval(spec: str) -> timedelta:
    """The length of an interval such as `90s`, `20m`, `2h`, `1d` or `1w`.

    Raises:
        InvalidInput: it is none, shorter than a second, or longer than ten years.
    """
    match = _INTERVAL.fullmatch(spec)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not LEAST.total_seconds() <= seconds <= MOST.total_seconds():
        raise InvalidInput(
            f"{short(spec)} is no interval between a second and ten years",
            field="every",
            remedy='Write it like "90s", "20m", "2h", "1d" or "1w".',
        )
    return timedelta(seconds=seconds)


def _instant(spec: str, zone: str) -> str:
    try:
        time = datetime.fromisoformat(spec)
    except ValueError:
        raise InvalidInput(
            f"{short(spec)} is no time", field="at", remedy='Write it like "2026-12-24 18:00".'
        ) from None
    return (time if time.tzinfo else valid(time, _zone(zone))).astimezone(UTC).isoformat()


def valid(wall: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which the clock shows this naive time first; the next valid one if it never does."""
    return _instants(wall, zone)[0].astimezone(zone)


def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clock on the wall shows, written as if it were UTC."""
    return moment.astimezone(zone).replace(tzinfo=UTC, fold=0)


def _instants(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """When the clock shows a time: once, twice if it is repeated, at the next instant if it is skipped."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return [first]
    # Read with the offsets of before and after a change that skips it, the two lie on its other sides.
    return [first, second] if first < second else [_change(second, first, zone) or first]


def _step(anchor: datetime, length: timedelta, moment: datetime, first: int) -> datetime:
    """The next of anchor + n length after a moment, with n from `first` on. Exact: no floats."""
    return anchor + max((moment - anchor) // length + 1, first) * length


def _change(first: datetime, last: datetime, zone: ZoneInfo) -> datetime | None:
    """The first instant after `first`, and not after `last`, at which the clocks are changed."""
    low, offset = first, first.astimezone(zone).utcoffset()
    while low < last:
        high = min(low + _SEARCHED, last)
        if high.astimezone(zone).utcoffset() != offset:
            while high - low > MICRO:
                middle = low + (high - low) // 2
                same = middle.astimezone(zone).utcoffset() == offset
                low, high = (middle, high) if same else (low, middle)
            return high
        low = high
    return None


# -- crontab --------------------------------------------------------------------------------------


def _cron_after(spec: str, wall: datetime) -> datetime | None:
    """The first time after `wall` that a line names, both as if they were UTC."""
    found = [trigger.get_next_fire_time(None, wall + MICRO) for trigger in _triggers(spec)]
    return min((time for time in found if time is not None), default=None)


@functools.lru_cache(maxsize=1_024)
def _triggers(spec: str) -> tuple[CronTrigger, ...]:
    """As crontab has it, a day fits if it fits either field, where both are restricted."""
    minute, hour, day, month, weekday = spec.split()
    # APScheduler counts the days of the week from Monday: it is given names.
    names = ",".join(sorted({_DAYS[number % 7] for number in _numbers(weekday, 4)}))
    common = {"minute": minute, "hour": hour, "month": month, "timezone": UTC}
    if day.startswith("*") or weekday.startswith("*"):
        return (CronTrigger(day=day, day_of_week=names, **common),)
    return CronTrigger(day=day, **common), CronTrigger(day_of_week=names, **common)


def _crontab(spec: str) -> str:
    """A line in the form that is kept. Raises InvalidInput."""
    line = " ".join(spec.lower().split())
    line = _NICKNAMES.get(line, line)
    fields = line.split()
    if len(fields) != len(_FIELDS):
        raise InvalidInput(
            f"{short(spec)} has {len(fields)} fields, not 5",
            field="cron",
            remedy=f"{_EXAMPLE} There are also {', '.join(_NICKNAMES)}.",
        )
    for at, field in enumerate(fields):
        _numbers(field, at)
    return line


def _numbers(field: str, at: int) -> set[int]:
    """What a field of a line names. Raises InvalidInput."""
    low, high = _RANGES[at]
    found: set[int] = set()
    for item in field.split(","):
        match = _ITEM.fullmatch(item)
        step = int((match and match["step"]) or 1)
        if match is None or step < 1:
            raise _no_field(field, at)
        if item.startswith("*"):
            first, last = low, high - (at == 4)
        else:
            first = _number(match["first"], at)
            last = _number(match["last"], at) if match["last"] else (high if match["step"] else first)
        if at == 4 and last < first:
            last += 7  # From Friday to Monday, say.
        if not low <= first <= last or (at != 4 and last > high):
            raise _no_field(field, at)
        found.update(range(first, last + 1, step))
    return found


def _number(text: str, at: int) -> int:
    names = {3: _MONTHS, 4: _DAYS}.get(at, ())
    if text[:3] in names:
        return names.index(text[:3]) + (at == 3)
    low, high = _RANGES[at]
    if not text.isdecimal() or not low <= int(text) <= high:
        raise _no_field(text, at)
    return int(text)


def _no_field(text: str, at: int) -> InvalidInput:
    low, high = _RANGES[at]
    return InvalidInput(
        f"{short(text)} is no {_FIELDS[at]} (from {low} to {high})", field="cron", remedy=_EXAMPLE
    )
