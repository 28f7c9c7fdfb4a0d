"""Copies what an agent remembers into the space of another, each variable as it stands now.

Contents are pieces that a user's spaces share, so a copy costs rows, not contents. Histories stay with the
first: a copy begins at version 1, and its note says of what.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Text, cast, insert, literal, select

from .records import User
from .tables import index_queue, variables, versions

_KEPT = ("kind", "size", "characters", "inline", "root", "origin", "source_time")
"""What a copied version has of its original."""


def copy_space(connection: Connection, now: int, user: User, source: int, name: str, target: int) -> int:
    """Copy the latest versions from the space `source`, called `name`, into an empty one; gives how many."""
    living = (variables.c.space_id == source) & variables.c.deleted.is_(False)
    named = select(literal(target), variables.c.name, literal(1), literal(False)).where(living)
    columns = ["space_id", "name", "head", "deleted"]
    copied = connection.execute(insert(variables).from_select(columns, named)).rowcount
    old, new = variables.alias("old"), variables.alias("new")
    told: dict[str, Any] = {
        "variable_id": new.c.id,
        "number": literal(1),
        "author_user": literal(user.name),
        "author_agent": literal(""),
        "author_run": literal(None),
        "author_step": literal(0),
        "author_call": literal(0),
        "note": literal(f"a copy of {name}@").concat(cast(versions.c.number, Text)),
        "write_time": literal(now),
        **{each: versions.c[each] for each in _KEPT},
    }
    values = (
        select(*told.values())
        .join(old, (versions.c.variable_id == old.c.id) & (versions.c.number == old.c.head))
        .join(new, (new.c.name == old.c.name) & (new.c.space_id == target))
        .where(old.c.space_id == source)
    )
    connection.execute(insert(versions).from_select(list(told), values))
    queued = select(literal(target), variables.c.id).where(variables.c.space_id == target)
    connection.execute(insert(index_queue).from_select(["space_id", "variable_id"], queued))
    return copied
