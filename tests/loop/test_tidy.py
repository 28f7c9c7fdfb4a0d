"""Consolidation: an idle agent goes over what is new, as one changeset."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import rlmd
from rlmd.clients.records import RunState
from rlmd.memory.news import ENOUGH, TIDY
from rlmd.memory.records import Origin, RunLimits
from rlmd.memory.records import RunState as State
from tests.conftest import StartDaemon
from tests.daemon_process import DaemonProcess
from tests.memory.host import Home, opened, writing
from tests.model_server import ModelServer

from .runner import py

QUIET = timedelta(hours=1)


def say(home: Home, count: int, *, channel: str = "chat") -> None:
    for number in range(count):
        home.write(
            lambda tx, number=number: tx.log("main").add(  # type: ignore[misc]
                channel=channel, sender="alice", text=f"{number}", origin=Origin.OWNER, from_agent=False
            )
        )


def tidied(home: Home) -> int:
    """A run that tidies has been begun, and is over."""
    run = home.write(
        lambda tx: tx.runs.create(
            tx.agents.get("main"), kind=TIDY, text="x", limits=RunLimits(), channel=TIDY, sender="rlmd"
        )
    )
    home.write(lambda tx: tx.runs.end(run, State.DONE))
    return run.id


def idle(home: Home) -> list[str]:
    return [agent for _, agent in home.house.idle(QUIET)]


def test_only_an_idle_agent_with_news_is_woken_and_once_a_day(tmp_path: Path) -> None:
    with opened(tmp_path / "rlmd.db") as home:
        home.clock.move(timedelta(days=2))
        assert idle(home) == [], "nothing was ever said"
        say(home, ENOUGH - 1)
        say(home, 5, channel=TIDY)
        home.clock.move(2 * QUIET)
        assert idle(home) == [], "too little was said"
        say(home, 1)
        assert idle(home) == [], "something was said just now"
        home.clock.move(2 * QUIET)
        assert idle(home) == ["main"]
        run = home.write(
            lambda tx: tx.runs.create(tx.agents.get("main"), kind="message", text="x", limits=RunLimits())
        )
        assert idle(home) == [], "a run is at work"
        home.write(lambda tx: tx.runs.end(run, State.DONE))
        assert idle(home) == ["main"]
        tidied(home)
        home.clock.move(2 * QUIET)
        say(home, ENOUGH)
        home.clock.move(2 * QUIET)
        assert idle(home) == [], "it has tidied today"
        home.clock.move(timedelta(days=1))
        assert idle(home) == ["main"]
        tidied(home)
        for _ in range(48):
            home.clock.move(QUIET)
            assert idle(home) == [], "two days without news cost nothing"


def test_news_is_what_others_wrote_since_the_last_time(tmp_path: Path) -> None:
    with opened(tmp_path / "rlmd.db") as home:
        for name in ("old", "again"):
            home.edit(lambda space, name=name: space.set(name, "1", writing()))  # type: ignore[misc]
        first = home.store.read(lambda tx: tx.news("main", most=10))
        assert (first.since, set(first.names), first.changed) == (None, {"old", "again"}, 2)
        home.clock.move(QUIET)
        tidied(home)
        home.clock.move(QUIET)
        home.edit(lambda space: space.set("again", "2", writing()))
        home.edit(lambda space: space.set("new", "1", writing()))
        say(home, 3)
        say(home, 2, channel="phone")
        news = home.store.read(lambda tx: tx.news("main", most=1))
        assert dict(news.messages) == {"chat": 3, "phone": 2}
        assert (len(news.names), news.changed) == (1, 2)


def test_what_the_model_is_told_and_what_it_changes(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script(
        [
            py("memory.set('people/bob', 'lives in Berlin')\nreply('Noted.')"),
            py(
                """
                try:
                    await ask("Shall I?")
                except RuntimeError as error:
                    print("refused:", error)
                """
            ),
            py(
                """
                memory.set('people/bob', 'since 2026: Paris', note='said today')
                memory.set('days/today', 'Bob')
                reply('people/bob: dated.')
                """
            ),
        ]
    )
    daemon: DaemonProcess = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        agent.chat("Bob lives in Berlin.")
        run = agent.tidy()
        assert run.wait().state is RunState.DONE
        told = model_server.requests[1].prompt
        assert '<event kind="tidy" channel="tidy" sender="rlmd">' in told
        assert "New since ever: messages: 2 on chat. Variables written: people/bob." in told
        shown = run.get()
        assert "nobody is asked, called or told anything" in shown.steps[0].observation
        assert not client.questions.list()
        assert [(change.name, change.created) for change in run.changes()] == [
            ("people/bob", False),
            ("days/today", True),
        ]
        assert run.replay().equal
        assert run.undo() == rlmd.clients.records.Undone(undone=2, kept=0)
        assert agent.memory.get("people/bob") == "lives in Berlin"
        assert agent.memory.names() == ["people/bob"]
