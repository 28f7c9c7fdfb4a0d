"""Budgets and prices, as their owner sets them; what is spent is in ledger.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from rlmd.errors import InvalidInput, NotFound

from .costs import Measure, Period, Price, Scope, shown
from .ledger import Ledger
from .names import check_text, short
from .records import Agent, Schedule, User
from .tables import agents, budgets, prices, schedules

MOST = 10**15
"""Of any measure: a thousand million dollars."""
MOST_PRICE = 10**12
MAX_PATTERN = 200


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much may be used in a period, and how much is."""

    agent: str
    """Empty: all agents of the user together."""
    schedule: int | None
    """The schedule of the agent, if it bounds only the runs of one."""
    period: Period
    measure: Measure
    most: int
    """In micro-dollars, tokens, model calls, steps or seconds."""
    spent: int
    """With what is reserved for calls under way."""
    by_default: bool
    """Whether it comes from the settings."""

    @property
    def left(self) -> int:
        return max(self.most - self.spent, 0)

    def __str__(self) -> str:
        return describe(self.period, self.measure, self.most, named(self.agent, self.schedule))


Of = Agent | Schedule | None
"""Whose spending is bounded; None: all of the user's."""


def named(agent: str, schedule: int | None = None) -> str:
    """Whose budget it is, in words; empty for the user's."""
    return agent if schedule is None else f"schedule {schedule}"


def describe(period: Period, measure: Measure, most: int, whose: str = "") -> str:
    """A budget in a few words, such as `$5.00 a day`."""
    whole = {Period.DAY: "a day", Period.MONTH: "a month", Period.TOTAL: "in all"}[period]
    of = f" for {whose}" if whose else ""
    return f"{shown(measure, most)} {whole}{of}"


