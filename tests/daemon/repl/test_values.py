"""Values both ways: what crosses unchanged, what becomes JSON, what is refused and how."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlmd.daemon.repl.records import Attachment, Hit
from rlmd.daemon.repl.values import MAX_DEPTH, inward, named, outward

from .conftest import Steps

_TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)
_Point = namedtuple("_Point", "x y")
_WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)


@given(_JSON)
def test_json_crosses_both_ways_unchanged(value: Any) -> None:
    assert outward(inward(value)) == value
    assert json.loads(json.dumps(outward(value))) == value


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=_JSON)
async def test_json_survives_the_sandbox(run: Steps, value: Any) -> None:
    run.host.memory, run.host.calls = {"in": value}, []
    assert (await run("memory.set('out', memory.get('in'))")).fault is None
    assert run.host.memory["out"] == value


def test_records_become_namedtuples_of_the_same_name() -> None:
    hit = Hit(name="a", version=2, text="t", time=_WHEN, score=0.5, start=0)
    seen = inward([hit])[0]
    assert type(seen).__name__ == "Hit"
    assert type(seen).__module__ == "__main__"
    assert seen == ("a", 2, "t", _WHEN, 0.5, 0)
    assert seen.text == "t"
    event = named("Event", {"text": "x", "attachments": [Attachment(name="f", size=1, kind="text")]})
    assert event.attachments[0].name == "f"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, [2]), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        (_Point(1, _Point(2, 3)), {"x": 1, "y": {"x": 2, "y": 3}}),
        (Counter("aab"), {"a": 2, "b": 1}),
        (defaultdict(list, {"k": [1]}), {"k": [1]}),
        (OrderedDict(a=1), {"a": 1}),
        ([_WHEN, date(2026, 3, 1)], ["2026-03-01T12:00:00+00:00", "2026-03-01"]),
        (Decimal("1.50"), "1.50"),
        ({1: "a", None: "c", 2.5: "d"}, {"1": "a", "null": "c", "2.5": "d"}),
        ({date(2026, 3, 1): 1}, {"2026-03-01": 1}),
    ],
)
def test_what_becomes_json(value: Any, expected: Any) -> None:
    assert outward(value) == expected


def test_bytes_are_only_a_whole_value() -> None:
    assert outward(b"x", takes_bytes=True) == b"x"
    with pytest.raises(TypeError, match=r"value\[0\]: bytes"):
        outward([b"x"], takes_bytes=True)


def _cycle() -> Any:
    value: list[Any] = []
    value.append({"a": value})
    return value


def _deep() -> Any:
    value: Any = 1
    for _ in range(MAX_DEPTH + 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: {"a": [1, 2, 3, "<function 'f' at 0x2c>"]}, r"value\['a'\]\[3\]: a function"),
        (lambda: "<coroutine object ask>", "value: the result of a call that was not awaited"),
        (lambda: ["<list_iterator object>"], r"value\[0\]: an iterator"),
        (lambda: "range(0, 3)", "value: a range"),
        (lambda: [float("nan")], r"value\[0\]: nan"),
        (lambda: {"k": float("inf")}, r"value\['k'\]: inf"),
        (lambda: {float("nan"): 1}, "key nan"),
        (lambda: {(1, 2): 1}, r"key \(1, 2\) is a tuple"),
        (lambda: {1: "a", "1": "b"}, "two keys are '1'"),
        (lambda: "a\ud800", "not valid Unicode at character 1"),
        (lambda: {"a\ud800": 1}, "not valid Unicode"),
        (lambda: timedelta(1), "total_seconds"),
        (lambda: object(), "a object"),
        (_cycle, r"value\[0\]\['a'\]: it contains itself"),
        (_deep, "levels deep"),
    ],
)
def test_what_is_refused_names_its_path(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        outward(make())


def test_an_equal_part_twice_is_no_cycle() -> None:
    part = [1]
    assert outward([part, part]) == [[1], [1]]


@pytest.mark.parametrize("value", [object(), "a\ud800", [len]])
def test_what_cannot_enter(value: Any) -> None:
    with pytest.raises(TypeError):
        inward(value)


@pytest.mark.parametrize(
    ("code", "stored"),
    [
        ("memory.set('x', (1, {2}))", [1, [2]]),
        ("from collections import Counter\nmemory.set('x', Counter('aab'))", {"a": 2, "b": 1}),
        (
            "from collections import deque, defaultdict\nmemory.set('x', [deque([1]), defaultdict(int)])",
            [[1], {}],
        ),
        ("memory.set('x', {'at': event.time})", {"at": "2026-11-20T12:00:00+01:00"}),
        ("memory.set('x', b'\\x00\\xff')", b"\x00\xff"),
        ("memory.set('x', 'שלום 😀 \\x00 \\r\\n')", "שלום 😀 \x00 \r\n"),
        ("memory.set('x', 10**30)", 10**30),
    ],
)
async def test_what_programs_give(run: Steps, code: str, stored: Any) -> None:
    assert (await run(code)).fault is None
    assert run.host.memory["x"] == stored


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("{'a': [1, lambda: 2]}", "value['a'][1]: a function"),
        ("[C()]", "value[0]: an object of your class C"),
        ("range(3)", "value: a range"),
        ("iter([1])", "value: an iterator"),
        ("print", "value: a class or function"),
        ("memory", "value: a module"),
        ("float('nan')", "value: nan"),
    ],
)
async def test_what_programs_may_not_give(run: Steps, value: str, path: str) -> None:
    result = await run(f"class C: pass\nv = {value}\nmemory.set('x', v)")
    assert result.fault is not None
    assert (result.fault.type, result.fault.line) == ("TypeError", 3)
    assert path in result.fault.message
    assert run.host.calls == []
