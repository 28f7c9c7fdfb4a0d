"""memory changes, memory tidy and undo: changesets of memory, looked at, made and taken back."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rlmd.clients.records import Change, RunState
from rlmd.clients.sync import Client
from rlmd.errors import RlmdError

from . import out
from .base import COUNT, App, Command, agent_option, pass_app
from .runs import handle

LATEST = 20
"""Runs that are looked at if none is named."""


@click.command(
    cls=Command,
    examples="""
        rlmd memory changes
        rlmd memory changes 12 --diff
    """,
)
@click.argument("run", required=False)
@click.option("--diff", is_flag=True, help="Also what changed in each.")
@click.option("-n", default=LATEST, show_default=True, type=COUNT, help="Without RUN: how many runs back.")
@agent_option
@pass_app
def changes(app: App, run: str | None, diff: bool, n: int, agent: str) -> None:
    """What RUN, with its children, changed in memory; without RUN, what the latest runs did."""
    with app.client() as client:
        mine = client.agent(agent)
        ids = [run] if run else [each.id for each in mine.runs(n=n)]
        found = [(id, change) for id in ids for change in handle(client, agent, id).changes()]
        if app.json:
            out.print_json([{"run": id, **out.plain(change)} for id, change in found])
            return
        rows = [(id, change.name, _versions(change), _became(change)) for id, change in found]
        out.table(("run", "name", "versions", "what"), rows, empty="No run has changed anything.")
        if diff:
            for _, change in found:
                _show(client, change)


def _versions(change: Change) -> str:
    return f"{change.before or 'none'} to {change.after}"


def _became(change: Change) -> str:
    if change.undone:
        return "taken back"
    what = "new" if change.created else "changed"
    return f"{what}, and written by somebody else since" if change.moved_on else what


def _show(client: Client, change: Change) -> None:
    out.say()
    out.say(f"{change.name}, version {_versions(change)}")
    memory = client.agent(change.space).memory
    try:
        if change.before:
            out.say(memory.diff(change.name, change.before, change.after).rstrip())
        else:
            out.say("".join(f"+{line}\n" for line in _text(memory.get(change.name, version=change.after))))
    except RlmdError as error:
        out.say(f"  {error}")


def _text(value: object) -> Sequence[str]:
    import json

    if isinstance(value, bytes):
        return [f"{len(value):,} bytes"]
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)).splitlines()


@click.command(
    cls=Command,
    examples="""
        rlmd undo 12 --dry-run
        rlmd undo 12
    """,
)
@click.argument("run")
@click.option("--dry-run", is_flag=True, help="Only say what would be taken back.")
@click.option("--keep-later", is_flag=True, help="Leave alone what somebody else has written since.")
@agent_option
@pass_app
def undo(app: App, run: str, dry_run: bool, keep_later: bool, agent: str) -> None:
    """Take back all that RUN, with its children, changed in memory.

    Each variable gets the value from before as a new version, all at once: nothing is lost, and each can be
    reverted again. Messages that were sent stay sent.
    """
    with app.client() as client:
        mine = handle(client, agent, run)
        if dry_run:
            found = mine.changes()
            if app.json:
                out.print_json(found)
            else:
                rows = [(change.name, _versions(change), _became(change)) for change in found]
                out.table(("name", "versions", "what"), rows, empty=f"Run {run} has changed nothing.")
            return
        done = mine.undo(keep_later=keep_later)
    if app.json:
        out.print_json(done)
    elif not done.undone and not done.kept:
        out.say(f"Run {run} has changed nothing that is not taken back already.")
    else:
        left = f" {done.kept} written by somebody else since stay as they are." if done.kept else ""
        plural = "variable has its" if done.undone == 1 else "variables have their"
        out.say(f"{done.undone} {plural} value from before run {run}.{left}")


@click.command(
    cls=Command,
    examples="""
        rlmd memory tidy
        rlmd memory tidy --agent main --json
    """,
)
@agent_option
@pass_app
def tidy(app: App, agent: str) -> int:
    """Let an agent go over what is new in its memory now, instead of when it is idle.

    It dates and corrects facts, merges what is there twice, and writes summaries. All that it changes is one
    changeset.
    """
    with app.client() as client:
        run = client.agent(agent).tidy()
        ended = run.wait()
        found = run.changes()
    if app.json:
        out.print_json({"run": ended.id, "state": ended.state, "reason": ended.reason, "changes": found})
    else:
        if ended.state is not RunState.DONE:
            out.note(f"Run {ended.id} {ended.state}: {ended.reason}")
        rows = [(change.name, _versions(change), _became(change)) for change in found]
        out.table(("name", "versions", "what"), rows, empty="Nothing was worth changing.")
        if found:
            out.note(
                f"To see it: rlmd memory changes {ended.id} --diff. To take it back: rlmd undo {ended.id}"
            )
    return 0 if ended.state is RunState.DONE else 1
