"""What a run, with its children, has changed in memory, as one changeset: looked at, and taken back.

A changeset needs no rows of its own: each version says which run wrote it. Taking it back writes new
versions with the values from before; nothing is lost, neither what the run wrote nor what came later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from rlmd.errors import Conflict, PreconditionFailed

from .names import short
from .records import Kind, Run, User
from .tables import runs, spaces, variables, versions
from .variables import Space
from .writing import Writing

NAMED = 5
"""Variables that a refusal names; it counts the others."""

# A run with all that are below it; of a child, it and its own.
_tree = select(runs.c.id).where(runs.c.id == bindparam("run")).cte("tree", recursive=True)
_tree = _tree.union_all(select(runs.c.id).where(runs.c.parent_id == _tree.c.id))
_written = (
    select(
        versions.c.variable_id,
        func.min(versions.c.number).label("first"),
        func.max(versions.c.number).label("last"),
        func.count().label("count"),
    )
    .where(versions.c.author_run.in_(select(_tree.c.id)))
    .group_by(versions.c.variable_id)
    .subquery("written")
)
_head, _old = versions.alias("head"), versions.alias("old")
_changed = (
    select(
        spaces.c.id.label("space_id"), spaces.c.name.label("space"),
        variables.c.id, variables.c.name, variables.c.head,
        _written.c.first, _written.c.last, _written.c.count,
        _old.c.kind.label("old_kind"), _head.c.kind.label("head_kind"),
        (_old.c.inline.is_not_distinct_from(_head.c.inline)
         & _old.c.root.is_not_distinct_from(_head.c.root)).label("same"),
    )
    .join(variables, variables.c.id == _written.c.variable_id)
    .join(spaces, spaces.c.id == variables.c.space_id)
    .join(_head, (_head.c.variable_id == variables.c.id) & (_head.c.number == variables.c.head))
    .outerjoin(_old, (_old.c.variable_id == variables.c.id) & (_old.c.number == _written.c.first - 1))
    .where(spaces.c.user_id == bindparam("user"), variables.c.id > bindparam("after"))
    .order_by(variables.c.id)
    .limit(bindparam("most"))
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Change:
    """What became of one variable."""

    space: str
    name: str
    first: int
    """The first version that the run wrote; the one before it is what the run found."""
    last: int
    """The last version that the run wrote."""
    existed: bool
    """Whether there was a value before: else the variable was new, or deleted."""
    moved_on: bool
    """Whether somebody else has written it since the first version."""
    undone: bool
    """Whether it has again the value from before."""
    variable: int
    """The number of the variable: changes come in this order."""


@dataclass(frozen=True, kw_only=True)
class Undone:
    """What taking back a changeset did."""

    undone: int
    """Variables that were given their value from before."""
    kept: int
    """Variables that were left alone, because somebody else has written them since."""


class Changes:
    """The changesets of one user's runs, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self._now = now
        self._user = user

    def page(self, run: Run, *, after: int = 0, most: int = 100) -> list[Change]:
        """What the run and those below it have changed, from the first variable after `after`."""
        return [_change(row) for row in self._rows(run, after, most)]

    def undo(self, run: Run, writing: Writing, *, keep_later: bool = False) -> Undone:
        """Give everything that the run and those below it changed its value from before, all or nothing.

        Args:
            keep_later: Leave alone what somebody else has written since.

        Raises:
            PreconditionFailed: the run is not over.
            Conflict: somebody else has written some of it since, and `keep_later` is not set.
        """
        if not run.state.ended:
            raise PreconditionFailed(
                f"run {run.id} is {run.state.value}", field="name", remedy="Cancel it, or wait until it ends."
            )
        rows = self._rows(run, 0, -1)
        found = [(row, _change(row)) for row in rows]
        later = [change for _, change in found if change.moved_on and not change.undone]
        if later and not keep_later:
            raise _moved_on(run, later)
        undone = 0
        for row, change in found:
            if change.moved_on or change.undone:
                continue
            space = Space(self._connection, self._now, self._user.id, row.space_id, row.space)
            if change.existed:
                space.revert(change.name, change.first - 1, writing)
            else:
                space.delete(change.name, writing)
            undone += 1
        return Undone(undone=undone, kept=len(later))

    def _rows(self, run: Run, after: int, most: int) -> Sequence[Any]:
        given = {"run": run.id, "user": self._user.id, "after": after, "most": most}
        return self._connection.execute(_changed, given).all()


def _change(row: Any) -> Change:
    existed = row.old_kind not in (None, Kind.DELETED)
    gone = row.head_kind == Kind.DELETED
    return Change(
        space=row.space,
        name=row.name,
        first=row.first,
        last=row.last,
        existed=existed,
        moved_on=row.head - row.first + 1 != row.count,
        undone=bool(row.old_kind == row.head_kind and row.same) if existed else gone,
        variable=row.id,
    )


def _moved_on(run: Run, later: Sequence[Change]) -> Conflict:
    named = ", ".join(short(change.name) for change in later[:NAMED])
    more = f" and {len(later) - NAMED} more" if len(later) > NAMED else ""
    have = "have" if len(later) > 1 else "has"
    return Conflict(
        f"{named}{more} {have} been written by somebody else since run {run.id}",
        field="name",
        remedy="Keep those (`--keep-later`) and take back the rest, or revert them one by one.",
    )
