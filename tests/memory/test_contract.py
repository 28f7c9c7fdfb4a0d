"""The contract of variables: any sequence of operations does what the plain model does.

A failing sequence is shrunk by Hypothesis and printed with a blob that replays it
(`@reproduce_failure`). The second run has tiny pieces, so that every value is a deep rope.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from rlmd.errors import RlmdError
from rlmd.memory import content, pieces
from rlmd.memory.records import Kind, Origin, Variable, Version
from rlmd.memory.variables import Writing

from .host import Home, opened, writing
from .model import DELETED, Entry, Model

PROFILE = settings(
    max_examples=35,
    stateful_step_count=40,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)

NAMES = st.sampled_from(
    ("plan", "people/bob", "people/b", "caf\u00e9", "cafe\u0301", "a\U0010ffff", "a\U0010ffffz", "a")
)
PREFIXES = st.sampled_from(("", "people/", "people/b", "cafe\u0301", "a", "a\U0010ffff", "z", "caf"))
TEXTS = st.text(max_size=60) | st.builds(
    lambda lines, times: "".join(f"{line}\n" for line in lines) * times,
    st.lists(st.text(max_size=30), max_size=6),
    st.integers(1, 60),
)
BYTES = st.binary(max_size=60) | st.builds(
    lambda data, times: data * times, st.binary(max_size=40), st.integers(1, 100)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda items: st.lists(items, max_size=4) | st.dictionaries(st.text(max_size=8), items, max_size=4),
    max_leaves=8,
).filter(lambda value: not isinstance(value, str))
LISTS = st.lists(JSON | TEXTS, max_size=4)
VALUES = TEXTS | BYTES | JSON | LISTS
ORIGINS = st.sampled_from(Origin)
NOTES = st.text(max_size=10)
NUMBERS = st.integers(-1, 12)


class Machine(RuleBasedStateMachine):
    """The real space and the model side by side; each example has an agent of its own."""

    home: Home
    numbers: Iterator[int]

    def __init__(self) -> None:
        super().__init__()
        self.agent = f"agent-{next(self.numbers)}"
        self.home.write(lambda tx: tx.agents.create(self.agent))
        self.model = Model()

    def entry(self, value: Any, origin: Origin, note: str) -> Entry:
        return Entry(value=value, origin=origin, note=note, time=self.home.clock.now())

    def written(
        self,
        work: Callable[[Any, Writing], Variable],
        modelled: Callable[[], int],
        entry: Entry,
        expect: int | None,
    ) -> None:
        """Both write the same version, or both raise the same error."""
        order = writing(expect=expect, note=entry.note, origin=entry.origin)
        outcome = same_error(
            modelled, lambda: self.home.edit(lambda space: work(space, order), agent=self.agent)
        )
        if outcome is not None:
            number, variable = outcome
            assert variable.version.number == number
            assert facts(variable.version) == self.model.past[variable.name][-1].facts(number)

    def got(self, modelled: Callable[[], tuple[int, Entry]], work: Callable[[Any], Variable]) -> None:
        outcome = same_error(modelled, lambda: self.home.look(work, agent=self.agent))
        if outcome is not None:
            (number, entry), variable = outcome
            assert facts(variable.version) == entry.facts(number)
            assert same_value(variable.value, entry.value)

    # -- writes -----------------------------------------------------------------------------------

    def expectation(self, name: str, expected: int | str | None) -> int | None:
        """`right` stands for what holds, so that most sequences get somewhere."""
        if expected == "right":
            return self.model.get(name)[0] if self.model.alive(name) else 0
        return expected if isinstance(expected, int) else None

    EXPECT = st.none() | st.just("right") | NUMBERS

    @rule(name=NAMES, value=VALUES, origin=ORIGINS, note=NOTES, expected=EXPECT)
    def set(self, name: str, value: Any, origin: Origin, note: str, expected: int | str | None) -> None:
        entry, expect = self.entry(value, origin, note), self.expectation(name, expected)
        self.written(
            lambda space, order: space.set(name, value, order),
            lambda: self.model.set(name, entry, expect),
            entry,
            expect,
        )

    @rule(name=NAMES, value=VALUES, origin=ORIGINS, note=NOTES, expected=EXPECT, times=st.integers(1, 6))
    def append(
        self, name: str, value: Any, origin: Origin, note: str, expected: int | str | None, times: int
    ) -> None:
        for _ in range(times):
            entry, expect = self.entry(value, origin, note), self.expectation(name, expected)
            self.written(
                lambda space, order: space.append(name, value, order),
                lambda entry=entry, expect=expect: self.model.append(name, entry, expect),  # type: ignore[misc]
                entry,
                expect,
            )

    @rule(name=NAMES, value=VALUES)
    def append_to_its_kind(self, name: str, value: Any) -> None:
        """Append what fits, so that values grow."""
        if self.model.alive(name):
            kind = self.model.get(name)[1].kind
            if kind is Kind.TEXT:
                value = value if isinstance(value, str) else str(value)
            elif kind is Kind.BYTES:
                value = value if isinstance(value, bytes) else str(value).encode()
        self.append(name, value, Origin.AGENT, "", "right", 3)

    @rule(name=NAMES, origin=ORIGINS, expected=EXPECT)
    def delete(self, name: str, origin: Origin, expected: int | str | None) -> None:
        entry, expect = self.entry(DELETED, origin, ""), self.expectation(name, expected)
        self.written(
            lambda space, order: space.delete(name, order),
            lambda: self.model.delete(name, entry, expect),
            entry,
            expect,
        )

    @rule(name=NAMES, origin=ORIGINS, expected=EXPECT)
    def undelete(self, name: str, origin: Origin, expected: int | str | None) -> None:
        entry, expect = self.entry(None, origin, ""), self.expectation(name, expected)
        self.written(
            lambda space, order: space.undelete(name, order),
            lambda: self.model.undelete(name, entry, expect),
            entry,
            expect,
        )

    @rule(name=NAMES, number=NUMBERS, origin=ORIGINS, expected=EXPECT)
    def revert(self, name: str, number: int, origin: Origin, expected: int | str | None) -> None:
        entry, expect = self.entry(None, origin, ""), self.expectation(name, expected)
        self.written(
            lambda space, order: space.revert(name, number, order),
            lambda: self.model.revert(name, number, entry, expect),
            entry,
            expect,
        )

    @rule(seconds=st.sampled_from((0.000001, 1.0, 3600.0, -0.5, -90.0)))
    def move_the_clock(self, seconds: float) -> None:
        self.home.clock.move(timedelta(seconds=seconds))

    # -- reads ------------------------------------------------------------------------------------

    @rule(name=NAMES)
    def get(self, name: str) -> None:
        self.got(lambda: self.model.get(name), lambda space: space.get(name))
        found = self.home.look(lambda space: space.find(name), agent=self.agent)
        assert (found is not None) == self.model.alive(name)

    @rule(name=NAMES, number=NUMBERS | st.just(1 << 62))
    def get_a_version(self, name: str, number: int) -> None:
        self.got(lambda: self.model.at_version(name, number), lambda space: space.get(name, version=number))

    @rule(name=NAMES, number=NUMBERS, micros=st.integers(-2, 2))
    def get_at_a_time(self, name: str, number: int, micros: int) -> None:
        """Around the time of a version."""
        versions = self.model.past.get(name, [])
        time = versions[number % len(versions)].time if versions else self.home.clock.now()
        time += timedelta(microseconds=micros)
        now = self.home.clock.now()
        self.got(lambda: self.model.as_of(name, time, now), lambda space: space.get(name, as_of=time))

    @rule(name=NAMES, most=st.integers(1, 5))
    def history(self, name: str, most: int) -> None:
        def pages() -> list[Version]:
            page = self.home.look(lambda space: space.history(name, most=most), agent=self.agent)
            found = list(page)
            while page:
                before = page[-1].number
                page = self.home.look(
                    lambda space: space.history(name, before=before, most=most),  # noqa: B023
                    agent=self.agent,
                )
                found += page
            return found

        outcome = same_error(lambda: self.model.history(name), pages)
        if outcome is not None:
            entries, versions = outcome
            expected = [entry.facts(number) for number, entry in enumerate(entries, 1)]
            assert [facts(version) for version in reversed(versions)] == expected

    @rule(prefix=PREFIXES, most=st.integers(1, 4), deleted=st.booleans())
    def list_names(self, prefix: str, most: int, deleted: bool) -> None:
        assert self.home.look(lambda space: space.names(prefix), agent=self.agent) == self.model.names(prefix)
        found: list[str] = []
        while True:
            after = found[-1] if found else ""
            page = self.home.look(
                lambda space: space.page(prefix, after=after, most=most, deleted=deleted),  # noqa: B023
                agent=self.agent,
            )
            if not page:
                break
            found += [variable.name for variable in page]
        assert found == self.model.names(prefix, deleted=deleted)

    @rule(name=NAMES, first=st.integers(0, 20), last=st.integers(0, 20), off=st.integers(-1, 1))
    def slice(self, name: str, first: int, last: int, off: int) -> None:
        """Between twentieths of the value, so that pieces' borders are met whatever its length."""
        whole = self.model.past[name][-1].facts(0)[2] if self.model.past.get(name) else 0
        assert isinstance(whole, int)
        start, end = whole * first // 20 + off, whole * last // 20
        outcome = same_error(
            lambda: self.model.slice(name, start, end),
            lambda: self.home.look(lambda space: space.slice(name, start, end), agent=self.agent),
        )
        if outcome is not None:
            (value, whole), part = outcome
            assert part.value == value
            assert part.length == whole

    @rule(name=NAMES, before=st.none() | st.integers(1, 8), after=st.none() | st.integers(1, 8))
    def diff(self, name: str, before: int | None, after: int | None) -> None:
        outcome = same_error(
            lambda: self.model.diff(name, before, after),
            lambda: self.home.look(lambda space: space.diff(name, before, after), agent=self.agent),
        )
        if outcome is not None:
            (earlier, later, differs), diff = outcome
            assert (diff.before, diff.after) == (earlier, later)
            assert bool(diff.text) == differs

    @invariant()
    def nothing_else_has_changed(self) -> None:
        """Every variable is at the version of the model, after errors too."""
        listed = self.home.look(lambda space: space.page(deleted=True, most=1000), agent=self.agent)
        heads = {variable.name: facts(variable.version) for variable in listed}
        assert heads == {name: past[-1].facts(len(past)) for name, past in self.model.past.items()}

    def teardown(self) -> None:
        """Every version of every variable still has its value, whatever was written since."""
        for name, past in self.model.past.items():
            for number, entry in enumerate(past, 1):
                if entry.value is not DELETED:
                    self.got(
                        lambda number=number, entry=entry: (number, entry),  # type: ignore[misc]
                        lambda space, name=name, number=number: space.get(name, version=number),  # type: ignore[misc]
                    )
        if self.model.past:
            self.home.write(lambda tx: tx.agents.delete(self.agent))


