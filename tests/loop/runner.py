"""Carries out a case of `cases.py` over the real path: client -> daemon -> scripted model, and back.

A case is data: what the model answers, what the person says, and what must then be true. Each runs with
an agent of its own on a daemon that all share; the agent's models are named after it, so that cases
never take each other's answers.
"""

from __future__ import annotations

import itertools
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import rlmd
from rlmd.clients.records import Limits, RunInfo, RunState
from rlmd.clients.updates import Said, Update
from tests.daemon_process import DaemonProcess
from tests.model_server import Exchange, ModelServer, Scripted

_numbers = itertools.count(1)


def py(code: str) -> str:
    """A reply of the model with one block of Python."""
    return f"```python\n{textwrap.dedent(code).strip()}\n```"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a case."""

    agent: rlmd.Agent
    run: RunInfo
    updates: Sequence[Update]
    requests: Sequence[Exchange]
    """Those of the agent's own model; of its sub-model in `sub_requests`."""
    sub_requests: Sequence[Exchange]
    seconds: float
    """From the message to the end of the run."""

    @property
    def said(self) -> list[str]:
        return [update.text for update in self.updates if isinstance(update, Said)]

    def shown(self, step: int) -> str:
        """The observation of a step."""
        return self.run.steps[step - 1].observation

    def children(self) -> list[RunInfo]:
        """The runs below this one, oldest first, with their steps."""
        found = self.agent.runs(children=True)
        return [self.agent.run(run.id).get() for run in reversed(found) if run.parent]


Check = Callable[[Outcome], None]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A rule, an example of it, and what must come of it."""

    rule: int
    name: str
    script: Sequence[Scripted]
    """What the agent's model answers, step by step. Children share it, unless there is `sub`."""
    expect: Sequence[Check]
    says: str = "Go on."
    """What the person says."""
    sub: Sequence[Scripted] = ()
    """What the sub-model answers to `llm` and in children."""
    always: Scripted | None = None
    """What either model answers when its script is over."""
    limits: Limits | None = None
    instructions: str = ""
    memory: Mapping[str, Any] = field(default_factory=dict)
    """Variables that are there before."""
    channel: str = "chat"

    @property
    def label(self) -> str:
        return f"{self.rule:02}-{self.name.replace(' ', '-')}"


def carry_out(case: Case, daemon: DaemonProcess, server: ModelServer) -> Outcome:
    """Run a case; does not look at its expectations."""
    name = f"case-{next(_numbers)}"
    sub = f"{name}-sub" if case.sub else ""
    script(server, name, case)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.create_agent(
            name, instructions=case.instructions, model=name, sub_model=sub, limits=case.limits
        )
        for variable, value in case.memory.items():
            agent.memory.set(variable, value)
        began = time.monotonic()
        updates = list(agent.stream(case.says, case.channel))
        seconds = time.monotonic() - began
        run = agent.run(updates[-1].run).get()
        outcome = Outcome(
            agent=agent,
            run=run,
            updates=updates,
            requests=[request for request in server.requests if request.model == name],
            sub_requests=[request for request in server.requests if sub and request.model == sub],
            seconds=seconds,
        )
        try:
            holds_together(outcome)
            for check in case.expect:
                check(outcome)
        except AssertionError as error:
            error.add_note(transcript(outcome))
            raise
    return outcome


def transcript(outcome: Outcome) -> str:
    """What happened, for who must find out why a case failed."""
    lines = []
    for run in [outcome.run, *outcome.children()]:
        lines += [f"-- run {run.id}: {run.state} {run.reason}"]
        for step in run.steps:
            lines += [f"{step.number}> {step.reply[:1_000]}", step.observation[:1_000]]
    return "\n".join(lines)


def script(server: ModelServer, name: str, case: Case) -> None:
    """Give the server the scripts of a case, for an agent of this name."""
    server.script(case.script, model=name)
    if case.sub:
        server.script(case.sub, model=f"{name}-sub")
    if case.always is not None:
        server.always(case.always, model=f"{name}-sub" if case.sub else name)


