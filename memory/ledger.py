"""What calls of models cost: reserved before a call, settled after it, and summed all along.

    reserve   the most that the call may cost is added to the sums, and a row says for which call
    settle    the row goes, and the sums are put right by what it did cost

A sum therefore counts what is under way too, and one look at a few rows tells whether another call may begin.
A row whose daemon was killed is settled at the estimate, because the provider was asked, and will bill it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from .clock import to_micros
from .costs import Amounts, Estimate, Measure, Period, Price, Scope, price_of
from .prepared import Prepared
from .records import ModelCall, Run, User
from .tables import budgets, model_calls, occurrences, prices, reservations, spending

WARN_AT = 0.8
"""Share of a budget at which its owner is told, once in each period."""
WHOLE = "9999"
"""A day after all days."""

_AMOUNTS = ("money", "tokens", "model_calls", "steps", "micros")
_of_sums = (
    (spending.c.user_id == bindparam("user"))
    & (spending.c.scope == bindparam("scope"))
    & (spending.c.scope_id == bindparam("id"))
)
_applying = Prepared(
    select(budgets)
    .where(
        budgets.c.user_id == bindparam("user"),
        budgets.c.most.is_not(None),
        (budgets.c.scope == Scope.USER.value)
        | ((budgets.c.scope == Scope.AGENT.value) & (budgets.c.scope_id == bindparam("agent")))
        | ((budgets.c.scope == Scope.SCHEDULE.value) & (budgets.c.scope_id == bindparam("schedule"))),
    )
    .order_by(budgets.c.id)
)
_spent = Prepared(
    select(*(func.coalesce(func.sum(spending.c[name]), 0).label(name) for name in _AMOUNTS)).where(
        _of_sums, spending.c.day >= bindparam("first"), spending.c.day <= bindparam("last")
    )
)
_adding = upsert(spending)
_add = Prepared(
    _adding.on_conflict_do_update(
        index_elements=["user_id", "scope", "scope_id", "day"],
        set_={name: spending.c[name] + _adding.excluded[name] for name in _AMOUNTS},
    )
)
_schedule = Prepared(select(occurrences.c.schedule_id).where(occurrences.c.run_id == bindparam("root")))
_prices = Prepared(select(prices).where(prices.c.user_id == bindparam("user")))
_reserve = Prepared(insert(reservations).returning(reservations.c.id))
_reserved = Prepared(select(reservations).where(reservations.c.id == bindparam("id")))
_release = Prepared(delete(reservations).where(reservations.c.id == bindparam("id")))
_under_way = Prepared(
    select(
        func.coalesce(func.sum(reservations.c.money), 0).label("money"),
        func.coalesce(func.sum(reservations.c.input_tokens + reservations.c.output_tokens), 0).label(
            "tokens"
        ),
    ).where(reservations.c.user_id == bindparam("user"))
)
_warn = Prepared(
    budgets.update().where(budgets.c.id == bindparam("budget")).values(warned=bindparam("on_day"))
)
_stop = Prepared(
    budgets.update().where(budgets.c.id == bindparam("budget")).values(stopped=bindparam("on_day"))
)
_enter = Prepared(insert(model_calls))


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A budget that applies, and what is spent of it."""

    id: int
    scope: Scope
    scope_id: int
    """Number of the agent or schedule; 0 for the user."""
    period: Period
    measure: Measure
    most: int
    by_default: bool
    spent: int
    told: str
    """The day of the last warning; empty if there was none."""
    stopped: str

    @property
    def left(self) -> int:
        return max(self.most - self.spent, 0)

    @property
    def over(self) -> bool:
        return self.spent >= self.most

    @property
    def near(self) -> bool:
        return self.spent >= self.most * WARN_AT


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A call of a model that is about to be made."""

    agent_id: int
    step: int
    call: int
    """0 for the call that writes a step."""
    models: Sequence[str]
    """Those that may answer it."""
    estimate: Estimate
    day: str
    """Today in the owner's zone, like 2026-11-01."""


@dataclass(frozen=True, kw_only=True)
class Reserved:
    """The call may be made."""

    id: int
    unpriced: Sequence[str]
    """Models whose price nobody knows: their tokens are counted, money is not."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The call may not be made: these budgets are used up."""

    spent: Sequence[Standing]
    passes: bool
    """Whether what is reserved for calls under way is all that stands in the way."""


