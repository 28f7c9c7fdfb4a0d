"""rlmd: a daemon for minds.

    with rlmd.connect() as client:
        memory = client.agent("main").memory
        memory.set("people/bob", {"city": "Berlin"})
        print(client.agent("main").chat("Where does Bob live?"))

This module is the public face and loads nothing until it is used: `import rlmd` costs no gRPC, no
database and no sandbox.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import (
    AlreadyExists,
    Cancelled,
    Conflict,
    DeadlineExceeded,
    Exhausted,
    InternalError,
    InvalidInput,
    ModelError,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    RlmdError,
    SandboxError,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

if TYPE_CHECKING:
    from rlmd.clients import aio, records, updates
    from rlmd.clients.aio import connect as connect_async
    from rlmd.clients.sync import (
        Agent,
        Budgets,
        Channel,
        Client,
        Hives,
        Log,
        Memory,
        Questions,
        Run,
        Schedules,
        connect,
    )
    from rlmd.clients.updates import Reply

    __version__: str

__all__ = [
    "Agent",
    "AlreadyExists",
    "Budgets",
    "Cancelled",
    "Channel",
    "Client",
    "Conflict",
    "DeadlineExceeded",
    "Exhausted",
    "Hives",
    "InternalError",
    "InvalidInput",
    "Log",
    "Memory",
    "ModelError",
    "NotFound",
    "PermissionDenied",
    "PreconditionFailed",
    "Questions",
    "Reply",
    "RlmdError",
    "Run",
    "SandboxError",
    "Schedules",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "__version__",
    "aio",
    "connect",
    "connect_async",
    "records",
    "updates",
]

_LAZY = {
    "Agent": ("rlmd.clients.sync", "Agent"),
    "Channel": ("rlmd.clients.sync", "Channel"),
    "Budgets": ("rlmd.clients.sync", "Budgets"),
    "Client": ("rlmd.clients.sync", "Client"),
    "Hives": ("rlmd.clients.sync", "Hives"),
    "Log": ("rlmd.clients.sync", "Log"),
    "Memory": ("rlmd.clients.sync", "Memory"),
    "Questions": ("rlmd.clients.sync", "Questions"),
    "Reply": ("rlmd.clients.updates", "Reply"),
    "Run": ("rlmd.clients.sync", "Run"),
    "Schedules": ("rlmd.clients.sync", "Schedules"),
    "aio": ("rlmd.clients.aio", ""),
    "connect": ("rlmd.clients.sync", "connect"),
    "connect_async": ("rlmd.clients.aio", "connect"),
    "records": ("rlmd.clients.records", ""),
    "updates": ("rlmd.clients.updates", ""),
}
"""Module and name of what is loaded at its first use; an empty name means the module itself."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("rlmd")
    elif name in _LAZY:
        from importlib import import_module

        module, attribute = _LAZY[name]
        value = import_module(module)
        value = getattr(value, attribute) if attribute else value
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
