"""The service Memory, over a real socket."""

from __future__ import annotations

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
