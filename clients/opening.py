"""What `await connect(...)` and `async with connect(...)` share: a client that is still to be made."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
C = TypeVar("C", bound=AbstractAsyncContextManager[Any])


class Opening(Generic[C]):
    """Await it for the client, or enter it for the client and leave it to close that."""

    def __init__(self, making: Coroutine[Any, Any, C]) -> None:
        self._making = making
        self._made: C | None = None

    def __await__(self) -> Generator[Any, Any, C]:
        return self._making.__await__()

    async def __aenter__(self) -> C:
        self._made = await self._making
        entered: C = await self._made.__aenter__()
        return entered

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._made is not None:
            await self._made.__aexit__(kind, error, trace)


def both_ways(make: Callable[P, Coroutine[Any, Any, C]]) -> Callable[P, Opening[C]]:
    """Let what makes a client be awaited or entered, as the caller likes."""

    @functools.wraps(make)
    def opening(*args: P.args, **kwargs: P.kwargs) -> Opening[C]:
        return Opening(make(*args, **kwargs))

    return opening
