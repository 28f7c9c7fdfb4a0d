"""The screen of `rlmd watch`: runs, the steps of the one that is chosen, and open questions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Input, Label, RichLog, Static

from rlmd.clients import updates as up
from rlmd.clients.aio import Client, connect
from rlmd.clients.records import Question, RunInfo, RunState
from rlmd.errors import RlmdError, Unavailable

from .out import cut, safe
from .view import describe
from .watch import SECONDS, Snapshot, about, look

_STYLES = {
    RunState.RUNNING: "bold green",
    RunState.QUEUED: "green",
    RunState.WAITING: "yellow",
    RunState.DONE: "dim",
    RunState.FAILED: "red",
    RunState.CANCELLED: "dim red",
}
PATIENCE = 5.0
"""Seconds until a daemon that does not answer is said to be away."""
Table = DataTable[str | Text]


class Answering(ModalScreen[str | None]):
    """Asks the person for the answer to a question; None if they would rather not."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "leave", "Back")]
    CSS = """
    Answering { align: center middle; }
    Answering > Vertical { width: 80%; height: auto; border: round $accent; padding: 1 2; }
    """

    def __init__(self, question: Question) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        asked = self._question
        with Vertical():
            yield Label(Text(safe(asked.text)))
            yield Label(Text(f"{asked.agent}, run {asked.run}. {safe(asked.wanted)}", style="dim"))
            yield Input(placeholder=safe(asked.wanted) or "your answer; Escape to leave it open")

    @on(Input.Submitted)
    def give(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)

    def action_leave(self) -> None:
        self.dismiss(None)


class Screen(App[None]):
    """Looks every second; follows the run under the cursor step by step."""

    TITLE = "rlmd"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        ("a", "answer", "Answer"),
        ("c", "cancel", "Cancel run"),
        ("tab", "app.focus_next", "Next part"),
        ("q", "quit", "Quit"),
    ]
    CSS = """
    #head { height: 1; background: $panel; padding: 0 1; }
    #runs { width: 55%; }
    #steps { width: 45%; border-left: solid $panel; padding: 0 1; }
    #questions { height: 30%; border-top: solid $panel; }
    """

    def __init__(self, data: Path) -> None:
        super().__init__()
        self._data = data
        self._client: Client | None = None
        self._seen: Snapshot | None = None
        self._followed = ""
        self._sure = ""
        """The run that `c` was pressed on once."""

    # -- parts ------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield Static("looking", id="head", markup=False)
        with Horizontal():
            yield DataTable[str | Text](id="runs", cursor_type="row")
            yield RichLog(id="steps", wrap=True, max_lines=5_000)
        yield DataTable[str | Text](id="questions", cursor_type="row")
        yield Footer()

    @property
    def _runs(self) -> Table:
        return self.query_one("#runs", DataTable)

    @property
    def _questions(self) -> Table:
        return self.query_one("#questions", DataTable)

    async def on_mount(self) -> None:
        for name in ("run", "agent", "state", "steps", "age", "about"):
            self._runs.add_column(name, key=name)
        for name in ("question", "agent", "asks", "answer"):
            self._questions.add_column(name, key=name)
        self._runs.focus()
        self._client = await connect(data=self._data, timeout=PATIENCE)
        await self.look()
        self.set_interval(SECONDS, self.look)

    async def on_unmount(self) -> None:
        if self._client is not None:
            await self._client.close()

    # -- looking ----------------------------------------------------------------------------------

    async def look(self) -> None:
        """Bring the tables up to date. The cursor stays on its row."""
        assert self._client is not None
        try:
            seen = self._seen = await look(self._client)
        except Unavailable:
            self._tell("The daemon does not answer. Waiting for it.")
            return
        except RlmdError as error:
            self._tell(str(error))
            return
        waiting = sum(run.state is RunState.WAITING for run in seen.runs)
        at_work = sum(run.state in (RunState.RUNNING, RunState.QUEUED) for run in seen.runs)
        status = seen.status
        self._tell(
            f"rlmd {status.version}, pid {status.pid} · {at_work} at work, {waiting} waiting · "
            f"{status.agents} agents, {status.variables:,} variables, {status.messages:,} messages · "
            f"{cut(status.model, 60)}"
        )
        _fill(self._runs, [(run.id, _run_row(run)) for run in seen.runs])
        _fill(self._questions, [(asked.id, _question_row(asked)) for asked in seen.questions])

    def _tell(self, text: str) -> None:
        self.query_one("#head", Static).update(safe(text))

    @on(DataTable.RowHighlighted, "#runs")
    def follow(self, event: DataTable.RowHighlighted) -> None:
        """Show the steps of the run under the cursor, those that were and those that come."""
        self._sure = ""
        chosen = event.row_key.value
        if chosen and chosen != self._followed:
            self._followed = chosen
            self.query_one("#steps", RichLog).clear()
            self._steps(chosen)

    @work(group="steps", exclusive=True)
    async def _steps(self, run: str) -> None:
        assert self._client is not None
        assert self._seen is not None
        agent = next(each.agent for each in self._seen.runs if each.id == run)
        log = self.query_one("#steps", RichLog)
        after = 0
        while True:
            try:
                async for update in self._client.agent(agent).run(run).watch(after):
                    after = max(after, update.sequence)
                    for line in _told(update):
                        log.write(line)
                return
            except Unavailable:
                await asyncio.sleep(SECONDS)
            except RlmdError as error:
                log.write(Text(str(error), style="red"))
                return

    # -- doing ------------------------------------------------------------------------------------

    def action_answer(self) -> None:
        """Answer the question under the cursor; of the chosen run, if the cursor is there."""
        questions = list(self._seen.questions) if self._seen else []
        if self.focused is self._runs:
            questions = [asked for asked in questions if asked.run == self._followed] or questions
        elif questions:
            questions = questions[self._questions.cursor_row :]
        if not questions:
            self.notify("Nobody asks anything.")
            return
        self._answer(questions[0])

    @work(group="answer", exclusive=True)
    async def _answer(self, question: Question) -> None:
        assert self._client is not None
        given = await self.push_screen_wait(Answering(question))
        if given is None:
            return
        try:
            await self._client.questions.answer(question.id, given)
            self.notify("Answered.")
        except RlmdError as error:
            self.notify(str(error), severity="error")
        await self.look()

    async def action_cancel(self) -> None:
        """Cancel the chosen run, at the second press."""
        run = (
            next((each for each in self._seen.runs if each.id == self._followed), None)
            if self._seen
            else None
        )
        if run is None or run.end_time is not None:
            self.notify("That run is over.")
        elif self._sure != run.id:
            self._sure = run.id
            self.notify(f"Press c again to cancel run {run.id}. What it did is kept.")
        else:
            assert self._client is not None
            try:
                await self._client.agent(run.agent).run(run.id).cancel("cancelled in rlmd watch")
            except RlmdError as error:
                self.notify(str(error), severity="error")
            await self.look()


