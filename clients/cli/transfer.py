"""memory import, memory export: files and chats in, files out."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from rlmd.clients import importing
from rlmd.clients.records import Kind, Variable
from rlmd.clients.sync import Memory
from rlmd.errors import RlmdError, Unavailable

from . import out
from .base import App, Command, agent_option, pass_app
from .intake import Intake
from .progress import shown

_HELP = """Take in files, folders of them, and exports of chats.

A file becomes a variable below inbox/: text and Markdown a text, PDF its text, JSON its data, JSON lines and
CSV a list of their records. An export of chats becomes texts below chats/, of a session, conversation or day
each: of ChatGPT (conversations.json), Telegram (result.json), WhatsApp (.txt), LoCoMo, and the form below.

What is there already and has not changed is left alone: an import can be repeated, and goes on where it was
interrupted. What cannot be taken is told with its place and the reason, and the rest is taken.

\b
The general form of an export, or a list of such:
  {"name": "trip",
   "sessions": [{"date": "2023-05-08T13:56",
                 "turns": [{"id": "m1", "speaker": "Ann", "text": "Hi!"}]}]}
"""


def _zone(context: click.Context, parameter: click.Parameter, value: str | None) -> ZoneInfo | None:
    try:
        return None if value is None else ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise click.BadParameter(f"{value!r} is no time zone such as Europe/Berlin.") from exc


@click.command(
    "import",
    cls=Command,
    help=_HELP,
    examples="""
        rlmd memory import notes.md reports/
        rlmd memory import conversations.json --prefix old-chats/ --dry-run
        rlmd memory import "WhatsApp Chat with Ann.txt" --date-order dmy --timezone Europe/Berlin
    """,
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--prefix", help="What names begin with, instead of inbox/ and chats/.")
@click.option("--timezone", callback=_zone, help="Of times that name none; default: the setting timezone.")
@click.option(
    "--date-order",
    type=click.Choice([order.value for order in importing.DateOrder]),
    help="Of dates in a WhatsApp export; default: found out from them.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@agent_option
@pass_app
def import_(
    app: App,
    paths: tuple[Path, ...],
    prefix: str | None,
    timezone: ZoneInfo | None,
    date_order: str | None,
    dry_run: bool,
    agent: str,
) -> int:
    options = importing.Options(
        zone=timezone or ZoneInfo(app.settings.timezone),
        prefix=prefix,
        date_order=importing.DateOrder(date_order) if date_order else None,
    )
    with app.client() as client:
        intake = Intake(memory=client.agent(agent).memory, dry_run=dry_run)
        try:
            intake.run(paths, options)
        except (KeyboardInterrupt, RlmdError):
            if not dry_run:
                out.note(f"Stopped after {len(intake.written)} written. Run it again to go on.")
            raise
    _tell(app, intake)
    return 1 if intake.problems else 0


def _tell(app: App, intake: Intake) -> None:
    if app.json:
        told = {"written": intake.written, "unchanged": intake.unchanged, "problems": intake.problems}
        out.print_json({"dry_run": intake.dry_run, **told})
        return
    for problem in intake.problems:
        out.note(f"{problem.where}: {problem.reason}")
    if intake.dry_run:
        for one in intake.written:
            out.say(f"{one['name']} v{one['version']}")
    head = f"{len(intake.written)} {'would be written' if intake.dry_run else 'written'}"
    out.say(f"{head}, {intake.unchanged} unchanged, {len(intake.problems)} could not be taken.")


@click.command(
    cls=Command,
    examples="""
        rlmd memory export backup/
        rlmd memory export --prefix people/ - | jq -r .name
    """,
)
@click.argument("target", metavar="DIR|-")
@click.option("--prefix", default="", help="Only variables whose names begin so.")
@agent_option
@pass_app
def export(app: App, target: str, prefix: str, agent: str) -> int:
    """Write the latest values to files below DIR, or as a line of JSON each to stdout."""
    count, problems = 0, []
    with app.client() as client, _private():
        memory = client.agent(agent).memory
        listed = list(memory.variables(prefix))
        paths = dict(_paths(listed))
        for item in listed:
            try:
                if target == "-":
                    out.print_json(memory.variable(item.name), indent=None)
                else:
                    _write(Path(target) / paths[item.name], memory, item)
                count += 1
            except Unavailable:
                raise
            except BrokenPipeError:
                raise
            except (RlmdError, OSError) as exc:
                problems.append({"name": item.name, "reason": str(exc)})
    for problem in problems:
        out.note(f"{problem['name']}: {problem['reason']}")
    if target != "-":
        summary = {"written": count, "problems": problems}
        out.print_json(summary) if app.json else out.say(f"{count} written to {target}.")
    return 1 if problems else 0


_SUFFIXES = {Kind.JSON: ".json", Kind.TEXT: ".txt", Kind.BYTES: ".bin"}


def _paths(variables: list[Variable]) -> Iterator[tuple[str, str]]:
    """A file for each name. `a` and `a/b` may both be there, and a file cannot be a folder too."""
    folders = {variable.name[:end] for variable in variables for end in _slashes(variable.name)}
    taken: set[str] = set()
    for variable in variables:
        suffix = _SUFFIXES.get(variable.version.kind, "")
        has_one = variable.version.kind is Kind.TEXT and os.path.splitext(variable.name)[1]
        path = variable.name if has_one else variable.name + suffix
        while path in folders or path in taken:
            path += suffix
        taken.add(path)
        yield variable.name, path


def _slashes(name: str) -> Iterator[int]:
    return (position for position, character in enumerate(name) if character == "/")


@contextlib.contextmanager
def _private() -> Iterator[None]:
    """Files and folders that are made meanwhile are for their owner alone, as what an agent remembers is."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _write(path: Path, memory: Memory, item: Variable) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if item.version.kind is Kind.JSON:
        value = memory.get(item.name)
        # One that an earlier export left may be open to others.
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    else:
        with shown(item.name, item.version.size) as progress:
            memory.download(item.name, path, progress=progress)
