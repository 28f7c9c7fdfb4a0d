"""Messages of the contract as the records of bounds.py."""

from __future__ import annotations

from rlmd.proto.rlmd.v1 import budgets_pb2, forgetting_pb2

from .bounds import Budget, Erased, Price, Purge, Retention
from .decode import last
from .money import MILLION, amount
from .values import from_time

PERIODS = {
    "day": budgets_pb2.BUDGET_PERIOD_DAY,
    "month": budgets_pb2.BUDGET_PERIOD_MONTH,
    "total": budgets_pb2.BUDGET_PERIOD_TOTAL,
}
MEASURES = {
    "money": budgets_pb2.BUDGET_MEASURE_MONEY,
    "tokens": budgets_pb2.BUDGET_MEASURE_TOKENS,
    "model_calls": budgets_pb2.BUDGET_MEASURE_MODEL_CALLS,
    "steps": budgets_pb2.BUDGET_MEASURE_STEPS,
    "seconds": budgets_pb2.BUDGET_MEASURE_SECONDS,
}
_PERIODS = {number: name for name, number in PERIODS.items()}
_MEASURES = {number: name for name, number in MEASURES.items()}


def budget(message: budgets_pb2.Budget) -> Budget:
    measure = _MEASURES[message.measure]
    return Budget(
        agent=last(message.agent),
        schedule=last(message.schedule),
        period=_PERIODS[message.period],
        measure=measure,
        limit=amount(message.limit, measure),
        spent=amount(message.spent, measure),
        by_default=message.by_default,
        end_time=from_time(message.end_time) if message.HasField("end_time") else None,
    )


def price(message: budgets_pb2.Price) -> Price:
    return Price(
        model=message.model,
        input=message.input / MILLION,
        cached=message.cached / MILLION,
        output=message.output / MILLION,
        own=message.own,
    )


def purge(message: forgetting_pb2.Purge) -> Purge:
    return Purge(
        id=message.id,
        space=last(message.space),
        variables=message.variable_count,
        versions=message.version_count,
        runs=message.run_count,
        messages=message.message_count,
        note=message.note,
        time=from_time(message.purge_time),
    )


def retention(message: forgetting_pb2.Retention) -> Retention:
    return Retention(
        prefix=message.prefix,
        seconds=message.seconds if message.HasField("seconds") else None,
        versions=message.versions if message.HasField("versions") else None,
        pinned=message.pinned,
    )


def erased(message: forgetting_pb2.PurgeVariablesResponse) -> Erased:
    return Erased(
        purge=purge(message.purge) if message.HasField("purge") else None, copies=tuple(message.copies)
    )
