"""Hives and clones on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.conftest import Cli


def test_from_the_first_member_to_the_end(cli: Cli) -> None:
    assert cli("agent", "create", "scout", "--instructions", "You look around. And report.").code == 0
    assert cli("hive", "create", "crew").out.startswith("Made the hive crew; ")
    assert cli("hive", "join", "crew", "main", "--as", "captain", "--about", "Decides.").out == (
        "captain is in crew.\n"
    )
    assert cli("hive", "join", "crew", "scout").code == 0
    assert cli("hive", "list").out == "crew\towner\tcaptain scout\n"
    shown = cli("hive", "show", "crew").out
    assert "captain\towner (main)\tDecides." in shown
    assert "scout\towner\tYou look around. And report." in shown
    granted = json.loads(cli("hive", "grant", "crew", "ask", "--on", "scout", "--for", "2h", "--json").out)
    assert (granted["verbs"], granted["pattern"]) == (["ask"], "scout")
    assert granted["expire_time"]
    assert cli("hive", "revoke", "crew", granted["id"]).out == (
        f"Revoked {granted['id']}: all may ask on scout\n"
    )
    assert "revoked" in cli("hive", "grants", "crew", "--all").out
    invited = cli("hive", "invite", "crew", "--for", "30m")
    assert invited.out.strip()
    assert "rlmd hive join crew AGENT --code" in invited.err
    assert cli("hive", "audit").out == ""
    assert cli("hive", "leave", "crew", "scout").out == "scout is no longer in crew.\n"
    assert cli("hive", "dissolve", "crew").code == 2, "nobody answered"
    assert cli("hive", "dissolve", "crew", "--yes").out == "Dissolved crew.\n"
    assert cli("hive", "show", "crew").code == 3


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("show", "nothing"), 3, "there is no hive 'nothing'"),
        (("create", "Big Hive"), 2, "is not a valid id"),
        (("join", "nothing", "nobody"), 3, "there is no agent 'nobody'"),
        (("join", "nothing", "main", "--code", "abc"), 3, "there is no such invitation"),
        (("grant", "nothing", "fly"), 2, "'fly' is not one of"),
        (("grant", "nothing"), 2, "Name what they may: read"),
        (("invite", "nothing", "--for", "soon"), 2, "write it like 30m"),
        (("invite", "nothing", "--for", "0d"), 2, "write it like 30m"),
        (("revoke", "nothing", "x"), 3, "there is no grant"),
    ],
)
def test_what_cannot_be_is_one_sentence(cli: Cli, words: tuple[str, ...], code: int, told: str) -> None:
    done = cli("hive", *words)
    assert (done.code, done.out) == (code, "")
    assert told in done.err
    assert done.err.count("\n") == 1


def test_a_clone_and_instructions_from_a_file(cli: Cli, tmp_path: Path) -> None:
    role = tmp_path / "role.md"
    role.write_text("You are careful.\n")
    made = json.loads(cli("agent", "create", "first", "--instructions-file", role, "--json").out)
    assert made["instructions"] == "You are careful.\n"
    assert cli("memory", "set", "plan", "Go.", "--agent", "first").code == 0
    assert json.loads(cli("agent", "clone", "first", "second", "--memory", "--json").out)["name"] == "second"
    assert cli("memory", "get", "plan", "--agent", "second").out.strip() == "Go."
    assert "You are careful." in cli("agent", "clone", "first", "third").out
    assert cli("memory", "get", "plan", "--agent", "third").code == 3
    assert cli("agent", "clone", "first", "second").code == 4
    assert cli("agent", "clone", "nobody", "fourth").code == 3
    both = cli("agent", "update", "first", "--instructions", "x", "--instructions-file", role)
    assert (both.code, "not both" in both.err) == (2, True)
    missing = cli("agent", "update", "first", "--instructions-file", tmp_path / "none")
    assert (missing.code, "cannot be read" in missing.err) == (2, True)
