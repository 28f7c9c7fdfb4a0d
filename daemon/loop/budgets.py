"""What a run pays its model calls from: reserved before the call, settled after it.

    reserve    is on disk before the provider is asked, together with all of the run that waits
    settle     is in the transaction that enters the call into the ledger (scribe.py)

Where a budget is used up the run is not lost: it is parked, its owner is told once, and it goes on when the
period is over or somebody raises the budget.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from rlmd.daemon.models.api import Request
from rlmd.memory.budgets import describe, named
from rlmd.memory.costs import MILLION, Estimate, Measure, Period, Scope, next_start, shown
from rlmd.memory.ledger import Refused, Reserved, Standing, Wanted
from rlmd.memory.records import Agent, ModelCall, Origin, Run
from rlmd.memory.store import Transaction
from rlmd.settings import Settings, names_of

from .equipment import Equipment
from .tokens import tokens

log = logging.getLogger(__name__)

ANSWER_TOKENS = 4_096
"""What an answer is taken to have at most, where the request does not bound it. A longer one is settled at
what it did cost."""


class Spent(Exception):
    """A budget is used up: no further call of a model may be made until `until`; None: until it is raised."""

    def __init__(self, until: datetime | None, reason: str, mark: int) -> None:
        super().__init__(reason)
        self.until = until
        self.reason = reason
        self.mark = mark
        """How often the run had been woken before: if more often since, there may be more."""


@dataclass(frozen=True, kw_only=True)
class Charge:
    """A call of a model that has been made, on its way into the ledger."""

    reserved: int
    cost: ModelCall
    micros: int
    """Time at work since the last charge of the tree."""


def defaults(settings: Settings) -> Mapping[tuple[Period, Measure], int]:
    """The budgets that each user has from the start."""
    wanted = {
        (Period.DAY, Measure.MONEY): round(settings.daily_money * MILLION),
        (Period.DAY, Measure.TOKENS): settings.daily_tokens,
    }
    return {key: most for key, most in wanted.items() if most}


def estimate(request: Request) -> Estimate:
    """The most that a call may cost, as far as one can know before."""
    return Estimate(
        input_tokens=sum(tokens(message.text) for message in request.messages),
        output_tokens=request.max_output_tokens or ANSWER_TOKENS,
    )


def wanted(equipment: Equipment, agent: Agent, request: Request, *, step: int, call: int) -> Wanted:
    return Wanted(
        agent_id=agent.id,
        step=step,
        call=call,
        models=names_of(request.model) or (request.model,),
        estimate=estimate(request),
        day=equipment.today(),
    )


def reserve(
    tx: Transaction, equipment: Equipment, agent: Agent, run: Run, wish: Wanted
) -> Reserved | Refused:
    """Reserve, or say why not; where the run must wait for long, its owner is told."""
    answer = tx.ledger.reserve(run, wish)
    if isinstance(answer, Refused) and not answer.passes:
        for each in tx.ledger.stopping(answer, wish.day):
            text = f"I have stopped: {_used_up(each, agent)} {_goes_on(equipment, each, agent, wish.day)}"
            _tell(tx, agent, run, text)
            log.warning("agent %s: %s", agent.name, text)
    if isinstance(answer, Reserved):
        for model in set(answer.unpriced) - equipment.till.unpriced:
            equipment.till.unpriced.add(model)
            log.warning("nobody knows the price of model %s: its tokens are counted, money is not; "
                        "`rlmd price set %s` tells it", model, model)  # fmt: skip
    return answer


def settle(tx: Transaction, agent: Agent, run: Run, charge: Charge) -> None:
    """Enter a call, and tell the owner once if a budget is nearly used up."""
    for each in tx.ledger.settle(charge.reserved, charge.cost, micros=charge.micros):
        share = each.spent * 100 // each.most if each.most else 100
        text = f"{share} % of a budget is used: {shown(each.measure, each.spent)} of {_named(each, agent)}."
        _tell(tx, agent, run, text)
        log.warning("agent %s: %s", agent.name, text)


def spent(equipment: Equipment, agent: Agent, refused: Refused, day: str, mark: int) -> Spent:
    """What a run that was refused waits for."""
    untils = [next_start(each.period, day, equipment.zone) for each in refused.spent]
    until = None if None in untils else max(filter(None, untils))
    last = refused.spent[untils.index(until)]
    return Spent(until, f"{_used_up(last, agent)} {_goes_on(equipment, last, agent, day)}", mark)


def low(tx: Transaction, agent: Agent, run: Run, day: str) -> str:
    """A line for the prompt about what is left, if of any budget it is less than half; else nothing."""
    standing = tx.ledger.standing(agent.id, day, tx.ledger.schedule(run.root))
    found = [each for each in standing if each.left * 2 < each.most]
    if not found:
        return ""
    each = min(found, key=lambda each: each.left / each.most)
    return f"Of your budget, {shown(each.measure, each.left)} of {_named(each, agent)} are left. "


def _named(each: Standing, agent: Agent) -> str:
    whose = {Scope.USER: "", Scope.AGENT: agent.name, Scope.SCHEDULE: named(agent.name, each.scope_id)}
    return describe(each.period, each.measure, each.most, whose[each.scope])


def _used_up(each: Standing, agent: Agent) -> str:
    return f"the budget of {_named(each, agent)} is used up."


def _goes_on(equipment: Equipment, each: Standing, agent: Agent, day: str) -> str:
    whose = {
        Scope.USER: "",
        Scope.AGENT: f" --agent {agent.name}",
        Scope.SCHEDULE: f" --schedule {each.scope_id}",
    }[each.scope]
    raised = f"when it is raised (`rlmd budget set {each.period} {each.measure} LIMIT{whose}`)"
    until = next_start(each.period, day, equipment.zone)
    if until is None:
        return f"It goes on {raised}."
    return f"It goes on at {until:%Y-%m-%d %H:%M %Z}, or {raised}."


def _tell(tx: Transaction, agent: Agent, run: Run, text: str) -> None:
    """A message to the owner, on the channel where the run's root was spoken to."""
    root = run if run.parent is None else tx.runs.get(run.root)
    tx.log(agent.name).add(
        channel=root.event.channel or "chat",
        sender=agent.name,
        text=text,
        origin=Origin.AGENT,
        from_agent=True,
        run=root.id,
    )
