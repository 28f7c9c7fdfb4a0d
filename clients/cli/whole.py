"""A variable whole, also where it is too large for one message: then it is put together from slices."""

from __future__ import annotations

from itertools import count

from rlmd.clients.records import Kind, Variable
from rlmd.clients.sync import Memory
from rlmd.errors import TooLarge

SLICE = 1 << 20
"""Characters (or bytes) that one request for a slice may ask for."""


def whole(memory: Memory, name: str, *, version: int | None = None, as_of: str | None = None) -> Variable:
    """The variable with its value.

    Raises:
        TooLarge: it is JSON data of more than one message, which cannot be cut; or was asked for by time.
    """
    try:
        return memory.variable(name, version=version, as_of=as_of)
    except TooLarge:
        found = next(one for one in reversed(memory.history(name)) if version in (None, int(one)))
        if found.kind not in (Kind.TEXT, Kind.BYTES) or as_of is not None:
            raise
    # All of one version, even if the variable is written meanwhile.
    pieces = []
    for start in count(0, SLICE):
        piece = memory.slice(name, start, start + SLICE, version=int(found))
        if not piece:
            break
        pieces.append(piece)
    value = "".join(pieces) if found.kind is Kind.TEXT else b"".join(pieces)
    return Variable(
        name=name, version=found, characters=len(value) if isinstance(value, str) else 0, value=value
    )