def holds_together(outcome: Outcome) -> None:
    """What is true of every run, whatever it was about."""
    kept = [update.sequence for update in outcome.updates if update.sequence]
    assert kept == list(range(1, len(kept) + 1)), "a row of the journal is missing, or came twice"
    for run in [outcome.run, *outcome.children()]:
        assert run.state.ended, f"run {run.id} has not ended"
        assert [step.number for step in run.steps] == list(range(1, run.step_count + 1))
        numbers = [call.number for step in run.steps for call in step.calls]
        assert numbers == list(range(1, run.call_count + 1)), "a call has no row, or not in its place"
        assert all(call.settled for step in run.steps for call in step.calls), "a call was never settled"
    if outcome.run.usage.estimated:
        return
    usage, handed = outcome.run.usage, [*outcome.requests, *outcome.sub_requests]
    counted = [request.usage for request in handed if request.usage is not None]
    assert usage.input_tokens == sum(each.input_tokens for each in counted), "tokens were lost or made up"
    assert usage.output_tokens == sum(each.output_tokens for each in counted), "tokens were lost or made up"


# -- expectations: each gives a check -------------------------------------------------------------


def done(result: Any = None) -> Check:
    """The run ended well, with this result."""

    def check(outcome: Outcome) -> None:
        assert outcome.run.state is RunState.DONE, f"{outcome.run.state}: {outcome.run.reason}"
        assert outcome.run.result == result

    return check


def ended_well(outcome: Outcome) -> None:
    """The run ended well, with whatever result."""
    assert outcome.run.state is RunState.DONE, outcome.run.reason


def failed(*words: str) -> Check:
    """The run failed, for a reason with these words."""

    def check(outcome: Outcome) -> None:
        assert outcome.run.state is RunState.FAILED
        missing = [word for word in words if word not in outcome.run.reason]
        assert not missing, f"{missing} not in {outcome.run.reason!r}"

    return check


def says(*texts: str) -> Check:
    """All that the person heard."""

    def check(outcome: Outcome) -> None:
        assert outcome.said == list(texts)
        heard = [message.text for message in outcome.agent.log.recent(100) if message.from_agent]
        assert sorted(heard) == sorted(texts), "the log and the stream tell different things"

    return check


def steps(count: int) -> Check:
    """How many steps there were."""

    def check(outcome: Outcome) -> None:
        assert outcome.run.step_count == count

    return check


def requests(count: int, *, sub: int = 0) -> Check:
    """How many requests of the agent's model were sent, and of its sub-model."""

    def check(outcome: Outcome) -> None:
        assert (len(outcome.requests), len(outcome.sub_requests)) == (count, sub)

    return check


def shows(step: int, *texts: str) -> Check:
    """A step's observation has these texts, in this order."""

    def check(outcome: Outcome) -> None:
        at, shown = 0, outcome.shown(step)
        for text in texts:
            found = shown.find(text, at)
            assert found >= 0, f"{text!r} is not (in its place) in:\n{shown}"
            at = found + len(text)

    return check


def hides(step: int, *texts: str) -> Check:
    """A step's observation has none of these texts."""

    def check(outcome: Outcome) -> None:
        assert not [text for text in texts if text in outcome.shown(step)], outcome.shown(step)

    return check


def remembers(**variables: Any) -> Check:
    """Variables of the agent have these values; None: there is none."""

    def check(outcome: Outcome) -> None:
        assert {name: outcome.agent.memory.get(name) for name in variables} == variables

    return check


def every_prompt(*texts: str) -> Check:
    """Each call of the agent's own model was shown these texts."""

    def check(outcome: Outcome) -> None:
        for number, request in enumerate(outcome.requests, 1):
            missing = [text for text in texts if text not in request.prompt]
            assert not missing, f"call {number} was not shown {missing}"

    return check


def no_prompt(*texts: str) -> Check:
    """No call of the agent's own model was shown any of these texts."""

    def check(outcome: Outcome) -> None:
        for number, request in enumerate(outcome.requests, 1):
            assert not [text for text in texts if text in request.prompt], f"call {number} was shown it"

    return check


def within(seconds: float) -> Check:
    """The run took no longer."""

    def check(outcome: Outcome) -> None:
        assert outcome.seconds < seconds, f"it took {outcome.seconds:.1f} s"

    return check
