"""`rlmd memory import` against a real daemon: once, again, in part, interrupted, and only to look."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import rlmd
from rlmd.clients.importing.reader import LARGE
from rlmd.clients.records import Origin
from tests.clients.conftest import COMMAND, runner
from tests.clients.reading import export
from tests.clients.test_importing_chats import ANDROID, IOS, chatgpt, message, telegram
from tests.clients.test_importing_data import pdf
from tests.daemon_process import DaemonProcess


def fill(folder: Path) -> Path:
    """A folder with something of everything, a part of it damaged."""
    (folder / "deep").mkdir(parents=True)
    (folder / "deep/plan.md").write_text("# Plan\n")
    (folder / "log.jsonl").write_text('{"a": 1}\n{"a": \n{"a": 1.0}\n')
    (folder / "people.csv").write_text("name,city\nAnn,Bern\n")
    (folder / "data.json").write_text('{"x": [1, true]}')
    (folder / "report.pdf").write_bytes(pdf("The lake is cold."))
    (folder / "broken.txt").write_bytes(b"ok\n\xff")
    (folder / "_chat.txt").write_bytes(IOS.encode())
    (folder / "WhatsApp Chat with Ann.txt").write_text(ANDROID)
    export(folder / "conversations.json", [chatgpt()])
    export(folder / "result.json", telegram(message(1, "Hi")))
    return folder


def test_a_folder_of_everything(daemon: DaemonProcess, tmp_path: Path) -> None:
    folder, cli = fill(tmp_path / "stuff"), runner(daemon)
    looked = cli("memory", "import", folder, "--dry-run", "--timezone", "Europe/Berlin")
    assert looked.code == 1
    assert "chats/Ann/2023-05-08-whatsapp v1\n" in looked.out
    assert looked.out.endswith("12 would be written, 0 unchanged, 2 could not be taken.\n")
    with rlmd.connect(data=daemon.data) as client:
        memory = client.agent("main").memory
        assert memory.names() == []
        first = json.loads(cli("memory", "import", folder, "--timezone", "Europe/Berlin", "--json").out)
        assert sorted(one["name"] for one in first["written"]) == memory.names()
        assert [p["where"].rpartition("/")[2] for p in first["problems"]] == ["broken.txt:2", "log.jsonl:2"]
        assert memory.get("inbox/stuff/log.jsonl") == [{"a": 1}, {"a": 1.0}]
        assert memory.get("inbox/stuff/people.csv") == [{"name": "Ann", "city": "Bern"}]
        said = memory.variable("chats/Ann-B/2023-05-08-telegram").version
        assert said.source_time is not None
        assert said.source_time.isoformat() == "2023-05-08T11:56:01+00:00"
        assert said.origin is Origin.EXTERNAL

        again = cli("memory", "import", folder, "--timezone", "Europe/Berlin")
        assert again.out == "0 written, 12 unchanged, 2 could not be taken.\n"

        (folder / "log.jsonl").write_text('{"a": 1}\n{"a": 1}\n')
        (folder / "people.csv").touch()
        (folder / "WhatsApp Chat with Ann.txt").write_text(f"{ANDROID}5/13/23, 1:06\u202fPM - Ann: Bye\n")
        changed = json.loads(cli("memory", "import", folder, "--timezone", "Europe/Berlin", "--json").out)
        assert changed["written"] == [
            {"name": "chats/Ann/2023-05-13-whatsapp", "version": 2},
            {"name": "inbox/stuff/log.jsonl", "version": 2},
        ]


def test_an_interrupted_import_goes_on(daemon: DaemonProcess, tmp_path: Path) -> None:
    count = 400
    (tmp_path / "many").mkdir()
    for number in range(count):
        (tmp_path / f"many/{number:03}.txt").write_text(f"note {number}")
    env = {**daemon.env, "RLMD_DATA": str(daemon.data)}
    command = [*COMMAND, "memory", "import", str(tmp_path / "many")]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with rlmd.connect(data=daemon.data) as client:
        memory = client.agent("main").memory
        until = time.monotonic() + 30
        while not memory.names() and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
        assert process.returncode == 130, told
        assert b"Run it again to go on." in told
        before = len(memory.names())
        assert 0 < before < count
        rest = json.loads(runner(daemon)("memory", "import", tmp_path / "many", "--json").out)
        assert (len(rest["written"]), rest["unchanged"]) == (count - before, before)
        assert {int(variable.version) for variable in memory.variables()} == {1}


def test_progress_on_a_terminal(daemon: DaemonProcess, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("some text")
    ours, theirs = pty.openpty()
    env = {**daemon.env, "RLMD_DATA": str(daemon.data), "TERM": "xterm", "COLUMNS": "100"}
    command = [*COMMAND, "memory", "import", str(tmp_path / "a.txt")]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=False)
    os.close(theirs)
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    assert (done.returncode, done.stdout) == (0, b"1 written, 0 unchanged, 0 could not be taken.\n")
    assert b"a.txt" in shown
    assert b"9/9 bytes" in shown


def test_odd_requests(daemon: DaemonProcess, tmp_path: Path) -> None:
    cli = runner(daemon)
    (tmp_path / "a.txt").write_text("x")
    assert "no time zone" in cli("memory", "import", tmp_path / "a.txt", "--timezone", "Mars/Olympus").err
    assert cli("memory", "import", tmp_path / "a.txt", "--agent", "nobody").code == 3
    refused = cli("memory", "import", tmp_path / "a.txt", "--prefix", "@team/")
    assert refused.code == 1
    assert "belong to hives" in refused.err
    assert cli("memory", "import", tmp_path / "gone.txt").code == 2
    twice = cli("memory", "import", tmp_path / "a.txt", tmp_path / "a.txt")
    assert twice.out == "1 written, 1 unchanged, 0 could not be taken.\n"


def test_a_large_text_is_sent_from_its_file(daemon: DaemonProcess, tmp_path: Path) -> None:
    cli, file = runner(daemon), tmp_path / "book.txt"
    text = "Zwölf Bären.\n" * (LARGE // 12)
    file.write_text(text)
    assert cli("memory", "import", file).out == "1 written, 0 unchanged, 0 could not be taken.\n"
    assert cli("memory", "import", file).out == "0 written, 1 unchanged, 0 could not be taken.\n"
    file.write_text(f"{text[:-2]}!\n")
    assert cli("memory", "import", file, "--dry-run").out.startswith("inbox/book.txt v2\n")
    assert cli("memory", "import", file).out == "1 written, 0 unchanged, 0 could not be taken.\n"
    with rlmd.connect(data=daemon.data) as client:
        memory = client.agent("main").memory
        assert memory.size("inbox/book.txt") == len(text)
        assert memory.slice("inbox/book.txt", len(text) - 6, len(text)) == "ären!\n"
