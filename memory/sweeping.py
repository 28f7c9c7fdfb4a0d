"""What nobody can reach any more, deleted a little at a time, so that others get their turn at the writer.

That is the variables of a space that was left, and pieces that no version and no journal row holds. Whatever
may leave some (an agent that is deleted, an upload that breaks) leaves word in the table `uploads`, and the
next sweep finds it there. Which pieces are reached is found out by a reader's connection, on one state of the
database, which may take long; meanwhile everybody writes. A piece that is stored again while it lies in the
sweep's way is left alone: the writer notes what it stores of a user who is swept. The word goes when all is
done, so a sweep that is cut off is made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, tuple_, update

from .clock import to_micros
from .database import Database
from .pieces import WATCHED, Ropes
from .prepared import Prepared
from .tables import agents, journal, pieces, runs, spaces, uploads, variables, versions

IDLE_MICROSECONDS = 3600 * 1_000_000
"""How long an upload may rest before it counts as abandoned."""
BATCH = 100
"""Pieces that one transaction deletes."""
ROWS = 5_000
"""Versions or variables that one transaction deletes."""

LEFT = spaces.c.name.startswith("left/")
"""Whether a space was left: its agent was deleted, and what is in it has not gone yet."""
_of_left = select(spaces.c.id).where(spaces.c.user_id == bindparam("user"), LEFT)
_variables = (
    select(variables.c.id).where(variables.c.space_id.in_(_of_left)).order_by(variables.c.id).limit(ROWS)
)
_keys = (
    select(versions.c.variable_id, versions.c.number)
    .join(variables, versions.c.variable_id == variables.c.id)
    .where(variables.c.space_id.in_(_of_left))
    .limit(ROWS)
)
# Versions first, because a variable takes all of its own along, however many.
_REMAINS = (
    Prepared(delete(versions).where(tuple_(versions.c.variable_id, versions.c.number).in_(_keys))),
    Prepared(delete(variables).where(variables.c.id.in_(_variables))),
    Prepared(delete(spaces).where(spaces.c.user_id == bindparam("user"), LEFT)),
)
_delete = Prepared(
    delete(pieces).where(pieces.c.user_id == bindparam("user"), pieces.c.hash == bindparam("hash"))
)


def leave_space(connection: Connection, user_id: int, space_id: int) -> None:
    """Take a space's name from it: one with a slash is nobody's to give. What is in it goes later."""
    connection.execute(update(spaces).where(spaces.c.id == space_id).values(name=f"left/{space_id}"))
    connection.execute(insert(uploads), {"user_id": user_id, "time": 0})


def waiting(connection: Connection, now: datetime) -> list[int]:
    """Ids of the users of whom there may be something to sweep."""
    return list(connection.scalars(select(uploads.c.user_id).where(uploads.c.time < _limit(now)).distinct()))


def sweep(database: Database, user_id: int, now: datetime) -> int:
    """Delete what nobody can reach of the user's; returns how many pieces. Not for two threads at once.

    While a value of the user's is being uploaded, its pieces are reached by nothing yet: then it is left for
    another time.
    """
    for remains in _REMAINS:
        while database.write(lambda c, remains=remains: remains.run(c, {"user": user_id})).result():  # type: ignore[misc]
            pass
    words = database.write(lambda connection: _begin(connection, user_id, now)).result()
    if not words:
        return 0
    try:
        with database.reading() as connection:
            gone = _unreached(connection, user_id)
        count = 0
        for start in range(0, len(gone), BATCH):
            some = gone[start : start + BATCH]
            count += database.write(lambda c, some=some: _drop(c, user_id, some)).result()  # type: ignore[misc]
    except BaseException:
        database.write(lambda connection: _end(connection, user_id, []))
        raise
    database.write(lambda connection: _end(connection, user_id, words)).result()
    return count


def _begin(connection: Connection, user_id: int, now: datetime) -> list[int]:
    """Give up what has rested too long, and note from now on what is stored; gives the words that stand."""
    mine = uploads.c.user_id == user_id
    connection.execute(update(uploads).where(mine, uploads.c.time < _limit(now)).values(time=0))
    found = connection.execute(select(uploads.c.id, uploads.c.time).where(mine)).all()
    if any(row.time > 0 for row in found):
        return []
    connection.info.setdefault(WATCHED, {})[user_id] = set()
    return [row.id for row in found]


def _drop(connection: Connection, user_id: int, addresses: Sequence[bytes]) -> int:
    stored_again = connection.info[WATCHED][user_id]
    rows = [{"user": user_id, "hash": address} for address in addresses if address not in stored_again]
    _delete.run_all(connection, rows)
    return len(rows)


def _end(connection: Connection, user_id: int, words: Sequence[int]) -> None:
    connection.info[WATCHED].pop(user_id, None)
    connection.execute(delete(uploads).where(uploads.c.id.in_(words)))


def _unreached(connection: Connection, user_id: int) -> list[bytes]:
    kept: set[bytes] = set()
    ropes = Ropes(connection, user_id, text=False)
    of_versions = (
        select(versions.c.root)
        .join(variables, versions.c.variable_id == variables.c.id)
        .join(spaces, variables.c.space_id == spaces.c.id)
        .where(spaces.c.user_id == user_id, versions.c.root.is_not(None))
    )
    of_journal = (
        select(journal.c.root)
        .join(runs, journal.c.run_id == runs.c.id)
        .join(agents, runs.c.agent_id == agents.c.id)
        .where(agents.c.user_id == user_id, journal.c.root.is_not(None))
    )
    for statement in (of_versions, of_journal):
        for root in connection.execute(statement).scalars().all():
            ropes.reachable(root, kept)
    present = connection.execute(select(pieces.c.hash).where(pieces.c.user_id == user_id)).scalars()
    return [address for address in present if address not in kept]


def _limit(now: datetime) -> int:
    return to_micros(now) - IDLE_MICROSECONDS
