"""Budgets in the whole house: a run that meets one waits, and goes on; a kill does not let it spend more."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable

import pytest

import rlmd
from rlmd.clients.records import Limits, RunState
from rlmd.clients.updates import Waiting
from rlmd.daemon.loop.budgets import ANSWER_TOKENS
from rlmd.daemon.models.api import Usage
from tests.conftest import StartDaemon
from tests.model_server import Item, ModelServer, Slow, Status, Text

from .runner import py
from .test_waiting import wait_until_parked

CHEAP = Usage(input_tokens=100, output_tokens=10)
COST = 0.002
"""Dollars that a call of `CHEAP` costs at the price below."""


def priced(client: rlmd.Client) -> rlmd.Agent:
    client.budgets.set_price("scripted", input=10, output=100)
    return client.agent()


def spent(client: rlmd.Client, period: str = "day", measure: str = "money") -> float:
    found = [each for each in client.budgets.list() if (each.period, each.measure) == (period, measure)]
    return found[0].spent


def test_a_run_that_meets_a_budget_waits_and_goes_on_when_it_is_raised(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script(
        [
            Text(py("plan = {'to': 'Bern'}\nprint('one')"), usage=CHEAP),
            Text(py("reply(plan)"), usage=CHEAP),
            Text("Another.", usage=CHEAP),
        ]
    )
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = priced(client)
        client.budgets.set("day", "money", COST)
        updates = list(agent.stream("Go on.", "phone"))
        last = updates[-1]
        assert isinstance(last, Waiting)
        assert "$0.0020 a day is used up" in last.reason
        assert "rlmd budget set day money" in last.reason
        assert last.until is not None
        run = agent.run(last.run)
        assert (run.get().state, run.get().reason) == (RunState.WAITING, last.reason)
        said = [message.text for message in agent.log.recent(10) if message.from_agent]
        assert [text.split(":")[0] for text in said] == ["100 % of a budget is used", "I have stopped"]
        daemon.kill()
        daemon.restart()
        time.sleep(0.3)
        assert run.get().state is RunState.WAITING, "a restart is no reason to go on"
        client.budgets.set("day", "money", 1)
        assert run.wait().state is RunState.DONE
        assert json.loads(agent.log.recent(1)[0].text) == {"to": "Bern"}
        assert spent(client) == 2 * COST
        assert client.admin.usage()[0].cost == 2 * COST
    assert len(model_server.requests) == 2


def test_a_sub_call_waits_for_the_budget_too_and_its_program_goes_on(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script(
        [
            py("a = await llm('one')\nb = await rlm('two')\nreply([a, b])"),
            "first",
            py("done('second')"),
        ]
    )
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        client.budgets.set("total", "model_calls", 1, agent="main")
        run = agent.send("Go on.")
        wait_until_parked(run)
        assert "1 model calls in all for main is used up" in run.get().reason
        client.budgets.set("total", "model_calls", 2, agent="main")
        wait_for(lambda: len(model_server.requests) == 2)
        wait_until_parked(run)
        client.budgets.remove("total", "model_calls", agent="main")
        assert run.wait().state is RunState.DONE
        assert json.loads(agent.log.recent(1)[0].text) == ["first", "second"]
    assert len(model_server.requests) == 3


def test_many_calls_at_once_do_not_run_over_a_budget(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    """Each reserves what it may cost: those that find nothing left wait for what the others leave."""
    model_server.script(
        [Text(py("found = await asyncio.gather(*[llm('x', n) for n in range(40)])\nreply(len(found))"))]
    )
    model_server.always(Slow(0.01, "y"), model="sub")
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        agent.update(sub_model="sub")
        client.budgets.set("day", "tokens", 4 * ANSWER_TOKENS)
        highest = 0.0
        run = agent.send("Go on.")
        while not run.get().state.ended:
            highest = max(highest, spent(client, "day", "tokens"))
            assert run.get().state is not RunState.WAITING, run.get().reason
        assert run.get().state is RunState.DONE, run.get().reason
        assert highest <= 5 * ANSWER_TOKENS + 10_000
    assert len(model_server.requests) == 41


def test_limits_of_a_run_in_money_and_tokens_end_it(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.always(Text(py("print('again')"), usage=CHEAP))
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = priced(client)
        for limits, calls in ((Limits(money=3 * COST), 3), (Limits(tokens=2 * 110), 2)):
            agent.update(limits=limits)
            before = len(model_server.requests)
            ended = agent.send("Go on.").wait()
            assert ended.state is RunState.FAILED
            assert ended.reason.startswith("limit: ")
            assert len(model_server.requests) - before == calls
            assert ended.usage.cost == pytest.approx(calls * COST)


def test_a_call_that_failed_costs_nothing(start_daemon: StartDaemon, model_server: ModelServer) -> None:
    model_server.script([Status(400), Text("Well.", usage=CHEAP)])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = priced(client)
        assert agent.send("Go on.").wait().state is RunState.FAILED
        assert spent(client) == 0
        assert agent.chat("Again.").text == "Well."
        assert spent(client) == COST


def test_the_model_is_told_what_is_left_when_it_is_little(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.always(Text("Well.", usage=CHEAP))
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = priced(client)
        client.budgets.set("day", "money", 1.5 * COST, agent="main")
        for _ in range(2):
            agent.chat("Go on.")
    first, second = (request.prompt for request in model_server.requests)
    assert "budget" not in first
    assert "Of your budget, $0.0010 of $0.0030 a day for main are left." in second


def test_an_idle_daemon_asks_no_model(start_daemon: StartDaemon, model_server: ModelServer) -> None:
    daemon = start_daemon(model_server)
    time.sleep(1.0)
    daemon.restart()
    with rlmd.connect(data=daemon.data) as client:
        assert client.admin.usage() == []
    assert model_server.requests == []


@pytest.mark.slow
def test_spending_stays_below_the_limit_plus_one_call_over_kills(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    """What the provider was asked, it bills: also what a kill has cut off, settled at its estimate."""
    seed = int(os.environ.get("RLMD_TEST_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"RLMD_TEST_SEED={seed}")
    chance = random.Random(seed)
    usage = Usage(input_tokens=2_000, output_tokens=1_000)
    items: list[Item] = [Slow(0.03, py("await llm('x')")), Text(py("y = 1"), usage=usage)]
    model_server.always(lambda _: chance.choice(items))
    daemon = start_daemon(model_server, max_steps=200)
    limit = 3.0
    with rlmd.connect(data=daemon.data) as client:
        agent = priced(client)
        client.budgets.set("day", "money", limit)
        runs = [agent.send("Go on.", channel=f"c{number}") for number in range(3)]
        for _ in range(6):
            time.sleep(chance.uniform(0.1, 0.8))
            daemon.kill()
            daemon.start()
        end = time.monotonic() + 60
        while {run.get().state for run in runs} & {RunState.RUNNING, RunState.QUEUED}:
            assert time.monotonic() < end, [run.get() for run in runs]
            time.sleep(0.05)
        booked = client.admin.usage()[0]
        dearest = (20_000 * 10 + ANSWER_TOKENS * 100) / 1e6
        assert booked.cost == pytest.approx(spent(client))
        assert booked.cost <= limit + dearest
        asked = len(model_server.requests)
        assert asked <= booked.model_calls, "the provider was asked for what nobody has booked"


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
