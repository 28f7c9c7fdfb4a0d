"""Regular expressions over texts in pieces."""

from __future__ import annotations

import contextlib

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from rlmd.errors import DeadlineExceeded, InvalidInput
from rlmd.memory import grep
from rlmd.memory.grep import Pattern
from rlmd.memory.literals import literals

from .host import Home, writing

CHUNKS = st.lists(st.text(alphabet="ab\n\r\u00e9 ", max_size=12), max_size=8)
PATTERNS = (
    "a",
    "^$",
    "x*",
    "^a",
    "b$",
    "a\\s*b",
    "\u00e9",
    "^",
    "$",
    "\\s",
    "a+$",
    "^[^a]*$",
    "(?i)A",
    "\\bb",
)


def encoded(chunks: list[str]) -> list[bytes]:
    return [chunk.encode() for chunk in chunks]


def plainly(pattern: str, text: str) -> list[tuple[int, int, str]]:
    """What `Pattern.lines` gives, line by line."""
    found, offset = [], 0
    for number, line in enumerate(regex.findall(r"[^\n]*\n|[^\n]+", text), 1):
        shown = line.removesuffix("\n").removesuffix("\r") if line.endswith("\n") else line
        if match := regex.search(pattern, shown, regex.MULTILINE):
            found.append((number, offset + match.start(), shown))
        offset += len(line)
    return found


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=60, deadline=None, print_blob=True)
@given(chunks=CHUNKS)
def test_pieces_do_not_matter(pattern: str, chunks: list[str]) -> None:
    assert list(Pattern(pattern).lines(encoded(chunks))) == plainly(pattern, "".join(chunks))


@settings(max_examples=200, deadline=None, print_blob=True)
@given(pattern=st.text(alphabet="ab(){}[]*+?|\\^$.<>=!:-,09pPLux&#~", max_size=12))
def test_a_pattern_works_or_is_refused(pattern: str) -> None:
    with contextlib.suppress(InvalidInput):
        list(Pattern(pattern).lines([b"ab\n", b"b[a]\n"]))


def test_a_match_is_at_its_slice(home: Home) -> None:
    text = "".join(f"{'äöü' * (number % 40)} number {number}\r\n" for number in range(20_000))
    home.edit(lambda space: space.set("book", text, writing()))
    matches, more = home.look(lambda space: space.grep(r"number 1999\d$"))
    assert [match.text.split()[-1] for match in matches] == [str(number) for number in range(19_990, 20_000)]
    assert not more
    for match in matches:
        assert text[match.start :].startswith("number 1999")
        part = home.look(lambda space, at=match.start: space.slice("book", at, at + 6))  # type: ignore[misc]
        assert part.value == "number"


def test_limits(home: Home) -> None:
    for name in ("a", "b", "other/c"):
        home.edit(lambda space, name=name: space.set(name, "hit\nhit\n", writing()))  # type: ignore[misc]
    home.edit(lambda space: space.set("data", ["hit"], writing()))
    matches, more = home.look(lambda space: space.grep("hit", most=3))
    assert [(match.name, match.line) for match in matches] == [("a", 1), ("a", 2), ("b", 1)]
    assert more
    matches, more = home.look(lambda space: space.grep("hit", most=0))
    assert len(matches) == 6
    assert not more
    matches, _ = home.look(lambda space: space.grep("hit", "other/"))
    assert [match.name for match in matches] == ["other/c", "other/c"]
    with pytest.raises(InvalidInput, match="limit"):
        home.look(lambda space: space.grep("hit", most=-1))


def test_a_pattern_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grep, "SECONDS", 0.2)
    with pytest.raises(DeadlineExceeded):
        list(Pattern(r"(a|aa)+\1+(?<!b)$").lines([b"a" * 5_000 + b"b"]))


@pytest.mark.parametrize("pattern", ["(a{60000}){60000}", "a{9999999999999}", "((a{99}){99}){999,}"])
def test_a_pattern_too_large_to_compile_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput, match="repeats"):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", ["(?R)", "(?u)(?L)a", "(" * 400 + ")" * 400])
def test_an_odd_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput, match="pattern"):
        list(Pattern(pattern).lines([b"a line\n"]))


@pytest.mark.parametrize(
    ("pattern", "required"),
    [
        ("needle", [["needle"]]),
        (r"\bnee\.dle\b", [["nee.dle"]]),
        (r"a+bc?d*e", [["a", "b", "e"]]),
        (r"colou?r", [["colo", "r"]]),
        (r"ab*?cd", [["cd", "a"]]),
        (r"^Dear \w+,$", [["Dear ", ","]]),
        (r"born in \d{4}", [["born in "]]),
        (r"x{2}yz", [["yz"]]),
        (r"x{0,2}", []),
        (r"[]ab]cd[^\]]", [["cd"]]),
        (r"[[:alpha:]]cd", []),
        (r"one|two|three", [["one"], ["two"], ["three"]]),
        (r"one|\w", []),
        (r"one|", []),
        (r"a{e<=1}bc", []),
        (r"x(yz|[)]\))?ab", [["ab", "x"]]),
        (r"(?<=x)y(?!z(a)|b)c", [["y", "c"]]),
        (r"(?i)needle", []),
        (r"(a(?i)b)needle", []),
        (r"\x41b", []),
        (r"\p", []),
        ("", []),
    ],
)
def test_what_every_match_must_have(pattern: str, required: list[list[str]]) -> None:
    found = literals(pattern)
    assert [set(branch) for branch in found] == [set(branch) for branch in required]
    assert all(branch == sorted(branch, key=len, reverse=True) for branch in found)


PIECES = st.sampled_from(
    (
        *("a", "b", ".", "|", r"\w", r"\.", "+", "*", "?", "+?", r"\b", "^", "$", "\u00e9"),
        *("[ab]", "[^a]", "[]b]", "{2}", "{0,1}", "{,2}", "{", "}", "]", "{x}"),
        *("(a)?", "(", "(?:", "(?=", "(?<!", "(?i)", ")"),
    )
)


@settings(max_examples=1_000, deadline=None)
@given(parts=st.lists(PIECES, max_size=8), text=st.text(alphabet="ab.\u00e9 \n", max_size=60))
def test_passing_over_blocks_loses_no_match(parts: list[str], text: str) -> None:
    pattern = "".join(parts)
    try:
        expression = Pattern(pattern)
    except InvalidInput:
        return
    quick = [line for line, _, _ in expression.lines(encoded([text]))]
    expression._needles = []
    assert quick == [line for line, _, _ in expression.lines(encoded([text]))]


def test_line_of_any_length_is_searched_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grep, "LONGEST_LINE", 50)
    line = "x" * 95 + "needle" + "y" * 300 + "needle" + "z" * 99
    chunks = [line[at : at + 20] for at in range(0, len(line), 20)]
    found = list(Pattern("needle").lines(encoded(["first\n", *chunks, "\nlast needle\n"])))
    assert [number for number, _, _ in found] == [2, 3]
