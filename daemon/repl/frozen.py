"""A step that waits, as data: what another process needs to go on with it, without doing it again.

    frozen     the interpreter's own dump, and what the driver beside it knows: the calls that are open, how
               many were made, what was printed, the names of earlier steps

What cannot be frozen is None, and is replayed: a step that may still import one of our modules, since these
are objects of a live session; one that printed too much; one with arguments that are no JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .api import Call


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """A suspended step. Only from whoever has made it: the interpreter trusts `dump`."""

    dump: bytes
    filename: str
    feeds: int
    turns: Mapping[str, int]
    """Turns of the steps fed so far, by the file name under which the sandbox knows them."""
    names: Sequence[str]
    """What the steps have bound."""
    turn: int
    next_call: int
    calls: int
    slept: float
    printed: str
    abandoned: Sequence[int]
    open: Sequence[Mapping[str, Any]]
    """Calls that the program waits for, with the numbers by which the sandbox knows them."""

    def state(self) -> str:
        """All but the dump, as JSON text. Raises TypeError or ValueError: something in it is no JSON."""
        return json.dumps({**asdict(self), "dump": None}, allow_nan=False)

    @classmethod
    def of(cls, state: str, dump: bytes) -> Frozen:
        """The reverse of `state`."""
        return cls(**{**json.loads(state), "dump": dump})


def opened(call_id: int, call: Call, seen: bool) -> dict[str, Any]:
    """An open call as data."""
    return {
        "id": call_id,
        "number": call.number,
        "name": call.name,
        "args": list(call.args),
        "kwargs": dict(call.kwargs),
        "line": call.line,
        "seen": seen,
    }


def call_of(data: Mapping[str, Any]) -> Call:
    """The reverse of `opened`."""
    return Call(
        number=data["number"],
        name=data["name"],
        args=tuple(data["args"]),
        kwargs=data["kwargs"],
        line=data["line"],
        waits=True,
    )