def same_error(modelled: Callable[[], Any], real: Callable[[], Any]) -> tuple[Any, Any] | None:
    """Results of both; None if both raised, which must be errors of one class."""
    kind: type[RlmdError] | None = None
    expected: Any = None
    try:
        expected = modelled()
    except RlmdError as error:
        kind = type(error)
    if kind is None:
        return expected, real()
    with pytest.raises(RlmdError) as caught:
        real()
    assert type(caught.value) is kind
    assert caught.value.reason
    assert caught.value.remedy
    return None


def facts(version: Version) -> tuple[object, ...]:
    return (
        version.number,
        version.kind,
        version.size,
        version.characters,
        version.origin,
        version.note,
        version.write_time,
    )


def same_value(one: Any, other: Any) -> bool:
    """Equal and of one type all the way down: 1, 1.0 and True are three values."""
    if isinstance(one, str | bytes) or isinstance(other, str | bytes):
        return type(one) is type(other) and bool(one == other)
    return json.dumps(one) == json.dumps(other)


@contextmanager
def pieces_of(leaf: int, least: int, fan: int, inline: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "LEAF", leaf)
        patch.setattr(pieces, "LEAST", least)
        patch.setattr(pieces, "FAN", fan)
        patch.setattr(content, "INLINE", inline)
        yield


@pytest.mark.parametrize(
    ("leaf", "least", "fan", "inline"),
    [(pieces.LEAF, pieces.LEAST, pieces.FAN, content.INLINE), (24, 8, 2, 8), (200, 50, 3, 40)],
    ids=["as it is", "deepest ropes", "deep ropes"],
)
def test_any_sequence_does_what_the_model_does(
    tmp_path: Path, leaf: int, least: int, fan: int, inline: int
) -> None:
    with pieces_of(leaf, least, fan, inline), opened(tmp_path / "rlmd.db") as home:
        machine = type("Machine", (Machine,), {"home": home, "numbers": count(1)})
        run_state_machine_as_test(machine, settings=PROFILE)
