"""Plain functions on threads that hold nobody up: a program can end although one of them never does."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any


class Threads:
    """At most so many at a time. Belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self._room = asyncio.Semaphore(most)

    async def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call it, on a thread if it is a plain function; what it returns or raises.

        Where this is cancelled the thread goes on, and nobody hears of it.
        """
        if inspect.iscoroutinefunction(function):
            return await function(*args, **kwargs)
        async with self._room:
            result = await _on_thread(function, args, kwargs)
        # It may be async in another way, such as an object whose call is.
        return await result if inspect.isawaitable(result) else result


async def _on_thread(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    context = copy_context()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)
        elif isinstance(error, Exception) and not isinstance(error, StopIteration):
            done.set_exception(error)
        else:
            # `sys.exit()` in a function ends that function only, and a future cannot carry it.
            done.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))

    def work() -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = context.run(function, *args, **kwargs)
        except BaseException as exc:
            error = exc
        # The loop may be closed by now: nobody waits any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    name = getattr(function, "__name__", type(function).__name__)
    threading.Thread(target=work, name=f"rlmd-{name}", daemon=True).start()
    return await done
