"""What a budget check costs a call of a model: the reservation before it, and the settling after it.

    python -m benchmarks.budgets [--rounds 2000] [--years 10]

On a house with ten budgets that apply, a hundred prices, and a sum for each day of ten years. Both parts
share a transaction with what a run writes anyway, so what counts is the time inside of it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rlmd.memory.clock import SystemClock
from rlmd.memory.costs import Estimate, Measure, Period, Price
from rlmd.memory.ledger import Reserved, Wanted
from rlmd.memory.records import ModelCall, RunLimits
from rlmd.memory.store import House, Store, Transaction

from .figures import percentile, report

LARGE = 10**14


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=2_000)
    options.add_argument("--years", type=int, default=10)
    given = options.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        House.open(Path(folder) / "rlmd.db", SystemClock()) as house,
    ):
        user = house.write(lambda accounts: accounts.create_user("owner", administrator=True)).result()
        store = house.store(user)
        store.submit(lambda tx: _fill(tx, given.years)).result()
        checks, settled = _rounds(store, given.rounds)
        report("budgets.check", checks, "ms", most=2, p99=percentile(checks, 0.99), budgets=10)
        report("budgets.settle", settled, "ms", most=2, p99=percentile(settled, 0.99), budgets=10)


def _fill(tx: Transaction, years: int) -> None:
    agent = tx.agents.create("main")
    today = datetime.now(UTC).date()
    for period in (Period.DAY, Period.MONTH):
        for measure in Measure:
            tx.budgets.set(agent, period, measure, LARGE, today.isoformat())
    for number in range(100):
        tx.budgets.set_price(Price(model=f"model-{number}*", input=10**6, cached=10**5, output=10**7))
    for day in range(1, years * 365):
        tx.ledger.work(agent.id, (today - timedelta(days=day)).isoformat(), 1)


def _rounds(store: Store, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds inside the transaction, of each check and of each settling."""
    checks, settled = [], []
    agent = store.read(lambda tx: tx.agents.get("main"))
    run = store.submit(
        lambda tx: tx.runs.create(agent, kind="message", text="x", limits=RunLimits())
    ).result()
    wish = Wanted(
        agent_id=agent.id,
        step=1,
        call=0,
        models=["model-99-large"],
        estimate=Estimate(input_tokens=5_000, output_tokens=4_096),
        day=datetime.now(UTC).date().isoformat(),
    )
    cost = ModelCall(
        run=run.id,
        step=1,
        call=0,
        model="model-99-large",
        input_tokens=4_000,
        output_tokens=400,
        cached_tokens=2_000,
        estimated=False,
        tries=1,
        note="",
        seconds=1.0,
    )

    def round(tx: Transaction) -> None:
        began = time.perf_counter()
        reserved = tx.ledger.reserve(run, wish)
        between = time.perf_counter()
        assert isinstance(reserved, Reserved)
        tx.ledger.settle(reserved.id, cost)
        checks.append((between - began) * 1000)
        settled.append((time.perf_counter() - between) * 1000)

    for _ in range(rounds):
        store.submit(round).result()
    return checks, settled


if __name__ == "__main__":
    main()
