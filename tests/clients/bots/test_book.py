"""Who was let in, codes that are good once, and texts as messengers take them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

import rlmd
from rlmd.clients.bots import texts
from rlmd.clients.bots.book import CODE_SECONDS, MOST_STRANGERS, Book
from rlmd.clients.records import Question, QuestionState


def test_a_code_is_good_once_and_for_an_hour(tmp_path: Path) -> None:
    time = [1000.0]
    book = Book(tmp_path, lambda: time[0])
    first = book.introduce("telegram", "1", "Ann")
    assert book.introduce("telegram", "1", "Ann").code == first.code
    time[0] += CODE_SECONDS
    with pytest.raises(rlmd.NotFound) as caught:
        book.let_in(first.code)
    assert caught.value.field == "code"
    second = book.introduce("telegram", "1", "Ann")
    assert second.code != first.code
    assert book.let_in(second.code.replace("-", " ").lower()).channel == "ann"
    with pytest.raises(rlmd.NotFound):
        book.let_in(second.code)
    assert (tmp_path / "bots.json").stat().st_mode & 0o777 == 0o600


def test_channels_are_not_shared_by_accident(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.let_in(book.introduce("telegram", "1", "Änn\n Müller").code)
    assert book.people()[0].channel == "ann_muller"
    assert book.people()[0].name == "Änn Müller"
    other = book.introduce("telegram", "2", "ann müller").code
    with pytest.raises(rlmd.AlreadyExists, match="--as"):
        book.let_in(other)
    assert book.let_in(other, "ann_muller").channel == "ann_muller"
    nameless = book.introduce("telegram", "3", "安").code
    with pytest.raises(rlmd.InvalidInput) as caught:
        book.let_in(nameless)
    assert caught.value.field == "channel"
    with pytest.raises(rlmd.InvalidInput):
        book.let_in(nameless, "No Such")
    # Who is let in again is the same person, elsewhere.
    book.let_in(book.introduce("telegram", "1", "Ann").code, "ann")
    assert [(each.id, each.channel) for each in book.people()] == [("2", "ann_muller"), ("1", "ann")]


def test_strangers_are_bounded(tmp_path: Path) -> None:
    book = Book(tmp_path)
    for number in range(MOST_STRANGERS):
        book.introduce("telegram", str(number), "X" * 1000)
    with pytest.raises(rlmd.Exhausted):
        book.introduce("telegram", "late", "X")
    assert book.introduce("telegram", "0", "X").id == "0"
    assert (tmp_path / "bots.json").stat().st_size < 50_000


def test_many_write_at_once(tmp_path: Path) -> None:
    def introduce(bot: str) -> None:
        book = Book(tmp_path)
        for number in range(10):
            book.introduce(bot, str(number), "X")

    threads = [threading.Thread(target=introduce, args=(f"bot{number}",)) for number in range(5)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(Book(tmp_path).strangers()) == 50


def test_a_damaged_book_is_told(tmp_path: Path) -> None:
    (tmp_path / "bots.json").write_text("[1, 2]")
    with pytest.raises(rlmd.InternalError, match=r"bots\.json is damaged"):
        Book(tmp_path).people()


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    ("text", "longest", "expected"),
    [
        ("", 10, []),
        ("  \n ", 10, []),
        ("short", 10, ["short"]),
        ("one two three", 8, ["one two", "three"]),
        ("a first\n\nb second", 12, ["a first", "b second"]),
        ("x" * 25, 10, ["x" * 10, "x" * 10, "x" * 5]),
        ("😀" * 12, 10, ["😀" * 5, "😀" * 5, "😀" * 2]),
    ],
)
def test_parts(text: str, longest: int, expected: list[str]) -> None:
    assert list(texts.parts(text, longest, utf16)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "etc_passwd"),
        ("..", "file"),
        ("", "file"),
        ("a\x00b\nc", "a_b_c"),
        ("@team", "team"),
        ("x" * 300 + ".txt", "x" * 96 + ".txt"),
    ],
)
def test_file_names(given: str, expected: str) -> None:
    assert texts.file_name(given) == expected


def question(**given: object) -> Question:
    record = {
        "id": "1", "agent": "main", "run": "1", "channel": "ann", "text": "Which?", "wanted": "",
        "choices": (), "state": QuestionState.OPEN, "answer": None, "answered_by": "", "answered_on": "",
        "ask_time": datetime(2026, 1, 1, tzinfo=UTC), "expire_time": None, "end_time": None,
    }  # fmt: skip
    return Question(**{**record, **given})  # type: ignore[arg-type]


def test_questions_as_texts() -> None:
    assert texts.choices(question(choices=("a", "b"))) == ("a", "b")
    assert texts.choices(question(wanted="yes or no")) == ("yes", "no")
    assert texts.choices(question(choices=("a" * 61, "b"))) == ()
    assert texts.choices(question(choices=tuple(map(str, range(21))))) == ()
    assert texts.asked(question(wanted="a number"), buttons=False) == "Which?\n(a number)"
    closed = {"state": QuestionState.ANSWERED, "answered_by": "owner"}
    assert texts.ended(question(answer=True, **closed)) == "Which?\n→ yes (owner)"
    assert texts.ended(question(answer={"a": 1}, answered_on="tv", **closed)) == 'Which?\n→ {"a": 1} (tv)'
    assert texts.ended(question(state=QuestionState.EXPIRED)).endswith("too late: its time is over")
    assert texts.ended(question(state=QuestionState.CANCELLED)).endswith("no longer asked")
