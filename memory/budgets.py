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
from .records import Agent, User
from .tables import agents, budgets, prices

MOST = 10**15
"""Of any measure: a thousand million dollars."""
MOST_PRICE = 10**12
MAX_PATTERN = 200


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much may be used in a period, and how much is."""

    agent: str
    """Empty: all agents of the user together."""
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
        return describe(self.period, self.measure, self.most, self.agent)


def describe(period: Period, measure: Measure, most: int, agent: str = "") -> str:
    """A budget in a few words, such as `$5.00 a day`."""
    whole = {Period.DAY: "a day", Period.MONTH: "a month", Period.TOTAL: "in all"}[period]
    of = f" for {agent}" if agent else ""
    return f"{shown(measure, most)} {whole}{of}"


class Budgets:
    """The budgets and prices of one user, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self._now = now
        self._user = user

    def list(self, day: str) -> list[Budget]:
        """All, with what is spent in the periods that `day` is in: first the user's, then by agent."""
        names = {
            row.id: row.name
            for row in self._connection.execute(
                select(agents.c.id, agents.c.name).where(agents.c.user_id == self._user.id)
            )
        }
        rows = self._connection.execute(
            select(budgets).where(budgets.c.user_id == self._user.id, budgets.c.most.is_not(None))
        )
        found = [self._budget(row, names.get(row.scope_id, ""), day) for row in rows]
        return sorted(found, key=lambda each: (each.agent, list(Period).index(each.period), each.measure))

    def set(self, agent: Agent | None, period: Period, measure: Measure, most: int, day: str) -> Budget:
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
        self._put(agent, period, measure, most)
        return self.get(agent, period, measure, day)

    def get(self, agent: Agent | None, period: Period, measure: Measure, day: str) -> Budget:
        """Raises NotFound."""
        row = self._row(agent, period, measure)
        if row is None or row.most is None:
            raise _missing(agent, period, measure)
        return self._budget(row, "" if agent is None else agent.name, day)

    def remove(self, agent: Agent | None, period: Period, measure: Measure) -> None:
        """Bound it no more. One that came from the settings does not come back. Raises NotFound."""
        row = self._row(agent, period, measure)
        if row is None or row.most is None:
            raise _missing(agent, period, measure)
        if agent is None:
            self._put(agent, period, measure, None)
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

    def _row(self, agent: Agent | None, period: Period, measure: Measure) -> Any:
        scope = Scope.USER if agent is None else Scope.AGENT
        statement = select(budgets).where(
            budgets.c.user_id == self._user.id,
            budgets.c.scope == scope.value,
            budgets.c.scope_id == (0 if agent is None else agent.id),
            budgets.c.period == period.value,
            budgets.c.measure == measure.value,
        )
        return self._connection.execute(statement).first()

    def _put(
        self,
        agent: Agent | None,
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
            scope=(Scope.USER if agent is None else Scope.AGENT).value,
            scope_id=0 if agent is None else agent.id,
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
            period=period,
            measure=measure,
            most=row.most,
            spent=spent,
            by_default=bool(row.by_default),
        )


def forget_agent(connection: Connection, agent_id: int) -> None:
    """An agent is deleted, and with it what bounds it. What it has spent stays in the user's sums."""
    mine = (budgets.c.scope == Scope.AGENT.value) & (budgets.c.scope_id == agent_id)
    connection.execute(delete(budgets).where(mine))


def _missing(agent: Agent | None, period: Period, measure: Measure) -> NotFound:
    of = "" if agent is None else f" of {short(agent.name)}"
    return NotFound(
        f"there is no budget {period}-{measure}{of}", field="name", remedy="List the budgets that exist."
    )
