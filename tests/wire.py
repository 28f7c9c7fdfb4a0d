"""A client of Connect that says and sees exactly what goes over the wire, whatever the library would do.

with Wire(daemon.data, "home", [offer("lights", on={"type": "boolean"})]) as wire:
    invoke = wire.next("invoke")
    wire.send(result=pb.CallResult(call=invoke.call, result_json="true"))
"""

from __future__ import annotations

import json
import queue
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from rlmd.proto.rlmd.v1 import channels_pb2 as pb
from rlmd.proto.rlmd.v1.channels_pb2_grpc import ChannelsStub

SECONDS = 90.0
"""A stream that lives longer has hung."""


def offer(
    name: str,
    /,
    result: dict[str, Any] | None = None,
    *,
    effects: bool = False,
    trusted: bool = False,
    **properties: Any,
) -> pb.Function:
    """A function; its parameters are all required, and given by their schemas."""
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return pb.Function(
        name=name,
        parameters_json=json.dumps(schema),
        result_json="" if result is None else json.dumps(result),
        side_effects=effects,
        trusted=trusted,
    )


class Wire:
    """One stream of Connect to a daemon's socket."""

    def __init__(
        self,
        data: Path,
        channel: str,
        functions: Iterable[pb.Function] = (),
        *,
        after: int = 0,
        external: bool = False,
    ) -> None:
        self._requests: queue.SimpleQueue[pb.ConnectRequest | None] = queue.SimpleQueue()
        self._channel = grpc.insecure_channel(f"unix:{data / 'rlmd.sock'}")
        stub: Any = ChannelsStub(self._channel)
        secret = (data / "token").read_text().strip()
        self._call: Any = stub.Connect(
            iter(self._requests.get, None),
            metadata=(("authorization", f"Bearer {secret}"),),
            timeout=SECONDS,
            wait_for_ready=True,
        )
        self.send(
            hello=pb.Hello(channel=channel, functions=functions, after_sequence=after, external=external)
        )
        self.sequence = 0
        """That of the last response that had one."""
        self.welcome: pb.Welcome = self.next("welcome")

    def send(self, **fields: Any) -> None:
        """A request, by the name of its field."""
        self._requests.put(pb.ConnectRequest(**fields))

    def say(self, text: str, *, agent: str = "main", request_id: str = "") -> None:
        self.send(say=pb.Say(agent=f"agents/{agent}", text=text, request_id=request_id))

    def answer(self, invoke: pb.Invoke, value: Any) -> None:
        """The result of a call."""
        self.send(result=pb.CallResult(call=invoke.call, result_json=json.dumps(value)))

    def ack(self, sequence: int | None = None) -> None:
        """Acknowledge the last response, or another."""
        self.send(ack=pb.Ack(sequence=self.sequence if sequence is None else sequence))

    def read(self) -> pb.ConnectResponse:
        """The next response, whatever it is."""
        response: pb.ConnectResponse = next(self._call)
        self.sequence = response.sequence or self.sequence
        return response

    def next(self, kind: str) -> Any:
        """What is in the next response, which must be of this kind."""
        response = self.read()
        assert response.WhichOneof("response") == kind, response
        return getattr(response, kind)

    def skip_to(self, kind: str) -> Any:
        """What is in the next response of this kind; those before it are passed over."""
        while (response := self.read()).WhichOneof("response") != kind:
            pass
        return getattr(response, kind)

    def rest(self) -> Iterator[pb.ConnectResponse]:
        """All that comes until the stream ends, after the client has said that it is done."""
        self._requests.put(None)
        yield from self._call

    def close(self) -> None:
        """Cut the stream."""
        self._requests.put(None)
        self._call.cancel()
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
