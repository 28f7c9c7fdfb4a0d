"""Two daemons on one directory: the second is refused at once, and the first does not notice."""

from __future__ import annotations

import subprocess
import sys
import time

import rlmd
from tests.daemon_process import DaemonProcess

REFUSED_SECONDS = 5.0
"""Most of it is Python loading its modules; the lock itself is asked once, without waiting."""


def second(daemon: DaemonProcess) -> subprocess.CompletedProcess[str]:
    """Start another daemon on the same directory, in the foreground."""
    return subprocess.run(
        [sys.executable, "-m", "rlmd.daemon", "--data", str(daemon.data)],
        env=daemon.env,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_the_second_is_refused_and_names_the_first(daemon: DaemonProcess) -> None:
    with rlmd.connect(data=daemon.data) as client:
        client.agent().memory.set("plan", "a")
        began = time.monotonic()
        refused = second(daemon)
        assert time.monotonic() - began < REFUSED_SECONDS
        assert refused.returncode == 1
        assert f"pid {daemon.pid}" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert client.status().pid == daemon.pid
        assert client.agent().memory.get("plan") == "a"


def test_a_killed_daemon_holds_nothing(daemon: DaemonProcess) -> None:
    killed = daemon.pid
    daemon.kill()
    daemon.start()
    refused = second(daemon)
    assert f"pid {daemon.pid}" in refused.stderr
    assert str(killed) not in refused.stderr
