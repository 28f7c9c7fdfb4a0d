"""Programs that would harm, under the real daemon: the model is told, others do not notice, nothing stays."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

import rlmd
from rlmd.clients.records import Limits, RunInfo, RunState
from tests.daemon_process import DaemonProcess, model_env
from tests.loop.runner import py
from tests.model_server import Exchange, ModelServer, Scripted, Slow

ENDLESS = py("kept = 1\nwhile True: pass")
STEP_SECONDS = 4
"""Of computing in one step."""
BUSY_SECONDS = 0.3
"""Of computing, by which a worker is known that does."""
TOLD_SECONDS = 2.0
"""From a worker's end to the model's next call; most of it is for machines under load."""
BESIDE_SECONDS = 5.0
"""Of another run meanwhile, at most."""
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def mind() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def house(mind: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    data, config = tmp_path_factory.mktemp("sandbox") / "data", {"max_step_seconds": STEP_SECONDS}
    with DaemonProcess(data, env=model_env(mind), config=config) as daemon:
        yield daemon


@pytest.fixture
def client(house: DaemonProcess) -> Iterator[rlmd.Client]:
    with rlmd.connect(data=house.data) as client:
        yield client


def agent_of(client: rlmd.Client, mind: ModelServer, script: list[Scripted], **limits: int) -> rlmd.Agent:
    """An agent with a model of its own, named like it."""
    name = f"harmful-{next(_numbers)}"
    mind.script(script, model=name)
    return client.create_agent(name, model=name, limits=Limits(**limits) if limits else None)


def whole(agent: rlmd.Agent, id: str) -> RunInfo:
    agent.run(id).wait()
    return agent.run(id).get()


def asked(mind: ModelServer, agent: rlmd.Agent, count: int) -> Exchange:
    """The agent's request of that number, once it has come."""
    until = time.monotonic() + 20
    while True:
        found = [request for request in mind.requests if request.model == agent.name]
        if len(found) >= count:
            return found[count - 1]
        assert time.monotonic() < until, "the model was not asked"
        time.sleep(0.01)


def workers(house: DaemonProcess) -> list[psutil.Process]:
    return psutil.Process(house.pid).children(recursive=True)


def computes(worker: psutil.Process) -> bool:
    """Whether it does at this moment; one that ended meanwhile does not."""
    try:
        return worker.cpu_percent(0.05) > 50
    except psutil.NoSuchProcess:
        return False


def used(worker: psutil.Process) -> float:
    """Seconds that it has computed."""
    try:
        return worker.cpu_times().user
    except psutil.NoSuchProcess:
        return 0.0


def busy(house: DaemonProcess) -> psutil.Process:
    """The one worker that computes."""
    until = time.monotonic() + 20
    while True:
        found = [each for each in workers(house) if used(each) > BUSY_SECONDS]
        if found:
            (worker,) = found
            return worker
        assert time.monotonic() < until, "no worker computes"
        time.sleep(0.02)


def unharmed(client: rlmd.Client, mind: ModelServer, house: DaemonProcess) -> None:
    """A new run works at once, and none computes any more."""
    assert agent_of(client, mind, [py("reply(sum(range(10)))")]).chat("Add.").text == "45"
    assert not [each for each in workers(house) if computes(each)]


def test_a_worker_that_is_killed_while_it_computes(
    client: rlmd.Client, mind: ModelServer, house: DaemonProcess
) -> None:
    # Another run has names in its own worker, and waits for its model meanwhile.
    beside = agent_of(client, mind, [py("mine = 41"), Slow(1.5, py("reply(mine + 1)"))])
    other = beside.send("Remember.")
    asked(mind, beside, 2)
    agent = agent_of(client, mind, [ENDLESS, py("reply('alive')")])
    run = agent.send("Go on.")
    worker = busy(house)
    killed = time.monotonic()
    worker.kill()
    assert asked(mind, agent, 2).received - killed < TOLD_SECONDS
    found = whole(agent, run.id)
    assert found.state is RunState.DONE, found.reason
    assert "the sandbox crashed; the names of this run are lost" in found.steps[0].observation
    assert agent.log.recent(1)[0].text == "alive"
    assert whole(beside, other.id).state is RunState.DONE
    assert beside.log.recent(1)[0].text == "42"
    unharmed(client, mind, house)


