"""One stream of Connect to a daemon in the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

from rlmd.proto.rlmd.v1 import channels_pb2 as pb

from .host import METHODS, Client

SECONDS = 90.0


class Stream:
    """Says and sees exactly what goes over the wire."""

    def __init__(self, client: Client) -> None:
        method = METHODS["Connect"]
        make: Any = client.channel.stream_stream
        self._requests: asyncio.Queue[pb.ConnectRequest | None] = asyncio.Queue()
        self.call: Any = make(method.path, method.request.SerializeToString, method.response.FromString)(
            self._said(), metadata=client.metadata, timeout=SECONDS
        )
        self.sequence = 0
        """The last that was sent to us."""

    async def _said(self) -> AsyncIterator[pb.ConnectRequest]:
        while (request := await self._requests.get()) is not None:
            yield request

    def send(self, **fields: Any) -> None:
        self._requests.put_nowait(pb.ConnectRequest(**fields))

    def end(self) -> None:
        """Say that nothing more will be said."""
        self._requests.put_nowait(None)

    async def read(self) -> pb.ConnectResponse:
        response: pb.ConnectResponse = await self.call.read()
        assert isinstance(response, pb.ConnectResponse), f"the stream is over: {await self.call.code()}"
        self.sequence = response.sequence or self.sequence
        return response

    async def next(self, kind: str) -> Any:
        """What is in the next response, which must be of this kind."""
        response = await self.read()
        assert response.WhichOneof("response") == kind, response
        return getattr(response, kind)

    async def rest(self) -> list[pb.ConnectResponse]:
        """All that comes until the stream ends well."""
        found = []
        while isinstance(response := await self.call.read(), pb.ConnectResponse):
            found.append(response)
        return found

    async def quiet(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for a while. A response that comes meanwhile is lost."""
        reading = asyncio.ensure_future(self.call.read())
        _, pending = await asyncio.wait([reading], timeout=seconds)
        return bool(pending)


@contextlib.asynccontextmanager
async def connected(
    client: Client, channel: str, functions: Iterable[pb.Function] = (), *, after: int = 0
) -> AsyncIterator[Stream]:
    """A stream that has been welcomed."""
    stream = Stream(client)
    stream.send(hello=pb.Hello(channel=channel, functions=functions, after_sequence=after))
    await stream.next("welcome")
    try:
        yield stream
    finally:
        stream.call.cancel()
