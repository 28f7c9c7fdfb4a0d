"""How long variables are kept: rules for the beginnings of names, and names that are pinned.

    temp/      for 30 days          a variable that nobody writes for so long is deleted, which hides it
    drafts/    the last 20 versions older ones are erased
    plan       pinned               no rule touches it

Of several rules that fit a name, the one with the longest beginning counts. They are applied now and then, by
`House.expire`; what it hides says so in its history, and can be brought back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Select, delete, insert, select, tuple_
from sqlalchemy.dialects.sqlite import insert as upsert

from rlmd.errors import InvalidInput, NotFound

from .names import check_prefix, check_variable, short
from .records import Author, Kind, Origin, RunState, User, Variable
from .tables import agents, retentions, runs, spaces, uploads, variables, versions
from .variables import Space
from .writing import Writing

LONGEST = 100 * 366 * 86_400
MOST_VERSIONS = 1_000_000
BATCH = 200
"""Variables that one transaction hides or thins."""
_ENDED = [state.value for state in RunState if state.ended]


@dataclass(frozen=True, kw_only=True)
class Retention:
    """A rule. A pinned one is of a whole name, and bounds nothing."""

    prefix: str
    seconds: int | None = None
    """Since the last write."""
    versions: int | None = None
    pinned: bool = False


@dataclass(frozen=True, kw_only=True)
class Due:
    """A variable that a rule has something to say about."""

    name: str
    rule: Retention


class Retentions:
    """The rules of one space, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User, space: Space) -> None:
        self._connection = connection
        self._now = now
        self._user = user
        self._space = space

    def list(self) -> list[Retention]:
        """All rules, in the order of their prefixes."""
        statement = (
            select(retentions).where(retentions.c.space_id == self._space.id).order_by(retentions.c.prefix)
        )
        return [
            Retention(prefix=row.prefix, seconds=row.seconds, versions=row.versions, pinned=row.pinned)
            for row in self._connection.execute(statement)
        ]

    def set(self, rule: Retention) -> Retention:
        """Make a rule, in the place of one for the same beginning.

        Raises:
            InvalidInput: it bounds nothing, or what cannot be.
        """
        prefix = check_variable(rule.prefix, "prefix") if rule.pinned else check_prefix(rule.prefix)
        bounds = (("seconds", rule.seconds, LONGEST), ("versions", rule.versions, MOST_VERSIONS))
        for field, value, most in bounds:
            if value is not None and (rule.pinned or not 1 <= value <= most):
                reason = "what is pinned is kept" if rule.pinned else f"{value} is not between 1 and {most:,}"
                raise InvalidInput(reason, field=field, remedy="Leave it out, or give another.")
        if not rule.pinned and rule.seconds is None and rule.versions is None:
            raise InvalidInput(
                "the rule bounds nothing", field="seconds", remedy="Give how long, or how many versions."
            )
        values = {"seconds": rule.seconds, "versions": rule.versions, "pinned": rule.pinned}
        statement = upsert(retentions).values(space_id=self._space.id, prefix=prefix, **values)
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=["space_id", "prefix"], set_=values)
        )
        return Retention(prefix=prefix, seconds=rule.seconds, versions=rule.versions, pinned=rule.pinned)

    def remove(self, prefix: str) -> None:
        """Drop the rule for exactly this beginning, or this pinned name. Raises NotFound."""
        prefix = check_prefix(prefix)
        mine = (retentions.c.space_id == self._space.id) & (retentions.c.prefix == prefix)
        if not self._connection.execute(delete(retentions).where(mine)).rowcount:
            raise NotFound(
                f"there is no rule for {short(prefix)}", field="prefix", remedy="List the rules that exist."
            )

    # -- applying ---------------------------------------------------------------------------------

    def due(self) -> Sequence[Due]:
        """What the rules say about the variables as they stand. Reads all of them, and may take long."""
        found = []
        at_work = self._at_work()
        for variable, rule in self._governed(self.list()):
            hides = variable.version.kind is not Kind.DELETED and self._over(variable, rule)
            if hides or (not at_work and self._has_old(variable.name, rule)):
                found.append(Due(name=variable.name, rule=rule))
        return found

    def apply(self, due: Sequence[Due]) -> int:
        """Hide and erase what is due, if it still is; gives how many variables were touched."""
        touched = 0
        at_work = self._at_work()
        for each in due:
            current = self._space.find(each.name)
            hides = current is not None and self._over(current, each.rule)
            if hides:
                self._hide(each)
            touched += (not at_work and self._thin(each)) or hides
        return touched

    def _governed(self, rules: Sequence[Retention]) -> Iterator[tuple[Variable, Retention]]:
        """Variables that some rule bounds, each with the one that counts."""
        seen = {rule.prefix for rule in rules if rule.pinned}
        bounding = sorted((r for r in rules if not r.pinned), key=lambda r: len(r.prefix), reverse=True)
        for rule in bounding:
            after = ""
            while page := self._space.page(rule.prefix, after=after, most=1_000, deleted=True):
                for variable in page:
                    if variable.name not in seen:
                        seen.add(variable.name)
                        yield variable, rule
                after = page[-1].name

    def _over(self, variable: Variable, rule: Retention) -> bool:
        if rule.seconds is None:
            return False
        return variable.version.write_time <= self._now - timedelta(seconds=rule.seconds)

    def _hide(self, due: Due) -> None:
        whose = due.rule.prefix or "everything"
        note = f"not written for {due.rule.seconds} s, which is how long {whose} is kept"
        author = Author(user=self._user.name)
        self._space.delete(due.name, Writing(author=author, origin=Origin.OWNER, note=note))

    def _has_old(self, name: str, rule: Retention) -> bool:
        if rule.versions is None:
            return False
        old = self._old(name, rule.versions).limit(1)
        return self._connection.execute(old).first() is not None

    def _thin(self, due: Due) -> bool:
        """Erase versions before the last ones; pieces that only they hold go with the next sweep."""
        if due.rule.versions is None:
            return False
        old = self._old(due.name, due.rule.versions)
        statement = delete(versions).where(tuple_(versions.c.variable_id, versions.c.number).in_(old))
        if not self._connection.execute(statement).rowcount:
            return False
        self._connection.execute(insert(uploads), {"user_id": self._user.id, "time": 0})
        return True

    def _old(self, name: str, kept: int) -> Select[tuple[int, int]]:
        """Versions before the last ones, which are kept."""
        return (
            select(versions.c.variable_id, versions.c.number)
            .join(variables, versions.c.variable_id == variables.c.id)
            .where(
                variables.c.space_id == self._space.id,
                variables.c.name == name,
                versions.c.number <= variables.c.head - kept,
            )
        )

    def _at_work(self) -> bool:
        """Whether a run is not over, which may have to read old versions again."""
        statement = (
            select(runs.c.id)
            .join(agents, runs.c.agent_id == agents.c.id)
            .where(agents.c.space_id == self._space.id, runs.c.state.not_in(_ENDED))
        )
        return self._connection.execute(statement.limit(1)).first() is not None


def governed(connection: Connection) -> list[tuple[int, str]]:
    """(user id, space) of the spaces that have rules."""
    statement = (
        select(spaces.c.user_id, spaces.c.name)
        .join(retentions, retentions.c.space_id == spaces.c.id)
        .distinct()
        .order_by(spaces.c.user_id, spaces.c.name)
    )
    return [(user_id, name) for user_id, name in connection.execute(statement)]
