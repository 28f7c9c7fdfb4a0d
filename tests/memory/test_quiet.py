"""Hours in which an agent does not disturb."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rlmd.errors import InvalidInput
from rlmd.memory.quiet import check_quiet, quiet_until


@pytest.mark.parametrize(
    ("quiet", "now", "until"),
    [
        ("22-7", "2026-11-25T21:59", None),
        ("22-7", "2026-11-25T22:00", "2026-11-26T07:00+00:00"),
        ("22-7", "2026-11-26T06:59", "2026-11-26T07:00+00:00"),
        ("22-7", "2026-11-26T07:00", None),
        ("12:30-13", "2026-11-26T12:45", "2026-11-26T13:00+00:00"),
        ("22:00-07:00 Europe/Berlin", "2026-11-25T21:30", "2026-11-26T06:00+00:00"),
        # 02:30 does not exist in that night: they end at the next valid moment.
        ("23-2:30 Europe/Berlin", "2026-03-29T00:00", "2026-03-29T01:00+00:00"),
        ("", "2026-11-25T22:00", None),
    ],
)
def test_when_they_end(quiet: str, now: str, until: str | None) -> None:
    found = quiet_until(check_quiet(quiet), datetime.fromisoformat(now).replace(tzinfo=UTC))
    shown = None if found is None else found.astimezone(UTC).isoformat(timespec="minutes")
    assert shown == until


@pytest.mark.parametrize("quiet", ["night", "22", "25-7", "7-7", "22-7 Mars/Olympus", "22:60-7"])
def test_what_are_no_hours_is_refused(quiet: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_quiet(quiet)
    assert caught.value.field in ("quiet", "timezone")