class Ledger:
    """One user's spending, over one connection."""

    def __init__(self, connection: Connection, now: datetime, user: User) -> None:
        self._connection = connection
        self._now = now
        self._user = user

    def reserve(self, run: Run, wanted: Wanted) -> Reserved | Refused:
        """Count what a call may cost, unless a budget is used up already.

        The last call that begins below a limit may end above it: by what that call costs, and no more.
        """
        schedule = self.schedule(run.root)
        spent = [each for each in self.standing(wanted.agent_id, wanted.day, schedule) if each.over]
        if spent:
            under_way = _under_way.first(self._connection, {"user": self._user.id})
            held = {Measure.MONEY: under_way.money, Measure.TOKENS: under_way.tokens}
            passes = all(each.spent - held.get(each.measure, 0) < each.most for each in spent)
            return Refused(spent=spent, passes=passes)
        known, unpriced = self._most_expensive(wanted.models, wanted.estimate)
        row = {
            "user_id": self._user.id,
            "agent_id": wanted.agent_id,
            "schedule_id": schedule,
            "run_id": run.id,
            "root_id": run.root,
            "step": wanted.step,
            "call": wanted.call,
            "model": wanted.models[0],
            "day": wanted.day,
            "input_tokens": wanted.estimate.input_tokens,
            "output_tokens": wanted.estimate.output_tokens,
            "money": known,
            "time": to_micros(self._now),
        }
        reserved: int = _reserve.scalar(self._connection, row)
        amounts = Amounts(
            money=known or 0,
            tokens=wanted.estimate.tokens,
            model_calls=1,
            steps=int(wanted.call == 0),
        )
        self._count(wanted.agent_id, schedule, wanted.day, amounts)
        return Reserved(id=reserved, unpriced=unpriced)

    def settle(self, reserved: int, cost: ModelCall, *, micros: int = 0) -> list[Standing]:
        """Enter what a call did cost, in place of what was reserved for it.

        `micros` of time at work are added. Gives the budgets of which its owner is to be warned now.
        """
        row = _reserved.first(self._connection, {"id": reserved})
        money = self.cost(cost, row.model)
        self._enter(row, cost, money)
        actual = Amounts(
            money=money or 0,
            tokens=cost.input_tokens + cost.output_tokens,
            model_calls=1,
            steps=int(row.call == 0),
            micros=micros,
        )
        self._count(row.agent_id, row.schedule_id, row.day, actual - _held(row))
        return self._warnings(row.agent_id, row.schedule_id, row.day)

    def release(self, reserved: int) -> None:
        """The call came to nothing, and nobody bills it."""
        row = _reserved.first(self._connection, {"id": reserved})
        _release.run(self._connection, {"id": reserved})
        self._count(row.agent_id, row.schedule_id, row.day, Amounts() - _held(row))

    def work(self, agent_id: int, day: str, micros: int, root: int | None = None) -> None:
        """Count time at work that no call of a model has counted; `root` is the run whose time it was."""
        if micros > 0:
            schedule = None if root is None else self.schedule(root)
            self._count(agent_id, schedule, day, Amounts(micros=micros))

    def settle_left(self) -> int:
        """Settle what a daemon that was killed has left, at its estimate; returns how many calls.

        Only before anything is at work: a call under way has a reservation too.
        """
        left = self._connection.execute(
            select(reservations).where(reservations.c.user_id == self._user.id)
        ).all()
        for row in left:
            cost = ModelCall(
                run=row.run_id,
                step=row.step,
                call=row.call,
                model=row.model,
                input_tokens=row.input_tokens,
                output_tokens=row.output_tokens,
                cached_tokens=0,
                estimated=True,
                tries=1,
                note="the daemon stopped before it was told the cost, which is an estimate",
                seconds=0.0,
            )
            self._enter(row, cost, row.money)
        return len(left)

    # -- sums -------------------------------------------------------------------------------------

    def schedule(self, root: int) -> int | None:
        """The schedule that a root run is of."""
        found: int | None = _schedule.scalar(self._connection, {"root": root})
        return found

    def standing(self, agent_id: int, day: str, schedule: int | None = None) -> list[Standing]:
        """The budgets that bound an agent's run, and what is spent of each in the period that `day` is in."""
        sums: dict[tuple[str, int, str], Amounts] = {}
        found = []
        given = {"user": self._user.id, "agent": agent_id, "schedule": schedule}
        for row in _applying.all(self._connection, given):
            key = (row.scope, row.scope_id, row.period)
            if key not in sums:
                sums[key] = self.spent(Scope(row.scope), row.scope_id, Period(row.period), day)
            measure = Measure(row.measure)
            found.append(
                Standing(
                    id=row.id,
                    scope=Scope(row.scope),
                    scope_id=row.scope_id,
                    period=Period(row.period),
                    measure=measure,
                    most=row.most,
                    by_default=bool(row.by_default),
                    spent=sums[key].of(measure),
                    told=row.warned,
                    stopped=row.stopped,
                )
            )
        return found

    def spent(self, scope: Scope, scope_id: int, period: Period, day: str) -> Amounts:
        """What was used in the period that `day` is in."""
        first, last = {
            Period.DAY: (day, day),
            Period.MONTH: (day[:8], day[:8] + WHOLE),
            Period.TOTAL: ("", ""),
        }[period]
        given = {"user": self._user.id, "scope": scope.value, "id": scope_id, "first": first, "last": last}
        row = _spent.first(self._connection, given)
        return Amounts(**row._asdict())

    def stopping(self, refused: Refused, day: str) -> list[Standing]:
        """Of the budgets that are used up, those whose owner was not told yet in this period."""
        fresh = [each for each in refused.spent if not _same(each.period, each.stopped, day)]
        for each in fresh:
            _stop.run(self._connection, {"budget": each.id, "on_day": day})
        return fresh

    def _warnings(self, agent_id: int, schedule: int | None, day: str) -> list[Standing]:
        near = [
            each
            for each in self.standing(agent_id, day, schedule)
            if each.near and not _same(each.period, each.told, day)
        ]
        for each in near:
            _warn.run(self._connection, {"budget": each.id, "on_day": day})
        return near

    def _count(self, agent_id: int, schedule: int | None, day: str, amounts: Amounts) -> None:
        of = {name: getattr(amounts, name) for name in _AMOUNTS}
        scopes = [(Scope.USER, 0), (Scope.AGENT, agent_id)]
        if schedule is not None:
            scopes.append((Scope.SCHEDULE, schedule))
        rows = [
            {"user_id": self._user.id, "scope": scope.value, "scope_id": id, "day": each, **of}
            for scope, id in scopes
            for each in (day, "")
        ]
        _add.run_all(self._connection, rows)

    # -- costs ------------------------------------------------------------------------------------

    def prices(self) -> list[Price]:
        """Those that the user has set."""
        return [
            Price(model=row.model, input=row.input, cached=row.cached, output=row.output)
            for row in _prices.all(self._connection, {"user": self._user.id})
        ]

    def estimate(self, wanted: Wanted) -> int:
        """What a call may cost, as far as somebody knows its price."""
        return self._most_expensive(wanted.models, wanted.estimate)[0] or 0

    def _most_expensive(self, models: Sequence[str], estimate: Estimate) -> tuple[int | None, list[str]]:
        """What the dearest of the models would cost, and those of which nobody knows."""
        own = self.prices()
        found = {model: price_of(model, own) for model in models}
        known = [price.of(estimate.input_tokens, estimate.output_tokens) for price in found.values() if price]
        return max(known, default=None), [model for model, price in found.items() if price is None]

    def cost(self, call: ModelCall, asked: str) -> int | None:
        """Micro-dollars by the price of the model that answered, else of the one that was `asked`; None if
        nobody knows either."""
        own = self.prices()
        price = price_of(call.model, own) or price_of(asked, own)
        return None if price is None else price.of(call.input_tokens, call.output_tokens, call.cached_tokens)

    def _enter(self, row: Any, call: ModelCall, money: int | None) -> None:
        values = {
            "agent_id": row.agent_id,
            "run_id": row.run_id,
            "root_id": row.root_id,
            "step": row.step,
            "call": row.call,
            "model": call.model,
            "input_tokens": call.input_tokens,
            "output_tokens": call.output_tokens,
            "cached_tokens": call.cached_tokens,
            "estimated": call.estimated,
            "tries": call.tries,
            "note": call.note,
            "seconds": call.seconds,
            "cost": money,
            "day": row.day,
            "time": to_micros(self._now),
        }
        _enter.run(self._connection, values)
        _release.run(self._connection, {"id": row.id})


def _held(row: Any) -> Amounts:
    """What a reservation has counted."""
    return Amounts(
        money=row.money or 0,
        tokens=row.input_tokens + row.output_tokens,
        model_calls=1,
        steps=int(row.call == 0),
    )


def _same(period: Period, then: str, day: str) -> bool:
    """Whether two days are in one period; an empty one is in none."""
    match period:
        case Period.DAY:
            return then == day
        case Period.MONTH:
            return then[:7] == day[:7]
        case Period.TOTAL:
            return bool(then)
