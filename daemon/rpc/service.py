"""What all services share: the caller's store, and effects that happen once per request id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.message import Message

from rlmd.memory.store import Store, Transaction, digest_of

from .api import Backend
from .auth import caller

M = TypeVar("M", bound=Message)


class Service:
    """A service over the backend."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def store(self) -> Store:
        """All that the caller has, and nothing else."""
        return self.backend.house.store(caller())

    async def once(self, request: Any, work: Callable[[Transaction], M], answer: type[M]) -> M:
        """Do `work` in a transaction, or, if its request id has been answered, give that answer again."""
        store = self.store()
        request_id: str = request.request_id
        if not request_id:
            return await store.write(work)
        digest = _digest(request)
        data = await store.write(lambda tx: tx.once(request_id, digest, lambda: work(tx).SerializeToString()))
        return answer.FromString(data)


def _digest(request: Message) -> bytes:
    content = type(request)()
    content.CopyFrom(request)
    content.ClearField("request_id")
    return digest_of(request.DESCRIPTOR.full_name, content.SerializeToString(deterministic=True))
