"""Times in words: what people and programs write, as a kind and a spec that a schedule can keep.

    20m  in 2 hours  2026-12-24 18:00  tomorrow at 9          once
    every 20m  every day at 9  every weekday at 8:30          again and again
    0 9 * * 1-5  @daily                                       a crontab line
    when inbox/ changes                                       whenever variables change whose names begin so

Lengths, crontab lines and "every ..." are read here; dates in words are dateparser's. What is not understood
is refused with what was: nothing is guessed that nobody said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from rlmd.errors import InvalidInput
from rlmd.memory.instants import check_zone, valid
from rlmd.memory.names import short

EXAMPLES = '"20m", "2026-12-24 18:00", "tomorrow at 9", "every 2h", "every weekday at 8:30", "0 9 * * 1-5"'
LANGUAGES = ["en", "de", "fr", "es", "it"]
"""Of dates in words: each more is tried on every phrase that nobody understands."""
MAX_PHRASE = 200

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_UNIT = r"(?:s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?)"
_PART = re.compile(rf"(\d+(?:\.\d+)?(?=\s*[a-z])|\b(?:an?|one|half an?)(?=\s))\s*({_UNIT})(?![a-z])", re.I)
_LENGTH = re.compile(rf"(?:in\s+|after\s+)?(?:{_PART.pattern}(?:\s*,?\s*(?:and\s+)?)?)+", re.I)
_NUMBERS = {"a": 1.0, "an": 1.0, "one": 1.0, "half a": 0.5, "half an": 0.5}
_CRON = re.compile(r"@\w+|(?:[\d*][\w*,/-]*\s+){4}[\w*][\w*,/-]*")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY = r"(?:sun|mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?)(?:days?)?"
_EVERY = re.compile(
    r"(?:every|each)\s+(?P<rest>.+)|(?P<word>hourly|daily|weekly|monthly)\b\s*(?P<more>.*)", re.I
)
_CHANGES = re.compile(r"when(?:ever)?\s+(\S+)\s+changes?", re.I)
_AT = re.compile(
    r"(?:at\s+|um\s+)?(?P<hour>\d{1,2})(?:[:.h](?P<minute>\d{2}))?\s*(?:h|o'clock|uhr)?\s*(?P<half>[ap]\.?m\.?)?"
    r"|(?:at\s+)?(?P<word>noon|midnight)",
    re.I,
)
_PLAIN_HOUR = re.compile(
    r"\b(at|um|à)\s+(\d{1,2})(?!\d|[:.h]\d|\s*[ap]\.?m)(?:\s*(?:h|o'clock|uhr))?\b", re.I
)


@dataclass(frozen=True)
class When:
    """What was understood: `kind` and `spec` of a schedule."""

    kind: str
    spec: str


def understand(text: str, now: datetime, zone: str) -> When:
    """What a phrase means at a time, in a time zone.

    Raises:
        InvalidInput: it is not understood; says what was.
    """
    check_zone(zone)
    phrase = " ".join(text.split())
    if not phrase:
        raise InvalidInput("it is not said when", field="when", remedy=f"Write {EXAMPLES}.")
    if _CRON.fullmatch(phrase):
        return When("cron", phrase)
    match = _CHANGES.fullmatch(phrase)
    if match is not None:
        return When("change", match[1])
    match = _EVERY.fullmatch(phrase)
    if match is not None:
        return _every(match)
    return When("at", moment(phrase, now, zone).isoformat())


def moment(text: str, now: datetime, zone: str) -> datetime:
    """The time that a phrase means: a length from now on, a date and time, or words like `tomorrow at 9`.

    Raises:
        InvalidInput: it is not understood; says what was.
    """
    phrase = " ".join(text.split())
    if len(phrase) > MAX_PHRASE:
        raise _not_understood(text, "")
    if _LENGTH.fullmatch(phrase):
        return now + length(phrase)
    place = ZoneInfo(check_zone(zone))
    try:
        exact = datetime.fromisoformat(phrase)
    except ValueError:
        return _in_words(phrase, now.astimezone(place))
    return exact if exact.tzinfo else valid(exact, place)


def length(given: Any) -> timedelta:
    """A length of time, from seconds or from a text such as `20m`, `1h 30m`, `2 days` or `half an hour`.

    Raises:
        InvalidInput: it is none.
    """
    if isinstance(given, int | float) and not isinstance(given, bool):
        given = f"{given} s"
    phrase = " ".join(given.split()) if isinstance(given, str) else ""
    if not _LENGTH.fullmatch(phrase):
        raise InvalidInput(
            f"{short(given)} is no length of time",
            field="delay",
            remedy='Give seconds, or a text like "20m", "1h 30m" or "2 days".',
        )
    total = 0.0
    for count, unit in _PART.findall(phrase):
        number = _NUMBERS.get(count.lower()) or float(count)
        total += number * _SECONDS[unit[0].lower()]
    if total > 3_660 * 86_400:
        raise InvalidInput(f"{short(given)} is over ten years", field="delay", remedy="Give a shorter one.")
    return timedelta(seconds=total)


def is_length(text: str) -> bool:
    """Whether `length` reads it."""
    return _LENGTH.fullmatch(" ".join(text.split())) is not None


def interval(given: Any) -> str:
    """A length as the spec of an interval: in the largest unit that measures it whole."""
    seconds = length(given).total_seconds()
    for unit in ("w", "d", "h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    if seconds < 1 or seconds % 1:
        raise InvalidInput(
            f"{short(given)} is no whole number of seconds", field="every", remedy='Like "90s", "20m", "1d".'
        )
    return f"{seconds:.0f}s"


# -- again and again ------------------------------------------------------------------------------


def _every(match: re.Match[str]) -> When:
    rest = match["rest"]
    if match["word"]:
        unit = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month"}[match["word"].lower()]
        rest = f"{unit} {match['more']}".strip()
    if re.fullmatch(_UNIT, rest, re.I):
        rest = f"1 {rest}"
    if _LENGTH.fullmatch(rest) and not rest.lower().startswith(("in ", "after ")):
        return When("every", interval(rest))
    days, _, time = _parted(rest)
    weekdays = _weekdays(days)
    if weekdays is None:
        raise _not_understood(match[0], "'every'")
    hour, minute = _clock(time, match[0])
    day = "1" if days == "month" else "*"
    return When("cron", f"{minute} {hour} {day} * {weekdays}")


def _parted(rest: str) -> tuple[str, str, str]:
    """The days and the time of `weekday at 8:30`."""
    for pattern in (r"\s+(?=at\s|um\s)", r"\s+(?=\d|noon|midnight)"):
        parts = re.split(pattern, rest, maxsplit=1, flags=re.I)
        if len(parts) == 2:
            return parts[0].lower(), " ", parts[1]
    return rest.lower(), " ", ""


def _weekdays(days: str) -> str | None:
    """The last field of a crontab line; None if these are no days."""
    if days in ("day", "month", "1 day", "morning"):
        return "*"
    if days in ("weekday", "weekdays", "working day", "workday"):
        return "1-5"
    if days in ("weekend", "weekends"):
        return "0,6"
    names = re.split(r"\s*(?:,|and|&)\s*", days)
    if not all(re.fullmatch(_DAY, name) for name in names):
        return None
    return ",".join(str(number) for number in sorted(_DAYS.index(name[:3]) for name in names))


def _clock(text: str, phrase: str) -> tuple[int, int]:
    """Hour and minute of a time of day."""
    match = _AT.fullmatch(text.strip()) if text.strip() else None
    if match is None:
        raise _not_understood(phrase, "the days, but no time of day")
    if match["word"]:
        return (12, 0) if match["word"].lower() == "noon" else (0, 0)
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    if match["half"]:
        if not 1 <= hour <= 12:
            raise _not_understood(phrase, "the days, but no time of day")
        hour = hour % 12 + (12 if match["half"][0].lower() == "p" else 0)
    if hour > 23 or minute > 59:
        raise _not_understood(phrase, "the days, but no time of day")
    return hour, minute


# -- dates in words -------------------------------------------------------------------------------


def _in_words(phrase: str, now: datetime) -> datetime:
    found = _parse(phrase, now)
    if found is None:
        raise _not_understood(phrase, _understood(phrase, now))
    return found


def _parse(phrase: str, now: datetime) -> datetime | None:
    if not re.search(r"[^\W\d_]|\d[:.-]\d", phrase):
        return None  # A bare number: of what?
    # Loaded where it is needed: it takes longer than a call.
    import dateparser

    zone = now.tzinfo
    assert isinstance(zone, ZoneInfo)
    # What it takes for a day of the month, and what it does not know.
    plain = _PLAIN_HOUR.sub(r"\1 \2:00", phrase)
    plain = re.sub(r"\bnext (?=(?:mon|tue|wed|thu|fri|sat|sun))", "", plain, flags=re.I)
    plain = re.sub(r"^(?:on|am)\s+", "", plain, flags=re.I)
    found = dateparser.parse(
        plain,
        languages=LANGUAGES,
        settings={"PREFER_DATES_FROM": "future", "RELATIVE_BASE": now.replace(tzinfo=None)},
    )
    if found is None:
        return None
    return found if found.tzinfo else valid(found, zone)


def _understood(phrase: str, now: datetime) -> str:
    """The longest beginning or end of a phrase that is understood, with what it means."""
    words = phrase.split()
    parts = [words[:at] for at in range(len(words) - 1, 0, -1)]
    parts += [words[at:] for at in range(1, len(words))]
    for part in sorted(parts, key=len, reverse=True):
        if part[-1].lower() in ("at", "on", "in", "um", "am"):
            continue
        found = _parse(" ".join(part), now)
        if found is not None:
            return f"{' '.join(part)!r} ({found:%Y-%m-%d %H:%M})"
    return ""


def _not_understood(text: str, understood: str) -> InvalidInput:
    told = f"only {understood} is understood" if understood else "nothing of it is understood"
    return InvalidInput(f"{short(text)} is no time: {told}", field="when", remedy=f"Write {EXAMPLES}.")
