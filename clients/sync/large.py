# Generated from clients/aio/large.py by scripts/unasync.py. Do not edit.
"""Values of any size in parts: sent as a stream, and read as one."""

from __future__ import annotations

import codecs
import time
from collections.abc import Iterator
from typing import Any

import grpc

from rlmd.clients import decode
from rlmd.clients.errors import from_rpc
from rlmd.clients.parts import Parts
from rlmd.clients.patience import Patience
from rlmd.clients.records import Kind, Variable
from rlmd.errors import Unavailable
from rlmd.proto.rlmd.v1 import memory_pb2 as pb
from rlmd.proto.rlmd.v1.memory_pb2_grpc import MemoryStub

from .connection import Connection

SECONDS = 6 * 3600
"""Deadline of one stream: 1 GiB over a slow line. One that stands still ends then."""


def write(connection: Connection, parts: Parts) -> pb.Variable:
    """Send a value; once more, if it can be, while the daemon cannot be reached and there is time."""
    stub: Any = MemoryStub(connection.channel)
    patience = Patience(connection.timeout)
    while True:
        connection.check_open()
        try:
            answer: pb.Variable = stub.WriteVariable(
                iter(parts), metadata=connection.metadata, timeout=SECONDS
            )
            return answer
        except grpc.RpcError as exc:
            if parts.error is not None:
                raise parts.error from None
            error = from_rpc(exc, connection.address.place)
            if not parts.again or not isinstance(error, Unavailable) or not patience.can_wait:
                raise error from exc
        time.sleep(patience.next_delay())


class Reader:
    """One version of a variable, whose value is read in parts. `Memory.open` makes it."""

    def __init__(self, connection: Connection, request: pb.ReadVariableRequest) -> None:
        self._connection = connection
        self._request = request
        self._messages = self._stream()
        self.variable: Variable
        """All that is known about it, but for its value."""

    def begin(self) -> None:
        """Learn what it is. Raises NotFound."""
        message = next(self._messages)
        self.variable = decode.variable(message.variable)
        # What comes after a lost connection is to be of the same version.
        self._request.ClearField("as_of")
        self._request.version = int(self.variable.version)

    def chunks(self) -> Iterator[bytes]:
        """The value's bytes: those of a text or of JSON are UTF-8, which may be cut inside a character."""
        for message in self._messages:
            yield message.chunk

    def parts(self) -> Iterator[Any]:
        """The value in parts of at most 256 KiB: texts of a text and of JSON, else bytes."""
        if self.variable.version.kind is Kind.BYTES:
            for data in self.chunks():
                yield data
            return
        decoder = codecs.getincrementaldecoder("utf-8")()
        for data in self.chunks():
            if text := decoder.decode(data):
                yield text

    def whole(self) -> Any:
        """The value."""
        data = b"".join(list(self.chunks()))
        return decode.content(self.variable.version.kind, data)

    def _stream(self) -> Iterator[pb.ReadVariableResponse]:
        """The variable, then its chunks, over any number of connections."""
        stub: Any = MemoryStub(self._connection.channel)
        patience = Patience(self._connection.timeout)
        begun, received = False, 0
        while True:
            self._connection.check_open()
            skip = received
            stream = stub.ReadVariable(self._request, metadata=self._connection.metadata, timeout=SECONDS)
            try:
                for message in stream:
                    if message.WhichOneof("part") == "variable":
                        if not begun:
                            begun = True
                            yield message
                        continue
                    chunk = message.chunk[skip:]
                    skip -= len(message.chunk) - len(chunk)
                    if chunk:
                        patience = Patience(self._connection.timeout)
                        received += len(chunk)
                        yield pb.ReadVariableResponse(chunk=chunk)
                return
            except grpc.RpcError as exc:
                error = from_rpc(exc, self._connection.address.place)
                if not isinstance(error, Unavailable) or not patience.can_wait:
                    raise error from exc
            finally:
                stream.cancel()
            time.sleep(patience.next_delay())
