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
def house(
    request: pytest.FixtureRequest, mind: ModelServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DaemonProcess]:
    """A daemon that the module's tests share, each with its agents; a module may set `CONFIG`."""
    config = getattr(request.module, "CONFIG", {})
    data = tmp_path_factory.mktemp("house") / "data"
    with DaemonProcess(data, env=model_env(mind), config=config) as daemon:
        yield daemon
