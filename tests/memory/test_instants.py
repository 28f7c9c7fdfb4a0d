"""When a schedule is due: crontab as people know it, and clocks that are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlmd.errors import InvalidInput
from rlmd.memory.instants import MICRO, Rule, checked, jittered, valid

ANCHOR = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)
BERLIN = "Europe/Berlin"
ZONES = ["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu"]


def due(kind: str, spec: str, since: str, count: int, *, zone: str = BERLIN, **more: datetime) -> list[str]:
    """The next instants after a local time, as the clock on the wall shows them."""
    rule = Rule(kind=kind, spec=checked(kind, spec, zone), zone=zone, anchor=ANCHOR, **more)
    first = rule.after(datetime.fromisoformat(since).replace(tzinfo=ZoneInfo(zone)))
    times = [] if first is None else islice(rule.from_(first), count)
    return [time.astimezone(ZoneInfo(zone)).isoformat(timespec="minutes")[5:] for time in times]


def test_a_daily_time_is_due_once_when_the_clocks_are_changed() -> None:
    # In spring 02:30 does not exist: the next valid moment is 03:00. In autumn it comes twice, counts once.
    assert due("cron", "30 2 * * *", "2026-03-28T12:00", 2) == ["03-29T03:00+02:00", "03-30T02:30+02:00"]
    assert due("cron", "30 2 * * *", "2026-10-24T12:00", 2) == ["10-25T02:30+02:00", "10-26T02:30+01:00"]
    sao_paulo = due("cron", "0 0 * * *", "2018-11-03T12:00", 2, zone="America/Sao_Paulo")
    assert sao_paulo == ["11-04T01:00-02:00", "11-05T00:00-02:00"]


def test_what_is_due_each_hour_is_due_in_a_repeated_hour_too() -> None:
    assert due("cron", "30 * * * *", "2026-10-25T01:10", 4) == [
        "10-25T01:30+02:00",
        "10-25T02:30+02:00",
        "10-25T02:30+01:00",
        "10-25T03:30+01:00",
    ]
    half_an_hour = due("cron", "*/30 * * * *", "2026-04-05T01:10", 4, zone="Australia/Lord_Howe")
    # There the clocks go back by half an hour, at 02:00 to 01:30.
    assert half_an_hour == [
        "04-05T01:30+11:00",
        "04-05T01:30+10:30",
        "04-05T02:00+10:30",
        "04-05T02:30+10:30",
    ]
    assert due("cron", "*/30 2-3 * * *", "2026-03-29T01:10", 3) == [
        "03-29T03:00+02:00",  # 02:00 and 02:30 are skipped; both become this one.
        "03-29T03:30+02:00",
        "03-30T02:00+02:00",
    ]


def test_whole_days_keep_the_hour_and_shorter_intervals_their_length() -> None:
    assert due("every", "1d", "2026-03-28T10:00", 2) == ["03-29T09:00+02:00", "03-30T09:00+02:00"]
    assert due("every", "24h", "2026-03-28T10:00", 2) == ["03-29T10:00+02:00", "03-30T10:00+02:00"]
    assert due("every", "1w", "2026-01-01T09:00", 2) == ["01-08T09:00+01:00", "01-15T09:00+01:00"]
    assert due("every", "90s", "2026-01-01T09:00", 2) == ["01-01T09:01+01:00", "01-01T09:03+01:00"]


def test_an_interval_that_starts_at_a_time_is_due_then_and_nothing_after_its_end() -> None:
    start = datetime(2026, 6, 1, 7, 0, tzinfo=UTC)
    rule = Rule(
        kind="every", spec="1d", zone=BERLIN, anchor=start, start=start, end=start + timedelta(days=1)
    )
    assert list(rule.from_(rule.after(ANCHOR) or ANCHOR)) == [start, start + timedelta(days=1)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # 0 and 7 are Sunday, 1 Monday.
        ("0 9 * * 1-5", ["11-27T09:00+01:00", "11-30T09:00+01:00"]),
        ("0 9 * * 0", ["11-29T09:00+01:00", "12-06T09:00+01:00"]),
        ("0 9 * * 7", ["11-29T09:00+01:00", "12-06T09:00+01:00"]),
        ("0 9 * * fri-sun", ["11-27T09:00+01:00", "11-28T09:00+01:00"]),
        ("0 9 * * 6-1", ["11-28T09:00+01:00", "11-29T09:00+01:00"]),
        # A day fits if it fits either of two restricted fields.
        ("0 9 28 * 1", ["11-28T09:00+01:00", "11-30T09:00+01:00"]),
        ("0 9 29 2 *", ["02-29T09:00+01:00", "02-29T09:00+01:00"]),
        ("@daily", ["11-27T00:00+01:00", "11-28T00:00+01:00"]),
        ("@weekly", ["11-29T00:00+01:00", "12-06T00:00+01:00"]),
        ("@monthly", ["12-01T00:00+01:00", "01-01T00:00+01:00"]),
        ("15,45 9 1 jan-mar *", ["01-01T09:15+01:00", "01-01T09:45+01:00"]),
        ("10-30/10 9 * * *", ["11-27T09:10+01:00", "11-27T09:20+01:00"]),
    ],
)
def test_a_crontab_line_means_what_crontab_says(line: str, expected: list[str]) -> None:
    assert due("cron", line, "2026-11-26T12:00", 2) == expected


def test_a_line_that_never_comes_true_is_never_due() -> None:
    assert due("cron", "0 0 30 2 *", "2026-01-01T00:00", 1) == []


@pytest.mark.parametrize(
    ("kind", "spec", "field"),
    [
        ("cron", "61 * * * *", "cron"),
        ("cron", "* * *", "cron"),
        ("cron", "* * * * 8", "cron"),
        ("cron", "* * 5-2 * *", "cron"),
        ("cron", "*/0 * * * *", "cron"),
        ("cron", "last * * * *", "cron"),
        ("cron", "@reboot", "cron"),
        ("every", "0s", "every"),
        ("every", "20", "every"),
        ("every", "999999999w", "every"),
        ("at", "soon", "at"),
        ("moon", "full", "kind"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_field(kind: str, spec: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked(kind, spec, "UTC")
    assert caught.value.field == field
    assert caught.value.remedy


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "\0"])
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidInput, match="no time zone"):
        checked("every", "1d", zone)


def test_a_time_that_the_clocks_skip_is_the_next_valid_one() -> None:
    assert (
        valid(datetime.fromisoformat("2026-03-29T02:30"), ZoneInfo(BERLIN)).isoformat()
        == "2026-03-29T03:00:00+02:00"
    )
    assert (
        valid(datetime.fromisoformat("2026-10-25T02:30"), ZoneInfo(BERLIN)).isoformat()
        == "2026-10-25T02:30:00+02:00"
    )


minutes = st.sampled_from(["0", "30", "*/15", "5,35", "*", "7-11"])
hours = st.sampled_from(["*", "2", "1-3", "*/2", "0", "23", "9"])
days = st.sampled_from(["*", "*", "1", "*/7"])
weekdays = st.sampled_from(["*", "*", "1-5", "0", "sat,sun"])
lines = st.builds("{} {} {} * {}".format, minutes, hours, days, weekdays)
moments = st.datetimes(
    datetime.fromisoformat("2025-01-01"), datetime.fromisoformat("2027-12-31"), timezones=st.just(UTC)
)


@given(line=lines, zone=st.sampled_from(ZONES), moment=moments)
def test_instants_only_grow_and_asking_in_between_gives_the_same(
    line: str, zone: str, moment: datetime
) -> None:
    rule = Rule(kind="cron", spec=line, zone=zone, anchor=ANCHOR)
    first = rule.after(moment)
    assert first is not None
    assert first > moment
    second = rule.after(first)
    assert second is not None
    assert second > first
    assert rule.after(first - MICRO) == first
    assert rule.after(moment + (first - moment) / 2) == first


@given(line=lines, zone=st.sampled_from(ZONES), moment=moments)
def test_away_from_changes_of_the_clocks_it_is_what_the_clock_shows(
    line: str, zone: str, moment: datetime
) -> None:
    """Against a reading of the line minute by minute that knows nothing of APScheduler."""
    rule = Rule(kind="cron", spec=line, zone=zone, anchor=ANCHOR)
    place = ZoneInfo(zone)
    end = moment + timedelta(hours=6)
    if (moment - timedelta(days=1)).astimezone(place).utcoffset() != end.astimezone(place).utcoffset():
        return
    found: list[datetime] = []
    while (instant := rule.after(found[-1] if found else moment)) is not None and instant <= end:
        found.append(instant)
    start = moment.replace(second=0, microsecond=0)
    every = [start + timedelta(minutes=minute) for minute in range(362)]
    assert found == [each for each in every if moment < each <= end and _fits(line, each.astimezone(place))]


def _fits(line: str, wall: datetime) -> bool:
    minute, hour, day, _, weekday = line.split()
    shown = [(minute, wall.minute, 0), (hour, wall.hour, 0)]
    of_day = [(day, wall.day, 1), (weekday, wall.isoweekday() % 7, 0)]
    either = not day.startswith("*") and not weekday.startswith("*")
    choose = any if either else all
    return all(_names(*each) for each in shown) and choose(_names(*each) for each in of_day)


def _names(field: str, value: int, low: int) -> bool:
    field = field.replace("sat", "6").replace("sun", "0")
    for item in field.split(","):
        if item == "*" or (item.startswith("*/") and (value - low) % int(item[2:]) == 0):
            return True
        first, _, last = item.partition("-")
        if first.isdecimal() and int(first) <= value <= int(last or first):
            return True
    return False


@given(schedule=st.integers(1, 10**6), moment=moments, seconds=st.integers(0, 86_400))
def test_jitter_is_bounded_and_always_the_same(schedule: int, moment: datetime, seconds: int) -> None:
    jitter = timedelta(seconds=seconds)
    fires = jittered(schedule, moment, jitter)
    assert moment <= fires <= moment + jitter
    assert fires == jittered(schedule, moment, jitter)


def test_jitter_spreads() -> None:
    moment, hour = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1)
    shares = [(jittered(number, moment, hour) - moment) / hour for number in range(200)]
    assert min(shares) < 0.1
    assert max(shares) > 0.9
