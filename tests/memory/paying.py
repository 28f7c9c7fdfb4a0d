"""A call of a model that is made and paid, as the loop does it."""

from __future__ import annotations

from rlmd.memory.costs import Estimate
from rlmd.memory.ledger import Reserved, Standing, Wanted
from rlmd.memory.records import ModelCall, Run
from rlmd.memory.store import Transaction


def call_of(
    run: Run,
    tokens: int = 10,
    *,
    output: int = 1,
    cached: int = 0,
    model: str = "small",
    step: int = 1,
    call: int = 0,
) -> ModelCall:
    return ModelCall(
        run=run.id,
        step=step,
        call=call,
        model=model,
        input_tokens=tokens,
        output_tokens=output,
        cached_tokens=cached,
        estimated=False,
        tries=1,
        note="",
        seconds=0.1,
    )


def wish(tx: Transaction, cost: ModelCall, *, agent: str = "main", output: int = 100) -> Wanted:
    """What is wanted before a call that will cost so much; the day is that of UTC."""
    return Wanted(
        agent_id=tx.agents.get(agent).id,
        step=cost.step,
        call=cost.call,
        models=[cost.model],
        estimate=Estimate(input_tokens=cost.input_tokens, output_tokens=output),
        day=tx.now.date().isoformat(),
    )


def pay(tx: Transaction, run: Run, cost: ModelCall) -> list[Standing]:
    """Reserve and settle; gives the budgets to warn of."""
    reserved = tx.ledger.reserve(run, wish(tx, cost))
    assert isinstance(reserved, Reserved), reserved
    return tx.ledger.settle(reserved.id, cost)
