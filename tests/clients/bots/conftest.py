"""A bot as its owner runs it: `rlmd bot ...` in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

import pytest

import rlmd
from tests.clients.conftest import COMMAND, Cli, runner
from tests.clients.conftest import shared as shared
from tests.daemon_process import DaemonProcess


class BotProcess:
    """A bot that runs. Leaving the block ends it as a service manager does, and holds it to a clean end."""

    def __init__(self, daemon: DaemonProcess, *arguments: str, env: Mapping[str, str] = {}) -> None:
        self._env = env
        self._command = [*COMMAND, "bot", *arguments]
        self._daemon = daemon
        self.said: list[str] = []
        """What it has written on stderr."""

    def start(self) -> Self:
        env = {**self._daemon.env, "RLMD_DATA": str(self._daemon.data), **self._env}
        self._process = subprocess.Popen(self._command, env=env, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        self.said.append(self._process.stderr.readline())
        self._reader = threading.Thread(target=lambda: self.said.extend(self._process.stderr or ()))
        self._reader.start()
        assert self.said[-1].endswith("Stop it with Ctrl-C.\n"), self.said
        return self

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        status = self._wait()
        if error is not None:
            error.add_note("".join(self.said))
        else:
            assert (status, [each for each in self.said if "Traceback" in each]) == (0, []), self.said

    def _wait(self) -> int:
        try:
            return self._process.wait(30)
        finally:
            self._process.kill()
            self._reader.join()
            assert self._process.stderr is not None
            self._process.stderr.close()


@pytest.fixture
def client(shared: DaemonProcess) -> Iterator[rlmd.Client]:
    with rlmd.connect(data=shared.data) as made:
        yield made


@pytest.fixture
def cli(shared: DaemonProcess) -> Cli:
    return runner(shared)
