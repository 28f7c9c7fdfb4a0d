"""Providers that misbehave, under the real daemon: a bad step at most, never a dead run, never paid twice."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import rlmd
from rlmd.clients.records import RunInfo, RunState, Usage
from tests.clients.conftest import runner
from tests.conftest import StartDaemon
from tests.daemon_process import SECRET, DaemonProcess, model_env
from tests.loop.runner import py
from tests.model_server import (
    CutStream,
    Empty,
    Exchange,
    Huge,
    Item,
    Malformed,
    ModelServer,
    Null,
    Raw,
    Refusal,
    Reset,
    Scripted,
    Slow,
    Status,
    Text,
)

TIMEOUT = 2
"""Seconds of one call of a model."""
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def mind() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def house(mind: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    data = tmp_path_factory.mktemp("provider") / "data"
    with DaemonProcess(data, env=model_env(mind), config={"model_timeout_seconds": TIMEOUT}) as daemon:
        yield daemon


class Talk:
    """An agent with a model of its own, which answers by a script."""

    def __init__(self, client: rlmd.Client, server: ModelServer, script: list[Scripted]) -> None:
        self.name = f"faulty-{next(_numbers)}"
        self._client = client
        self._server = server
        self.agent = client.create_agent(self.name, model=self.name)
        server.script(script, model=self.name)

    def run(self, text: str = "Go on.") -> RunInfo:
        run = self.agent.send(text)
        run.wait()
        return run.get()

    @property
    def requests(self) -> list[Exchange]:
        return [request for request in self._server.requests if request.model == self.name]

    def booked(self) -> list[Usage]:
        """What the ledger says of its model."""
        return [row for row in self._client.admin.usage(by="model") if row.group == self.name]

    @property
    def said(self) -> list[str]:
        return [message.text for message in self.agent.log.recent(20) if message.from_agent]


def paid(talk: Talk, *runs: RunInfo) -> None:
    """What was charged is what the provider handed out, each answer once, and the ledger says the same."""
    handed = [request.usage for request in talk.requests if request.usage is not None]
    for field in ("input_tokens", "output_tokens"):
        assert sum(getattr(run.usage, field) for run in runs) == sum(getattr(u, field) for u in handed)
    (ledger,) = talk.booked()
    assert ledger.input_tokens == sum(run.usage.input_tokens for run in runs)


BAD_STEPS: dict[str, tuple[Item, str]] = {
    "content null": (Null(), "empty"),
    "no choices": (Empty(), "empty"),
    "a cut stream": (CutStream(6, "Hello there"), "broke off"),
    "a cut program": (CutStream(40, py("memory.set('half', 1)\nmemory.set('other', 2)")), "broke off"),
    "a stream cut at once": (Malformed(), "broke off"),
    "a malformed line": (Malformed("```python\nmemory.set('half', 1)\n"), "broke off"),
    "too deep": (Raw.events("[" * 100_000), "broke off"),
    "no chunk": (Raw.events('{"choices": {"a": 1}}'), "broke off"),
    "ten megabytes": (Huge(10_000_000), "broke off"),
    "cut at its length": (Text(py("memory.set('half', 1)"), finish="length"), "broke off"),
}


@pytest.mark.parametrize("kind", BAD_STEPS)
def test_a_bad_answer_is_one_bad_step(kind: str, house: DaemonProcess, mind: ModelServer) -> None:
    answer, told = BAD_STEPS[kind]
    with rlmd.connect(data=house.data) as client:
        talk = Talk(client, mind, [answer, py("memory.set('whole', 1)\nreply('Whole.')")])
        run = talk.run()
        assert (run.state, run.step_count, len(talk.requests)) == (RunState.DONE, 2, 2), run.reason
        assert talk.said == ["Whole."]
        assert told in run.steps[0].observation
        assert talk.agent.memory.names() == ["whole"], "half a program ran"


PASSING: dict[str, Item] = {
    "too many requests": Status(429, retry_after=0.2),
    "server error": Status(500),
    "overloaded": Status(529),
    "gateway": Raw(b"<html>Bad gateway</html>", code=502, kind="text/html"),
    "reset": Reset(),
    "broken refusal": Raw(b'{"error"', code=503, missing=20),
    "cut before a word": CutStream(0),
    "nothing": Raw(b""),
    "error in the stream": Raw.events('{"error": {"message": "overloaded", "code": 529}}'),
}


@pytest.mark.parametrize("kind", PASSING)
def test_what_passes_is_tried_again_within_the_step(
    kind: str, house: DaemonProcess, mind: ModelServer
) -> None:
    with rlmd.connect(data=house.data) as client:
        talk = Talk(client, mind, [PASSING[kind], "Back."])
        run = talk.run()
        assert (run.state, run.step_count, talk.said) == (RunState.DONE, 1, ["Back."]), run.reason
        assert run.usage.model_calls == 1
        assert run.steps[0].note.startswith("try 1: ")
        first, second = talk.requests
        assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
        paid(talk, run)


FATAL: dict[str, tuple[Item, str]] = {
    "wrong key": (Status(401, f"wrong key {SECRET}"), "[key]"),
    "no such model": (Status(404, "no such model"), "RLMD_MODEL"),
    "too long": (Status(400, "maximum context length is 10"), "window"),
    "no credit": (Status(429, "spent", error_code="insufficient_quota"), "credit"),
    "a wait of an hour": (Status(429, "slow down", retry_after=3_600), "3600 s"),
    "a page": (Raw(b"<html>Sign in</html>", kind="text/html"), "OPENAI_BASE_URL"),
    "never anything": (Slow(30, "too late"), "within"),
}


@pytest.mark.parametrize("kind", FATAL)
def test_what_does_not_pass_ends_the_run_with_the_reason_and_the_next_one_works(
    kind: str, house: DaemonProcess, mind: ModelServer
) -> None:
    failure, told = FATAL[kind]
    with rlmd.connect(data=house.data) as client:
        talk = Talk(client, mind, [py("memory.set('kept', 1)")])
        mind.always(failure, model=talk.name)
        began = time.monotonic()
        run = talk.run()
        assert time.monotonic() - began < TIMEOUT + 3
        assert run.state is RunState.FAILED
        assert told in run.reason
        assert SECRET not in run.reason
        assert talk.agent.memory.get("kept") == 1
        mind.always("Here again.", model=talk.name)
        after = talk.run()
        assert (after.state, talk.said[-1]) == (RunState.DONE, "Here again.")
        paid(talk, run, after)


def test_a_refusal_is_a_reply(house: DaemonProcess, mind: ModelServer) -> None:
    with rlmd.connect(data=house.data) as client:
        talk = Talk(client, mind, [Refusal("I will not do that.")])
        run = talk.run()
        assert (run.state, run.step_count, talk.said) == (RunState.DONE, 1, ["I will not do that."])
        assert run.steps[0].note == "the model refused"


def test_counts_that_cannot_be_do_not_reach_the_ledger(house: DaemonProcess, mind: ModelServer) -> None:
    text = '{"model": "%s", "choices": [{"delta": {"content": "Hi."}, "finish_reason": "stop"}]}'
    with rlmd.connect(data=house.data) as client:
        talk = Talk(client, mind, [])
        usage = '{"choices": [], "usage": {"prompt_tokens": -1e400, "completion_tokens": 1%s}}' % ("0" * 40)
        mind.script([Raw.events(text % talk.name, usage)], model=talk.name)
        run = talk.run()
        assert (run.state, talk.said) == (RunState.DONE, ["Hi."]), run.reason
        assert run.usage.estimated
        assert 0 < run.usage.input_tokens < 10_000


@pytest.mark.parametrize(
    "code", ["memory.get()", "while True: x", "print('again')\n1 / 0", "await llm('')", "rm -rf /"]
)
def test_a_model_that_repeats_what_fails_is_stopped(
    code: str, house: DaemonProcess, mind: ModelServer
) -> None:
    with rlmd.connect(data=house.data) as client:
        talk = Talk(client, mind, [])
        mind.always(py(code), model=talk.name)
        run = talk.run()
        assert run.state is RunState.FAILED
        assert "the same step failed 3 times" in run.reason
        assert run.step_count == 3


def test_others_do_not_notice(house: DaemonProcess, mind: ModelServer) -> None:
    faults: list[Item] = [Slow(30, "never"), Status(503), Huge(10_000_000), CutStream(0), Null(), Malformed()]
    with rlmd.connect(data=house.data) as client:
        for fault in faults:
            talk = Talk(client, mind, [])
            mind.always(fault, model=talk.name)
            talk.agent.send("Go on.")
        good = [Talk(client, mind, ["Fine."]) for _ in range(6)]
        with ThreadPoolExecutor(len(good)) as threads:
            answers = list(threads.map(lambda talk: talk.run(), good))
        assert [answer.state for answer in answers] == [RunState.DONE] * len(good)


def test_an_answer_is_paid_once_though_the_daemon_dies_while_it_is_written(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script([py("x = 1\nprint(x)"), Slow(60, "too late"), "At last."])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        run = client.agent().send("Go on.")
        model_server.wait_for(2)
        daemon.kill()
        daemon.start()
        run.wait()
        ended = run.get()
        assert (ended.state, client.agent().log.recent(1)[0].text) == (RunState.DONE, "At last.")
        handed = [request.usage for request in model_server.requests if request.usage is not None]
        assert len(handed) == 2
        # What was cut off may be billed, and nobody told for how much: it is booked at its estimate.
        assert (ended.usage.model_calls, ended.usage.estimated) == (3, True)
        assert ended.usage.input_tokens > sum(usage.input_tokens for usage in handed)


# -- several models -------------------------------------------------------------------------------


@pytest.fixture(params=["environment", "file"])
def pair(
    request: pytest.FixtureRequest, tmp_path: Path, model_server: ModelServer
) -> Iterator[DaemonProcess]:
    """A daemon that has two models, said in either way."""
    env, config = model_env(model_server), dict[str, list[str]]()
    if request.param == "environment":
        env["RLMD_MODEL"] = "first, second"
    else:
        del env["RLMD_MODEL"]
        config = {"model": ["first", "second"]}
    with DaemonProcess(tmp_path / "pair", env=env, config=config) as daemon:
        yield daemon


def test_the_next_model_answers_the_same_step(pair: DaemonProcess, model_server: ModelServer) -> None:
    model_server.script([py("x = 20"), Status(404, "first is gone")], model="first")
    model_server.script([py("y = x + 1\nprint(y)"), py("reply(y * 2)")], model="second")
    with rlmd.connect(data=pair.data) as client:
        run = client.agent().send("Go on.")
        run.wait()
        ended = run.get()
        assert (ended.state, ended.step_count) == (RunState.DONE, 3), ended.reason
        assert client.agent().log.recent(1)[0].text == "42"
        assert [step.model for step in ended.steps] == ["first", "second", "second"]
        assert [request.model for request in model_server.requests] == ["first", "first", "second", "second"]
        assert ended.usage.model_calls == 3
        booked = {row.group: row for row in client.admin.usage(by="model")}
        for name, calls in (("first", 1), ("second", 2)):
            handed = [each.usage for each in model_server.requests if each.usage and each.model == name]
            assert booked[name].model_calls == calls
            assert booked[name].input_tokens == sum(usage.input_tokens for usage in handed)
    cli = runner(pair)
    shown = cli("run", "show", ended.id).out
    assert "step 2 (second, " in shown
    assert "  ! first: try 1: the provider answered 404: first is gone\n  ! second answered\n" in shown
    assert "  ! first: not asked first, for it has just failed" in shown
    step: dict[str, Any] = json.loads(cli("run", "show", ended.id, "--json").out)["steps"][1]
    assert step["model"] == "second"
    assert step["note"].endswith("second answered")


def test_all_models_fail(house: DaemonProcess, mind: ModelServer) -> None:
    mind.always(Status(404, "first is gone"), model="one-of-two")
    mind.always(Status(403, "second is closed"), model="two-of-two")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent("two", model="one-of-two, two-of-two")
        with pytest.raises(rlmd.ModelError, match=r"first is gone.*second is closed"):
            agent.chat("Hello")
        mind.always("Both are well.", model="one-of-two")
        assert agent.chat("And now?").text == "Both are well."


def test_sub_calls_and_agents_have_several_models_too(house: DaemonProcess, mind: ModelServer) -> None:
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent("several", model="several-a, several-b", sub_model="several-c, several-d")
        mind.always(Status(403, "closed"), model="several-a").always(Status(404, "gone"), model="several-c")
        mind.script(
            [py("reply(await llm('x') + await llm('y', model='several-c,several-e'))")], model="several-b"
        )
        mind.script(["dee, "], model="several-d").script(["ee"], model="several-e")
        assert agent.chat("Go on.").text == "dee, ee"
        booked = {row.group for row in client.admin.usage(by="model") if row.group.startswith("several")}
        assert booked == {"several-b", "several-d", "several-e"}
