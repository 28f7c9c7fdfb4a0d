"""The log, runs, their journal and what they cost."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rlmd.errors import InvalidInput
from rlmd.memory.content import INLINE
from rlmd.memory.records import Entry, EntryKind, Message, Origin, Run, RunLimits, RunState

from .host import START, Home
from .paying import call_of, pay

LIMITS = RunLimits(steps=3, depth=1, seconds=60, model_calls=5)


def say(home: Home, text: str, *, channel: str = "chat", agent: str = "main") -> Message:
    return home.write(
        lambda tx: tx.log(agent).add(
            channel=channel, sender="alice", text=text, origin=Origin.OWNER, from_agent=False
        )
    )


def begin(home: Home, *, parent: Run | None = None, message: int | None = None) -> Run:
    return home.write(
        lambda tx: tx.runs.create(
            tx.agents.get("main"), kind="message", text="hi", limits=LIMITS, parent=parent, message=message
        )
    )


def charge(home: Home, run: Run, tokens: int, *, model: str = "small") -> None:
    home.write(lambda tx: pay(tx, run, call_of(run, tokens, model=model)))


def test_the_log_keeps_every_message_in_order(home: Home) -> None:
    said = []
    for number in range(5):
        said.append(say(home, f"message {number}", channel="chat" if number % 2 else "phone"))
        home.clock.move(timedelta(minutes=1))
    minute = timedelta(minutes=1)

    def recent(most: int = 100, **options: object) -> list[Message]:
        return home.store.read(lambda tx: tx.log("main").recent(most, **options))  # type: ignore[arg-type]

    assert recent() == said[::-1]
    assert recent(2) == said[:2:-1]
    assert recent(2, before=said[3].id) == [said[2], said[1]]
    assert recent(channel="phone") == [said[4], said[2], said[0]]
    assert recent(since=START + minute, until=START + 3 * minute) == [said[2], said[1]]
    several = home.store.read(lambda tx: tx.log("main").several([said[1].id, 999]))
    assert several == {said[1].id: said[1]}


@pytest.mark.parametrize(
    ("text", "channel"),
    [("", "chat"), (" \n", "chat"), ("hi", "No Channel"), ("x" * 1_000_001, "chat"), ("\ud800", "chat")],
    ids=["empty", "blank", "bad channel", "too long", "half a pair"],
)
def test_a_bad_message_is_refused(home: Home, text: str, channel: str) -> None:
    with pytest.raises(InvalidInput):
        say(home, text, channel=channel)
    assert home.store.read(lambda tx: tx.counts()) == (1, 0, 0)


def test_a_run_goes_from_queued_to_its_end(home: Home) -> None:
    message = say(home, "hi")
    run = begin(home, message=message.id)
    assert (run.state, run.attempts, run.root, run.limits) == (RunState.QUEUED, 0, run.id, LIMITS)
    assert run.event.message == message.id
    assert home.store.read(lambda tx: tx.log("main").recent())[0].run == run.id

    home.clock.move(timedelta(seconds=2))
    started = home.write(lambda tx: tx.runs.start(run))
    assert (started.state, started.attempts) == (RunState.RUNNING, 1)
    assert started.start_time == START + timedelta(seconds=2)
    child = begin(home, parent=run)
    assert (child.parent, child.root, child.depth) == (run.id, run.id, 1)
    assert [each for _, each in home.house.unfinished()] == [run.id], "a child goes on with its root"
    assert home.house.unfinished()[0][0] == home.user

    home.write(lambda tx: tx.runs.end(child, RunState.DONE, result={"answer": [1, "ä"]}))
    home.write(lambda tx: tx.runs.end(run, RunState.FAILED, reason="no model"))
    ended = home.store.read(lambda tx: tx.runs.get(run.id, agent="main"))
    assert (ended.state, ended.reason, ended.result) == (RunState.FAILED, "no model", None)
    assert home.store.read(lambda tx: tx.runs.get(child.id)).result == {"answer": [1, "ä"]}
    assert home.house.unfinished() == []

    def ids(**options: object) -> list[int]:
        page = home.store.read(lambda tx: tx.runs.page(**options))  # type: ignore[arg-type]
        return [each.id for each in page]

    assert ids() == [run.id]
    assert ids(children=True) == [child.id, run.id]
    assert ids(children=True, before=child.id) == [run.id]
    assert ids(children=True, states=[RunState.DONE]) == [child.id]
    assert ids(agent="another") == []


def test_the_journal_is_read_as_it_was_written(home: Home) -> None:
    run, other = begin(home), begin(home)
    data = [{"code": "x = 1"}, {"name": "memory.get", "result": "ü" * INLINE}, {"text": "", "n": None}]

    added: list[Entry] = []
    for number, each in enumerate(data, 1):
        entry = home.write(
            lambda tx, each=each, number=number: tx.journal(run.id).add(  # type: ignore[misc]
                EntryKind.CALL, each, step=1, call=number, name="n"
            )
        )
        added.append(entry)
    home.write(lambda tx: tx.journal(other.id).add(EntryKind.STEP, {}, step=1))
    read = home.store.read(lambda tx: tx.journal(run.id).entries())
    assert read == added
    assert [entry.seq for entry in read] == [1, 2, 3]
    assert home.store.read(lambda tx: tx.journal(run.id).entries(after=1, most=1)) == added[1:2]
    counted = home.store.read(lambda tx: tx.runs.get(run.id))
    assert (counted.steps, counted.calls) == (1, 3)


def test_what_runs_cost_is_summed(home: Home) -> None:
    run = begin(home)
    child = begin(home, parent=run)
    charge(home, run, 10)
    charge(home, child, 100, model="large")
    home.clock.move(timedelta(days=1))
    charge(home, run, 1000)
    assert home.store.read(lambda tx: tx.runs.get(run.id)).usage.input_tokens == 1110
    assert home.store.read(lambda tx: tx.runs.get(child.id)).usage.input_tokens == 100

    def usage(group: str) -> dict[str, tuple[int, int]]:
        found = home.store.read(lambda tx: tx.runs.usage(group))
        return {label: (each.input_tokens, each.model_calls) for label, each in found}

    assert usage("") == {"": (1110, 3)}
    assert usage("agent") == {"agents/main": (1110, 3)}
    assert usage("model") == {"small": (1010, 2), "large": (100, 1)}
    assert usage("day") == {"2026-03-01": (110, 2), "2026-03-02": (1000, 1)}
    assert usage("run") == {f"agents/main/runs/{run.id}": (1010, 2), f"agents/main/runs/{child.id}": (100, 1)}
    since = home.store.read(lambda tx: tx.runs.usage(since=START + timedelta(hours=1)))
    assert since[0][1].input_tokens == 1000
    nobody = home.another_user("bob")
    assert nobody.read(lambda tx: tx.runs.usage()) == []
