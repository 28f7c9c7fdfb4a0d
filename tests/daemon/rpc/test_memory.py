"""The service Memory, over a real socket."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from rlmd.proto.rlmd.v1 import memory_pb2 as pb

from .host import Daemon

PLAN = "spaces/main/variables/plan"


async def test_value_comes_back_as_it_was_sent(served: Daemon) -> None:
    memory = served.alice.call
    values = {
        "json": pb.Value(json='{"a":[1,2.5,null,true],"b":"ä"}'),
        "text": pb.Value(text="line\r\n\x00\U0001f600"),
        "data": pb.Value(data=bytes(range(256))),
    }
    for kind, value in values.items():
        written = await memory("SetVariable", name=f"{PLAN}/{kind}", value=value, note="why")
        assert (written.version, written.note, written.author.user) == (1, "why", "alice")
        assert written.origin == pb.ORIGIN_OWNER
        read = await memory("GetVariable", name=f"{PLAN}/{kind}")
        assert read.value == value
        assert read.size_bytes == len(value.data or (value.text or value.json).encode())


async def test_json_that_is_one_string_is_a_text(served: Daemon) -> None:
    await served.alice.call("SetVariable", name=PLAN, value=pb.Value(json='"abc"'))
    assert (await served.alice.call("GetVariable", name=PLAN)).value == pb.Value(text="abc")


async def test_origin_may_be_lowered_and_is_never_raised(served: Daemon) -> None:
    for origin, kept in (
        (pb.ORIGIN_UNSPECIFIED, pb.ORIGIN_OWNER),
        (pb.ORIGIN_OWNER, pb.ORIGIN_OWNER),
        (pb.ORIGIN_AGENT, pb.ORIGIN_AGENT),
        (pb.ORIGIN_EXTERNAL, pb.ORIGIN_EXTERNAL),
    ):
        written = await served.alice.call("SetVariable", name=PLAN, value=pb.Value(text="x"), origin=origin)
        assert written.origin == kept


async def test_life_of_a_variable(served: Daemon) -> None:
    call = served.alice.call
    then = Timestamp(seconds=1_700_000_000, nanos=123_456_000)
    first = await call("SetVariable", name=PLAN, value=pb.Value(text="one\n"), source_time=then)
    assert first.source_time == then
    served.clock.move(timedelta(minutes=1))
    second = await call("AppendVariable", name=PLAN, value=pb.Value(text="two\n"), expect_version=1)
    assert (second.version, second.characters, second.HasField("value")) == (2, 8, False)
    assert (await call("GetVariable", name=PLAN, as_of=first.write_time)).value.text == "one\n"
    assert (await call("GetVariable", name=PLAN, version=1)).value.text == "one\n"
    diff = await call("DiffVersions", name=PLAN)
    assert (diff.from_version, diff.to_version) == (1, 2)
    assert "+two" in diff.diff.splitlines()
    part = await call("ReadSlice", name=PLAN, start=4, end=7)
    assert (part.value.text, part.length, part.version) == ("two", 8, 2)

    gone = await call("DeleteVariable", name=PLAN, expect_version=2)
    assert (gone.version, gone.kind) == (3, pb.VALUE_KIND_DELETED)
    assert (await served.alice.refused("GetVariable", name=PLAN)).code == "NOT_FOUND"
    assert (await call("ListVariables", parent="spaces/main")).variables == []
    (hidden,) = (await call("ListVariables", parent="spaces/main", show_deleted=True)).variables
    assert (hidden.kind, hidden.HasField("value")) == (pb.VALUE_KIND_DELETED, False)
    assert (await call("UndeleteVariable", name=PLAN)).version == 4
    assert (await call("RevertVariable", name=PLAN, version=1, expect_version=4)).version == 5
    assert (await call("GetVariable", name=PLAN)).value.text == "one\n"
    versions = (await call("ListVersions", parent=PLAN)).versions
    assert [version.number for version in versions] == [5, 4, 3, 2, 1]


async def test_search_and_grep_see_what_was_just_written(served: Daemon) -> None:
    call = served.alice.call
    for name, text in (("people/bob", "Bob lives in Berlin.\nHe likes tea."), ("plan", "Buy bread.")):
        await call("SetVariable", name=f"spaces/main/variables/{name}", value=pb.Value(text=text))
    hits = (await call("Search", parent="spaces/main", query="where does Bob live?")).hits
    assert (hits[0].name, hits[0].version) == ("spaces/main/variables/people/bob", 1)
    assert (await call("Search", parent="spaces/main", query="Berlin", prefix="plan")).hits == []
    found = await call("Grep", parent="spaces/main", pattern=r"\bB\w+", limit=1)
    assert (found.matches[0].line, found.matches[0].text, found.truncated) == (
        1,
        "Bob lives in Berlin.",
        True,
    )