class Budgets:
    """The budgets and prices of one user, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self._now = now
        self._user = user

    def list(self, day: str) -> list[Budget]:
        """All, with what is spent in the periods that `day` is in: first the user's, then by agent."""
        mine = select(agents.c.id, agents.c.name).where(agents.c.user_id == self._user.id)
        of_schedules = select(schedules.c.id, agents.c.name).join(agents, schedules.c.agent_id == agents.c.id)
        names = {(Scope.AGENT.value, row.id): row.name for row in self._connection.execute(mine)}
        bounded = select(budgets.c.scope_id).where(
            budgets.c.user_id == self._user.id, budgets.c.scope == Scope.SCHEDULE.value
        )
        for row in self._connection.execute(of_schedules.where(schedules.c.id.in_(bounded))):
            names[Scope.SCHEDULE.value, row.id] = row.name
        rows = self._connection.execute(
            select(budgets).where(budgets.c.user_id == self._user.id, budgets.c.most.is_not(None))
        )
        found = [self._budget(row, names.get((row.scope, row.scope_id), ""), day) for row in rows]
        periods = list(Period)
        return sorted(
            found, key=lambda e: (e.agent, e.schedule or 0, periods.index(e.period), e.measure.value)
        )

    def set(self, of: Of, period: Period, measure: Measure, most: int, day: str) -> Budget:
        """Bound a measure over a period, for an agent or for all together; replaces what was set.

        Raises:
            InvalidInput: the limit is negative, or too large.
        """
        if not 0 <= most <= MOST:
            raise InvalidInput(
                f"{most} is not between 0 and {MOST:,}",
                field="limit",
                remedy="Give what may be used at most; 0 allows nothing.",
            )
        self._put(of, period, measure, most)
        return self.get(of, period, measure, day)

    def get(self, of: Of, period: Period, measure: Measure, day: str) -> Budget:
        """Raises NotFound."""
        row = self._row(of, period, measure)
        if row is None or row.most is None:
            raise _missing(of, period, measure)
        return self._budget(row, _agent_of(of), day)

    def remove(self, of: Of, period: Period, measure: Measure) -> None:
        """Bound it no more. One that came from the settings does not come back. Raises NotFound."""
        row = self._row(of, period, measure)
        if row is None or row.most is None:
            raise _missing(of, period, measure)
        if of is None:
            self._put(of, period, measure, None)
        else:
            self._connection.execute(delete(budgets).where(budgets.c.id == row.id))

    def defaults(self, wanted: Mapping[tuple[Period, Measure], int]) -> None:
        """Make, change and drop the budgets that the settings ask for; what the user has set stays."""
        mine = budgets.c.user_id == self._user.id
        rows = {
            (Period(row.period), Measure(row.measure)): row
            for row in self._connection.execute(
                select(budgets).where(mine, budgets.c.scope == Scope.USER.value)
            )
        }
        for key, most in wanted.items():
            row = rows.get(key)
            if row is None:
                self._put(None, *key, most, by_default=True)
            elif row.by_default and row.most != most:
                self._connection.execute(update(budgets).where(budgets.c.id == row.id).values(most=most))
        dropped = [row.id for key, row in rows.items() if row.by_default and key not in wanted]
        self._connection.execute(delete(budgets).where(budgets.c.id.in_(dropped)))

    # -- prices -----------------------------------------------------------------------------------

    def set_price(self, price: Price) -> Price:
        """Say what a model costs; replaces what was said of that name or pattern. Raises InvalidInput."""
        check_text(price.model, "model", limit=MAX_PATTERN)
        if not price.model.strip():
            raise InvalidInput("the name is empty", field="model", remedy="Give a model's name, or `*`.")
        for field in ("input", "cached", "output"):
            value = getattr(price, field)
            if not 0 <= value <= MOST_PRICE:
                raise InvalidInput(
                    f"{value} is not between 0 and {MOST_PRICE:,}",
                    field=field,
                    remedy="Give micro-dollars for a million tokens.",
                )
        values = {"input": price.input, "cached": price.cached, "output": price.output}
        statement = insert(prices).values(user_id=self._user.id, model=price.model, **values)
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=["user_id", "model"], set_=values)
        )
        return price

    def remove_price(self, model: str) -> None:
        """Forget what the user has said of a model; what came with rlmd stays. Raises NotFound."""
        check_text(model, "model", limit=MAX_PATTERN)
        mine = (prices.c.user_id == self._user.id) & (prices.c.model == model)
        if not self._connection.execute(delete(prices).where(mine)).rowcount:
            raise NotFound(
                f"you have set no price of {short(model)}", field="model", remedy="List the prices."
            )

    # -- rows -------------------------------------------------------------------------------------

    def _row(self, of: Of, period: Period, measure: Measure) -> Any:
        statement = select(budgets).where(
            budgets.c.user_id == self._user.id,
            budgets.c.scope == _scope(of).value,
            budgets.c.scope_id == (0 if of is None else of.id),
            budgets.c.period == period.value,
            budgets.c.measure == measure.value,
        )
        return self._connection.execute(statement).first()

    def _put(
        self,
        of: Of,
        period: Period,
        measure: Measure,
        most: int | None,
        *,
        by_default: bool = False,
    ) -> None:
        """Another limit is another thing to warn of."""
        values = {"most": most, "by_default": by_default, "warned": "", "stopped": ""}
        statement = insert(budgets).values(
            user_id=self._user.id,
            scope=_scope(of).value,
            scope_id=0 if of is None else of.id,
            period=period.value,
            measure=measure.value,
            **values,
        )
        key = ["user_id", "scope", "scope_id", "period", "measure"]
        self._connection.execute(statement.on_conflict_do_update(index_elements=key, set_=values))

    def _budget(self, row: Any, agent: str, day: str) -> Budget:
        measure, period = Measure(row.measure), Period(row.period)
        ledger = Ledger(self._connection, self._now, self._user)
        spent = ledger.spent(Scope(row.scope), row.scope_id, period, day).of(measure)
        return Budget(
            agent=agent,
            schedule=row.scope_id if row.scope == Scope.SCHEDULE.value else None,
            period=period,
            measure=measure,
            most=row.most,
            spent=spent,
            by_default=bool(row.by_default),
        )


def forget_agent(connection: Connection, agent_id: int) -> None:
    """An agent is to be deleted: what bounds it goes first. What it has spent stays in the user's sums."""
    its_schedules = select(schedules.c.id).where(schedules.c.agent_id == agent_id)
    of_agent = (budgets.c.scope == Scope.AGENT.value) & (budgets.c.scope_id == agent_id)
    of_schedule = (budgets.c.scope == Scope.SCHEDULE.value) & budgets.c.scope_id.in_(its_schedules)
    connection.execute(delete(budgets).where(of_agent | of_schedule))


def _scope(of: Of) -> Scope:
    match of:
        case None:
            return Scope.USER
        case Agent():
            return Scope.AGENT
        case Schedule():
            return Scope.SCHEDULE


def _agent_of(of: Of) -> str:
    match of:
        case None:
            return ""
        case Agent():
            return of.name
        case Schedule():
            return of.agent


def _missing(of: Of, period: Period, measure: Measure) -> NotFound:
    whose = named(_agent_of(of), of.id if isinstance(of, Schedule) else None)
    told = f" of {short(whose)}" if whose else ""
    return NotFound(
        f"there is no budget {period}-{measure}{told}", field="name", remedy="List the budgets that exist."
    )
