"""What a purge has to know of: every column that can hold what somebody has said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary, Text

from rlmd.errors import InvalidInput, NotFound, PreconditionFailed
from rlmd.memory.purging import TEXTS, Wish
from rlmd.memory.tables import metadata

from .host import Home, opened, writing

ERASED = {
    *(f"{name}.text" for name in TEXTS),
    *("versions.inline", "versions.note", "pieces.data", "variables.name"),
    *("journal.inline", "runs.result", "runs.reason", "requests.response"),
    *("questions.text", "questions.form", "questions.answer"),
    *("channel_calls.arguments", "channel_calls.result", "channel_calls.error", "occurrences.reason"),
    *("hive_calls.result", "hive_calls.error", "schedules.condition"),
}
"""What a purge erases, or takes with its row."""
HOLDS_OFF = {"agents.instructions"}
"""What makes a purge refuse, so that the owner changes it: schedules that are not over too."""
NAMES = {
    *("users.name", "spaces.name", "agents.name", "agents.model", "agents.sub_model", "tokens.label"),
    *("messages.channel", "messages.sender", "events.channel", "events.sender", "events.attachments"),
    *("channels.name", "channels.functions", "channel_calls.function", "agents.quiet"),
    *("channel_calls.result_schema", "permits.what", "deliveries.channel", "question_channels.channel"),
    *("questions.channel", "questions.answered_by", "questions.answered_on", "journal.name"),
    *("schedules.name", "schedules.spec", "schedules.channel", "schedules.author_user", "schedules.reason"),
    *("versions.author_user", "versions.author_agent", "model_calls.model", "model_calls.note"),
    *("reservations.model", "prices.model", "purges.space", "purges.note", "retentions.prefix"),
    *("index_shelves.name", "index_shelves.embedder", "requests.request_id"),
    *("hives.name", "hive_members.name", "hive_members.about", "hive_grants.pattern", "hive_grants.verbs"),
    *("hive_calls.hive", "hive_calls.caller", "hive_calls.callee", "hive_calls.chain"),
    *("crossings.hive", "crossings.member", "crossings.peer", "crossings.verb", "crossings.target"),
}
"""Names, labels and notes of the owner's own, which a purge leaves."""
MECHANICAL = ("kind", "state", "limits", "hash", "root", "digest", "timezone", "missed", "fate", "timing",
              "day", "scope", "period", "measure", "warned", "stopped")  # fmt: skip
"""Columns of whatever table that hold what rlmd makes itself."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with opened(tmp_path / "rlmd.db") as home:
        yield home


def test_every_column_that_can_hold_a_text_is_known() -> None:
    """Whoever adds a column says here what a purge does with it, and sees to it that it does."""
    columns = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.c
        if isinstance(column.type, Text | LargeBinary) and column.name not in MECHANICAL
    }
    assert columns == ERASED | HOLDS_OFF | NAMES


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (Wish(space="main"), "names"),
        (Wish(space="main", text="abc"), "text"),
        (Wish(space="main", text="   a   "), "text"),
        (Wish(space="main", names=["a//b"]), "names"),
    ],
)
def test_what_names_nothing_is_refused(home: Home, wish: Wish, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        home.store.read(lambda tx: tx.purging.find(wish))
    assert caught.value.field == field


def test_what_is_not_there_is_not_found(home: Home) -> None:
    for wish in (Wish(space="none", prefix=""), Wish(space="main", names=["plan"])):
        with pytest.raises(NotFound):
            home.store.read(lambda tx, wish=wish: tx.purging.find(wish))  # type: ignore[misc]


def test_instructions_that_hold_the_text_hold_it_off(home: Home) -> None:
    home.edit(lambda space: space.set("plan", "the secret tangerine", writing()))
    home.write(lambda tx: tx.agents.update("main", {"instructions": "Mind the secret tangerine."}))
    with pytest.raises(PreconditionFailed, match="instructions"):
        home.store.read(
            lambda tx: tx.purging.find(Wish(space="main", names=["plan"], text="secret tangerine"))
        )


def test_a_store_written_anew_is_whole(home: Home) -> None:
    for number in range(50):
        home.edit(lambda space, number=number: space.set(f"v/{number}", "x" * 5_000, writing()))  # type: ignore[misc]
    before = home.house.database.path.stat().st_size
    home.edit(lambda space: [space.delete(f"v/{number}", writing()) for number in range(40)])
    found = home.store.read(lambda tx: tx.purging.find(Wish(space="main", prefix="v/1")))
    home.write(lambda tx: tx.purging.erase(Wish(space="main", prefix="v/1"), found))
    home.house.sweep()
    futures = [home.house.database.rewrite(), home.house.database.rewrite()]
    home.edit(lambda space: space.set("after", "still works", writing()))
    for future in futures:
        future.result()
    assert home.house.database.path.stat().st_size <= before
    assert home.look(lambda space: space.get("after")).value == "still works"
    assert home.look(lambda space: space.get("v/45")).value == "x" * 5_000
