"""Budgets: what is reserved, settled and summed, what is refused, and what a kill leaves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from rlmd.errors import InvalidInput, NotFound
from rlmd.memory.costs import (
    MILLION,
    SHIPPED,
    Amounts,
    Measure,
    Period,
    Price,
    Scope,
    dollars,
    next_start,
    price_of,
)
from rlmd.memory.ledger import Refused, Reserved
from rlmd.memory.records import Author, ModelCall, Origin, Run, RunLimits, RunState, Schedule
from rlmd.memory.schedules import Draft
from rlmd.memory.store import Transaction

from .host import Home, opened
from .paying import call_of, pay, wish

PRICE = Price(model="small", input=10 * MILLION, cached=1 * MILLION, output=100 * MILLION)
"""Ten micro-dollars a token in, one if it was cached, a hundred a token out."""
DEFAULTS = {(Period.DAY, Measure.MONEY): 5 * MILLION, (Period.DAY, Measure.TOKENS): 1_000}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with opened(tmp_path / "rlmd.db") as home:
        home.write(lambda tx: tx.budgets.set_price(PRICE))
        yield home


def begin(home: Home, agent: str = "main") -> Run:
    return home.write(
        lambda tx: tx.runs.create(tx.agents.get(agent), kind="message", text="hi", limits=RunLimits())
    )


def bound(home: Home, period: Period, measure: Measure, most: int, *, agent: str = "") -> None:
    day = home.clock.now().date().isoformat()
    home.write(lambda tx: tx.budgets.set(tx.agents.get(agent) if agent else None, period, measure, most, day))


def used(home: Home, period: Period = Period.DAY, *, agent: str = "") -> Amounts:
    def work(tx: Transaction) -> Amounts:
        scope, id = (Scope.AGENT, tx.agents.get(agent).id) if agent else (Scope.USER, 0)
        return tx.ledger.spent(scope, id, period, tx.now.date().isoformat())

    return home.store.read(work)


def reserve(home: Home, run: Run, cost: ModelCall, *, agent: str = "main") -> Reserved | Refused:
    return home.write(lambda tx: tx.ledger.reserve(run, wish(tx, cost, agent=agent)))


def test_a_call_is_counted_while_it_is_under_way_and_put_right_after_it(home: Home) -> None:
    run = begin(home)
    cost = call_of(run, 50, output=3, cached=20)
    reserved = reserve(home, run, cost)
    assert isinstance(reserved, Reserved)
    assert used(home) == Amounts(money=50 * 10 + 100 * 100, tokens=150, model_calls=1, steps=1)
    home.write(lambda tx: tx.ledger.settle(reserved.id, cost, micros=7))
    paid = Amounts(money=30 * 10 + 20 + 3 * 100, tokens=53, model_calls=1, steps=1, micros=7)
    assert used(home) == used(home, Period.MONTH) == used(home, Period.TOTAL) == paid
    assert used(home, agent="main") == paid
    kept = home.store.read(lambda tx: tx.runs.get(run.id)).usage
    assert (kept.cost, kept.unpriced, kept.input_tokens) == (620, 0, 50)


def test_a_call_that_came_to_nothing_costs_nothing(home: Home) -> None:
    run = begin(home)
    reserved = reserve(home, run, call_of(run, 50))
    assert isinstance(reserved, Reserved)
    home.write(lambda tx: tx.ledger.release(reserved.id))
    assert used(home) == used(home, Period.TOTAL, agent="main") == Amounts()
    assert home.store.read(lambda tx: tx.runs.get(run.id)).usage.model_calls == 0


@pytest.mark.parametrize(
    ("measure", "most"),
    [
        (Measure.MONEY, 20 * 10 + 100),
        (Measure.TOKENS, 21),
        (Measure.MODEL_CALLS, 1),
        (Measure.STEPS, 1),
    ],
)
@pytest.mark.parametrize("agent", ["", "main"])
@pytest.mark.parametrize("period", list(Period))
def test_what_has_reached_a_limit_is_refused(
    home: Home, period: Period, measure: Measure, most: int, agent: str
) -> None:
    run = begin(home)
    bound(home, period, measure, most + 1, agent=agent)
    home.write(lambda tx: pay(tx, run, call_of(run, 20, output=1)))
    assert isinstance(reserve(home, run, call_of(run)), Reserved), "one below the limit may begin"
    bound(home, period, measure, most, agent=agent)
    refused = reserve(home, run, call_of(run))
    assert isinstance(refused, Refused)
    (spent,) = refused.spent
    assert (spent.measure, spent.period, spent.most) == (measure, period, most)


def test_the_time_that_runs_work_is_bounded_too(home: Home) -> None:
    run = begin(home)
    bound(home, Period.DAY, Measure.SECONDS, 2)
    day = home.clock.now().date().isoformat()
    for micros, answer in ((1_999_999, Reserved), (1, Refused)):
        home.write(lambda tx, micros=micros: tx.ledger.work(tx.agents.get("main").id, day, micros))  # type: ignore[misc]
        assert isinstance(reserve(home, run, call_of(run)), answer)


def test_a_refusal_says_whether_calls_under_way_may_leave_something(home: Home) -> None:
    run = begin(home)
    bound(home, Period.DAY, Measure.TOKENS, 100)
    first = reserve(home, run, call_of(run, 1))
    assert isinstance(first, Reserved)
    refused = reserve(home, run, call_of(run, 1))
    assert isinstance(refused, Refused)
    assert refused.passes
    home.write(lambda tx: tx.ledger.settle(first.id, call_of(run, 99, output=1)))
    refused = reserve(home, run, call_of(run, 1))
    assert isinstance(refused, Refused)
    assert not refused.passes


def test_days_and_months_begin_anew_and_all_time_does_not(home: Home) -> None:
    run = begin(home)
    home.write(lambda tx: pay(tx, run, call_of(run)))
    home.clock.move(timedelta(days=1))
    home.write(lambda tx: pay(tx, run, call_of(run)))
    assert [used(home, period).model_calls for period in Period] == [1, 2, 2]
    home.clock.move(timedelta(days=30))
    assert [used(home, period).model_calls for period in Period] == [0, 0, 2]


def test_a_day_is_the_owners() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    end = next_start(Period.DAY, "2026-03-28", berlin)
    assert end is not None
    assert end.astimezone(UTC).isoformat() == "2026-03-28T23:00:00+00:00"
    end = next_start(Period.DAY, "2026-03-29", berlin)
    assert end is not None
    assert end.astimezone(UTC).isoformat() == "2026-03-29T22:00:00+00:00", "that day has 23 hours"
    end = next_start(Period.MONTH, "2026-12-31", berlin)
    assert end is not None
    assert end.isoformat() == "2027-01-01T00:00:00+01:00"
    assert next_start(Period.TOTAL, "2026-12-31", berlin) is None


def test_an_owner_is_warned_once_in_a_period(home: Home) -> None:
    run = begin(home)
    bound(home, Period.DAY, Measure.TOKENS, 100)
    told = [home.write(lambda tx: pay(tx, run, call_of(run, 39))) for _ in range(3)]
    assert [len(each) for each in told] == [0, 1, 0]
    assert told[1][0].spent == 80
    home.clock.move(timedelta(days=1))
    told = [home.write(lambda tx: pay(tx, run, call_of(run, 39))) for _ in range(2)]
    assert [len(each) for each in told] == [0, 1]


def test_what_a_kill_leaves_is_settled_at_its_estimate(home: Home) -> None:
    run = begin(home)
    cost = call_of(run, 50, step=4)
    assert isinstance(reserve(home, run, cost), Reserved)
    before = used(home)
    assert home.house.for_all(lambda tx: tx.ledger.settle_left()).result() == [1]
    assert home.house.for_all(lambda tx: tx.ledger.settle_left()).result() == [0]
    assert used(home) == before
    usage = home.store.read(lambda tx: tx.runs.get(run.id)).usage
    assert (usage.cost, usage.estimated, usage.model_calls) == (before.money, True, 1)


def test_the_sums_are_those_of_the_ledger_whatever_happens(home: Home) -> None:
    """Random calls, of which some break off and some are under way when the daemon is killed."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    limit = 40_000
    bound(home, Period.DAY, Measure.MONEY, limit)
    home.write(lambda tx: tx.agents.create("other"))
    runs = [begin(home), begin(home, "other")]
    largest, refusals = 0, 0
    open_calls: list[tuple[int, ModelCall]] = []
    for number in range(400):
        run = chance.choice(runs)
        cost = call_of(run, chance.randrange(1, 30), output=chance.randrange(1, 20), step=number)
        answer = reserve(home, run, cost, agent=run.agent)
        if isinstance(answer, Reserved):
            open_calls.append((answer.id, cost))
            largest = max(largest, PRICE.of(cost.input_tokens, 100))
        else:
            refusals += 1
        if open_calls and chance.random() < 0.8:
            id, paid = open_calls.pop(chance.randrange(len(open_calls)))
            if chance.random() < 0.1:
                home.write(lambda tx, id=id: tx.ledger.release(id))  # type: ignore[misc]
            else:
                home.write(lambda tx, id=id, paid=paid: tx.ledger.settle(id, paid))  # type: ignore[misc]
        if chance.random() < 0.02:
            home.house.for_all(lambda tx: tx.ledger.settle_left()).result()
            open_calls.clear()
        assert used(home).money <= limit + largest
    home.house.for_all(lambda tx: tx.ledger.settle_left()).result()
    assert refusals
    booked = home.store.read(lambda tx: dict(tx.runs.usage("agent")))
    for agent in ("main", "other"):
        mine = booked[f"agents/{agent}"]
        sums = used(home, agent=agent)
        assert (sums.money, sums.model_calls) == (mine.cost, mine.model_calls)
        assert sums.tokens == mine.input_tokens + mine.output_tokens
    assert used(home).money == sum(each.cost for each in booked.values()) <= limit + largest


