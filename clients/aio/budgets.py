"""What may be used, of what, in which time; and what models cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rlmd.clients import decode
from rlmd.clients.check import check_choice, check_str
from rlmd.clients.money import check_amount, check_money
from rlmd.clients.records import Budget, Price
from rlmd.proto.rlmd.v1 import budgets_pb2 as pb
from rlmd.proto.rlmd.v1.budgets_pb2_grpc import BudgetsStub

from .connection import Connection
from .questions import ANY_AGENT

Period = Literal["day", "month", "total"]
Measure = Literal["money", "tokens", "model_calls", "steps", "seconds"]


class Budgets:
    """Your budgets. Money is in dollars."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = BudgetsStub(connection.channel)

    async def list(self, *, agent: str = "") -> list[Budget]:
        """Your budgets, and how much of each is used; with `agent` only those that bound this one.

        Raises:
            NotFound: there is no such agent.
        """
        request = pb.ListBudgetsRequest(agent=_agent(agent))
        answer = await self._connection.call(self._stub.ListBudgets, request)
        return [decode.budget(message) for message in answer.budgets]

    async def set(
        self, period: Period, measure: Measure, limit: float, *, agent: str = "", schedule: str = ""
    ) -> Budget:
        """Bound what may be used in a time. Runs that wait for this budget go on if there is more now.

        Args:
            limit: Dollars, tokens, calls, steps or seconds; 0 allows nothing.
            agent: Only this agent; empty means all of yours together.
            schedule: Only the runs of this schedule, by its number or name.

        Raises:
            NotFound: there is no such agent or schedule.
            InvalidInput: the limit is negative, or no number.
        """
        budget = pb.Budget(
            agent=_agent(agent),
            schedule=_schedule(agent, schedule),
            period=check_choice(period, decode.PERIODS, "period"),
            measure=check_choice(measure, decode.MEASURES, "measure"),
            limit=check_amount(limit, measure, "limit"),
        )
        return decode.budget(
            await self._connection.call(self._stub.SetBudget, pb.SetBudgetRequest(budget=budget))
        )

    async def remove(self, period: Period, measure: Measure, *, agent: str = "", schedule: str = "") -> None:
        """Take a budget away. Runs that wait for it go on.

        Raises:
            NotFound: there is none.
        """
        request = pb.DeleteBudgetRequest(
            agent=_agent(agent),
            schedule=_schedule(agent, schedule),
            period=check_choice(period, decode.PERIODS, "period"),
            measure=check_choice(measure, decode.MEASURES, "measure"),
        )
        await self._connection.call(self._stub.DeleteBudget, request)

    async def prices(self) -> Sequence[Price]:
        """What models cost: your own prices first, then those that came with rlmd."""
        answer = await self._connection.call(self._stub.ListPrices, pb.ListPricesRequest())
        return [decode.price(message) for message in answer.prices]

    async def set_price(
        self, model: str, *, input: float, output: float, cached: float | None = None
    ) -> Price:
        """Say what a model costs, in dollars for a million tokens, for calls from now on.

        Args:
            model: Its name; `*` in it stands for any text.
            cached: Of tokens that the provider had cached; None means as `input`.
        """
        price = pb.Price(
            model=check_str(model, "model"),
            input=check_money(input, "input"),
            cached=check_money(input if cached is None else cached, "cached"),
            output=check_money(output, "output"),
        )
        return decode.price(await self._connection.call(self._stub.SetPrice, pb.SetPriceRequest(price=price)))

    async def remove_price(self, model: str) -> None:
        """Forget a price that you have set; one that came with rlmd holds again.

        Raises:
            NotFound: you have set none.
        """
        request = pb.DeletePriceRequest(model=check_str(model, "model"))
        await self._connection.call(self._stub.DeletePrice, request)


def _agent(name: str) -> str:
    return f"agents/{name}" if check_str(name, "agent") else ""


def _schedule(agent: str, schedule: str) -> str:
    return f"agents/{agent or ANY_AGENT}/schedules/{schedule}" if check_str(schedule, "schedule") else ""
