"""One connection to a daemon: the token on every call, deadlines, retries, pages, streams that go on.

A call is repeated only when the daemon could not be reached. That is safe because every request with an
effect carries a `request_id`, by which the daemon knows it again; the few that have none say `once`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from typing import Any, TypeVar

import grpc

from rlmd.clients.address import Address
from rlmd.clients.check import check_seconds
from rlmd.clients.errors import from_rpc
from rlmd.clients.patience import Patience
from rlmd.errors import DeadlineExceeded, PreconditionFailed, Unavailable

Q = TypeVar("Q")
R = TypeVar("R")
MAX_MESSAGE = 64 << 20
"""Bytes of a message that is received. A value in one message has at most 16 MiB."""

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    # The path of a socket is no host name, and some servers refuse it as one.
    ("grpc.default_authority", "localhost"),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
]


def request_id() -> str:
    """A new id, by which the daemon knows a request again that is sent twice."""
    return uuid.uuid4().hex


class Connection:
    """A channel to one daemon. Opens itself at the first call, and again after the daemon was restarted."""

    def __init__(self, address: Address, timeout: float) -> None:
        self.address = address
        self.timeout = check_seconds(timeout, "timeout")
        self._channel = grpc.aio.insecure_channel(address.target, options=_OPTIONS)
        self.metadata = (("authorization", f"Bearer {address.token}"),)
        self._closed = False

    @property
    def channel(self) -> grpc.aio.Channel:
        """What stubs are made on.

        Raises:
            PreconditionFailed: the connection was closed.
        """
        self.check_open()
        return self._channel

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Q, R],
        request: Q,
        *,
        once: bool = False,
        seconds: float | None = None,
    ) -> R:
        """One request, one answer; tried again while the daemon cannot be reached and there is time.

        Args:
            once: Never try again: the request has an effect and no `request_id`.
            seconds: For what takes longer than the client's timeout.

        Raises:
            RlmdError: what the daemon says, or `Unavailable`, or `DeadlineExceeded`.
        """
        patience = Patience(seconds or self.timeout)
        known: Unavailable | None = None
        while True:
            self.check_open()
            try:
                return await method(request, timeout=patience.left, metadata=self.metadata)
            except grpc.RpcError as exc:
                error = from_rpc(exc, self.address.place)
                if isinstance(error, DeadlineExceeded) and known is not None:
                    # The last try ran out of time. Why there had to be another one says more.
                    raise known from exc
                if once or not isinstance(error, Unavailable) or not patience.can_wait:
                    raise error from exc
                known = error
            await asyncio.sleep(patience.next_delay())

    async def pages(
        self, method: grpc.aio.UnaryUnaryMultiCallable[Any, Any], request: Any, field: str
    ) -> AsyncIterator[Any]:
        """The items in `field` of all pages, each page asked for when it is needed."""
        while True:
            page = await self.call(method, request)
            items: Iterable[Any] = getattr(page, field)
            for item in items:
                yield item
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def close(self) -> None:
        """Close the channel. Calls that are under way fail."""
        self._closed = True
        await self._channel.close()

    def check_open(self) -> None:
        """Refuse what comes after `close`: gRPC would raise errors of its own, or even crash the process.

        Raises:
            PreconditionFailed: the connection was closed.
        """
        if self._closed:
            raise PreconditionFailed("The client was closed.", remedy="Make a new one with rlmd.connect().")
