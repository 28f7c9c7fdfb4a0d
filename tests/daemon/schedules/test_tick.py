"""What is due becomes runs, once; what was missed is dealt with as the schedule says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from rlmd.daemon.schedules import tick
from rlmd.memory.records import Fate, Occurrence, Run
from rlmd.memory.store import Store, Transaction
from rlmd.memory.tables import schedules
from rlmd.proto.rlmd.v1 import agents_pb2, memory_pb2, runs_pb2, schedules_pb2
from tests.daemon.rpc.host import Daemon, daemon


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with daemon(tmp_path) as served:
        yield served


async def make(served: Daemon, when: str, **fields: Any) -> str:
    schedule = schedules_pb2.Schedule(when=when, text="water the plants", **fields)
    made = await served.alice.call("CreateSchedule", parent="agents/main", schedule=schedule)
    name: str = made.name
    return name


async def ticked(served: Daemon) -> int:
    loop = asyncio.get_running_loop()

    def hand_over(store: Store, run: Run) -> None:
        loop.call_soon_threadsafe(served.engine._enqueue, store, run)

    ticker = served.engine.ticker
    ticker._loop = loop
    count = await asyncio.to_thread(ticker.tick, hand_over)
    await asyncio.to_thread(ticker.see_changes, hand_over)
    await asyncio.sleep(0)  # What is to be looked at has begun.
    await asyncio.gather(*ticker._looking)
    return count


async def after(served: Daemon, **length: float) -> list[Occurrence]:
    """All occurrences, oldest first, once the clock is moved and all runs have ended."""
    served.clock.move(timedelta(**length))
    await ticked(served)
    store = served.store("alice")
    for run in store.read(lambda tx: tx.runs.page(most=1_000)):
        async for _ in served.alice.stream("WatchRun", 20, name=f"agents/main/runs/{run.id}"):
            pass
    return store.read(lambda tx: tx.schedules.occurrences(most=1_000))[::-1]


def fates(occurrences: list[Occurrence]) -> list[Fate]:
    return [each.fate for each in occurrences]


async def test_what_is_due_runs_once_and_its_fate_is_known_with_the_end_of_its_run(served: Daemon) -> None:
    name = await make(served, "20m")
    assert await after(served, minutes=19) == []
    (found,) = await after(served, minutes=1)
    assert (found.fate, found.reason) == (Fate.RAN, "")
    run = served.store("alice").read(lambda tx: tx.runs.get(found.run or 0))
    assert (run.event.kind, run.event.text, run.event.sender) == (
        "schedule",
        "water the plants",
        "schedule 1",
    )
    assert found.end_time is not None
    said = served.store("alice").read(lambda tx: tx.log("main").recent(9))
    assert [message.text for message in said] == ["Reminder: water the plants"]
    assert await after(served, days=400) == [found]
    kept = await served.alice.call("GetSchedule", name=name)
    assert kept.state == schedules_pb2.SCHEDULE_STATE_ENDED


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"missed": schedules_pb2.MISSED_POLICY_SKIP}, [Fate.MISSED] * 4),
        ({"missed": schedules_pb2.MISSED_POLICY_ONCE}, [Fate.SKIPPED] * 3 + [Fate.CAUGHT_UP]),
        ({"missed": schedules_pb2.MISSED_POLICY_ALL, "most": 3}, [Fate.SKIPPED] + [Fate.CAUGHT_UP] * 3),
        ({"missed": schedules_pb2.MISSED_POLICY_ALL, "most": 9}, [Fate.CAUGHT_UP] * 4),
    ],
)
async def test_what_was_missed_is_dealt_with_as_the_schedule_says(
    served: Daemon, policy: dict[str, Any], expected: list[Fate]
) -> None:
    await make(served, "every 1h", **policy)
    found = await after(served, hours=4, minutes=30)
    assert fates(found) == expected
    assert [each.run is not None for each in found] == [each is Fate.CAUGHT_UP for each in expected]
    assert all(each.reason for each in found)
    # From there on it is in time again.
    assert fates((await after(served, minutes=30))[4:]) == [Fate.RAN]


async def test_what_is_seen_within_the_grace_is_late_and_stands_for_what_was_missed(served: Daemon) -> None:
    await make(served, "every 1h")
    found = await after(served, hours=3, minutes=5)
    assert fates(found) == [Fate.SKIPPED, Fate.SKIPPED, Fate.LATE]
    assert found[-1].reason == "5 minutes late"
    assert "stands for it" in found[0].reason


async def test_very_many_missed_instants_are_told_in_one_row_and_the_last_ones_each(served: Daemon) -> None:
    await make(served, "every 1s")
    found = await after(served, days=300)
    assert len(found) <= 1_001
    assert "too many" in found[0].reason
    assert fates(found)[-2:] == [Fate.SKIPPED, Fate.RAN]


async def test_one_that_is_still_at_work_is_not_begun_again(served: Daemon) -> None:
    await make(served, "every 1m")
    store, equipment = served.store("alice"), served.engine._equipment
    for _ in range(2):
        served.clock.move(timedelta(minutes=1))
        # Nobody carries out what is made here: it stays in the mailbox.
        await store.write(lambda tx: tick.fire(tx, equipment, 1))
    second, first = store.read(lambda tx: tx.schedules.occurrences())
    assert (first.fate, first.run) == (Fate.PENDING, 1)
    assert (second.fate, second.run) == (Fate.SKIPPED, None)
    assert second.reason == "run 1, made for the one before, was still at work"


async def test_one_bad_schedule_is_set_aside_and_holds_up_no_other(served: Daemon) -> None:
    await make(served, "every 1m", label="bad")
    await make(served, "every 1m", label="good")
    # Nobody can tell any more when it is due next.
    await served.store("alice").write(lambda tx: _spoil(tx, "bad"))
    found = await after(served, minutes=1)
    assert [(each.schedule, each.fate) for each in found] == [(2, Fate.RAN)]
    bad = await served.alice.call("GetSchedule", name="agents/main/schedules/bad")
    assert bad.state == schedules_pb2.SCHEDULE_STATE_BROKEN
    assert "'bogus' is no interval" in bad.reason
    said = served.store("alice").read(lambda tx: tx.log("main").recent(9))
    assert any("Schedule bad was set aside" in message.text for message in said)
    fixed = schedules_pb2.Schedule(name=bad.name, when="every 2m")
    mask = {"paths": ["when"]}
    mended = await served.alice.call("UpdateSchedule", schedule=fixed, update_mask=mask)
    assert mended.state == schedules_pb2.SCHEDULE_STATE_ACTIVE


def _spoil(tx: Transaction, name: str) -> None:
    statement = update(schedules).where(schedules.c.name == name).values(spec="bogus")
    tx._connection.execute(statement)


async def test_a_clock_that_is_set_back_and_forth_makes_nothing_run_twice(served: Daemon) -> None:
    await make(served, "every 1h")
    await after(served, hours=2)
    before = await after(served, days=1)
    assert len({each.due_time for each in before}) == len(before) == 26
    assert await after(served, days=-1) == before
    assert await after(served, days=1) == before


async def test_what_is_paused_is_not_due_and_not_made_up_for(served: Daemon) -> None:
    name = await make(served, "every 1h")
    await served.alice.call("PauseSchedule", name=name)
    assert await after(served, hours=5) == []
    resumed = await served.alice.call("ResumeSchedule", name=name)
    assert resumed.due_time.ToDatetime().hour == (served.clock.now() + timedelta(hours=1)).hour
    assert fates(await after(served, hours=1)) == [Fate.RAN]


async def test_one_that_is_cancelled_has_failed(served: Daemon) -> None:
    schedule = schedules_pb2.Schedule(when="1m", text="/py await ask('Well?')")
    await served.alice.call("CreateSchedule", parent="agents/main", schedule=schedule)
    store = served.store("alice")
    served.clock.move(timedelta(minutes=1))
    await ticked(served)
    async for told in served.alice.stream("WatchRun", 20, name="agents/main/runs/1"):
        if told.HasField("waiting"):
            break
    (found,) = store.read(lambda tx: tx.schedules.occurrences())
    assert (found.fate, found.end_time) == (Fate.PENDING, None)
    await served.alice.call("CancelRun", name="agents/main/runs/1", reason="no more")
    (found,) = store.read(lambda tx: tx.schedules.occurrences())
    assert (found.fate, found.reason) == (Fate.FAILED, "no more")


async def test_an_agent_that_is_deleted_takes_its_schedules_along(served: Daemon) -> None:
    await make(served, "every 1h")
    await served.alice.call("DeleteAgent", name="agents/main", force=True)
    served.clock.move(timedelta(hours=1))
    assert await ticked(served) == 0
    refused = await served.alice.refused(
        "CreateSchedule", parent="agents/main", schedule=schedules_pb2.Schedule(when="1h", text="x")
    )
    assert (refused.code, refused.field) == ("NOT_FOUND", "parent")


async def test_what_it_says_in_quiet_hours_is_told_once_when_they_end(served: Daemon) -> None:
    """Here it is noon; the fate is known only when the outcome is told."""
    quiet = agents_pb2.Agent(name="agents/main", quiet="11-13:30")
    kept = await served.alice.call("UpdateAgent", agent=quiet, update_mask={"paths": ["quiet"]})
    assert kept.quiet == "11:00-13:30 UTC"
    await make(served, "1h")
    (found,) = await after(served, hours=1)
    assert (found.fate, found.end_time) == (Fate.PENDING, None)
    assert await said(served) == []
    (run,) = (await served.alice.call("ListRuns", parent="agents/main", background=True)).runs
    assert (run.state, run.delivery) == (runs_pb2.RUN_STATE_DONE, runs_pb2.DELIVERY_HELD)
    assert run.deliver_time.ToDatetime().isoformat() == "2026-11-20T13:30:00"
    (found,) = await after(served, minutes=29)
    assert found.end_time is None
    for _ in range(2):
        (found,) = await after(served, minutes=1)
        assert found.fate is Fate.RAN
        assert await said(served) == ["Reminder: water the plants"]
    (run,) = (await served.alice.call("ListRuns", parent="agents/main", background=True)).runs
    assert run.delivery == runs_pb2.DELIVERY_DELIVERED
    # Whoever speaks with it is answered at any time.
    served.clock.move(timedelta(hours=22))
    await served.alice.call("Chat", agent="agents/main", text="hello")
    assert len(await said(served)) == 2


async def said(served: Daemon) -> list[str]:
    messages = served.store("alice").read(lambda tx: tx.log("main").recent(99))
    return [message.text for message in messages if message.from_agent]


async def write(served: Daemon, value: str) -> None:
    text = memory_pb2.Value(text=value)
    await served.alice.call("SetVariable", name="spaces/main/variables/door", value=text)


async def test_a_condition_wakes_the_agent_each_time_that_it_becomes_true(served: Daemon) -> None:
    await make(served, "every 1m", condition="memory.get('door') == 'open'")
    assert await after(served, minutes=1) == []
    await write(served, "open")
    assert len(await after(served, minutes=1)) == 1
    assert len(await after(served, minutes=5)) == 1
    await write(served, "closed")
    assert len(await after(served, minutes=1)) == 1
    await write(served, "open")
    found = await after(served, hours=3)
    assert [(each.fate, each.reason) for each in found] == [(Fate.RAN, "it became true")] * 2
    assert await said(served) == ["Reminder: water the plants"] * 2


@pytest.mark.parametrize(
    ("condition", "fault"),
    [
        ("memory.set('door', 'open')", "memory.set is not offered to a condition"),
        ("reply('hello')", "reply is not offered to a condition"),
        ("await llm('Is it?')", "llm is not offered to a condition"),
        ("1 / 0", "ZeroDivisionError"),
        ("nobody.knows()", "nobody"),
        ("while True: pass\nTrue", "step_seconds"),
    ],
)
async def test_a_condition_that_fails_is_set_aside_and_has_done_nothing(
    served: Daemon, condition: str, fault: str
) -> None:
    name = await make(served, "every 1m", condition=condition)
    assert await after(served, minutes=1) == []
    kept = await served.alice.call("GetSchedule", name=name)
    assert kept.state == schedules_pb2.SCHEDULE_STATE_BROKEN
    assert fault in kept.reason
    (told,) = await said(served)
    assert "was set aside" in told
    assert (await served.alice.call("ListRuns", parent="agents/-")).runs == []
    assert (await served.alice.call("ListVariables", parent="spaces/main")).variables == []


@pytest.mark.parametrize("condition", ["1 +", "x = 1", "#", "x" * 30_000])
async def test_what_is_no_condition_is_refused(served: Daemon, condition: str) -> None:
    schedule = schedules_pb2.Schedule(when="1m", text="x", condition=condition)
    refused = await served.alice.refused("CreateSchedule", parent="agents/main", schedule=schedule)
    assert (refused.code, refused.field) == ("INVALID_ARGUMENT", "condition")


async def test_changes_of_variables_wake_the_agent_but_not_those_of_its_own_runs(served: Daemon) -> None:
    text = "/py memory.set('door', 'seen')\nreply(event.text[-15:])"
    schedule = schedules_pb2.Schedule(when="when do changes", text=text)
    made = await served.alice.call("CreateSchedule", parent="agents/main", schedule=schedule)
    assert (made.kind, made.spec, made.when) == ("change", "do", "when do changes")
    await served.alice.call(
        "SetVariable", name="spaces/main/variables/dawn", value=memory_pb2.Value(text="x")
    )
    assert await after(served, minutes=1) == []
    await write(served, "open")
    served.clock.move(timedelta(seconds=1))
    (found,) = await after(served, minutes=1)
    assert (found.fate, found.reason) == (Fate.RAN, "door")
    assert await said(served) == ["# Changed: door"]
    assert len(await after(served, minutes=1)) == 1
    # After a clock that was set back, too.
    served.clock.move(-timedelta(days=1))
    await write(served, "closed")
    assert len(await after(served, seconds=1)) == 2
    await served.alice.call("PauseSchedule", name=made.name)
    await write(served, "open")
    assert len(await after(served, minutes=1)) == 2
    await served.alice.call("ResumeSchedule", name=made.name)
    assert len(await after(served, minutes=1)) == 2
