"""The command line on a real daemon: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from rlmd.clients.cli.out import safe
from rlmd.clients.cli.root import rlmd
from rlmd.clients.cli.run import run
from rlmd.clients.sync import connect
from tests.clients.conftest import COMMAND, Cli
from tests.daemon_process import DaemonProcess


def commands(group: click.Group, path: str = "rlmd") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        yield f"{path} {name}"
        if isinstance(found, click.Group):
            yield from commands(found, f"{path} {name}")


@pytest.mark.parametrize("path", ["rlmd", *commands(rlmd)])
def test_every_help_has_examples_and_the_common_options(path: str) -> None:
    context = click.Context(rlmd, info_name="rlmd")
    found: click.Command = rlmd
    for word in path.split()[1:]:
        assert isinstance(found, click.Group)
        inner = found.get_command(context, word)
        assert inner is not None
        found, context = inner, click.Context(inner, parent=context, info_name=word)
    shown = found.get_help(context)
    examples = shown.partition("Examples:\n")[2].splitlines()
    assert any(line.strip().startswith("rlmd") or path in line for line in examples)
    assert "--json" in shown
    assert "--data" in shown


def test_write_read_and_take_back(cli: Cli) -> None:
    assert cli("memory", "set", "w/a", "Grüße").out == "w/a v1\n"
    assert cli("memory", "get", "w/a").out == "Grüße"
    assert cli("memory", "set", "w/b", "--json-value", '{"x": [1]}', "--note", "why").code == 0
    assert json.loads(cli("memory", "get", "w/b").out) == {"x": [1]}
    assert cli("memory", "set", "w/c", "-", "--bytes", input=b"\xff\0").code == 0
    shown = json.loads(cli("memory", "get", "w/c", "--json").out)
    assert (shown["kind"], shown["value"]) == ("bytes", {"base64": "/wA="})
    assert cli("memory", "append", "w/a", " aus Bern").out == "w/a v2\n"
    assert "+Grüße aus Bern" in cli("memory", "diff", "w/a").out
    assert cli("memory", "revert", "w/a", "1").out == "w/a v3\n"
    history = json.loads(cli("memory", "history", "w/a", "--json").out)
    assert [entry["number"] for entry in history] == [3, 2, 1]
    assert cli("memory", "delete", "w/a").code == 0
    assert [line.split("\t")[0] for line in cli("memory", "list", "w/").out.splitlines()] == ["w/b", "w/c"]
    assert cli("memory", "undelete", "w/a").out == "w/a v5\n"
    assert json.loads(cli("memory", "search", "Grüße", "--prefix", "w/", "--json").out)[0]["name"] == "w/a"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["memory", "get", "nope"], 3, "nope"),
        (["memory", "get", "nope", "--agent", "nobody"], 3, "nobody"),
        (["memory", "set", "x/y", "v", "--expect", "9"], 4, "expect"),
        (["memory", "set", "", "v"], 2, "name"),
        (["memory", "set", "x/y"], 2, "VALUE"),
        (["memory", "set", "x/y", "--json-value", "{"], 2, "JSON"),
        (["memory", "set", "x/y", "--file", "/no/such/file"], 1, "/no/such/file"),
        (["memory", "search", " "], 2, "query"),
        (["memory", "list", "--nonsense"], 2, "--nonsense"),
        (["agent", "create", "main"], 4, "main"),
        (["agent", "update", "main"], 2, "Nothing to change"),
        (["run", "show", "999999"], 3, "999999"),
        (["run", "watch", "x"], 3, "x"),
        (["log", "--after", "yesterday"], 2, "yesterday"),
        (["token", "revoke", "users/owner/tokens/999"], 3, "999"),
        (["chat", "-m", " "], 2, "text"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_errors_are_one_sentence_and_a_code(
    shared: DaemonProcess,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    # In this process, because the table is long and a process costs half a second.
    monkeypatch.setenv("RLMD_DATA", str(shared.data))
    assert run(arguments) == code
    plain = capsys.readouterr()
    assert plain.out == ""
    assert words in plain.err
    assert len(plain.err.strip().splitlines()) == 1
    assert run(["--json", *arguments]) == code
    told = json.loads(capsys.readouterr().err)
    assert told["code"] == code
    assert told["reason"]


@pytest.mark.parametrize("text", ["\x1b[31mred", "\x1b]0;title\x07", "a\rb", "\u202eright", "\x9b2J"])
def test_a_terminal_is_not_told_what_was_remembered(text: str) -> None:
    assert not any(not (c.isprintable() or c in "\t\n") for c in safe(text))
    assert safe("plain ü\ttext\n") == "plain ü\ttext\n"


def test_stdin_that_is_no_text_is_refused(cli: Cli) -> None:
    refused = cli("memory", "set", "x/z", "-", input=b"ok \xff")
    assert refused.code == 2
    assert "byte 3 is 0xff" in refused.err
    assert cli("memory", "get", "x/z").code == 3


def test_json_of_every_list(cli: Cli) -> None:
    for words in ("agent list", "memory list", "log", "run list", "user list", "token list", "usage"):
        assert isinstance(json.loads(cli(*words.split(), "--json").out), list), words
    status = json.loads(cli("status", "--json").out)
    assert {"pid", "version", "data", "socket", "model", "embedder"} <= status.keys()
    assert json.loads(cli("version", "--json").out)["version"] == status["version"]
    assert json.loads(cli("config", "--json").out)["embedder"] == {"value": "builtin", "source": "default"}
    assert all(finding["ok"] for finding in json.loads(cli("doctor", "--json").out))


def test_agents_users_tokens(cli: Cli) -> None:
    made = json.loads(cli("agent", "create", "cli-agent", "--depth", "0", "--json").out)
    assert made["limits"]["depth"] == 0
    changed = json.loads(cli("agent", "update", "cli-agent", "--steps", "7", "--json").out)
    assert (changed["limits"]["steps"], changed["limits"]["depth"]) == (7, 0)
    assert cli("agent", "delete", "cli-agent", input="n\n").code == 130
    assert cli("agent", "delete", "cli-agent", "--yes").code == 0
    assert json.loads(cli("user", "create", "cli-user", "--json").out)["secret"]
    token = json.loads(cli("token", "create", "--label", "cli", "--json").out)
    assert cli("token", "revoke", token["name"]).code == 0
    assert f"{token['name']}\tcli\t" in cli("token", "list").out


CHATS = {
    "name": "trip",
    "sessions": [
        {"date": "2023-05-08T13:56", "turns": [{"speaker": "Ann", "text": "The lake was cold."}]},
        {"date": "2023-05-09T10:00", "turns": [{"speaker": "Ann", "text": "Home again."}]},
    ],
}


def test_import_can_be_repeated(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "chats.json").write_text(json.dumps(CHATS))
    (tmp_path / "note.md").write_text("# A note\n")
    first = cli("memory", "import", tmp_path / "chats.json", tmp_path / "note.md")
    assert (first.code, first.out) == (0, "3 written, 0 unchanged, 0 could not be taken.\n")
    shown = json.loads(cli("memory", "get", "chats/trip/2023-05-08-session-01", "--json").out)
    assert shown["value"] == "2023-05-08 13:56 · Ann\nAnn: The lake was cold.\n"
    assert shown["source_time"] == "2023-05-08T13:56:00+00:00"
    assert shown["origin"] == "external"
    (tmp_path / "note.md").write_text("# Another note\n")
    again = cli("memory", "import", tmp_path / "chats.json", tmp_path / "note.md", "--json")
    told = json.loads(again.out)
    assert told["written"] == [{"name": "inbox/note.md", "version": 2}]
    assert told["unchanged"] == 2
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    partly = cli("memory", "import", tmp_path)
    assert partly.code == 1
    assert "bad.txt:1: Not UTF-8" in partly.err
    assert "1 could not be taken" in partly.out


def test_export_keeps_every_value_apart(cli: Cli, tmp_path: Path) -> None:
    values = {"e/a": '"text"', "e/a/b": "[1]", "e/a.txt": '"other"', "e/a.txt/c": "2"}
    for name, value in values.items():
        assert cli("memory", "set", name, "--json-value", value).code == 0
    assert cli("memory", "set", "e/raw", "-", "--bytes", input=b"\0\xff").code == 0
    done = cli("memory", "export", "--prefix", "e/", tmp_path / "out")
    assert (done.code, done.out) == (0, f"5 written to {tmp_path / 'out'}.\n")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert sorted(path.read_bytes() for path in files) == [
        b"\0\xff",
        b"2\n",
        b"[\n  1\n]\n",
        b"other",
        b"text",
    ]
    lines = cli("memory", "export", "--prefix", "e/", "-").out.splitlines()
    assert {json.loads(line)["name"] for line in lines} == {*values, "e/raw"}


def test_what_is_too_large_for_a_message_comes_in_parts(
    shared: DaemonProcess, cli: Cli, tmp_path: Path
) -> None:
    with connect(data=shared.data) as client:
        for letter in "äbc":
            client.agent().memory.append("large/text", letter * (6 << 20))
    whole = "ä" * (6 << 20) + "b" * (6 << 20) + "c" * (6 << 20)
    assert cli("memory", "get", "large/text").out == whole
    assert cli("memory", "get", "large/text", "--version", "2").out == whole[: 12 << 20]
    assert cli("memory", "export", "--prefix", "large/", tmp_path).code == 0
    assert (tmp_path / "large/text.txt").read_text() == whole


def test_a_closed_stdout_is_no_crash(shared: DaemonProcess, cli: Cli) -> None:
    cli("memory", "set", "big", "-", input="x" * 500_000)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, "memory", "get", "big"],
        env={**shared.env, "RLMD_DATA": str(shared.data)},
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
    closed = " ".join([*COMMAND, "status", ">&-", "2>&-"])
    environment = {**shared.env, "RLMD_DATA": str(shared.data)}
    assert subprocess.run(["sh", "-c", closed], env=environment, timeout=30, check=False).returncode == 0
    full = " ".join([*COMMAND, "status", ">/dev/full"])
    told = subprocess.run(
        ["sh", "-c", full], env=environment, stderr=subprocess.PIPE, timeout=30, check=False
    )
    assert (told.returncode, len(told.stderr.splitlines())) == (1, 1)


def test_deleting_an_agent_unasked_needs_yes(cli: Cli) -> None:
    cli("agent", "create", "kept")
    refused = cli("agent", "delete", "kept")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert cli("agent", "show", "kept").code == 0
    assert cli("agent", "delete", "kept", "--yes").code == 0


def test_deleting_several_is_all_or_none(cli: Cli) -> None:
    cli("memory", "set", "d/a", "x")
    refused = cli("memory", "delete", "d/a", "d/none")
    assert (refused.code, refused.out) == (3, "")
    assert "d/none; nothing was deleted" in refused.err
    cli("memory", "set", "d/b", "x")
    assert cli("memory", "delete", "d/a", "d/b").out == "d/a v2\nd/b v2\n"


def test_exports_are_private(cli: Cli, tmp_path: Path) -> None:
    cli("memory", "set", "p/q/text", "x")
    cli("memory", "set", "p/json", "--json-value", "[1]")
    folder = tmp_path / "out"
    for _ in range(2):
        assert cli("memory", "export", "--prefix", "p/", folder).code == 0
        made = [folder, *folder.rglob("*")]
        assert len(made) == 5
        assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o600}
        assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {0o700}
        (folder / "p/json.json").chmod(0o644)


def test_an_empty_time_span_is_refused(cli: Cli) -> None:
    refused = cli("memory", "search", "x", "--after", "2026-02-01", "--before", "2026-01-01")
    assert refused.code == 2
    assert "no time is in between" in refused.err
