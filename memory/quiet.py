"""Hours in which an agent does not disturb: `22:00-07:00 Europe/Berlin`, by the clock on the wall there."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from rlmd.errors import InvalidInput

from .instants import check_zone, valid
from .names import short

_HOURS = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*-\s*(\d{1,2})(?::(\d{2}))?(?:\s+(\S+))?")


def check_quiet(text: str, zone: str = "UTC") -> str:
    """Quiet hours in the form that is kept; `zone` is meant if none is named. Empty for none.

    Raises:
        InvalidInput: they are none.
    """
    match = _HOURS.fullmatch(text.strip())
    if not text.strip():
        return ""
    try:
        begin, end = _times(match[1], match[2], match[3], match[4]) if match else (time(), time())
    except ValueError:
        begin = end = time()
    if match is None or begin == end:
        raise InvalidInput(
            f"{short(text)} are no quiet hours",
            field="quiet",
            remedy='Write them like "22:00-07:00" or "22:00-07:00 Europe/Berlin"; empty for none.',
        )
    return f"{begin:%H:%M}-{end:%H:%M} {check_zone(match[5] or zone)}"


def quiet_until(quiet: str, now: datetime) -> datetime | None:
    """When the quiet hours end in which this moment lies; None if it lies in none."""
    match = _HOURS.fullmatch(quiet)
    if match is None:
        return None
    zone = ZoneInfo(match[5])
    begin, end = _times(match[1], match[2], match[3], match[4])
    wall = now.astimezone(zone).replace(tzinfo=None, fold=0)
    here = wall.time()
    if not (begin <= here < end if begin < end else here >= begin or here < end):
        return None
    day = wall.date() if here < end else wall.date() + timedelta(days=1)
    return valid(datetime.combine(day, end), zone)


def _times(*parts: str | None) -> tuple[time, time]:
    """Raises ValueError: there is no such time of day."""
    numbers = [int(part or 0) for part in parts]
    return time(numbers[0], numbers[1]), time(numbers[2], numbers[3])
