"""A purge from its wish to the last byte: rows are erased, pieces swept, the index and the file made anew.

Each part is on disk before the next begins. One that is cut off leaves the rows erased and the rest to be
done; a purge without a wish does it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from rlmd.errors import Unavailable

from .purging import Purge, Wish
from .store import House, Store

ROUNDS = 5
"""Looks for what was written while the one before was erased."""
INDEX_SECONDS = 60.0
"""For the index to drop what it has."""


@dataclass(frozen=True, kw_only=True)
class Erased:
    """What a purge has done."""

    purge: Purge | None
    """None if it only went on with what another had left."""
    copies: list[Path]
    """Copies of the database from before upgrades, in which all of it may still stand."""


def erase(house: House, store: Store, wish: Wish | None, note: str = "") -> Erased:
    """Purge what is wished, and everything that is left of it. Takes long; not on an event loop.

    Raises:
        NotFound: there is no such space or variable.
        InvalidInput: the wish names nothing, or too much.
        PreconditionFailed: it is in use.
        Unavailable: something is not gone yet, because others use it; purge again without a wish.
    """
    purge = None if wish is None else _rows(store, wish, note)
    house.sweep()
    end = time.monotonic() + INDEX_SECONDS
    while store.read(lambda tx: tx.purging.unfinished()):
        if time.monotonic() > end:
            raise Unavailable(
                "an upload or the index holds on to some of it",
                remedy="When the upload is over, purge again without a name.",
            )
        time.sleep(0.05)
    house.database.rewrite().result()
    path = house.database.path
    return Erased(purge=purge, copies=sorted(path.parent.glob(f"{path.stem}.before-*")))


def _rows(store: Store, wish: Wish, note: str) -> Purge:
    first: Purge | None = None
    for _ in range(ROUNDS):
        again = wish if first is None else Wish(space=wish.space, prefix=wish.prefix, text=wish.text)
        if first is not None and again.prefix is None and not again.text:
            break
        found = store.read(lambda tx, again=again: tx.purging.find(again))  # type: ignore[misc]
        if first is not None and not found:
            break
        made = store.submit(lambda tx, found=found: tx.purging.erase(wish, found, note)).result()  # type: ignore[misc]
        first = first or made
    assert first is not None, "the first round erases"
    return first
