"""Diffs: what they say, and that they end."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlmd.errors import TooLarge
from rlmd.memory.diff import MAX_LINES, unified

LABELS = ("a@1", "a@2")
LINES = st.lists(st.sampled_from(("a\n", "b\n", "c\r\n", "\n")), max_size=30)


@settings(max_examples=200, deadline=None, print_blob=True)
@given(old=LINES, new=LINES)
def test_it_is_the_diff_of_the_whole(old: list[str], new: list[str]) -> None:
    """Setting the beginning and the end aside may pair lines otherwise, but what is shown holds."""
    diff = unified("".join(old), "".join(new), LABELS)
    assert bool(diff) == (old != new)
    if diff:
        assert patched(old, diff) == new


def patched(lines: list[str], diff: str) -> list[str]:
    """The lines after the diff was applied, strictly, as `patch` would."""
    result, at = [], 0
    for line in (diff + "\n").split("\n")[2:-1]:
        mark, rest = line[:1], line[1:] + "\n"
        if mark == "@":
            begin, count = [*map(int, line.split()[1][1:].split(",")), 1][:2]
            begin = begin - 1 if count else begin
            result += lines[at:begin]
            at = begin
            continue
        if mark in " -":
            assert lines[at] == rest
            at += 1
        if mark in " +":
            result.append(rest)
    return result + lines[at:]


def test_line_ends_are_told() -> None:
    assert unified("a\n", "a", LABELS).endswith("-a\n+a\n\\ No newline at end of file")
    assert unified("a\r\n", "a\n", LABELS).endswith("-a\r\n+a")
    assert unified("a\u2028b", "a\u2028b", LABELS) == ""


def test_a_line_is_found_in_a_long_text() -> None:
    lines = [f"line {number % 1000}\n" for number in range(200_000)]
    changed = [*lines[:150_000], "another\n", *lines[150_001:]]
    begun = time.monotonic()
    diff = unified("".join(lines), "".join(changed), LABELS)
    assert time.monotonic() - begun < 5
    assert diff.splitlines()[2:] == [
        "@@ -149998,7 +149998,7 @@",
        " line 997",
        " line 998",
        " line 999",
        "-line 0",
        "+another",
        " line 1",
        " line 2",
        " line 3",
    ]


def test_too_many_changed_lines_are_refused() -> None:
    numbers = random.Random(1)
    old, new = ([f"{numbers.randrange(300)}\n" for _ in range(MAX_LINES)] for _ in range(2))
    with pytest.raises(TooLarge, match="lines"):
        unified("".join(old), "".join(new), LABELS)
