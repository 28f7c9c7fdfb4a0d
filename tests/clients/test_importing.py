"""Reading files and exports of chats: names, times, and a reason for everything that is not taken."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rlmd.clients.importing import Item, Problem, read

BERLIN = ZoneInfo("Europe/Berlin")


def taken(path: Path, prefix: str | None = None) -> list[Item]:
    entries = list(read(path, prefix=prefix, zone=BERLIN))
    assert not [entry for entry in entries if isinstance(entry, Problem)]
    return [entry for entry in entries if isinstance(entry, Item)]


def problems(path: Path) -> list[Problem]:
    return [entry for entry in read(path, prefix=None, zone=BERLIN) if isinstance(entry, Problem)]


def export(path: Path, data: Any) -> Path:
    path.write_text(json.dumps(data))
    return path


LOCOMO = {
    "sample_id": "conv-26",
    "qa": [],
    "conversation": {
        "speaker_a": "Caroline",
        "speaker_b": "Melanie",
        "session_2_date_time": "12:05 am on 1 June, 2023",
        "session_2": [{"speaker": "Melanie", "dia_id": "D2:1", "text": "Two\nlines"}],
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Caroline", "dia_id": "D1:1", "text": "Hey Mel!"},
            {"speaker": "Melanie", "dia_id": "D1:2", "text": "Look!", "blip_caption": "a photo of a lake"},
            {"speaker": "Caroline", "dia_id": "D1:3", "text": "", "blip_caption": "a dog"},
        ],
        "session_3_date_time": "1:00 pm on 2 June, 2023",
    },
}


def test_locomo_sessions_become_texts(tmp_path: Path) -> None:
    first, second = taken(export(tmp_path / "x.json", [LOCOMO]))
    assert first.name == "chats/conv-26/2023-05-08-session-01"
    assert first.time == datetime(2023, 5, 8, 11, 56, tzinfo=UTC)
    assert first.text.splitlines() == [
        "2023-05-08 13:56 · Caroline, Melanie",
        "Caroline: Hey Mel!",
        "Melanie: Look! [image: a photo of a lake]",
        "Caroline: [image: a dog]",
    ]
    assert second.name == "chats/conv-26/2023-06-01-session-02"
    assert second.text.splitlines()[1] == "Melanie: Two lines"


def test_the_general_form(tmp_path: Path) -> None:
    session = {"date": "2023-05-08T13:56:00Z", "turns": [{"speaker": "Ann", "text": "Hi", "image": "a cat"}]}
    undated = {"id": "the last one!", "turns": [{"speaker": "Ann", "text": "Bye"}]}
    dated, other = taken(export(tmp_path / "Trip 1.json", {"sessions": [session, undated]}), prefix="old/")
    assert dated.name == "old/Trip-1/2023-05-08-session-01"
    assert dated.time == datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
    assert dated.text == "2023-05-08 13:56 · Ann\nAnn: Hi [image: a cat]\n"
    assert (other.name, other.time) == ("old/Trip-1/the-last-one", None)
    assert other.text == "Ann\nAnn: Bye\n"


def test_text_files_and_folders(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/b.md").write_bytes(b"\xef\xbb\xbfwith a mark")
    (folder / "a.txt").write_text("ä")
    (folder / ".hidden").write_text("no")
    assert [(i.name, i.text) for i in taken(folder)] == [
        ("inbox/notes/a.txt", "ä"),
        ("inbox/notes/deep/b.md", "with a mark"),
    ]
    assert taken(folder / "a.txt", prefix="")[0].name == "a.txt"


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        ("a.txt", b"ok \xff", "byte 3 is 0xff"),
        ("a.txt", b" \n", "empty"),
        ("a.json", b"{", "Not JSON"),
        ("a.json", b"[" * 100_000, "Not JSON"),
        ("a.json", b"[]", "no conversation"),
        ("a.json", b"3", "Not an export"),
        ("a.json", b'{"sessions": [3]}', "Not an object"),
        ("a.json", b'{"sessions": [{"date": "soon", "turns": []}]}', "not ISO 8601"),
        ("a.json", b'{"sessions": [{"turns": 3}]}', "no list of turns"),
        ("a.json", b'{"sessions": [{"turns": []}]}', "no turn"),
        ("a.json", b'{"conversation": {"session_1": [], "session_1_date_time": "x"}}', "1:56 pm"),
    ],
)
def test_says_why_it_does_not_take_something(tmp_path: Path, name: str, raw: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(raw)
    (problem,) = problems(tmp_path / name)
    assert reason in problem.reason
    assert str(tmp_path / name) in problem.where


def test_a_bad_turn_costs_only_itself(tmp_path: Path) -> None:
    turns = [{"id": "m1", "speaker": "Ann", "text": "\ud800"}, 3, {"speaker": "Ann", "text": "Hi"}]
    file = export(tmp_path / "a.json", {"sessions": [{"turns": turns}]})
    entries = list(read(file, prefix=None, zone=BERLIN))
    assert [e.where.rpartition(", ")[2] for e in entries if isinstance(e, Problem)] == ["turn m1", "turn 2"]
    assert [e.text for e in entries if isinstance(e, Item)] == ["Ann\nAnn: Hi\n"]
