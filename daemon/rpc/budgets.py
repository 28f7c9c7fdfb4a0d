"""The service Budgets."""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.empty_pb2 import Empty

from rlmd.memory.budgets import Budget, Of
from rlmd.memory.costs import PRICED_ON, SHIPPED, Measure, Period, Price, next_start
from rlmd.memory.store import Transaction
from rlmd.proto.rlmd.v1 import budgets_pb2 as pb
from rlmd.proto.rlmd.v1.budgets_pb2_grpc import BudgetsServicer

from .errors import about
from .names import agent_name, agent_of, schedule_name, schedule_of
from .runs import ALL_AGENTS
from .service import Service
from .values import time_to, unknown

PERIODS = {
    pb.BUDGET_PERIOD_DAY: Period.DAY,
    pb.BUDGET_PERIOD_MONTH: Period.MONTH,
    pb.BUDGET_PERIOD_TOTAL: Period.TOTAL,
}
MEASURES = {
    pb.BUDGET_MEASURE_MONEY: Measure.MONEY,
    pb.BUDGET_MEASURE_TOKENS: Measure.TOKENS,
    pb.BUDGET_MEASURE_MODEL_CALLS: Measure.MODEL_CALLS,
    pb.BUDGET_MEASURE_STEPS: Measure.STEPS,
    pb.BUDGET_MEASURE_SECONDS: Measure.SECONDS,
}
_PERIODS = {period: number for number, period in PERIODS.items()}
_MEASURES = {measure: number for number, measure in MEASURES.items()}


class Budgets(Service, BudgetsServicer):
    async def ListBudgets(self, request: pb.ListBudgetsRequest, context: object) -> pb.ListBudgetsResponse:
        agent = agent_of(request.agent, "agent") if request.agent else None
        day = self.backend.engine.today()

        def work(tx: Transaction) -> list[Budget]:
            if agent is not None:
                tx.agents.get(agent)
            return [each for each in tx.budgets.list(day) if agent is None or each.agent in ("", agent)]

        with about("agent"):
            found = self.store().read(work)
        return pb.ListBudgetsResponse(budgets=[self._budget(each) for each in found])

    async def SetBudget(self, request: pb.SetBudgetRequest, context: object) -> pb.Budget:
        given = request.budget
        whose = _whose(given.agent, given.schedule, "budget.")
        period, measure = _key(given.period, given.measure, "budget.")
        day = self.backend.engine.today()

        def work(tx: Transaction) -> Budget:
            return tx.budgets.set(whose(tx), period, measure, given.limit, day)

        store = self.store()
        with about("budget.schedule" if given.schedule else "budget.agent"):
            changed = await store.write(work)
        await self.backend.engine.budgets_changed(store)
        return self._budget(changed)

    async def DeleteBudget(self, request: pb.DeleteBudgetRequest, context: object) -> Empty:
        whose = _whose(request.agent, request.schedule)
        period, measure = _key(request.period, request.measure)
        store = self.store()
        with about("schedule" if request.schedule else "agent"):
            await store.write(lambda tx: tx.budgets.remove(whose(tx), period, measure))
        await self.backend.engine.budgets_changed(store)
        return Empty()

    async def ListPrices(self, request: pb.ListPricesRequest, context: object) -> pb.ListPricesResponse:
        own = self.store().read(lambda tx: tx.ledger.prices())
        return pb.ListPricesResponse(prices=map(_price, (*own, *SHIPPED)), shipped_on=PRICED_ON)

    async def SetPrice(self, request: pb.SetPriceRequest, context: object) -> pb.Price:
        given = request.price
        price = Price(model=given.model, input=given.input, cached=given.cached, output=given.output)
        return _price(await self.store().write(lambda tx: tx.budgets.set_price(price)))

    async def DeletePrice(self, request: pb.DeletePriceRequest, context: object) -> Empty:
        await self.store().write(lambda tx: tx.budgets.remove_price(request.model))
        return Empty()

    def _budget(self, record: Budget) -> pb.Budget:
        engine = self.backend.engine
        return pb.Budget(
            agent=agent_name(record.agent) if record.agent else "",
            period=_PERIODS[record.period],
            measure=_MEASURES[record.measure],
            limit=record.most,
            spent=record.spent,
            by_default=record.by_default,
            schedule=schedule_name(record.agent, record.schedule) if record.schedule else "",
            end_time=time_to(next_start(record.period, engine.today(), engine.zone)),
        )


def _whose(agent: str, schedule: str, inside: str = "") -> Callable[[Transaction], Of]:
    """Finds whose budget it is. Raises InvalidInput."""
    if schedule:
        of, label = schedule_of(schedule, f"{inside}schedule")
        return lambda tx: tx.schedules.find(label, agent=None if of == ALL_AGENTS else of)
    if agent:
        name = agent_of(agent, f"{inside}agent")
        return lambda tx: tx.agents.get(name)
    return lambda tx: None


def _key(period: int, measure: int, inside: str = "") -> tuple[Period, Measure]:
    """Over which time, of what. Raises InvalidInput."""
    if period not in PERIODS:
        raise unknown(period, f"{inside}period", pb.BudgetPeriod.keys())
    if measure not in MEASURES:
        raise unknown(measure, f"{inside}measure", pb.BudgetMeasure.keys())
    return PERIODS[pb.BudgetPeriod.ValueType(period)], MEASURES[pb.BudgetMeasure.ValueType(measure)]


def _price(record: Price) -> pb.Price:
    return pb.Price(
        model=record.model, input=record.input, cached=record.cached, output=record.output, own=record.own
    )