def _fill(table: Table, rows: Sequence[tuple[str, Sequence[str | Text]]]) -> None:
    """Make the table's rows these, by their keys. Only cells that changed are drawn anew."""
    keys = [key for key, _ in rows]
    if [row.key.value for row in table.ordered_rows] != keys:
        chosen = table.ordered_rows[table.cursor_row].key.value if table.row_count else None
        table.clear()
        for key, cells in rows:
            table.add_row(*cells, key=key)
        if chosen in keys:
            table.move_cursor(row=keys.index(chosen))
        return
    for key, cells in rows:
        for column, cell in zip(table.ordered_columns, cells, strict=True):
            if table.get_cell(key, column.key) != cell:
                table.update_cell(key, column.key, cell)


def _run_row(run: RunInfo) -> Sequence[str | Text]:
    state = Text(run.state, style=_STYLES[run.state])
    age = _age(run.end_time or run.create_time)
    return (run.id, run.agent, state, str(run.step_count), age, Text(safe(about(run))))


def _question_row(asked: Question) -> Sequence[str | Text]:
    return (asked.id, asked.agent, Text(safe(cut(asked.text, 100))), Text(safe(asked.wanted)))


def _age(since: datetime) -> str:
    seconds = max(int((datetime.now(UTC) - since).total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _told(update: up.Update) -> list[Text]:
    """What the steps' part shows of an update."""
    match update:
        case up.Stepped():
            return [
                Text(f"step {update.step.number}", style="bold"),
                *(
                    Text(safe(line), style="cyan")
                    for line in (update.step.code or update.step.reply).splitlines()
                ),
            ]
        case up.Called() | up.Settled():
            return [Text(f"  {safe(describe(update.call))}", style="dim")]
        case up.Observed():
            return [
                Text(f"  │ {safe(cut(line, 300))}", style="dim") for line in update.text.splitlines()[1:20]
            ]
        case up.Said():
            return [Text(safe(line)) for line in update.text.splitlines()]
        case up.Asked():
            return [Text(safe(up.question_text(update)), style="yellow")]
        case up.Waiting():
            return [Text("waits, and uses nothing meanwhile", style="yellow")]
        case up.Woken():
            return [Text("goes on", style="green")]
        case up.Restarted():
            return [Text(safe(update.reason or "goes on after a restart"), style="yellow")]
        case up.Ended():
            reason = f": {update.reason}" if update.reason else ""
            return [Text(safe(f"{update.state}{reason}"), style=_STYLES[update.state])]
    return []
