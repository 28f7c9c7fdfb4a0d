"""Importing files: which are found, what they become, their names, and a reason for everything not taken."""

from __future__ import annotations

import os
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlmd.clients.importing.names import Names, file_name, slug
from rlmd.clients.importing.reader import LARGE
from rlmd.memory.names import check_variable
from tests.clients.reading import export, problems, read, taken


def test_text_files_and_folders(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/b.md").write_bytes(b"\xef\xbb\xbfwith a mark")
    (folder / "a.txt").write_text("ä")
    (folder / "wide.txt").write_text("zwölf", encoding="utf-16")
    (folder / ".hidden").write_text("no")
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("no")
    assert [(i.name, i.value) for i in taken(folder)] == [
        ("inbox/notes/a.txt", "ä"),
        ("inbox/notes/deep/b.md", "with a mark"),
        ("inbox/notes/wide.txt", "zwölf"),
    ]
    assert taken(folder / "a.txt", prefix="")[0].name == "a.txt"


def test_a_file_tells_of_the_time_when_it_was_changed(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("x")
    os.utime(tmp_path / "old.txt", (1_000_000_000, 1_000_000_000))
    (tmp_path / "future.txt").write_text("x")
    os.utime(tmp_path / "future.txt", (32_000_000_000, 32_000_000_000))
    future, old = taken(tmp_path)
    assert (old.time, old.dated) == (datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC), False)
    assert future.time is None


def test_links_are_followed_once_and_never_round(tmp_path: Path) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/deep/a.txt").write_text("a")
    (tmp_path / "in/deep/up").symlink_to(tmp_path / "in")
    (tmp_path / "in/self").symlink_to("self")
    (tmp_path / "in/gone").symlink_to("nowhere")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/b.txt").write_text("b")
    (tmp_path / "in/other").symlink_to(tmp_path / "out")
    os.mkfifo(tmp_path / "in/pipe")
    entries = read(tmp_path / "in")
    assert [e.name for e in entries if hasattr(e, "name")] == ["inbox/in/deep/a.txt", "inbox/in/other/b.txt"]
    assert [where for where, _ in problems(tmp_path / "in")] == ["gone", "pipe", "self"]


@pytest.mark.parametrize(
    ("name", "raw", "where", "reason"),
    [
        ("a.txt", b"ok\r\n\rok \xff", "a.txt:3", "byte 0xff"),
        ("a.txt", b" \n", "a.txt", "empty"),
        ("a.txt", b"", "a.txt", "empty"),
        ("a.txt", b"\xff\xfea\x00\x00\xd8b\x00", "a.txt:1", "Half a character"),
        ("a.json", b'{\n"a": 1,\n', "a.json:3", "Not JSON"),
        ("a.json", b"[" * 100_000, "a.json", "nested too deeply"),
        ("a.json", b"[" * 200 + b"]" * 200, "a.json", "100"),
        ("a.json", b"[NaN]", "a.json", "NaN is no JSON value"),
        ("a.json", b'["\\ud800"]', "a.json", "surrogate"),
        ("a.json", b'{"a": "\xfc"}', "a.json:1", "byte 0xfc"),
    ],
)
def test_says_why_it_does_not_take_a_file(
    tmp_path: Path, name: str, raw: bytes, where: str, reason: str
) -> None:
    (tmp_path / name).write_bytes(raw)
    ((place, told),) = problems(tmp_path / name)
    assert place == where
    assert reason in told


def test_json_that_is_no_chat_is_kept_as_data(tmp_path: Path) -> None:
    (item,) = taken(export(tmp_path / "a.json", {"sessions": 3, "x": [1, None]}))
    assert (item.name, item.value) == ("inbox/a.json", {"sessions": 3, "x": [1, None]})
    assert [i.value for i in taken(export(tmp_path / "a.json", []))] == [[]]


def test_names_of_all_kinds_of_files_are_kept_apart(tmp_path: Path) -> None:
    composed, apart = "é.txt", unicodedata.normalize("NFD", "é.txt")
    called = ["a\nb.txt", "a\tb.txt", "@all.txt", " x.txt", "y" * 250 + ".txt", composed, apart]
    for name in called:
        (tmp_path / name).write_text(name)
    (tmp_path / os.fsdecode(b"latin-\xe9.txt")).write_text("x")
    names = [item.name for item in taken(tmp_path)]
    assert [check_variable(name) for name in names] == names
    assert len(set(names)) == len(called) + 1
    assert all(name.endswith(".txt") for name in names)
    assert [item.name for item in taken(tmp_path)] == names


def test_two_files_of_one_name_are_both_kept(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "plan.md").write_text(folder)
    first, second = taken(tmp_path / "a/plan.md", tmp_path / "b/plan.md")
    assert first.name == "inbox/plan.md"
    assert second.name.startswith("inbox/plan-")
    twice = taken(tmp_path / "a/plan.md", tmp_path / "a/plan.md")
    assert [item.name for item in twice] == ["inbox/plan.md"] * 2


def test_a_large_text_stays_in_its_file(tmp_path: Path) -> None:
    line = "ä" * 4095 + "\n"  # 8191 bytes: characters are cut by every piece that is read
    (tmp_path / "book.txt").write_text(line * (LARGE // 8191 + 2))
    assert [(item.name, item.value) for item in taken(tmp_path / "book.txt")] == [
        ("inbox/book.txt", tmp_path / "book.txt")
    ]
    with (tmp_path / "book.txt").open("r+b") as file:
        file.seek(700 * 8191 + 1)
        file.write(b"x")
    assert problems(tmp_path / "book.txt") == [("book.txt:701", "Not UTF-8 text: byte 0xc3.")]
    with (tmp_path / "cut.txt").open("wb") as file:
        file.write(b"x\n" * LARGE + b"\xc3")
    assert problems(tmp_path / "cut.txt") == [(f"cut.txt:{LARGE + 1}", "Not UTF-8 text: byte 0xc3.")]


@given(st.lists(st.text(max_size=300), min_size=1, max_size=6), st.sampled_from(["", "inbox/", "p" * 300]))
def test_any_path_makes_a_valid_name(parts: list[str], prefix: str) -> None:
    name = file_name(prefix, parts)
    assert check_variable(name) == name
    assert name.startswith(prefix)


@given(
    st.lists(
        st.text(max_size=40), min_size=2, max_size=2, unique_by=lambda t: unicodedata.normalize("NFC", t)
    )
)
def test_two_names_stay_two(pair: list[str]) -> None:
    first, second = (file_name("inbox/", [part]) for part in pair)
    assert first != second


def test_titles() -> None:
    assert slug("Trip: the 1st!") == "Trip-the-1st"
    assert slug("@../..") == ""
    assert slug(None) == ""


def test_claims() -> None:
    names = Names()
    assert names.claim("a", "one") == "a"
    other = names.claim("a", "two")
    assert other != "a"
    assert names.claim("a", "two") == other
    assert names.claim(other, "three") not in ("a", other)
