"""One daemon per data directory. The second is in another process: locks of one process do not meet."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rlmd.daemon.lock import DataLock, private_folder
from rlmd.errors import PreconditionFailed

HOLD = """
import sys, time
from pathlib import Path
from rlmd.daemon.lock import DataLock
lock = DataLock(Path(sys.argv[1]), version="9.9")
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_are_private_and_tell_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "lock"
    before = os.umask(0)
    try:
        with DataLock(path, version="1.2") as lock:
            lock.announce(["unix:/a/very/long/address", "127.0.0.1:1"])
            lock.announce(["unix:/a"])
            content = json.loads(path.read_text())
    finally:
        os.umask(before)
    assert content == {"pid": os.getpid(), "version": "1.2", "addresses": ["unix:/a"]}
    assert (mode(path), mode(path.parent), mode(path.parent.parent)) == (0o600, 0o700, 0o700)
    assert path.read_text() == ""


def test_second_daemon_is_told_who_holds_it_until_it_dies(tmp_path: Path) -> None:
    path = tmp_path / "data" / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        with holder.stdout:
            assert holder.stdout.readline() == "held\n"
        with pytest.raises(PreconditionFailed) as caught:
            DataLock(path, version="1").acquire()
        assert f"pid {holder.pid}, rlmd 9.9" in caught.value.reason
        assert "rlmd down" in caught.value.remedy
    finally:
        holder.kill()
        holder.wait()
    with DataLock(path, version="1"):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_open_directory_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    assert mode(private_folder(tmp_path / "data")) == 0o700


def test_directory_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(PreconditionFailed, match=str(owner)):
        DataLock(tmp_path / "lock", version="1").acquire()
    assert not (tmp_path / "lock").exists()


def test_file_in_the_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(PreconditionFailed, match="not a directory"):
        DataLock(tmp_path / "data" / "lock", version="1").acquire()