def test_a_worker_that_is_killed_while_a_call_is_out(
    client: rlmd.Client, mind: ModelServer, house: DaemonProcess
) -> None:
    before = set(workers(house))
    agent = agent_of(client, mind, [py("x = await llm('slow', model='slow-sub')"), py("reply('alive')")])
    mind.always(Slow(1.0, "late"), model="slow-sub")
    run = agent.send("Go on.")
    while not [request for request in mind.requests if request.model == "slow-sub"]:
        time.sleep(0.01)
    # Whichever has the run: the one that stood ready, or a new one.
    for worker in {*before, *workers(house)}:
        if worker.is_running():
            worker.kill()
    found = whole(agent, run.id)
    assert found.state is RunState.DONE, found.reason
    assert "the sandbox crashed" in found.steps[0].observation
    assert all(call.settled for step in found.steps for call in step.calls)
    unharmed(client, mind, house)


def test_a_worker_that_stands_ready_is_killed(
    client: rlmd.Client, mind: ModelServer, house: DaemonProcess
) -> None:
    unharmed(client, mind, house)
    for worker in workers(house):
        worker.kill()
    for _ in range(3):
        unharmed(client, mind, house)


def test_a_worker_that_hangs_is_no_hindrance_to_a_cancel(
    client: rlmd.Client, mind: ModelServer, house: DaemonProcess
) -> None:
    agent = agent_of(client, mind, [ENDLESS])
    run = agent.send("Go on.")
    worker = busy(house)
    os.kill(worker.pid, signal.SIGSTOP)
    began = time.monotonic()
    assert run.cancel("enough").state is RunState.CANCELLED
    assert time.monotonic() - began < 5
    _, alive = psutil.wait_procs([worker], timeout=5)
    assert not alive
    unharmed(client, mind, house)


HARM: dict[str, tuple[str, str]] = {
    "an endless loop": ("while True: pass", "step_seconds"),
    "an endless flood": ("while True: print('x' * 1_000)", "step_seconds"),
    "a loop that catches all": (
        "while True:\n    try:\n        while True: pass\n    except BaseException:\n        pass",
        "step_seconds",
    ),
    "memory in parts": ("x = []\nwhile True: x.append('a' * 100_000)", "memory_bytes"),
    "memory at once": ("x = 'a' * 10**12", "memory_bytes"),
    "a number without end": ("x = 2 ** 10**10", "memory_bytes"),
    "recursion": ("def f(n): return f(n + 1)\nf(0)", "RecursionError"),
    "a flood of lines": ("for n in range(30_000): print('x' * 1_000)\nprint('the end')", "the end"),
    "one long line": ("print('x' * 50_000_000)", "cut"),
    "a sleep of years": ("import time\ntime.sleep(10**9)", "error"),
    "a storm of calls": ("for n in range(10_001): memory.version('none')", "made its 10000 calls"),
    "a long error": ("raise ValueError('x' * 10_000_000)", "ValueError"),
    "a large value": ("memory.set('big', 'x' * 200_000_000)", "error"),
}


@pytest.mark.parametrize("kind", HARM)
def test_a_program_that_would_harm_is_one_bad_step(
    kind: str, client: rlmd.Client, mind: ModelServer, house: DaemonProcess
) -> None:
    code, told = HARM[kind]
    agent = agent_of(client, mind, [py(code), py("reply('alive')")], seconds=100)
    beside = agent_of(client, mind, [])
    mind.always(py("reply('here')"), model=beside.name)
    run = agent.send("Go on.")
    slowest = 0.0
    while agent.runs(states=[RunState.QUEUED, RunState.RUNNING]):
        began = time.monotonic()
        assert beside.chat("Are you there?").text == "here"
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.1)
    found = whole(agent, run.id)
    assert found.state is RunState.DONE, found.reason
    observation = found.steps[0].observation
    assert told in observation, observation[:2_000]
    assert len(observation) < 20_000
    assert slowest < BESIDE_SECONDS
    unharmed(client, mind, house)


def test_a_storm_of_sub_calls_meets_the_limit(
    client: rlmd.Client, mind: ModelServer, house: DaemonProcess
) -> None:
    mind.always("ok", model="storm")
    code = py("await asyncio.gather(*[llm(str(n), model='storm') for n in range(500)])")
    agent = agent_of(client, mind, [code], model_calls=20)
    run = whole(agent, agent.send("Go on.").id)
    assert run.reason.startswith("limit: model_calls")
    assert len([request for request in mind.requests if request.model == "storm"]) == 19
    assert all(call.settled for call in run.steps[0].calls)
    unharmed(client, mind, house)