def test_a_deleted_agent_leaves_what_it_has_spent_and_not_its_budgets(home: Home) -> None:
    home.write(lambda tx: tx.agents.create("other"))
    run = begin(home, "other")
    bound(home, Period.TOTAL, Measure.TOKENS, 5, agent="other")
    home.write(lambda tx: tx.runs.end(run, RunState.DONE))
    reserved = reserve(home, run, call_of(run), agent="other")
    assert isinstance(reserved, Reserved)
    home.write(lambda tx: tx.ledger.settle(reserved.id, call_of(run)))
    home.write(lambda tx: tx.agents.delete("other"))
    assert home.store.read(lambda tx: tx.budgets.list("2026-03-01")) == []
    assert used(home).tokens == 11


def test_defaults_are_there_follow_the_settings_and_do_not_come_back(home: Home) -> None:
    def limits() -> dict[str, int]:
        found = home.store.read(lambda tx: tx.budgets.list("2026-03-01"))
        return {f"{each.period}-{each.measure}": each.most for each in found}

    home.write(lambda tx: tx.budgets.defaults(DEFAULTS))
    assert limits() == {"day-money": 5 * MILLION, "day-tokens": 1_000}
    home.write(lambda tx: tx.budgets.remove(None, Period.DAY, Measure.TOKENS))
    home.write(lambda tx: tx.budgets.defaults({**DEFAULTS, (Period.DAY, Measure.MONEY): 7}))
    assert limits() == {"day-money": 7}
    bound(home, Period.DAY, Measure.MONEY, 9)
    home.write(lambda tx: tx.budgets.defaults(DEFAULTS))
    assert limits() == {"day-money": 9}
    assert isinstance(reserve(home, begin(home), call_of(begin(home), 5_000)), Reserved)
    with pytest.raises(NotFound):
        home.write(lambda tx: tx.budgets.remove(None, Period.DAY, Measure.TOKENS))


