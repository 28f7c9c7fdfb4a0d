"""Fixtures of the whole suite."""

from __future__ import annotations

import gc
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.daemon_process import DaemonProcess, model_env
from tests.model_server import ModelServer

StartDaemon = Callable[..., DaemonProcess]


def pytest_configure() -> None:
    """A suite in the background, or under `nohup`, ignores what its programs must hear; they inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="module", autouse=True)
def _all_is_closed() -> Iterator[None]:
    """Fails the module that leaves a connection open, and not whichever module runs when it is collected."""
    yield
    found = [each for each in gc.get_objects() if type(each) is socket.socket and each.fileno() >= 0]
    left = [each for each in found if each.family in (socket.AF_INET, socket.AF_INET6)]
    assert not left, f"never closed: {left}"
    gc.collect()  # What warns when it is collected does so here; the suite takes warnings for errors.


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    """A scripted model behind a real HTTP server; see tests/model_server.py."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[StartDaemon]:
    """Starts daemons: `start_daemon(model_server)` thinks with that server, `start_daemon()` with rules.

    Settings are given by name, such as `max_steps=3`. All are stopped at the test's end.
    """
    with ExitStack() as stack:
        count = 0

        def start(server: ModelServer | None = None, **config: int) -> DaemonProcess:
            nonlocal count
            count += 1
            env = {} if server is None else model_env(server)
            return stack.enter_context(DaemonProcess(tmp_path / f"d{count}", env=env, config=config))

        yield start


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> DaemonProcess:
    """A daemon without a provider: the built-in rules are its model."""
    return start_daemon()
