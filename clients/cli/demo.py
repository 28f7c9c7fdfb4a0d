"""demo: a program asks, its daemon is killed, and it goes on. Then its run is replayed, and forked."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from rlmd.clients import local
from rlmd.clients.records import Question, RunInfo, RunState
from rlmd.clients.sync import Client, Run, connect
from rlmd.errors import DeadlineExceeded
from rlmd.settings import Settings

from . import out
from .base import App, Command, pass_app

PROGRAM = """\
trip = []
for city in ["Bern", "Chur"]:
    nights = await ask(f"How many nights in {city}?", type="number", channel="phone")
    trip.append((city, nights))
    memory.set(f"trips/{city}", nights)
total = sum(nights for _, nights in trip)
reply(f"{total} nights: " + ", ".join(f"{nights} in {city}" for city, nights in trip))"""
PATIENCE = 30.0
_KEYS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "RLMD_MODEL", "RLMD_SUB_MODEL", "RLMD_EMBEDDER", "RLMD_LISTEN")


@click.command(
    cls=Command,
    examples="""
        rlmd demo
        rlmd demo --json
    """,
)
@pass_app
def demo(app: App) -> int:
    """See a run survive kill -9, in under a minute; on a daemon of its own, which is gone afterwards.

    A program asks a person in the middle of a loop. The daemon is killed with -9 and started again. The
    answer comes from elsewhere, and the program goes on with its names. Then the run is replayed without
    effects, and forked with another answer.
    """
    show = Story(app.json)
    with _house() as (settings, env):
        show.tell("A daemon of its own is started, with the built-in rules as its model.")
        pid = local.start(settings, env=env).pid
        with connect(data=settings.data) as client:
            run = _ask(client, show)
            _answer(client, _asked(client), 2, show)
            _asked(client)
            _kill(pid, settings, show)
            began = time.monotonic()
            local.start(settings, env=env)
            show.tell(
                f"It is started again, in {_ms(began)}. The run waits as it did: it is rows, no process."
            )
            began = time.monotonic()
            _answer(client, _asked(client), 3, show)
            ended = run.wait()
            said = client.agent().log.recent(1)[0].text
            show.tell(f"{_ms(began)} after the answer the program is over. It says: {said}")
            equal = _replay(run, show)
            other = _fork(client, run, show)
    fine = ended.state is RunState.DONE and equal and "8 nights" in other and said.startswith("5 nights")
    show.end(fine)
    return 0 if fine else 1


class Story:
    """What happens, in plain words, or one JSON document at the end."""

    def __init__(self, json: bool) -> None:
        self._json = json
        self._told: list[str] = []
        self._began = time.monotonic()

    def tell(self, text: str) -> None:
        self._told.append(text)
        if not self._json:
            out.say(f"{time.monotonic() - self._began:5.1f} s  {text}")

    def code(self, text: str) -> None:
        if not self._json:
            for line in text.splitlines():
                out.say(f"         {line}")

    def end(self, fine: bool) -> None:
        if self._json:
            out.print_json({"fine": fine, "seconds": time.monotonic() - self._began, "story": self._told})
        elif fine:
            out.say("All of it went as it should. Your own: rlmd chat")


@contextmanager
def _house() -> Iterator[tuple[Settings, dict[str, str]]]:
    """A data directory that is gone afterwards, with its daemon; and an environment without keys."""
    folder = Path(tempfile.mkdtemp(prefix="rlmd-demo-"))
    env = {name: value for name, value in os.environ.items() if name not in _KEYS}
    settings = Settings.load({"data": folder / "data"}, env).settings
    try:
        yield settings, env
    finally:
        if (holder := local.holder(settings)) is not None:
            os.kill(holder.pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _ask(client: Client, show: Story) -> Run:
    show.tell("An agent is told to plan a trip. This is its program:")
    show.code(PROGRAM)
    return client.agent().send(f"/py {PROGRAM}")


def _asked(client: Client) -> Question:
    """The open question, once its run is parked."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for question in client.questions.list():
            if client.agent().run(question.run).get().state is RunState.WAITING:
                return question
        time.sleep(0.02)
    raise DeadlineExceeded("the agent has not asked anything", remedy="Look at `rlmd doctor`.")


def _answer(client: Client, question: Question, answer: int, show: Story) -> None:
    show.tell(f"Question {question.id} on {question.channel}: {question.text} Answered from here: {answer}.")
    client.questions.answer(question.id, answer)


def _kill(pid: int, settings: Settings, show: Story) -> None:
    show.tell(f"The program is in its loop, and waits. Now: kill -9 {pid}.")
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + PATIENCE
    while local.holder(settings) is not None and time.monotonic() < end:
        time.sleep(0.01)


def _replay(run: Run, show: Story) -> bool:
    found = run.replay()
    verdict = "equal" if found.equal else found.difference
    show.tell(
        f"The run is replayed from its journal, without effects: {verdict}, "
        f"{found.calls} calls in {found.seconds * 1000:.0f} ms."
    )
    return found.equal


def _fork(client: Client, run: Run, show: Story) -> str:
    whole: RunInfo = run.get()
    first = next(call for step in whole.steps for call in step.calls if call.function == "ask")
    forked = run.fork(first.number, 5)
    show.tell(
        f"It is forked at call {first.number}: as if the first answer had been 5. Run {forked.id} goes on."
    )
    _answer(client, _asked(client), 3, show)
    forked.wait()
    said = client.agent().log.recent(1)[0].text
    show.tell(f"The fork says: {said}")
    return said


def _ms(began: float) -> str:
    return f"{(time.monotonic() - began) * 1000:.0f} ms"