def test_users_do_not_share_a_purse(home: Home) -> None:
    other = home.another_user("bob")
    other.submit(lambda tx: tx.budgets.set(None, Period.DAY, Measure.TOKENS, 0, "2026-03-01")).result()
    run = begin(home)
    home.write(lambda tx: pay(tx, run, call_of(run)))
    assert other.read(lambda tx: tx.budgets.list("2026-03-01"))[0].spent == 0
    assert other.read(lambda tx: tx.ledger.prices()) == []


def test_prices_are_the_users_before_those_that_came_along(home: Home) -> None:
    own = [
        Price(model="gpt-5*", input=1, cached=1, output=1),
        Price(model="gpt-5-mini", input=2, cached=2, output=2),
    ]
    assert price_of("gpt-5-mini", own) is own[1]
    assert price_of("gpt-5.9", own) is own[0]
    dated = price_of("gpt-5-mini-2025-08-07", [])
    assert dated is not None
    assert (dated.input, dated.output) == (250_000, 2_000_000)
    assert price_of("gpt-5.9", []) is None
    assert len({price.model for price in SHIPPED}) == len(SHIPPED)


def test_a_model_of_unknown_price_is_counted_in_tokens(home: Home) -> None:
    run = begin(home)
    answer = reserve(home, run, call_of(run, 50, model="secret"))
    assert isinstance(answer, Reserved)
    assert answer.unpriced == ["secret"]
    home.write(lambda tx: tx.ledger.settle(answer.id, call_of(run, 50, model="secret")))
    usage = home.store.read(lambda tx: tx.runs.get(run.id)).usage
    assert (usage.cost, usage.unpriced) == (0, 1)
    assert used(home).tokens == 51


