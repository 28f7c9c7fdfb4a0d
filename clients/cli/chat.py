"""chat: talk with an agent, on a terminal, through a pipe, or with one message."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click
from rich.console import Console

from rlmd.clients import local
from rlmd.clients.records import RunState, Status
from rlmd.clients.sync import Agent, Client, Run
from rlmd.clients.updates import (
    Asked,
    Ended,
    Halted,
    Said,
    Waiting,
    question_text,
    resume_text,
    stopped,
    stopped_text,
)
from rlmd.errors import InvalidInput, RlmdError, Unavailable
from rlmd.settings import Settings

from . import out
from .base import App, Command, agent_option, pass_app
from .line import Lines
from .slash import LEAVE, obey
from .view import Replies, Steps, View

CAUGHT_UP = 50
"""Last messages of the log in which a terminal looks for what runs have said that had waited."""


@click.command(
    cls=Command,
    examples="""
        rlmd chat
        rlmd chat -m "What did I promise Ann?"
        rlmd chat < questions.txt > answers.txt
    """,
)
@click.option("-m", "message", metavar="TEXT", help="Send one message, print the reply, and leave.")
@click.option("--no-start", is_flag=True, help="Fail if no daemon is running, instead of starting one.")
@agent_option
@pass_app
def chat(app: App, message: str | None, no_start: bool, agent: str) -> int:
    """Talk with an agent. Starts the daemon if none is running.

    Enter sends, Alt-Enter begins a new line. Ctrl-C stops what the agent is doing, Ctrl-D leaves; /help tells
    the rest. Fed by a pipe, each line is a message and only the replies are printed.
    """
    settings = app.settings
    started = _ensure(settings, no_start)
    with app.client() as client:
        if message is None or started:
            _introduce(client.status(), settings)
        talk = Talk(client, client.agent(agent), app.json, revive=None if no_start else settings)
        if message is not None:
            return 0 if talk.say(message) else 1
        if sys.stdin.isatty() and out.is_terminal():
            return talk.on_terminal(settings)
        return talk.through_pipe()


def _ensure(settings: Settings, no_start: bool) -> bool:
    """Start a daemon if none is there; whether one was started."""
    if no_start or local.running(settings) is not None:
        return False
    local.start(settings)
    return True


def _introduce(status: Status, settings: Settings) -> None:
    file = settings.config_file
    out.note(f"model: {status.model}. Change it: OPENAI_API_KEY and RLMD_MODEL, or {file}; then `rlmd down`.")
    out.note(f"embedder: {status.embedder}. Change it: RLMD_EMBEDDER=local:NAME or openai:MODEL, or there.")
    if status.stop is not None:
        out.note(f"{stopped_text(status.stop)}. {resume_text(status.stop)}")


class Talk:
    """A conversation with one agent at a time."""

    def __init__(self, client: Client, agent: Agent, json: bool, *, revive: Settings | None = None) -> None:
        """`revive`: settings of a daemon that is started again if it is gone when something is said."""
        self.client = client
        self.agent = agent
        self._json = json
        self._revive = revive
        self._parked: dict[str, Agent] = {}
        """Runs that went on waiting in this chat, and whose they are."""
        self._told = 0
        """The last message that was shown ..."""
        self._asked: set[str] = set()
        """... and the questions, which are messages too."""

    def on_terminal(self, settings: Settings) -> int:
        """Read lines with editing and history until Ctrl-D."""
        lines = Lines(settings.data / "chat_history")
        view = Steps(Console(highlight=False))
        while True:
            self._catch_up(view)
            try:
                text = lines.read(f"{self.agent.name}> ")
            except KeyboardInterrupt:
                continue
            except EOFError:
                return 0
            try:
                if not self._hear(text, view):
                    return 0
            except RlmdError as exc:
                out.note(str(exc))
            except KeyboardInterrupt:
                out.note("Stopped waiting.")
            finally:
                view.close()

    def through_pipe(self) -> int:
        """A message a line, until the input ends."""
        view = Replies()
        for text in _piped():
            try:
                if not self._hear(text, view):
                    break
            except Unavailable:
                raise
            except RlmdError as exc:
                out.note(str(exc))
        return 0

    def say(self, text: str) -> bool:
        """One message; whether the agent said something, or at least did not fail."""
        return self._converse(text, Replies())

    def _hear(self, text: str, view: View) -> bool:
        """Obey a line, or send it; False if it says to leave."""
        if not text.strip():
            return True
        answer = obey(text.strip(), self.client, self.agent)
        if answer == LEAVE:
            return False
        if isinstance(answer, Agent):
            self.agent = answer
        elif answer is None:
            self._converse(text, view)
        return True

    def _converse(self, text: str, view: View) -> bool:
        self._revived()
        if isinstance(view, Steps):
            view.wait()
        try:
            run = self.agent.send(text)
        except Unavailable:
            # It was on its way down when we looked.
            if not self._revived():
                raise
            run = self.agent.send(text)
        said: list[str] = []
        try:
            ended = self._follow(run, run.after, view, said)
        except KeyboardInterrupt:
            # The second Ctrl-C is not caught here: who presses it does not want to wait for the end.
            view.close()
            run.cancel("stopped by Ctrl-C in the chat")
            ended = self._follow(run, self._seen, view, said)
            if not isinstance(view, Steps):
                raise
        state = RunState.WAITING if isinstance(ended, Waiting) else ended.state
        if isinstance(ended, Waiting):
            self._parked[run.id] = self.agent
        else:
            self._parked.pop(run.id, None)
        if self._json:
            told = {"run": run.id, "text": "\n\n".join(said), "state": state, "reason": ended.reason}
            out.print_json(told, indent=None)
        return bool(said) or state in (RunState.DONE, RunState.WAITING)

    def _catch_up(self, view: Steps) -> None:
        """Show what runs have said that waited, and went on while nobody followed them."""
        for id, agent in list(self._parked.items()):
            try:
                over = agent.run(id).get().state.ended
                said = [m for m in agent.log.recent(CAUGHT_UP) if m.from_agent and m.run == id]
            except RlmdError:
                return  # The daemon is gone; it is looked for again when something is said.
            for message in said:
                if message.id > self._told:
                    self._told = message.id
                    if message.text not in self._asked:
                        view.say(message.text)
            if over:
                del self._parked[id]

    def _revived(self) -> bool:
        """Start the daemon again if it is gone; whether that was done."""
        if self._revive is None or local.holder(self._revive) is not None:
            return False
        out.note("The daemon is gone; starting it again.")
        local.start(self._revive)
        return True

    def _follow(self, run: Run, after: int, view: View, said: list[str]) -> Ended | Waiting:
        self._seen = after

        def lost() -> None:
            # A revived daemon goes on with the run, and `watch` with what was not seen yet.
            view.close()
            if self._revived() and isinstance(view, Steps):
                view.wait()

        for update in run.watch(after, lost):
            self._seen = max(self._seen, update.sequence)
            if isinstance(update, Said):
                said.append(update.text)
                self._told = max(self._told, update.message)
            elif isinstance(update, Asked):
                said.append(question_text(update))
                self._asked.add(said[-1])
            if isinstance(update, Halted):
                self._parked[run.id] = self.agent
                raise stopped(update)
            if not self._json or isinstance(view, Steps):
                view.show(update)
            if isinstance(update, Ended) or (isinstance(update, Waiting) and not update.passing):
                return update
        raise Unavailable("The run's updates ended early.", remedy=f"See `rlmd run show {run.id}`.")


def _piped() -> Iterator[str]:
    """The lines of stdin. One that is no UTF-8 is reported and passed over."""
    for number, raw in enumerate(sys.stdin.buffer, 1):
        try:
            yield raw.decode().rstrip("\r\n")
        except UnicodeDecodeError as exc:
            reason = f"not UTF-8 text: byte {exc.start} is 0x{raw[exc.start]:02x}."
            out.note(str(InvalidInput(reason, field=f"line {number}", remedy="It was not sent.")))
