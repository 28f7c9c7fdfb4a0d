"""A run on the screen: the code as it is written, a line a call, what came out, and the reply."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from rich.console import Console
from rich.markdown import Markdown
from rich.status import Status
from rich.text import Text

from rlmd.clients import updates as up
from rlmd.clients.records import Call, RunState

from .out import cut, local, note, safe

CODE_LINES = 12
"""Of a step's code, how many lines are shown; `/run N` and `rlmd run show N` have all."""
OBSERVATION_LINES = 8
"""Of an observation, how many lines are shown."""


class View(Protocol):
    """Somebody who watches a run."""

    def show(self, update: up.Update) -> None:
        """Show the next update."""

    def close(self) -> None:
        """Nothing more comes, for now."""


class Replies:
    """For pipes: what the agent says, and on stderr why it failed. Nothing else."""

    def show(self, update: up.Update) -> None:
        if isinstance(update, up.Said):
            print(update.text, flush=True)
        elif isinstance(update, up.Asked):
            print(up.question_text(update), flush=True)
        elif isinstance(update, up.Waiting) and update.reason:
            note(_waits(update))
        elif isinstance(update, up.Ended) and update.state is not RunState.DONE:
            note(f"The run was {update.state}: {update.reason}")

    def close(self) -> None: ...


class Steps:
    """Everything, in the order in which it happens; dim, but for what the agent says."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._writing = _Writing()
        self._busy: Status | None = None
        self._observed = ""
        self._lines = 0
        """Of the step's code, how many were shown."""
        self._hidden = 0

    def wait(self) -> None:
        """Show that something is being worked on; only on a terminal."""
        if self._console.is_terminal and self._busy is None:
            self._busy = self._console.status("[dim]working[/dim]")
            self._busy.start()

    def close(self) -> None:
        if self._busy is not None:
            self._busy.stop()
            self._busy = None

    def show(self, update: up.Update) -> None:
        # The last observation of a run that is done is for a model that will not read it.
        observed, self._observed = self._observed, ""
        if observed and not (isinstance(update, up.Ended) and update.state is RunState.DONE):
            self._observation(observed)
        match update:
            case up.Writing():
                self._code(self._writing.feed(update.text))
            case up.Stepped():
                self._code(self._writing.rest(update.step.code))
                if self._hidden:
                    self._dim(f"… {self._hidden} more lines")
                self._lines = self._hidden = 0
                if update.step.note:
                    self._dim(f"! {cut(update.step.note, 200)}")
                self.wait()
            case up.Called() | up.Settled():
                if update.call.function != "reply" or update.call.error:
                    self._dim(f"  {describe(update.call)}")
            case up.Observed():
                self._observed = update.text
                self.wait()
            case up.Said():
                self.say(update.text)
            case up.Asked():
                self.say(up.question_text(update))
            case up.Waiting():
                self._dim(_waits(update))
            case up.Halted():
                self._dim(f"{up.stopped_text(update)}. {up.resume_text(update)}", "yellow")
            case up.Woken():
                self.wait()
            case up.Restarted():
                self._writing = _Writing()
                self._dim(f"! {update.reason or 'The run goes on.'}")
            case up.Started():
                self.wait()
            case up.Ended():
                self._ended(update)

    def _dim(self, line: str, style: str = "dim") -> None:
        self.close()
        self._console.print(Text(safe(line), style=style), soft_wrap=True)

    def _code(self, lines: Sequence[str]) -> None:
        shown = lines[: max(CODE_LINES - self._lines, 0)]
        self._lines += len(shown)
        self._hidden += len(lines) - len(shown)
        for line in shown:
            self._dim(line)

    def _observation(self, text: str) -> None:
        lines = text.strip().splitlines()
        for line in lines[:OBSERVATION_LINES]:
            self._dim(f"  │ {cut(line, 200)}")
        if len(lines) > OBSERVATION_LINES:
            self._dim(f"  │ … {len(lines) - OBSERVATION_LINES} more lines")

    def say(self, text: str) -> None:
        """Show what the agent says."""
        self.close()
        if self._console.is_terminal:
            self._console.print(Markdown(safe(text), hyperlinks=False))
        else:
            print(text, flush=True)

    def _ended(self, update: up.Ended) -> None:
        self.close()
        if update.state is not RunState.DONE:
            style = "yellow" if update.state is RunState.CANCELLED else "red"
            self._dim(f"The run was {update.state}: {update.reason}", style)


def _waits(update: up.Waiting) -> str:
    if update.reason:
        return f"Run {update.run} waits: {update.reason}"
    until = f", at the latest at {local(update.until)}" if update.until else ""
    return f"Run {update.run} waits, and uses nothing meanwhile; it goes on by itself{until}."


class _Writing:
    """The lines of code in what a model is writing. What stands outside of fences is not code."""

    def __init__(self) -> None:
        self._line = ""
        self._inside = False
        self._shown = 0

    def feed(self, piece: str) -> list[str]:
        """The lines of code that this piece completes."""
        *whole, self._line = (self._line + piece).split("\n")
        return [line for line in whole if self._is_code(line)]

    def rest(self, code: str) -> list[str]:
        """What of the step's code was not shown while it was written."""
        shown, self._shown = self._shown, 0
        self._line, self._inside = "", False
        return code.strip("\n").split("\n")[shown:] if code else []

    def _is_code(self, line: str) -> bool:
        if line.lstrip().startswith("```"):
            self._inside = not self._inside
            return False
        # Lines before the first one with something in it are no part of the code that is kept.
        if not self._inside or not (self._shown or line.strip()):
            return False
        self._shown += 1
        return True


def describe(call: Call) -> str:
    """A call on one line, such as `memory.set people/bob → v3`."""
    arguments = _load(call.arguments)
    given = arguments.get("args", []) if isinstance(arguments, dict) else []
    first = next((item for item in given if isinstance(item, str | int | float)), "")
    head = f"{call.function} {cut(str(first), 60)}".strip()
    if call.error:
        return f"{head} ✗ {cut(call.error, 160)}"
    if not call.settled:
        return f"{head} …"
    result = _result(_load(call.result))
    return f"{head} → {result}" if result else head


class _Cut:
    """JSON that was cut and is none any more."""


def _result(result: Any) -> str:
    match result:
        case None:
            return ""
        case _Cut():
            return "much"
        case {"version": int(number), "variable": _}:
            return f"v{number}"
        case {"missing": _}:
            return "nothing there"
        case {"message": int(number)}:
            return f"message {number}"
        case list():
            return f"{len(result)} found" if result else "nothing found"
        case str():
            return cut(result, 80)
    return cut(json.dumps(result, ensure_ascii=False), 80)


def _load(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return _Cut()