def test_what_cannot_be_is_refused(home: Home) -> None:
    for most in (-1, 10**16):
        with pytest.raises(InvalidInput, match="limit"):
            bound(home, Period.DAY, Measure.MONEY, most)
    for price in (
        Price(model="", input=1, cached=1, output=1),
        Price(model="m", input=-1, cached=1, output=1),
        Price(model="m", input=1, cached=1, output=10**13),
        Price(model="x" * 201, input=1, cached=1, output=1),
    ):
        with pytest.raises(InvalidInput):
            home.write(lambda tx, price=price: tx.budgets.set_price(price))  # type: ignore[misc]
    with pytest.raises(NotFound):
        home.write(lambda tx: tx.budgets.remove_price("nothing"))
    with pytest.raises(NotFound):
        home.write(lambda tx: tx.budgets.remove(None, Period.DAY, Measure.STEPS))


@pytest.mark.parametrize(
    ("micros", "text"), [(0, "$0.00"), (2_500_000, "$2.50"), (123, "$0.0001"), (12_345_678, "$12.35")]
)
def test_money_is_shown_as_people_read_it(micros: int, text: str) -> None:
    assert dollars(micros) == text


def test_a_schedule_has_a_purse_of_its_own(home: Home) -> None:
    """Its runs are bounded by it, and by their agent's and the user's; other runs are not."""

    def make(tx: Transaction) -> tuple[Schedule, Run]:
        agent = tx.agents.get("main")
        draft = Draft(kind="every", spec="1h", text="Look.", timezone="UTC")
        made = tx.schedules.create(agent, draft, author=Author(user="owner"), origin=Origin.OWNER)
        run = tx.runs.create(agent, kind="schedule", text="Look.", limits=RunLimits())
        tx.schedules.by_hand(made, run)
        return made, run

    schedule, run = home.write(make)
    day = home.clock.now().date().isoformat()
    home.write(lambda tx: tx.budgets.set(schedule, Period.MONTH, Measure.MODEL_CALLS, 1, day))
    other = begin(home)
    for each in (other, run, other):
        home.write(lambda tx, each=each: pay(tx, each, call_of(each)))  # type: ignore[misc]
    refused = reserve(home, run, call_of(run))
    assert isinstance(refused, Refused)
    assert [(each.scope, each.scope_id) for each in refused.spent] == [(Scope.SCHEDULE, schedule.id)]
    assert isinstance(reserve(home, other, call_of(other)), Reserved)
    (budget,) = home.store.read(lambda tx: tx.budgets.list(day))
    assert (budget.agent, budget.schedule, budget.spent) == ("main", schedule.id, 1)
    assert str(budget) == f"1 model calls a month for schedule {schedule.id}"
    ((label, usage),) = home.store.read(lambda tx: tx.runs.usage("schedule"))
    assert (label, usage.model_calls) == (f"agents/main/schedules/{schedule.id}", 1)
    home.write(lambda tx: tx.budgets.remove(schedule, Period.MONTH, Measure.MODEL_CALLS))
    assert isinstance(reserve(home, run, call_of(run)), Reserved)
