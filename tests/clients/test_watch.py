"""`rlmd watch`: the screen, driven by keys on a real daemon, and the lines of a pipe."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable

from textual.widgets import DataTable, RichLog

import rlmd
from rlmd.clients.cli.screen import Screen
from rlmd.clients.records import QuestionState, RunState
from tests.conftest import StartDaemon

from .conftest import COMMAND


async def until(met: Callable[[], object], *, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not met():  # noqa: ASYNC110 - what is waited for happens on another's screen
            await asyncio.sleep(0.05)


def column(screen: Screen, table: str, name: str) -> list[str]:
    return [str(cell) for cell in screen.query_one(f"#{table}", DataTable).get_column(name)]


async def test_a_question_is_answered_and_a_run_cancelled_on_the_screen(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        first = agent.chat("/py x = await ask('Which day?', ['Monday', 'Friday'])\nreply(x)").run
        second = agent.chat("/py await ask('And then?')", channel="other").run
        screen = Screen(daemon.data)
        async with screen.run_test(size=(120, 40)) as pilot:
            await until(lambda: column(screen, "questions", "asks") == ["And then?", "Which day?"])
            assert column(screen, "runs", "state") == ["waiting", "waiting"]
            await pilot.press("down")
            steps = screen.query_one("#steps", RichLog)
            await until(lambda: "await ask('Which day?'" in "\n".join(line.text for line in steps.lines))
            await pilot.press("a")
            await pilot.press(*"someday", "enter")
            await until(lambda: any("Monday" in note.message for note in screen._notifications))
            assert client.questions.list()[-1].state is QuestionState.OPEN
            await pilot.press("a")
            await pilot.press(*"friday", "enter")
            await until(lambda: column(screen, "questions", "asks") == ["And then?"])
            await until(lambda: agent.run(first).get().state is RunState.DONE)
            await until(lambda: "Friday" in "\n".join(line.text for line in steps.lines))
            await until(lambda: column(screen, "runs", "state") == ["waiting", "done"])
            await pilot.press("up")
            await until(lambda: "And then?" in "\n".join(line.text for line in steps.lines))
            await pilot.press("c")
            assert agent.run(second).get().state is RunState.WAITING
            await pilot.press("c")
            await until(lambda: agent.run(second).get().state is RunState.CANCELLED)
            await until(lambda: column(screen, "questions", "asks") == [])
            daemon.kill()
            await until(lambda: "does not answer" in str(screen.query_one("#head").render()))
            daemon.restart()
            await until(lambda: "1 agents" in str(screen.query_one("#head").render()))
            await pilot.press("q")


def test_in_a_pipe_it_prints_lines_or_json(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    with rlmd.connect(data=daemon.data) as client:
        client.agent().chat("/py await ask('Which day?')")

    def shown(*options: str) -> str:
        command = [*COMMAND, "watch", "--once", *options, "--data", str(daemon.data)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    assert shown().splitlines() == [
        "run\t1\tmain\twaiting\t1\t/py await ask('Which day?')",
        "question\t1\tmain\tWhich day?",
    ]
    seen = json.loads(shown("--json"))
    assert [run["state"] for run in seen["runs"]] == ["waiting"]
    assert seen["status"]["agents"] == 1
