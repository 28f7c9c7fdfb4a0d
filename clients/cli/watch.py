"""watch: the whole of a daemon, live: what is at work, what waits for whom, and each step as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import click

from rlmd.clients.aio import Client, connect
from rlmd.clients.records import Question, RunInfo, RunState, Status
from rlmd.errors import Unavailable

from . import out
from .base import App, Command, pass_app

SECONDS = 1.0
"""Between two looks."""
ACTIVE = (RunState.RUNNING, RunState.QUEUED, RunState.WAITING)
MOST = 200
"""Runs of each kind, and questions, that are looked at."""
ENDED = 30
"""Runs that are over, and are shown below those that are not."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The daemon at one moment, as far as its caller may see it."""

    status: Status
    runs: Sequence[RunInfo]
    """Those at work, those that wait, then those that ended last."""
    questions: Sequence[Question]
    """Open ones, newest first."""


async def look(client: Client) -> Snapshot:
    """Raises Unavailable: no daemon answers."""
    status, active, latest, questions = await asyncio.gather(
        client.status(),
        client.runs(states=ACTIVE, n=MOST),
        client.runs(n=ENDED),
        client.questions.list(n=MOST),
    )
    ended = [run for run in latest if run.state not in ACTIVE]
    at_work = sorted(active, key=lambda run: ACTIVE.index(run.state))
    return Snapshot(status=status, runs=[*at_work, *ended], questions=questions)


@click.command(
    cls=Command,
    examples="""
        rlmd watch
        rlmd watch --once --json
    """,
)
@click.option("--once", is_flag=True, help="Look once, and end.")
@pass_app
def watch(app: App, once: bool) -> None:
    """See everything that your agents do, live; answer questions and stop runs.

    In a pipe a line for each run or question that is new or has changed; with --json a snapshot a line.
    """
    app.client().close()  # What stands in the way is told before the screen is taken.
    if once or app.json or not out.is_terminal():
        asyncio.run(_tell(app, once=once))
        return
    from .screen import Screen

    Screen(app.settings.data).run()


async def _tell(app: App, *, once: bool) -> None:
    told: dict[str, str] = {}
    async with await connect(data=app.settings.data) as client:
        async for seen in _snapshots(client):
            if app.json:
                out.print_json(seen, indent=2 if once else None)
            else:
                for key, line in _lines(seen):
                    if told.get(key) != line:
                        print(line, flush=True)
                told = dict(_lines(seen))
            if once:
                return


async def _snapshots(client: Client) -> AsyncIterator[Snapshot]:
    """What is to be seen, every second; over a daemon that goes and comes back."""
    lost = False
    while True:
        try:
            yield await look(client)
            lost = False
        except Unavailable:
            if not lost:
                out.note("The daemon does not answer. Waiting for it.")
            lost = True
        await asyncio.sleep(SECONDS)


def _lines(seen: Snapshot) -> list[tuple[str, str]]:
    """A line for each run and open question, by which it is told whether it has changed."""
    runs = [
        (f"run {run.id}", f"run\t{run.id}\t{run.agent}\t{run.state}\t{run.step_count}\t{about(run)}")
        for run in reversed(seen.runs)
    ]
    questions = [
        (f"question {asked.id}", f"question\t{asked.id}\t{asked.agent}\t{out.cut(asked.text, 100)}")
        for asked in reversed(seen.questions)
    ]
    return [*runs, *questions]


def about(run: RunInfo) -> str:
    """What woke a run, and why it ended if not by itself."""
    text = out.cut(run.event_text, 100)
    return f"{text} ({out.cut(run.reason, 100)})" if run.reason else text
