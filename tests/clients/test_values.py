"""Values and times on their way to the daemon: nothing is bent, and what is refused is named by its path."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlmd.clients.records import Author, Kind, Origin, Version
from rlmd.clients.values import from_time, from_value, parse_json, to_time, to_value
from rlmd.errors import InvalidInput

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(JSON | st.binary())
def test_what_goes_comes_back(value: object) -> None:
    back = from_value(to_value(value))
    assert back == value
    assert type(back) is type(value)


def test_tuples_become_lists() -> None:
    assert from_value(to_value({"a": (1, (2,))})) == {"a": [1, [2]]}


def itself() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [1, {"b": float("nan")}]}, "value['a'][1]['b']"),
        ([float("inf")], "value[0]"),
        ({"a": {1: 2}}, "value['a']"),
        ([datetime(2026, 1, 1, tzinfo=UTC)], "value[0]"),
        ({"a": {1, 2}}, "value['a']"),
        ({"a": b"x"}, "value['a']"),
        ("\ud800", "value"),
        (["\udfff"], "value[0]"),
        (object(), "value"),
    ],
)
def test_names_the_path_of_what_is_not_json(value: object, path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        to_value(value)
    assert caught.value.field == path
    assert caught.value.remedy


def test_a_value_that_holds_itself_is_refused() -> None:
    with pytest.raises(InvalidInput, match="levels deep"):
        to_value(itself())


@pytest.mark.parametrize("text", ["{'a': 1}", "NaN", "[1,", "[" * 100_000, ""])
def test_typed_json_is_strict(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_json(text)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1)), st.integers(-12, 12))  # noqa: DTZ001
def test_times_keep_their_instant(naive: datetime, hours: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
    stamp = to_time(moment, "after")
    assert stamp is not None
    assert from_time(stamp) == moment


@pytest.mark.parametrize("when", ["yesterday", "2026-13-01", "", 5, date(2026, 1, 1)])
def test_what_is_no_time_is_refused(when: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        to_time(when, "after")
    assert caught.value.field == "after"


def test_a_version_is_its_number_and_more() -> None:
    author, time = Author(user="ann"), datetime(2026, 1, 1, tzinfo=UTC)
    version = Version(
        number=3,
        kind=Kind.TEXT,
        size=5,
        time=time,
        source_time=None,
        author=author,
        origin=Origin.OWNER,
        note="why",
    )
    assert version == 3
    assert version + 1 == 4
    assert f"v{version}" == "v3"
    assert json.dumps(version) == "3"
    for twin in (pickle.loads(pickle.dumps(version)), copy.deepcopy(version)):
        assert (twin, twin.note, twin.author) == (3, "why", author)
    with pytest.raises(AttributeError):
        version.note = "other"  # type: ignore[misc]
