"""A model fetched by name: in the background, past a hub that is away, and refused if it is another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import rlmd
from rlmd.clients.records import Status
from rlmd.errors import ModelError, Unavailable
from rlmd.memory.search import LocalEmbedder
from tests.daemon_process import DaemonProcess
from tests.memory.search import tiny_model
from tests.memory.search.hub import Hub

NAME = "sentence-transformers/all-MiniLM-L6-v2"
DIMENSION = 384
"""What fastembed says of it."""


@pytest.fixture
def hub(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Hub]:
    with Hub(tiny_model.make(tmp_path / "served", dimension=request.param)) as hub:
        yield hub


def _daemon(folder: Path, hub: Hub) -> DaemonProcess:
    return DaemonProcess(folder / "data", env={"RLMD_EMBEDDER": f"local:{NAME}", "HF_ENDPOINT": hub.url})


def _until(client: rlmd.Client, right: Callable[[Status], bool], seconds: float = 60.0) -> Status:
    end = time.monotonic() + seconds
    while not right(status := client.status()):
        assert time.monotonic() < end, status
        time.sleep(0.1)
    return status


@pytest.mark.slow
@pytest.mark.parametrize("hub", [DIMENSION], indirect=True)
def test_words_serve_until_the_model_is_there(tmp_path: Path, hub: Hub) -> None:
    with _daemon(tmp_path, hub) as daemon, rlmd.connect(data=daemon.data) as client:
        memory = client.agent().memory
        memory.set("one", "My automobile is red.")
        status = _until(client, lambda status: "being fetched" in status.index_detail)
        assert status.index == "rebuilding"
        assert NAME in status.embedder
        assert [hit.name for hit in memory.search("red automobil")] == ["one"]
        assert [hit.name for hit in memory.search("car")] == []
        hub.open.set()
        _until(client, lambda status: status.index == "ready" and not status.index_pending)
        assert [hit.name for hit in memory.search("car")] == ["one"]
        hub.open.clear()
        asked = len(hub.asked)
        daemon.stop()
        daemon.start()
        with rlmd.connect(data=daemon.data) as again:
            _until(again, lambda status: status.index == "ready" and not status.index_pending)
            assert [hit.name for hit in again.agent().memory.search("car")] == ["one"]
        assert not [path for path in hub.asked[asked:] if "/resolve/" in path]


@pytest.mark.slow
@pytest.mark.parametrize("hub", [16], indirect=True)
def test_a_model_with_other_vectors_than_it_says_is_refused(tmp_path: Path, hub: Hub) -> None:
    hub.open.set()
    with _daemon(tmp_path, hub) as daemon, rlmd.connect(data=daemon.data) as client:
        client.agent().memory.set("one", "My automobile is red.")
        status = _until(client, lambda status: status.index == "failing")
        assert f"vectors of 16 numbers where {DIMENSION} were expected" in status.index_detail
        assert [hit.name for hit in client.agent().memory.search("red automobil")] == ["one"]


def test_a_model_that_cannot_be_fetched_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    embedder = LocalEmbedder(NAME, cache=tmp_path)
    end = time.monotonic() + 30
    while True:
        with pytest.raises((ModelError, Unavailable)) as caught:
            embedder.embed(["hello"])
        if isinstance(caught.value, ModelError):
            break
        assert time.monotonic() < end
        time.sleep(0.05)
    assert NAME in str(caught.value)
    assert "local:/folder" in caught.value.remedy
    with pytest.raises(ModelError):  # It rests before the next try.
        embedder.embed(["hello"])
