"""The family of errors, one tree for the daemon and its clients.

    RlmdError
    ├── InvalidInput          a field holds what it must not
    ├── NotFound              no such thing, or not yours
    ├── AlreadyExists         the name is taken
    ├── Conflict              the variable has moved on (compare-and-set failed)
    ├── TooLarge              over a documented limit
    ├── PreconditionFailed    right request, wrong state
    ├── Unauthenticated       no token, or not a valid one
    ├── PermissionDenied      a valid token that may not do this
    ├── Exhausted             a disk, budget or queue is full
    ├── Cancelled             somebody stopped it
    ├── DeadlineExceeded      it took longer than was allowed
    ├── Unavailable           the daemon cannot be reached, or not yet
    ├── ModelError            the model's provider failed
    ├── SandboxError          the sandbox failed, not the program in it
    └── InternalError         a fault of rlmd

Every error says what happened, in which field, and what to do. The daemon sends the three as
`google.rpc` details (`rlmd.daemon.rpc.errors`); the client raises the same class from them
(`rlmd.clients.errors`), so that `except rlmd.Conflict` means one thing on both sides.
"""

from __future__ import annotations

from typing import ClassVar


class RlmdError(Exception):
    """Base of all errors: `reason` (a sentence), `field` (what it is about), `remedy` (what to do)."""

    code: ClassVar[str] = "UNKNOWN"
    """The canonical gRPC status name this class travels as; one class a code."""

    def __init__(self, reason: str, *, field: str = "", remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field
        self.remedy = remedy

    def __str__(self) -> str:
        head = f"{self.field}: {self.reason}" if self.field else self.reason
        return f"{head.rstrip('.')}. {self.remedy}" if self.remedy else head

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.reason, self.field, self.remedy))


def _rebuild(kind: type[RlmdError], reason: str, field: str, remedy: str) -> RlmdError:
    return kind(reason, field=field, remedy=remedy)


class InvalidInput(RlmdError, ValueError):
    """A field holds a value that cannot be accepted. Correct the field that is named and try again."""

    code = "INVALID_ARGUMENT"


class NotFound(RlmdError, LookupError):
    """There is no such thing among what belongs to you. List what exists, or create it first."""

    code = "NOT_FOUND"


class AlreadyExists(RlmdError, ValueError):
    """The name is taken. Choose another, or change the one that exists."""

    code = "ALREADY_EXISTS"


class Conflict(RlmdError, RuntimeError):
    """The variable is not at the version you expected. Get it again and repeat the change."""

    code = "ABORTED"


class TooLarge(RlmdError, ValueError):
    """The value is over a limit. Cut it into parts, or read and write it in slices."""

    code = "OUT_OF_RANGE"


class PreconditionFailed(RlmdError, RuntimeError):
    """The request is right but the state is not. Bring it into the state that is named first."""

    code = "FAILED_PRECONDITION"


class Unauthenticated(RlmdError, PermissionError):
    """The call had no valid token. Use the one in the file `token` of the data directory, or ask for one."""

    code = "UNAUTHENTICATED"


class PermissionDenied(RlmdError, PermissionError):
    """The token is valid but may not do this. Ask the owner of the daemon."""

    code = "PERMISSION_DENIED"


class Exhausted(RlmdError, RuntimeError):
    """A disk, a budget or a queue is full. Free some, or raise the limit."""

    code = "RESOURCE_EXHAUSTED"


class Cancelled(RlmdError, RuntimeError):
    """It was stopped before it ended. What was done until then is kept."""

    code = "CANCELLED"


class DeadlineExceeded(RlmdError, TimeoutError):
    """It did not end in time. Give it longer, or look whether it goes on by itself."""

    code = "DEADLINE_EXCEEDED"


class Unavailable(RlmdError, OSError):
    """The daemon cannot be reached. Start it with `rlmd up`, or look at `rlmd doctor`."""

    code = "UNAVAILABLE"


class ModelError(RlmdError, RuntimeError):
    """The model's provider failed. Its answer is quoted; `rlmd doctor` tests the connection."""

    code = "UNKNOWN"


class SandboxError(RlmdError, RuntimeError):
    """The sandbox failed. The run goes on in a new one; if it happens again, look at the daemon's log."""

    code = "INTERNAL"


class InternalError(RlmdError, RuntimeError):
    """A fault of rlmd itself. The daemon's log has the trace; please report it."""

    code = "INTERNAL"


ALL: tuple[type[RlmdError], ...] = (
    InvalidInput, NotFound, AlreadyExists, Conflict, TooLarge, PreconditionFailed, Unauthenticated,
    PermissionDenied, Exhausted, Cancelled, DeadlineExceeded, Unavailable, ModelError, SandboxError,
    InternalError,
)  # fmt: skip
