"""Times in words: what is understood, and what is said of the rest."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rlmd.daemon.schedules import phrases
from rlmd.errors import InvalidInput

NOW = datetime(2026, 11, 25, 13, 0, tzinfo=UTC)
"""A Wednesday, 14:00 in Berlin."""

ONCE = [
    ("20m", "2026-11-25T14:20"),
    ("in 20 minutes", "2026-11-25T14:20"),
    ("1h30m", "2026-11-25T15:30"),
    ("1h 30m", "2026-11-25T15:30"),
    ("half an hour", "2026-11-25T14:30"),
    ("in an hour and 5 minutes", "2026-11-25T15:05"),
    ("2 days", "2026-11-27T14:00"),
    ("in a week", "2026-12-02T14:00"),
    ("2026-12-24 18:00", "2026-12-24T18:00"),
    ("2026-12-24T18:00+00:00", "2026-12-24T19:00"),
    ("2026-12-24", "2026-12-24T00:00"),
    ("24.12.2026 18:00", "2026-12-24T18:00"),
    ("tomorrow at 9", "2026-11-26T09:00"),
    ("tomorrow at 9 pm", "2026-11-26T21:00"),
    ("morgen um 9", "2026-11-26T09:00"),
    ("at 9", "2026-11-26T09:00"),
    ("at 18:00", "2026-11-25T18:00"),
    ("friday at 10", "2026-11-27T10:00"),
    ("on friday at noon", "2026-11-27T12:00"),
    ("next monday at 9", "2026-11-30T09:00"),
    # Skipped when the clocks are changed.
    ("2027-03-28 02:30", "2027-03-28T03:00"),
]
AGAIN = [
    ("every 20m", "every", "20m"),
    ("every 2 hours", "every", "2h"),
    ("every hour", "every", "1h"),
    ("hourly", "every", "1h"),
    ("every 90 seconds", "every", "90s"),
    ("every 60 minutes", "every", "1h"),
    ("every day", "every", "1d"),
    ("weekly", "every", "1w"),
    ("every day at 9", "cron", "0 9 * * *"),
    ("daily at 9:15 pm", "cron", "15 21 * * *"),
    ("Every weekday at 8:30", "cron", "30 8 * * 1-5"),
    ("every monday and thursday at 7pm", "cron", "0 19 * * 1,4"),
    ("every weekend at noon", "cron", "0 12 * * 0,6"),
    ("every month at 9", "cron", "0 9 1 * *"),
    ("0 9 * * 1-5", "cron", "0 9 * * 1-5"),
    ("@daily", "cron", "@daily"),
    ("when inbox/ changes", "change", "inbox/"),
]


@pytest.mark.parametrize(("phrase", "expected"), ONCE)
def test_a_time_is_understood(phrase: str, expected: str) -> None:
    found = phrases.understand(phrase, NOW, "Europe/Berlin")
    assert found.kind == "at"
    assert (
        datetime.fromisoformat(found.spec).astimezone(ZoneInfo("Europe/Berlin")).isoformat()[:16] == expected
    )


@pytest.mark.parametrize(("phrase", "kind", "spec"), AGAIN)
def test_what_is_again_and_again_is_understood(phrase: str, kind: str, spec: str) -> None:
    assert phrases.understand(phrase, NOW, "Europe/Berlin") == phrases.When(kind, spec)


@pytest.mark.parametrize(
    ("phrase", "said"),
    [
        ("", "not said when"),
        ("soon", "nothing of it is understood"),
        ("9", "nothing of it is understood"),
        ("tomorrow at teatime", "only 'tomorrow' (2026-11-26"),
        ("every monday", "only the days, but no time of day is understood"),
        ("every day at 25", "only the days, but no time of day is understood"),
        ("every blue moon", "only 'every' is understood"),
        ("x" * 10_000, "nothing of it is understood"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_was(phrase: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        phrases.understand(phrase, NOW, "Europe/Berlin")
    assert said in caught.value.reason
    assert caught.value.field == "when"
    assert "tomorrow at 9" in caught.value.remedy


@pytest.mark.parametrize("given", ["", "soon", "20", "m", None, True, [], "99999999999w"])
def test_what_is_no_length_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        phrases.length(given)
    assert caught.value.field == "delay"


def test_lengths() -> None:
    assert phrases.length(90) == timedelta(seconds=90)
    assert phrases.length("1.5h") == timedelta(minutes=90)
    assert phrases.interval(7_200) == "2h"
    with pytest.raises(InvalidInput):
        phrases.interval("0.5s")


@given(st.text(max_size=40))
@example("every \x00 at 9")
@example("in ² hours")
def test_no_text_does_worse_than_to_be_refused(text: str) -> None:
    with suppress(InvalidInput):
        assert phrases.understand(text, NOW, "UTC").kind in ("at", "every", "cron", "change")
