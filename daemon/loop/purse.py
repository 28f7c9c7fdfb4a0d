"""From what one run pays its calls of models: the limits of its tree, and the budgets of its agent and user.

A call is taken before it is made and paid after it. Whoever takes one that cannot be made says so: a limit
ends the run, a used up budget parks it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from rlmd.daemon.models.api import Reply, Request
from rlmd.memory.ledger import Refused, Reserved, Wanted
from rlmd.memory.records import Agent, ModelCall, Run
from rlmd.memory.store import Store, Transaction

from . import budgets
from .budgets import Charge
from .equipment import Equipment, Tree
from .scribe import Row, Scribe, finish


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A call that may be made."""

    wish: Wanted
    reserved: int
    money: int
    """What the tree has counted for it."""
    began: float


class Purse:
    """The purse of one run."""

    def __init__(
        self, equipment: Equipment, store: Store, agent: Agent, run: Run, tree: Tree, scribe: Scribe
    ) -> None:
        self._equipment = equipment
        self._store = store
        self._agent = agent
        self._run = run
        self._tree = tree
        self._scribe = scribe

    async def take(self, request: Request, *, step: int, call: int) -> Taken | asyncio.Event:
        """Reserve what a call may cost; or while others under way may leave something, what to wait for.

        Raises:
            Exhausted: a limit of the run is used up.
            Spent: a budget is.
        """
        wish = budgets.wanted(self._equipment, self._agent, request, step=step, call=call)
        money = 0
        if self._tree.counts_money:
            money = self._store.read(lambda tx: tx.ledger.estimate(wish))
        self._tree.take_call(wish.estimate.tokens, money)
        change, mark = self._equipment.till.change, self._tree.wakes(self._run.id)
        try:
            answer = await self._reserve(wish)
        except BaseException:
            self._tree.give_back(wish.estimate.tokens, money)
            raise
        if isinstance(answer, Reserved):
            return Taken(wish=wish, reserved=answer.id, money=money, began=time.monotonic())
        self._tree.give_back(wish.estimate.tokens, money)
        if not answer.passes:
            raise budgets.spent(self._equipment, self._agent, answer, wish.day, mark)
        return change

    async def _reserve(self, wish: Wanted) -> Reserved | Refused:
        def work(tx: Transaction) -> tuple[Reserved | Refused, Row | None]:
            return budgets.reserve(tx, self._equipment, self._agent, self._run, wish), None

        async def reserve() -> Reserved | Refused:
            if wish.call:
                # Many of a run may be under way at once: they share commits, not turns of the pen.
                return await self._store.write(lambda tx: work(tx)[0])
            answer = await self._scribe.commit(work)
            assert answer is not None, "reserving gives an answer"
            return answer

        answer, cancelled = await finish(reserve())
        if cancelled:
            if isinstance(answer, Reserved):
                await finish(self._store.write(lambda tx: tx.ledger.release(answer.id)))
            raise asyncio.CancelledError
        return answer

    def pay(self, taken: Taken, reply: Reply) -> None:
        """What the call did cost; enters the ledger with the next commit."""
        usage, wish = reply.usage, taken.wish
        cost = ModelCall(
            run=self._run.id,
            step=wish.step,
            call=wish.call,
            model=reply.model,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            estimated=usage.estimated,
            tries=reply.tries,
            note=reply.note,
            seconds=time.monotonic() - taken.began,
        )
        money = 0
        if self._tree.counts_money:
            money = self._store.read(lambda tx: tx.ledger.cost(cost, wish.models[0])) or 0
        used = usage.input_tokens + usage.output_tokens
        self._tree.count(used - wish.estimate.tokens, money - taken.money)
        self._scribe.charge(Charge(reserved=taken.reserved, cost=cost, micros=self._tree.worked()))

    async def release(self, taken: Taken) -> None:
        """The call came to nothing, and nobody bills it. It still counts as one of the run's calls."""
        self._tree.count(-taken.wish.estimate.tokens, -taken.money)
        await finish(self._store.write(lambda tx: tx.ledger.release(taken.reserved)))
        self._equipment.till.settled()
