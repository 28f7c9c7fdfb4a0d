"""Values in parts, over a real socket: what arrives, what is refused, and what a broken stream leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from sqlalchemy import func, select

from rlmd.memory.tables import pieces, uploads
from rlmd.proto.rlmd.v1 import memory_pb2 as pb

from .host import METHODS, Client, Daemon, Refusal, refusal

BOOK = "spaces/main/variables/book"
LINES = "".join(f"line {number}: the \u00e9\u65e5\U0001f600 of it\n" for number in range(120_000))
"""Of a few MB: more than one batch."""


def head(**fields: Any) -> pb.WriteVariableRequest:
    fields = {"name": BOOK, "kind": pb.VALUE_KIND_TEXT, **fields}
    return pb.WriteVariableRequest(header=pb.WriteHeader(**fields))


def chunk(data: bytes) -> pb.WriteVariableRequest:
    return pb.WriteVariableRequest(chunk=data)


def end(size: int) -> pb.WriteVariableRequest:
    return pb.WriteVariableRequest(end=pb.WriteEnd(size_bytes=size))


def parts(data: bytes, step: int = 100_003, **fields: Any) -> Iterator[pb.WriteVariableRequest]:
    yield head(**fields)
    yield from (chunk(data[at : at + step]) for at in range(0, len(data), step))
    yield end(len(data))


async def refused(client: Client, *requests: pb.WriteVariableRequest) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.write(*requests)
    return refusal(caught.value)


async def read(client: Client, **fields: Any) -> tuple[pb.Variable, bytes]:
    first, *rest = await client.call("ReadVariable", name=BOOK, **fields)
    assert all(len(message.chunk) <= 256 * 1024 for message in rest)
    return first.variable, b"".join(message.chunk for message in rest)


def count(served: Daemon, table: Any) -> int:
    with served.house.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


@pytest.mark.parametrize("text", ["", "a", "\u00e9" * 700, LINES[:60_000], LINES[:200_000], LINES])
async def test_text_of_any_size_comes_back(served: Daemon, text: str) -> None:
    data = text.encode()
    written = await served.alice.write(*parts(data, note="why"))
    assert (written.version, written.characters, written.size_bytes) == (1, len(text), len(data))
    variable, content = await read(served.alice)
    assert (variable.note, variable.HasField("value"), content) == ("why", False, data)
    if len(data) < 16 << 20:
        assert (await served.alice.call("GetVariable", name=BOOK)).value.text == text
    if text:
        part = await served.alice.call("ReadSlice", name=BOOK, start=len(text) - 1, end=len(text) + 5)
        assert part.value.text == text[-1]
    assert count(served, uploads) == 0


@pytest.mark.parametrize("first", ["", "begin\n", LINES[:50_000], LINES[:300_000]])
@pytest.mark.parametrize("second", ["", "\u00e9nd", LINES[:300_000]])
async def test_append_in_parts(served: Daemon, first: str, second: str) -> None:
    await served.alice.call("SetVariable", name=BOOK, value=pb.Value(text=first))
    written = await served.alice.write(*parts(second.encode(), mode=pb.WRITE_MODE_APPEND, expect_version=1))
    assert (written.version, written.characters) == (2, len(first + second))
    assert (await read(served.alice))[1].decode() == first + second
    assert (await read(served.alice, version=1))[1].decode() == first
    whole = first + second
    for start in {0, max(len(first) - 2, 0), len(whole) // 2}:
        part = await served.alice.call("ReadSlice", name=BOOK, start=start, end=start + 9)
        assert part.value.text == whole[start : start + 9]


async def test_past_is_read_in_parts_too(served: Daemon) -> None:
    first = await served.alice.write(*parts(LINES.encode()))
    served.clock.move(timedelta(minutes=1))
    await served.alice.write(*parts(b"new"))
    variable, content = await read(served.alice, as_of=first.write_time)
    assert (variable.version, content.decode()) == (1, LINES)
    assert (await read(served.alice))[1] == b"new"


async def test_bytes_need_not_be_text(served: Daemon) -> None:
    data = bytes(range(256)) * 2_000
    written = await served.alice.write(*parts(data, kind=pb.VALUE_KIND_BYTES))
    assert (written.kind, written.characters) == (pb.VALUE_KIND_BYTES, 0)
    assert (await read(served.alice))[1] == data


async def test_request_id_makes_it_happen_once(served: Daemon) -> None:
    data = LINES[:300_000].encode()
    sent = list(parts(data, mode=pb.WRITE_MODE_APPEND, request_id="id"))
    first = await served.alice.write(*sent)
    assert await served.alice.write(*sent) == first
    again = await refused(served.alice, *parts(data + b"!", mode=pb.WRITE_MODE_APPEND, request_id="id"))
    assert again.field == "request_id"
    assert (await read(served.alice))[0].version == 1
    assert count(served, uploads) == 0


BAD = "INVALID_ARGUMENT"
LONG = b"x" * 200_000


@pytest.mark.parametrize(
    ("sent", "code", "field"),
    [
        ([], BAD, "header"),
        ([chunk(b"x")], BAD, "header"),
        ([head()], BAD, "part"),
        ([head(), chunk(b"x")], BAD, "part"),
        ([head(), chunk(b"x"), end(2)], BAD, "part"),
        ([head(), head(), end(0)], BAD, "part"),
        ([head(), pb.WriteVariableRequest(), end(0)], BAD, "part"),
        ([head(kind=pb.VALUE_KIND_JSON), end(0)], BAD, "kind"),
        ([head(kind=0), end(0)], BAD, "kind"),
        ([head(mode=7), end(0)], BAD, "mode"),
        ([head(name="spaces/main/variables/a//b"), end(0)], BAD, "name"),
        ([head(name="spaces/none/variables/a"), end(0)], "NOT_FOUND", "name"),
        ([head(note="x" * 1001), end(0)], BAD, "note"),
        ([head(expect_version=3), end(0)], "ABORTED", "expect_version"),
        ([head(expect_version=3), chunk(LONG), end(len(LONG))], "ABORTED", "expect_version"),
        ([head(), chunk(b"\xff"), end(1)], BAD, "value"),
        ([head(), chunk(LONG + b"\xc3"), end(len(LONG) + 1)], BAD, "value"),
        ([head(), chunk(LONG + b"\xed\xa0\x80" + LONG), end(2 * len(LONG) + 3)], BAD, "value"),
    ],
)
async def test_bad_stream_is_told_what_is_wrong(
    served: Daemon, sent: list[pb.WriteVariableRequest], code: str, field: str
) -> None:
    told = await refused(served.alice, *sent)
    assert (told.code, told.field) == (code, field)
    assert told.remedy
    assert (await served.alice.call("ListVariables", parent="spaces/main")).variables == []


async def test_other_kind_is_not_appended_to(served: Daemon) -> None:
    await served.alice.call("SetVariable", name=BOOK, value=pb.Value(json="[1]"))
    for data in (b"x", LONG):
        told = await refused(served.alice, *parts(data, mode=pb.WRITE_MODE_APPEND))
        assert (told.code, told.field) == ("FAILED_PRECONDITION", "value")


async def test_broken_stream_leaves_nothing(served: Daemon) -> None:
    """The sender goes away in the middle: nothing shows, and what was stored is swept."""
    before = count(served, pieces)
    go_on = asyncio.Event()

    async def half() -> Any:
        yield head()
        for at in range(0, len(LINES), 100_000):
            yield chunk(LINES[at : at + 100_000].encode())
        await go_on.wait()

    method = METHODS["WriteVariable"]
    make: Any = served.alice.channel.stream_unary
    call = make(method.path, method.request.SerializeToString, method.response.FromString)(
        half(), metadata=served.alice.metadata
    )
    async with asyncio.timeout(20):
        while not count(served, uploads):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert count(served, pieces) > before
    assert await asyncio.to_thread(served.house.sweep) == 0, "an upload under way is left alone"
    call.cancel()
    swept = 0
    async with asyncio.timeout(20):
        while not swept:
            await asyncio.sleep(0.02)
            swept = await asyncio.to_thread(served.house.sweep)
    assert (count(served, pieces), count(served, uploads)) == (before, 0)
    assert (await served.alice.call("ListVariables", parent="spaces/main", show_deleted=True)).variables == []


async def test_revoked_token_ends_an_upload(served: Daemon) -> None:
    made = await served.alice.call("CreateToken")
    metadata = (("authorization", f"Bearer {made.secret}"),)

    async def slow() -> Any:
        yield head()
        await served.alice.call("RevokeToken", name=made.token.name)
        await asyncio.sleep(1.1)
        yield chunk(b"x")
        yield end(1)

    method = METHODS["WriteVariable"]
    make: Any = served.alice.channel.stream_unary
    call = make(method.path, method.request.SerializeToString, method.response.FromString)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(slow(), metadata=metadata, timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def setting(name: str, **fields: Any) -> pb.SetVariableRequest:
    value = fields.pop("value", pb.Value(text="x"))
    return pb.SetVariableRequest(name=f"spaces/main/variables/{name}", value=value, **fields)


async def test_batch_writes_all(served: Daemon) -> None:
    await served.alice.call("SetVariable", name="spaces/main/variables/b", value=pb.Value(text="old"))
    requests = [
        setting("a", value=pb.Value(json="[1]"), note="n"),
        setting("b", expect_version=1),
        setting("c", value=pb.Value(text=LINES[:100_000]), expect_version=0),
    ]
    answer = await served.alice.call("BatchSetVariables", parent="spaces/main", requests=requests)
    assert [(one.name[-1], one.version, one.note) for one in answer.variables] == [
        ("a", 1, "n"),
        ("b", 2, ""),
        ("c", 1, ""),
    ]
    for request, made in zip(requests, answer.variables, strict=True):
        kept = await served.alice.call("GetVariable", name=request.name)
        assert kept.value == request.value
        kept.ClearField("value")
        assert kept == made
    found = await served.alice.call("Grep", parent="spaces/main", pattern="line 7:")
    assert [match.name[-1] for match in found.matches] == ["c"]


@pytest.mark.parametrize(
    ("bad", "code", "field"),
    [
        (setting("b", expect_version=3), "ABORTED", "requests[1].expect_version"),
        (setting("b", value=pb.Value()), BAD, "requests[1].value"),
        (setting("b", value=pb.Value(json="{")), BAD, "requests[1].value.json"),
        (setting("b//c"), BAD, "requests[1].name"),
        (setting("a"), BAD, "requests[1].name"),
        (setting("b", note="x" * 1001), BAD, "requests[1].note"),
        (setting("b", request_id="x"), BAD, "requests[1].request_id"),
        (pb.SetVariableRequest(name="spaces/other/variables/x"), BAD, "requests[1].name"),
    ],
)
async def test_batch_writes_all_or_nothing(
    served: Daemon, bad: pb.SetVariableRequest, code: str, field: str
) -> None:
    told = await served.alice.refused("BatchSetVariables", parent="spaces/main", requests=[setting("a"), bad])
    assert (told.code, told.field) == (code, field)
    assert (await served.alice.call("ListVariables", parent="spaces/main")).variables == []


async def test_batch_has_limits(served: Daemon) -> None:
    for requests in ([], [setting(str(number)) for number in range(1_001)]):
        told = await served.alice.refused("BatchSetVariables", parent="spaces/main", requests=requests)
        assert (told.code, told.field) == (BAD, "requests")
    halves = [setting(name, value=pb.Value(text="x" * (9 << 20))) for name in "ab"]
    told = await served.alice.refused("BatchSetVariables", parent="spaces/main", requests=halves)
    assert (told.code, told.field) == ("OUT_OF_RANGE", "requests")
