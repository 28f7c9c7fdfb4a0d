"""One daemon and one scripted model for all cases of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daemon_process import DaemonProcess, model_env
from tests.model_server import ModelServer


@pytest.fixture(scope="module")
def mind() -> Iterator[ModelServer]:
    """The model of `house`: scripts are named after agents."""
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def house(mind: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that the module's tests share, each with agents of its own."""
    with DaemonProcess(tmp_path_factory.mktemp("house") / "data", env=model_env(mind)) as daemon:
        yield daemon
