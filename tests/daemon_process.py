"""A daemon as users have it: a process of its own, entered by its socket, that can be killed.

    with DaemonProcess(tmp_path / "data", env=model_env(server)) as daemon:
        with rlmd.connect(data=daemon.data) as client: ...
        daemon.kill()
        daemon.restart()

Leaving the block stops it, and fails if it, or a worker of its sandbox, is still there afterwards.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

import rlmd
from tests.model_server import ModelServer

READY_SECONDS = 30.0
STOP_SECONDS = 30.0
WORKER_SECONDS = 5.0
"""How long a worker of the sandbox may outlive its daemon."""
SECRET = "sk-scripted-0123456789abcdef"
"""The key that daemons of tests hold: nobody may ever see it but the model's server."""


def model_env(server: ModelServer) -> dict[str, str]:
    """What makes a scripted server the model of a daemon."""
    return {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": SECRET, "RLMD_MODEL": "scripted"}


class DaemonProcess:
    """One daemon and its data directory. `start` it, or use it as a context manager."""

    def __init__(
        self, data: Path, *, env: Mapping[str, str] = {}, config: Mapping[str, int | str | list[str]] = {}
    ) -> None:
        self.data = data
        self.env = {
            "HOME": str(data.parent),
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONWARNINGS": "ignore",
            **env,
        }
        """All of its environment: nothing of the test's own gets in."""
        self.log_file = data.parent / f"{data.name}.log"
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._workers: set[psutil.Process] = set()

    @property
    def pid(self) -> int:
        """Of the running daemon."""
        assert self._process is not None, "the daemon is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        """All that it has logged, over restarts."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def start(self) -> Self:
        """Start it and wait until it answers."""
        assert self._process is None, "the daemon is running"
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._config:
            lines = [f"{name} = {json.dumps(value)}\n" for name, value in self._config.items()]
            (self.data / "config.toml").write_text("".join(lines))
        command = [sys.executable, "-m", "rlmd.daemon", "--data", str(self.data)]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self.env, cwd=self.data.parent, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self._leave()
                raise AssertionError(f"the daemon did not come up; its log:\n{self.log}")
            time.sleep(0.02)
        return self

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        assert self._process is not None, "the daemon is not running"
        self._see_workers()
        self._process.kill()
        self._process.wait(STOP_SECONDS)
        self._process = None

    def stop(self) -> None:
        """Ask it to stop, and hold it to a clean end."""
        assert self._process is not None, "the daemon is not running"
        self._see_workers()
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(STOP_SECONDS)
        self._process = None
        assert status == 0, f"the daemon ended with status {status}; its log:\n{self.log}"

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait until it ends by itself, and give its status."""
        assert self._process is not None, "the daemon is not running"
        self._see_workers()
        status = self._process.wait(seconds)
        self._process = None
        return status

    def restart(self) -> None:
        """Stop it if it runs, and start it again on the same data."""
        if self._process is not None:
            self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._process is not None:
                self.stop()
        finally:
            self._leave()
        if error is not None:
            error.add_note(f"The daemon's log:\n{self.log}")
        _, alive = psutil.wait_procs(self._workers, timeout=WORKER_SECONDS)
        for worker in alive:
            worker.kill()
        assert not alive, f"workers of the sandbox outlived their daemon: {alive}"

    def _answers(self) -> bool:
        if not (self.data / "token").exists():
            return False
        try:
            with rlmd.connect(data=self.data, timeout=1) as client:
                return client.status().pid == self.pid
        except (rlmd.Unavailable, rlmd.Unauthenticated, rlmd.DeadlineExceeded):
            return False

    def _see_workers(self) -> None:
        try:
            self._workers |= set(psutil.Process(self.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return

    def _leave(self) -> None:
        """Whatever happened, leave no process."""
        if self._process is not None:
            self._see_workers()
            self._process.kill()
            self._process.wait()
            self._process = None
