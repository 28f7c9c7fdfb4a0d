"""From what the sandbox raises to `Fault`, and from the host's errors to what a program can catch.

Both translations are here and nowhere else. A program knows only built-in exceptions, so an error of
the host arrives as the nearest built-in base of its class, with the whole message.
"""

from __future__ import annotations

from typing import Any, get_args

from pydantic_monty import (
    ExcType,
    MontyConversionError,
    MontyCrashedError,
    MontyError,
    MontyRuntimeError,
    MontySyntaxError,
)

from .api import Fault, Limits
from .hints import ways_around
from .output import shorten

MAX_MESSAGE = 4000
"""Characters of an exception's message that are kept: a model reads it whole."""

_KNOWN = frozenset(get_args(ExcType))
_NOT_READ = "The monty syntax parser does not yet support"


class LimitMet(Exception):
    """A limit that the driver itself holds was met: `limit` names it. The step is over."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit


def to_program(error: Exception) -> dict[str, Any]:
    """An error of the host, as the answer to a call: nearest built-in type, whole message."""
    found = next(
        (c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins" and c.__name__ in _KNOWN), ""
    )
    # str(KeyError("a")) is "'a'": the message is its argument.
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    return {"exc_type": found or "Exception", "message": str(message)}


def limit_fault(limit: str, message: str, limits: Limits) -> Fault:
    """A fault for a limit by its name in `Limits`."""
    allowed = getattr(limits, limit)
    return Fault(
        kind="limit",
        type=limit,
        message=f"{message} (the limit {limit} is {allowed}); the names of this run are lost",
        hints=ways_around(limit, message),
    )


def crash_fault(message: str) -> Fault:
    """The worker is gone, and no limit says why."""
    return Fault(
        kind="crashed",
        type="SandboxError",
        message=f"the sandbox crashed; the names of this run are lost ({message})",
        hints=ways_around("SandboxError", message),
    )


def from_sandbox(error: MontyError, limits: Limits, filename: str) -> tuple[Fault, bool]:
    """What stopped a step, and whether its session is lost."""
    if isinstance(error, MontyCrashedError):
        if error.timed_out:
            return limit_fault("step_seconds", "the step computed too long and was killed", limits), True
        if "memory limit" in str(error):
            return limit_fault("memory_bytes", "the step used too much memory and was killed", limits), True
        return crash_fault(str(error)), True
    if isinstance(error, MontyConversionError):
        return crash_fault(str(error)), True
    limit = _limit(str(error))
    if limit:
        return limit_fault(*limit, limits), True
    name, message = _named(error)
    line = _line(error, filename)
    if isinstance(error, MontySyntaxError) or _NOT_READ in message:
        message = message.replace(_NOT_READ, "This Python does not have")
        hints = ways_around(name, message)
        return Fault(kind="refused", type=name, message=message, line=line, hints=hints), False
    return Fault(
        kind="raised", type=name, message=message, line=line, hints=ways_around(name, message)
    ), False


def _limit(text: str) -> tuple[str, str] | None:
    # The sandbox raises its limits as ordinary types; only these messages tell them apart.
    if text.startswith(("TimeoutError: feed time limit exceeded", "TimeoutError: turn time limit exceeded")):
        return "step_seconds", "the step computed too long"
    if text.startswith("MemoryError:") and "memory limit" in text:
        return "memory_bytes", "the step used too much memory"
    return None


def _named(error: MontyError) -> tuple[str, str]:
    inner = error.exception()
    name = type(inner).__name__
    if isinstance(error, (MontyRuntimeError, MontySyntaxError)):
        return name, shorten(error.display("msg"), MAX_MESSAGE)
    return name, shorten(str(error), MAX_MESSAGE)


def _line(error: MontyError, filename: str) -> int:
    if not isinstance(error, (MontyRuntimeError, MontySyntaxError)):
        return 0
    return next((frame.line for frame in reversed(error.traceback()) if frame.filename == filename), 0)
