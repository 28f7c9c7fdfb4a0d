"""`rlmd schedule` and `client.schedules`, on a real daemon."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

import rlmd
from rlmd.clients.records import Fate, ScheduleState
from tests.clients.conftest import Cli
from tests.daemon_process import DaemonProcess


def test_all_that_was_due_is_listed_with_its_fate_also_of_those_that_are_over(cli: Cli) -> None:
    made = json.loads(cli("schedule", "add", "1s", "x", "--name", "soon", "--channel", "desk", "--json").out)
    assert (made["kind"], made["state"], made["grace"], made["channel"]) == ("at", "active", 600.0, "desk")
    run = json.loads(cli("schedule", "run", "soon", "--json").out)
    cli("run", "watch", f"main/{run['run']}")
    assert cli("schedule", "delete", "soon").out == "Schedule soon is deleted.\n"
    assert "soon" not in cli("schedule", "list").out
    listed = json.loads(cli("schedule", "list", "--all", "--json").out)
    (found,) = [each for each in listed if each["name"] == "soon"]
    assert found["state"] == "deleted"
    assert [each["fate"] for each in found["occurrences"]][-1] == "ran"
    again = json.loads(cli("schedule", "add", "every 1d", "y", "--name", "soon", "--json").out)
    assert again["id"] != made["id"]
    assert json.loads(cli("schedule", "show", "soon", "--json").out)["id"] == again["id"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["add", "0 0 30 2 *", "x"], 2, "would never be due"),
        (["add", "2000-01-01", "x"], 2, "is past"),
        (["add", "every 1d", "x", "--start", "2126-01-02", "--end", "2126-01-01"], 2, "before it starts"),
        (["add", "every 1d", "x", "--timezone", "Mars/Olympus"], 2, "no time zone"),
        (["add", "tomorrow at teatime", "x"], 2, "only 'tomorrow'"),
        (["add", "1d", "x", "--jitter", "soon"], 2, "no length of time"),
        (["add", "1d", "x", "--missed", "never"], 2, "is not skip, once"),
        (["add", "1d", "x", "--agent", "nobody"], 3, "there is no agent 'nobody'"),
        (["show", "nothing"], 3, "there is no schedule 'nothing'"),
        (["edit", "999", "--text", "x"], 3, "there is no schedule 999"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    cli: Cli, arguments: list[str], code: int, says: str
) -> None:
    done = cli("schedule", *arguments)
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert len(done.err.splitlines()) == 1


def test_a_schedule_is_changed_paused_and_taken_up_again(shared: DaemonProcess) -> None:
    with rlmd.connect(data=shared.data) as client:
        start = datetime.now(UTC) + timedelta(days=3)
        made = client.schedules.add("every 1d", "x", name="changing", start=start, jitter=60, missed=5)
        assert (made.due_time, made.missed, made.most) == (start, "all", 5)
        assert made.next_time is not None
        assert start <= made.next_time <= start + timedelta(seconds=60)
        with pytest.raises(rlmd.AlreadyExists):
            client.schedules.add("1d", "x", name="changing")
        edited = client.schedules.edit("changing", text="y", missed="skip", jitter=0)
        assert (edited.text, edited.missed, edited.next_time) == ("y", "skip", start)
        edited = client.schedules.edit("changing", when="0 9 * * *", timezone="Asia/Tokyo")
        assert (edited.kind, edited.spec) == ("cron", "0 9 * * *")
        assert edited.due_time is not None
        assert edited.due_time.hour == 0
        paused = client.schedules.pause("changing")
        assert (paused.state, paused.next_time) == (ScheduleState.PAUSED, None)
        assert client.schedules.resume(paused.id).due_time == edited.due_time
        client.schedules.delete("changing")
        for refused in (client.schedules.pause, client.schedules.resume, client.schedules.run):
            with pytest.raises(rlmd.PreconditionFailed):
                refused(made.id)


def test_variables_that_change_wake_the_agent(shared: DaemonProcess) -> None:
    with rlmd.connect(data=shared.data) as client:
        agent = client.create_agent("watcher")
        made = client.schedules.add("when in/ changes", "Something came.", agent="watcher")
        agent.memory.set("in/a", 1)
        agent.memory.set("out/b", 1)
        for _ in range(500):
            if agent.log.recent(1):
                break
        assert agent.log.recent(1)[0].text == "Reminder: Something came.\n\n# Changed: in/a"
        (found,) = client.schedules.occurrences(made.id)
        assert found.fate in (Fate.RAN, Fate.PENDING)
