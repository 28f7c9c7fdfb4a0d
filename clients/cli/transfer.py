"""memory import, memory export: files and chats in, files out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from rlmd.clients import importing
from rlmd.clients.records import Kind, Origin, Variable
from rlmd.clients.sync import Memory
from rlmd.errors import RlmdError, Unavailable

from . import out
from .base import App, Command, agent_option, pass_app
from .whole import whole

_HELP = """Take in text files, folders of them, and exports of chats.

A text file becomes one text below inbox/. An export of chats (.json) becomes one text a session below
chats/, with a first line of date and speakers, a line a turn, and the session's date as its source time.
What is there already and has not changed is left alone, so that an import can be repeated.

\b
The general form of an export, or a list of such:
  {"name": "trip",
   "sessions": [{"date": "2023-05-08T13:56",
                 "turns": [{"id": "m1", "speaker": "Ann", "text": "Hi!"}]}]}
The form of the LoCoMo data set is read too.
"""


@click.command(
    "import",
    cls=Command,
    help=_HELP,
    examples="""
        rlmd memory import notes.md reports/
        rlmd memory import chats.json --prefix old-chats/
    """,
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--prefix", help="What names begin with, instead of inbox/ and chats/.")
@agent_option
@pass_app
def import_(app: App, paths: tuple[Path, ...], prefix: str | None, agent: str) -> int:
    zone = ZoneInfo(app.settings.timezone)
    found = [entry for path in paths for entry in importing.read(path, prefix=prefix, zone=zone)]
    items = [entry for entry in found if isinstance(entry, importing.Item)]
    problems = [entry for entry in found if isinstance(entry, importing.Problem)]
    written, unchanged = [], 0
    with app.client() as client:
        memory = client.agent(agent).memory
        for item in _progress(items):
            try:
                version = _take(memory, item)
            except Unavailable:
                raise
            except RlmdError as exc:
                problems.append(importing.Problem(where=item.name, reason=str(exc)))
                continue
            if version is None:
                unchanged += 1
            else:
                written.append({"name": item.name, "version": version})
    if app.json:
        out.print_json({"written": written, "unchanged": unchanged, "problems": problems})
    else:
        for problem in problems:
            out.note(f"{problem.where}: {problem.reason}")
        out.say(f"{len(written)} written, {unchanged} unchanged, {len(problems)} could not be taken.")
    return 1 if problems else 0


def _take(memory: Memory, item: importing.Item) -> int | None:
    """Write the item unless it stands there already; the new version, or None."""
    if memory.get(item.name) == item.text:
        return None
    return int(
        memory.set(item.name, item.text, note="imported", source_time=item.time, origin=Origin.EXTERNAL)
    )


def _progress(items: list[importing.Item]) -> Iterable[importing.Item]:
    if not out.is_terminal():
        return items
    from rich.progress import track

    return track(items, description="importing", transient=True)


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
    with app.client() as client:
        memory = client.agent(agent).memory
        listed = list(memory.variables(prefix))
        paths = dict(_paths(listed))
        for item in listed:
            try:
                variable = whole(memory, item.name)
                if variable.version.kind is Kind.DELETED:
                    continue
                if target == "-":
                    out.print_json(variable, indent=None)
                else:
                    _write(Path(target) / paths[item.name], variable)
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


def _write(path: Path, variable: Variable) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    value = variable.value
    if isinstance(value, bytes):
        path.write_bytes(value)
    elif isinstance(value, str):
        path.write_bytes(value.encode())
    else:
        path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
