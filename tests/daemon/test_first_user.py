"""A lost token file gives its owner a new token, and nobody else."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from tests.daemon_process import DaemonProcess


def _rlmd(daemon: DaemonProcess, *arguments: str) -> str:
    command = [sys.executable, "-m", "rlmd.clients.cli.main", "--data", str(daemon.data), *arguments]
    done: Any = subprocess.run(command, capture_output=True, text=True, check=True, env=daemon.env)
    return str(done.stdout)


def test_a_lost_token_file_is_the_first_administrators(daemon: DaemonProcess) -> None:
    # A user whose name comes first in the list.
    _rlmd(daemon, "user", "create", "ann")
    daemon.stop()
    (daemon.data / "token").unlink()
    daemon.start()
    assert "owner" in _rlmd(daemon, "user", "show")
    assert (daemon.data / "token").stat().st_mode & 0o777 == 0o600
