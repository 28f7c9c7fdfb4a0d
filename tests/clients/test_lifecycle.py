"""Starting and stopping: once, from anywhere, and with a plain word when it cannot be."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlmd.settings import Settings
from tests.clients.conftest import Cli, runner
from tests.daemon_process import DaemonProcess


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Cli]:
    """The command line on a directory where no daemon runs yet; what is started there is stopped."""
    run = runner(DaemonProcess(tmp_path / "data"))
    yield run
    run("down", "--wait", "20", "--force")


def test_up_and_down(own: Cli, tmp_path: Path) -> None:
    assert own("status").code == 5
    assert own("down").code == 0
    started = own("up", "--detach", "--listen", "127.0.0.1:0", "--json")
    assert started.code == 0, started.err
    status = json.loads(started.out)
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data/daemon.log").stat().st_mode & 0o777 == 0o600
    tcp = next(address for address in status["addresses"] if not address.startswith("unix:"))
    host, _, port = tcp.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5):
        pass
    for again in (own("up", "--detach"), own("up")):
        assert again.code == 0
        assert f"pid {status['pid']}" in again.out
    assert f"pid {status['pid']}" in own("down").out
    assert own("status").code == 5


def test_chat_starts_what_it_needs(own: Cli) -> None:
    refused = own("chat", "--no-start", "-m", "hello")
    assert refused.code == 5
    assert "rlmd up" in refused.err
    first = own("chat", "-m", "My dog is called Rex.")
    assert first.code == 0, first.err
    model, embedder = first.err.strip().splitlines()
    assert model.startswith("model: ")
    assert "RLMD_MODEL" in model
    assert embedder.startswith("embedder: ")
    assert "RLMD_EMBEDDER" in embedder
    second = own("chat", "-m", "What is my dog called?")
    assert (second.code, second.err) == (0, "")
    assert "Rex" in second.out


def test_a_daemon_that_cannot_start_says_why(own: Cli, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data/rlmd.db").write_bytes(b"this is no database" * 100)
    failed = own("up", "--detach")
    assert failed.code == 5
    assert "database" in failed.err
    assert "daemon.log" in failed.err


def test_bad_settings_are_told_before_anything_starts(own: Cli, tmp_path: Path) -> None:
    refused = own("up", "--detach", "--listen", "0.0.0.0:80")
    assert refused.code == 2
    assert "0.0.0.0:80" in refused.err
    assert not (tmp_path / "data").exists()
    (tmp_path / "file").write_text("")
    blocked = own("up", "--detach", "--data", tmp_path / "file")
    assert blocked.code == 2
    assert str(tmp_path / "file") in blocked.err


def test_doctor_names_what_is_wrong(own: Cli, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "data").chmod(0o755)
    done = own("doctor", "--json")
    assert done.code == 1
    wrong = {finding["check"]: finding for finding in json.loads(done.out) if not finding["ok"]}
    assert set(wrong) == {"data", "daemon"}
    assert all(finding["remedy"] for finding in wrong.values())


def test_a_daemon_that_lost_its_socket_is_named(own: Cli, tmp_path: Path) -> None:
    pid = json.loads(own("up", "--detach", "--json").out)["pid"]
    settings = Settings(data=tmp_path / "data")
    settings.socket.unlink()
    for words in (("status",), ("memory", "list"), ("chat", "-m", "hi"), ("up", "--detach")):
        began = time.monotonic()
        done = own(*words)
        assert time.monotonic() - began < 20
        assert (done.code, done.out) == (5, "")
        assert f"pid {pid}) holds {settings.data} but does not answer" in done.err
        assert "rlmd down --force" in done.err
    assert own("down", "--force").code == 0
    assert own("up", "--detach").code == 0
    assert own("status").code == 0
