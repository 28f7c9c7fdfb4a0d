"""Importing exports of chats: sessions, ChatGPT, WhatsApp, Telegram; whole ones and damaged ones."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rlmd.clients.importing import DateOrder, Item
from tests.clients.reading import export, problems, read, taken

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
    assert first.value.splitlines() == [
        "2023-05-08 13:56 · Caroline, Melanie",
        "Caroline: Hey Mel!",
        "Melanie: Look! [image: a photo of a lake]",
        "Caroline: [image: a dog]",
    ]
    assert second.name == "chats/conv-26/2023-06-01-session-02"
    assert second.value.splitlines()[1:] == ["Melanie: Two", "  lines"]


def test_the_general_form(tmp_path: Path) -> None:
    turns = [
        {"speaker": "Ann", "text": "Hi", "image": "a cat"},
        {"speaker": "Bob", "text": "Late!", "date": "2023-05-09T00:01:00Z"},
    ]
    session = {"date": "2023-05-08T23:56:00Z", "turns": turns}
    undated = {"id": "the last one!", "turns": [{"speaker": "Ann", "text": "Bye"}]}
    dated, other = taken(export(tmp_path / "Trip 1.json", {"sessions": [session, undated]}), prefix="old/")
    assert dated.name == "old/Trip-1/2023-05-08-session-01"
    assert (dated.time, dated.dated) == (datetime(2023, 5, 8, 23, 56, tzinfo=UTC), True)
    assert dated.value == "2023-05-08 23:56 · Ann, Bob\nAnn: Hi [image: a cat]\n2023-05-09 00:01 Bob: Late!\n"
    assert (other.name, other.time) == ("old/Trip-1/the-last-one", None)
    assert other.value == "Ann\nAnn: Bye\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"sessions": [3]}, "Not an object"),
        ({"sessions": [{"date": "soon", "turns": []}]}, "not ISO 8601"),
        ({"sessions": [{"turns": 3}]}, "no list of turns"),
        ({"sessions": [{"turns": []}]}, "no turn"),
        ({"conversation": {"session_1": [], "session_1_date_time": "x"}}, "1:56 pm"),
        ([{"mapping": {}}], "no message"),
        ({"chats": {"list": [3]}}, "Not a chat"),
    ],
)
def test_says_why_it_does_not_take_a_session(tmp_path: Path, data: Any, reason: str) -> None:
    ((where, told),) = problems(export(tmp_path / "a.json", data))
    assert reason in told
    assert where.startswith("a.json")


def test_a_bad_turn_costs_only_itself(tmp_path: Path) -> None:
    turns = [{"id": "m1", "speaker": "Ann", "text": "\ud800"}, 3, {"speaker": "Ann", "text": "Hi"}]
    file = export(tmp_path / "a.json", [{"sessions": [{"turns": turns}]}, "odd"])
    assert [where.partition(", ")[2] for where, _ in problems(file)] == [
        "conversation 1, session 1, turn m1",
        "conversation 1, session 1, turn 2",
        "conversation 2",
    ]
    assert [e.value for e in read(file) if isinstance(e, Item)] == ["Ann\nAnn: Hi\n"]


def test_two_sessions_of_one_name_are_both_kept(tmp_path: Path) -> None:
    session = {"id": "s", "date": "2023-05-08T12:00:00Z", "turns": [{"speaker": "Ann", "text": "Hi"}]}
    file = export(tmp_path / "a.json", {"sessions": [session, session]})
    names = [item.name for item in taken(file)]
    assert len(set(names)) == 2
    assert [item.name for item in taken(file)] == names


def node(key: str, parent: str | None, role: str = "user", text: str = "", **message: Any) -> dict[str, Any]:
    said = {"author": {"role": role}, "content": {"content_type": "text", "parts": [text]}, **message}
    return {"id": key, "parent": parent, "children": [], "message": said}


def chatgpt(**changes: Any) -> dict[str, Any]:
    root = {"id": "root", "parent": None, "children": ["s"], "message": None}
    picture = {
        "content_type": "multimodal_text",
        "parts": [{"content_type": "image_asset_pointer"}, "Which?"],
    }
    nodes = [
        root,
        node("s", "root", "system", metadata={"is_visually_hidden_from_conversation": True}),
        node("q1", "s", text="How do I boil an egg?", create_time=1_683_546_960.5),
        node("old", "q1", "assistant", "I do not know.", create_time=1_683_546_970.0),
        node("new", "q1", "assistant", "Like so:\n\n    boil(egg)", create_time=1_683_546_990.0),
        node("think", "new", "assistant", content={"content_type": "thoughts", "thoughts": []}),
        node("q2", "think", content=picture, create_time=1_683_633_400.0),
        node("tool", "q2", author={"role": "tool", "name": "dalle"}, text="done", create_time=None),
    ]
    return {
        "title": "Eggs & more",
        "create_time": 1_683_546_950.25,
        "mapping": {one["id"]: one for one in nodes},
        "current_node": "tool",
        "conversation_id": "6459a1b2-0000-4000-8000-000000000001",
        **changes,
    }


def test_chatgpt_follows_the_branch_in_view(tmp_path: Path) -> None:
    (item,) = taken(export(tmp_path / "conversations.json", [chatgpt()]))
    assert item.name == "chats/Eggs-more/2023-05-08-6459a1b2"
    assert item.time == datetime(2023, 5, 8, 11, 55, 50, tzinfo=UTC)
    assert item.value.splitlines() == [
        "2023-05-08 13:55 · user, assistant, tool (dalle)",
        "13:56 user: How do I boil an egg?",
        "13:56 assistant: Like so:",
        "",
        "      boil(egg)",
        "2023-05-09 13:56 user: [image]",
        "  Which?",
        "tool (dalle): done",
    ]


def test_chatgpt_damaged(tmp_path: Path) -> None:
    lost = chatgpt(current_node=None, title=None, create_time=None, conversation_id=None)
    round_ = {"a": node("a", "b", text="A"), "b": node("b", "a", text="B")}
    mapping = {"r": node("r", None, text="fine"), "x": node("x", "r", author={}, text="whose?")}
    file = export(
        tmp_path / "conversations.json",
        [lost, chatgpt(mapping=round_, current_node="a"), chatgpt(mapping=mapping, current_node="x")],
    )
    first, second, third = (entry for entry in read(file) if isinstance(entry, Item))
    assert first.name == "chats/conversations-1/2023-05-08-chatgpt"
    assert first.value.splitlines()[-1] == "  Which?"
    assert second.value.splitlines()[1:] == ["user: B", "user: A"]
    assert third.value.splitlines()[1:] == ["user: fine"]
    assert third.name != second.name
    assert problems(file) == [("conversations.json, conversation 3, message x", "It has no role.")]


IOS = (
    "[08.05.23, 13:56:01] Trip: \u200eMessages and calls are end-to-end encrypted.\r\n"
    "[08.05.23, 13:56:20] Ann: The lake was cold:\r\n"
    "\r\n"
    "12 degrees\r\n"
    "\u200e[09.05.23, 00:01:02] Bob Ö.: \u200e<attached: 0001-PHOTO.jpg>\r\n"
)


def test_whatsapp_of_ios(tmp_path: Path) -> None:
    (tmp_path / "WhatsApp Chat - Trip").mkdir()
    file = tmp_path / "WhatsApp Chat - Trip/_chat.txt"
    file.write_bytes(IOS.encode())
    first, second = taken(file)
    assert first.name == "chats/Trip/2023-05-08-whatsapp"
    assert first.time == datetime(2023, 5, 8, 11, 56, 1, tzinfo=UTC)
    assert first.value.splitlines() == [
        "2023-05-08 13:56 · Trip, Ann",
        "13:56 Trip: Messages and calls are end-to-end encrypted.",
        "13:56 Ann: The lake was cold:",
        "",
        "  12 degrees",
    ]
    assert second.value == "2023-05-09 00:01 · Bob Ö.\n00:01 Bob Ö.: <attached: 0001-PHOTO.jpg>\n"


ANDROID = (
    "5/8/23, 11:58\u202fPM - Messages and calls are end-to-end encrypted.\n"
    '5/8/23, 11:59\u202fPM - Ann changed the subject to "Trip: Bern"\n'
    "5/8/23, 12:01\u202fAM - Ann: Hi: you\n"
    "5/9/23, 12:01\u202fAM - Bob: <Media omitted>\n"
    "5/13/23, 1:05\u202fPM - Bob: Later\n"
)


def test_whatsapp_of_android(tmp_path: Path) -> None:
    file = tmp_path / "WhatsApp Chat with Ann.txt"
    file.write_text(ANDROID)
    first, second, third = taken(file)
    assert first.name == "chats/Ann/2023-05-08-whatsapp"
    assert first.value.splitlines() == [
        "2023-05-08 23:58 · Ann",
        "23:58 * Messages and calls are end-to-end encrypted.",
        '23:59 * Ann changed the subject to "Trip: Bern"',
        "00:01 Ann: Hi: you",
    ]
    assert second.time == datetime(2023, 5, 8, 22, 1, tzinfo=UTC)
    assert third.value == "2023-05-13 13:05 · Bob\n13:05 Bob: Later\n"


@pytest.mark.parametrize(
    ("first", "second", "day"),
    [
        ("13/05/2023, 10:00 - ", "01/06/2023, 10:00 - ", "2023-06-01"),
        ("5/13/23, 10:00 AM - ", "6/1/23, 10:00 AM - ", "2023-06-01"),
        ("[2023/05/13, 10:00:00] ", "[2023/06/01, 10:00:00] ", "2023-06-01"),
        ("2023-05-13, 10:00 - ", "2023-06-01, 10:00 - ", "2023-06-01"),
        ("[1.6.23, 10:00:00] ", "[1.6.23, 10:00:00] ", "2023-06-01"),
        # No number above 12: the order in which no time goes back.
        ("10/05/23, 10:00 - ", "01/06/23, 10:00 - ", "2023-06-01"),
        ("05/10/23, 10:00 - ", "06/01/23, 10:00 - ", "2023-06-01"),
        ("13/5/23 10:00 a. m. - ", "1/6/23 1:00 p. m. - ", "2023-06-01"),
    ],
)
def test_the_order_of_day_and_month(tmp_path: Path, first: str, second: str, day: str) -> None:
    (tmp_path / "x.txt").write_text(f"{first}Ann: one\n{second}Ann: two\n")
    assert taken(tmp_path / "x.txt")[-1].name == f"chats/x/{day}-whatsapp"


def test_an_order_that_cannot_be_told_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("05/06/23, 10:00 - Ann: one\n06/07/23, 10:00 - Ann: two\n")
    ((_, reason),) = problems(tmp_path / "x.txt")
    assert "--date-order" in reason
    days = {
        order: taken(tmp_path / "x.txt", date_order=order)[0].name[8:18]
        for order in (DateOrder.DMY, DateOrder.MDY)
    }
    assert days == {DateOrder.DMY: "2023-06-05", DateOrder.MDY: "2023-05-06"}


def test_whatsapp_damaged(tmp_path: Path) -> None:
    lines = [
        b"[13.05.23, 10:00:00] Ann: fine",
        b"[13.05.23, 10:00:01] Ann: br\xffken",
        b"[31.02.23, 10:00:02] Ann: no such day",
        b"[13.05.23, 10:00:03] Bob: " + b"x" * 3_000_000,
        b"[13.05.23, 10:0",
    ]
    (tmp_path / "x.txt").write_bytes(
        b"\xef\xbb\xbf" + b"\r".join(lines[:2]) + b"\r\n" + b"\n".join(lines[2:])
    )
    assert [where for where, _ in problems(tmp_path / "x.txt")] == ["x.txt:2", "x.txt:3"]
    (item,) = (entry for entry in read(tmp_path / "x.txt") if isinstance(entry, Item))
    assert item.value.splitlines()[1] == "10:00 Ann: fine"
    assert item.value.splitlines()[-1] == "  [13.05.23, 10:0"


@pytest.mark.parametrize(
    "text",
    [
        "[2023-05-08 13:56:00] error: no\n",
        "2023-05-08 13:56 - note: to self\n",
        "Dear Ann,\n[08.05.23, 13:56:01] Ann: Hi\n",
        "08.05.23, 13:56 - a diary, in which nobody speaks\n",
    ],
)
def test_what_is_no_export_of_whatsapp(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.txt").write_text(text)
    (item,) = taken(tmp_path / "x.txt")
    assert (item.name, item.value) == ("inbox/x.txt", text)


def telegram(*messages: Any, **changes: Any) -> dict[str, Any]:
    return {"name": "Ann B.", "type": "personal_chat", "id": 7, "messages": list(messages), **changes}


def message(key: int, text: Any, **more: Any) -> dict[str, Any]:
    date = {"date": "2023-05-08T13:56:01", "date_unixtime": "1683546961"}
    return {"id": key, "type": "message", "from": "Ann", "from_id": "user7", "text": text, **date, **more}


def test_telegram(tmp_path: Path) -> None:
    entities = ["See ", {"type": "text_link", "text": "here", "href": "https://example.org"}, "!\nSoon"]
    service = {"type": "service", "actor": "Ann", "action": "invite_members", "members": ["Bob", None]}
    chat = telegram(
        message(1, "Hi"),
        message(2, entities),
        message(3, "", photo="photos/1.jpg"),
        message(4, "", file="(not included)", media_type="sticker", sticker_emoji="🙂"),
        message(5, "News", forwarded_from="Daily", **{"from": None}),
        message(6, "") | service,
        message(7, "Zone", date="2023-05-09T00:10:00", date_unixtime=None),
    )
    first, second = taken(export(tmp_path / "result.json", chat))
    assert first.name == "chats/Ann-B/2023-05-08-telegram"
    assert first.time == datetime(2023, 5, 8, 11, 56, 1, tzinfo=UTC)
    assert first.value.splitlines() == [
        "2023-05-08 13:56 · Ann, deleted account",
        "13:56 Ann: Hi",
        "13:56 Ann: See here (https://example.org)!",
        "  Soon",
        "13:56 Ann: [photo]",
        "13:56 Ann: [sticker: 🙂]",
        "13:56 deleted account: [forwarded from Daily] News",
        "13:56 * Ann invite members Bob",
    ]
    assert second.time == datetime(2023, 5, 8, 22, 10, tzinfo=UTC)


def test_telegram_of_a_whole_account_and_damaged(tmp_path: Path) -> None:
    good = telegram(message(1, "Hi"), message(2, "soon", date="soon", date_unixtime=None), 3, message(4, ""))
    account = {"about": "x", "chats": {"list": [good]}, "left_chats": {"list": [telegram(name=None), 5]}}
    file = export(tmp_path / "result.json", account)
    assert [where.removeprefix("result.json, conversation ") for where, _ in problems(file)] == [
        "1, message 2",
        "1, message number 3",
        "1, message 4",
        "3",
    ]
    assert [e.name for e in read(file) if isinstance(e, Item)] == ["chats/Ann-B/2023-05-08-telegram"]
