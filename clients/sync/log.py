# Generated from clients/aio/log.py by scripts/unasync.py. Do not edit.
"""The log: every message of an agent, on all channels."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rlmd.clients import decode
from rlmd.clients.check import INT32, check_int, check_str
from rlmd.clients.records import Message
from rlmd.clients.values import to_time
from rlmd.proto.rlmd.v1 import channels_pb2 as pb
from rlmd.proto.rlmd.v1.channels_pb2_grpc import ChannelsStub

from .connection import Connection


class Log:
    """What was said to an agent and by it. Messages never change."""

    def __init__(self, connection: Connection, agent: str) -> None:
        self._connection = connection
        self._stub = ChannelsStub(connection.channel)
        self._parent = f"agents/{agent}"

    def recent(self, n: int = 20) -> list[Message]:
        """The last `n` messages, oldest first."""
        check_int(n, "n", 1)
        found: list[Message] = []
        for message in self._newest(pb.ListMessagesRequest(parent=self._parent, page_size=min(n, 1000))):
            found.append(message)
            if len(found) == n:
                break
        return found[::-1]

    def between(self, a: datetime | str, b: datetime | str) -> list[Message]:
        """The messages from `a` until before `b`, oldest first."""
        request = pb.ListMessagesRequest(
            parent=self._parent, page_size=1000, after=to_time(a, "a"), before=to_time(b, "b")
        )
        return list(self._newest(request))[::-1]

    def search(self, query: str, k: int = 10) -> list[Message]:
        """The messages that fit best, by meaning and words; each with its `score`."""
        request = pb.SearchMessagesRequest(
            parent=self._parent, query=check_str(query, "query"), k=check_int(k, "k", 1, INT32)
        )
        answer = self._connection.call(self._stub.SearchMessages, request)
        return [decode.message(hit.message, hit.score) for hit in answer.hits]

    def _newest(self, request: pb.ListMessagesRequest) -> Iterator[Message]:
        for message in self._connection.pages(self._stub.ListMessages, request, "messages"):
            yield decode.message(message)
