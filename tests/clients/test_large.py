"""Values of any size through the library and the command line: in and out in parts, whatever is in them."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rlmd
from rlmd.clients import parts
from rlmd.clients.records import Kind
from tests.daemon_process import DaemonProcess

from .conftest import Cli

PROFILE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LINES = "".join(f"line {number}: the \u00e9\u65e5\U0001f600 of it\n" for number in range(300_000))
"""Of 9 MB."""


@pytest.fixture
def memory(shared: DaemonProcess) -> Iterator[rlmd.Memory]:
    with rlmd.connect(data=shared.data) as client:
        yield client.agent("main").memory


def cut(data: Any, places: list[int]) -> list[Any]:
    borders = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(borders)]


@PROFILE
@given(
    text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=300),
    times=st.sampled_from([1, 40, 700]),
    cuts=st.lists(st.integers(0, 1 << 30), max_size=6),
    places=st.lists(st.integers(0, 1 << 30), min_size=2, max_size=6),
    raw=st.booleans(),
)
def test_any_text_in_any_parts_is_sliced_as_python_does(
    memory: rlmd.Memory, text: str, times: int, cuts: list[int], places: list[int], raw: bool
) -> None:
    whole = text * times
    if raw:
        file = _Cut(cut(whole.encode(), cuts))
        memory.upload("large/any", file, text=True)  # type: ignore[arg-type]
    else:
        memory.set("large/any", iter(cut(whole, cuts)))
    assert "".join(memory.read("large/any")) == whole
    assert memory.size("large/any") == len(whole)
    for a, b in itertools.pairwise(places):
        start, end = sorted((a % (len(whole) + 2), b % (len(whole) + 2)))
        assert memory.slice("large/any", start, end) == whole[start:end]


class _Cut:
    """A file that gives its content in parts of its own choice."""

    def __init__(self, data: list[bytes]) -> None:
        self._data = [part for part in data if part]

    def read(self, size: int) -> bytes:
        return self._data.pop(0) if self._data else b""


def test_large_values_stream_by_themselves(memory: rlmd.Memory, tmp_path: Path) -> None:
    data = bytes(range(256)) * 80_000
    assert len(data) > 16 << 20
    for value in (LINES, data):
        memory.set("large/self", value)
        assert memory.get("large/self") == value
    first = memory.set("large/self", io.StringIO(LINES))
    second = memory.append("large/self", iter([LINES, "end"]), expect=first)
    assert memory.get("large/self", version=second) == LINES + LINES + "end"
    told: list[int] = []
    variable = memory.download("large/self", tmp_path / "out", version=first, progress=told.append)
    assert (tmp_path / "out").read_text() == LINES
    assert (variable.version.kind, told[-1]) == (Kind.TEXT, variable.version.size)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_file_that_fails_changes_nothing(memory: rlmd.Memory, tmp_path: Path) -> None:
    def failing() -> Iterator[str]:
        yield LINES
        raise OSError("the disk is gone")

    def mixed() -> Iterator[Any]:
        yield "a"
        yield b"b"

    memory.set("large/whole", "before")
    with pytest.raises(OSError, match="the disk is gone"):
        memory.set("large/whole", failing())
    with pytest.raises(rlmd.InvalidInput, match="mixed"):
        memory.set("large/whole", mixed())
    (tmp_path / "latin").write_bytes(LINES.encode() + b"\xe4")
    with pytest.raises(rlmd.InvalidInput, match="not UTF-8") as caught:
        memory.upload("large/whole", tmp_path / "latin")
    assert f"byte {len(LINES.encode()):,}" in str(caught.value)
    with pytest.raises(rlmd.Conflict):
        memory.set("large/whole", iter([LINES]), expect=7)
    with pytest.raises(FileNotFoundError):
        memory.upload("large/whole", tmp_path / "none")
    assert memory.get("large/whole") == "before"
    assert memory.upload("large/whole", tmp_path / "latin", text=False) == 2


def test_batch(memory: rlmd.Memory) -> None:
    versions = memory.set_all({"large/a": "x", "large/b": [1]}, note="both")
    assert [(int(version), version.note) for version in versions] == [(1, "both"), (1, "both")]
    assert (memory.get("large/a"), memory.get("large/b")) == ("x", [1])


async def test_async_twin(shared: DaemonProcess, tmp_path: Path) -> None:
    async with await rlmd.connect_async(data=shared.data) as client:
        memory = client.agent("main").memory
        await memory.set("large/async", iter([LINES[:-1], LINES[-1]]))
        assert "".join([part async for part in memory.read("large/async")]) == LINES
        assert await memory.get("large/async") == LINES


def test_a_stream_goes_on_after_a_restart(tmp_path: Path) -> None:
    with DaemonProcess(tmp_path / "data") as daemon, rlmd.connect(data=daemon.data) as client:
        memory = client.agent("main").memory
        memory.set("book", LINES * 8)
        stream = memory.read("book")
        read = [next(stream), next(stream)]
        daemon.kill()
        daemon.start()
        memory.set("book", "another")
        assert "".join([*read, *stream]) == LINES * 8


def test_command_line_streams(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(LINES.encode())
    assert cli("memory", "set", "large/cli", "--file", tmp_path / "in").out.startswith("large/cli v")
    assert cli("memory", "append", "large/cli", "-", input=LINES).code == 0
    assert cli("memory", "get", "large/cli").out == LINES + LINES
    assert cli("memory", "set", "large/cli", "-", "--bytes", input=b"\xff").code == 0
    assert cli("memory", "export", "--prefix", "large/cli", tmp_path / "out").code == 0
    assert (tmp_path / "out/large/cli.bin").read_bytes() == b"\xff"


def test_messages_are_small() -> None:
    from rlmd.proto.rlmd.v1 import memory_pb2

    sent = list(parts.Parts(LINES, memory_pb2.WriteHeader()))
    assert max(message.ByteSize() for message in sent) < 300_000
    assert sent[-1].end.size_bytes == len(LINES.encode())
