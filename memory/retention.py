"""How long variables are kept: rules for the beginnings of names, and names that are pinned.

    temp/      for 30 days          a variable that nobody writes for so long is deleted, which hides it
    drafts/    the last 20 versions older ones are erased
    plan       pinned               no rule touches it

Of several rules that fit a name, the one with the longest beginning counts. They are applied now and then, by
`expire`; what it hides says so in its history, and can be brought back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, tuple_
from sqlalchemy.dialects.sqlite import insert as upsert

from rlmd.errors import InvalidInput, NotFound

from .names import check_prefix, check_variable, short
from .records import Author, Origin, RunState, User
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

    def expire(self, most: int = BATCH) -> int:
        """Hide and thin what the rules say, `most` variables at a time; gives how many were touched."""
        touched = 0
        rules = self.list()
        for name, rule in self._governed(rules):
            done = self._hide(name, rule)
            touched += self._thin(name, rule) or done
            if touched >= most:
                break
        return touched

    def _governed(self, rules: Sequence[Retention]) -> Iterator[tuple[str, Retention]]:
        """Names that some rule bounds, each with the one that counts."""
        pinned = {rule.prefix for rule in rules if rule.pinned}
        bounding = sorted((r for r in rules if not r.pinned), key=lambda r: len(r.prefix), reverse=True)
        seen = set(pinned)
        for rule in bounding:
            after = ""
            while page := self._space.page(rule.prefix, after=after, most=1_000, deleted=True):
                for variable in page:
                    if variable.name not in seen:
                        seen.add(variable.name)
                        yield variable.name, rule
                after = page[-1].name

    def _hide(self, name: str, rule: Retention) -> bool:
        if rule.seconds is None:
            return False
        found = self._space.find(name)
        limit = self._now - timedelta(seconds=rule.seconds)
        if found is None or found.version.write_time > limit:
            return False
        note = f"not written for {rule.seconds} s, which is how long {rule.prefix or 'everything'} is kept"
        author = Author(user=self._user.name)
        self._space.delete(name, Writing(author=author, origin=Origin.OWNER, note=note))
        return True

    def _thin(self, name: str, rule: Retention) -> bool:
        """Erase versions before the last ones, unless a run that is not over may have to read them again."""
        if rule.versions is None or self._at_work():
            return False
        row = self._connection.execute(
            select(variables.c.id, variables.c.head).where(
                variables.c.space_id == self._space.id, variables.c.name == name
            )
        ).one()
        old = select(versions.c.variable_id, versions.c.number).where(
            versions.c.variable_id == row.id, versions.c.number <= row.head - rule.versions
        )
        statement = delete(versions).where(tuple_(versions.c.variable_id, versions.c.number).in_(old))
        if not self._connection.execute(statement).rowcount:
            return False
        self._connection.execute(insert(uploads), {"user_id": self._user.id, "time": 0})
        return True

    def _at_work(self) -> bool:
        statement = (
            select(func.count())
            .select_from(runs)
            .join(agents, runs.c.agent_id == agents.c.id)
            .where(agents.c.space_id == self._space.id, runs.c.state.not_in(_ENDED))
        )
        return bool(self._connection.execute(statement).scalar_one())


def governed(connection: Connection) -> list[tuple[int, str]]:
    """(user id, space) of the spaces that have rules."""
    statement = (
        select(spaces.c.user_id, spaces.c.name)
        .join(retentions, retentions.c.space_id == spaces.c.id)
        .distinct()
        .order_by(spaces.c.user_id, spaces.c.name)
    )
    return [(user_id, name) for user_id, name in connection.execute(statement)]
