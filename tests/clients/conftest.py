"""A daemon that the tests of a module share, and the command line as users run it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.daemon_process import DaemonProcess

COMMAND = [sys.executable, "-m", "rlmd.clients.cli.main"]


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon with the built-in rules. Tests keep to names of their own."""
    with DaemonProcess(tmp_path_factory.mktemp("shared") / "data") as daemon:
        yield daemon


def runner(daemon: DaemonProcess) -> Cli:
    """Runs `rlmd` on a daemon's data directory; `input` is its stdin."""

    def run(*arguments: str | Path, input: str | bytes = b"", timeout: float = 60) -> Done:
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            input=input.encode() if isinstance(input, str) else input,
            env={**daemon.env, "RLMD_DATA": str(daemon.data)},
            cwd=daemon.data.parent,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def cli(shared: DaemonProcess) -> Cli:
    """The command line on the shared daemon."""
    return runner(shared)
