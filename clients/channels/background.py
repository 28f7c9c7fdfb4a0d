"""One event loop on one thread, for all channels that plain code holds, as long as there are any.

One for all, because event loops on several threads disturb each other in gRPC.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from rlmd.errors import PreconditionFailed

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None
_users = 0


def join() -> None:
    """See that the loop runs until as many have left as joined."""
    global _loop, _thread, _users
    with _lock:
        if _loop is None:
            begun: Future[asyncio.AbstractEventLoop] = Future()
            _thread = threading.Thread(target=_live, args=(begun,), name="rlmd-channels", daemon=True)
            _thread.start()
            _loop = begun.result()
        _users += 1


def leave() -> None:
    """The last one stops the loop."""
    global _loop, _thread, _users
    with _lock:
        _users -= 1
        if _users or _loop is None or _thread is None:
            return
        loop, thread = _loop, _thread
        _loop = _thread = None
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def _live(begun: Future[asyncio.AbstractEventLoop]) -> None:
    # The runner cancels what is left, and closes the loop with all that hangs on it.
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        begun.set_result(loop)
        loop.run_forever()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Wait for a coroutine on the loop. What interrupts the waiting cancels it.

    Raises:
        PreconditionFailed: this is the loop's own thread, which cannot wait for itself.
    """
    loop = _loop
    if loop is None or threading.current_thread() is _thread:
        work.close()
        raise PreconditionFailed(
            "An async function cannot wait for a channel of plain code.",
            remedy="Make it a plain function, or use rlmd.connect_async().",
        )
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def soon(function: Callable[[], object]) -> None:
    """Call something on the loop, without waiting for it."""
    if _loop is not None:
        _loop.call_soon_threadsafe(function)
