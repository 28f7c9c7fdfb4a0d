"""memory import, memory export: files and chats in, files out."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from rlmd.clients import importing
from rlmd.clients.records import Kind, Origin, Variable
from rlmd.clients.sync import Memory
from rlmd.errors import InvalidInput, NotFound, RlmdError, TooLarge, Unavailable

from . import out
from .base import App, Command, agent_option, pass_app
from .whole import whole

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
    done = _Imported(dry_run=dry_run)
    with app.client() as client:
        memory = client.agent(agent).memory
        try:
            for entry in _entries(paths, options):
                done.take(memory, entry)
        except (KeyboardInterrupt, RlmdError):
            if not dry_run:
                out.note(f"Stopped after {len(done.written)} written. Run it again to go on.")
            raise
    done.tell(app)
    return 1 if done.problems else 0


@dataclass(kw_only=True)
class _Imported:
    """What an import has done so far."""

    dry_run: bool
    written: list[dict[str, Any]] = field(default_factory=list)
    unchanged: int = 0
    problems: list[importing.Problem] = field(default_factory=list)

    def take(self, memory: Memory, entry: importing.Entry) -> None:
        """Write an item, unless it stands there already."""
        if isinstance(entry, importing.Problem):
            self.problems.append(entry)
            return
        try:
            there = _there(memory, entry.name)
            if there is not None and _is(there, entry):
                self.unchanged += 1
                return
            version = (int(there.version) if there else 0) + 1 if self.dry_run else _write_item(memory, entry)
        except (InvalidInput, TooLarge) as exc:
            # Of this item alone; whatever else fails would fail with the next as well.
            self.problems.append(importing.Problem(where=entry.where, reason=str(exc)))
            return
        self.written.append({"name": entry.name, "version": version})

    def tell(self, app: App) -> None:
        """The summary."""
        if app.json:
            told = {"written": self.written, "unchanged": self.unchanged, "problems": self.problems}
            out.print_json({"dry_run": self.dry_run, **told})
            return
        for problem in self.problems:
            out.note(f"{problem.where}: {problem.reason}")
        if self.dry_run:
            for one in self.written:
                out.say(f"{one['name']} v{one['version']}")
        head = f"{len(self.written)} {'would be written' if self.dry_run else 'written'}"
        out.say(f"{head}, {self.unchanged} unchanged, {len(self.problems)} could not be taken.")


def _there(memory: Memory, name: str) -> Variable | None:
    try:
        return whole(memory, name)
    except NotFound:
        return None


def _is(there: Variable, item: importing.Item) -> bool:
    """Whether it is the same, and tells of the same time."""
    if there.version.kind is Kind.DELETED or (item.dated and there.version.source_time != item.time):
        return False
    # As JSON: to Python, 1, 1.0 and True are equal.
    return json.dumps(there.value, sort_keys=True) == json.dumps(item.value, sort_keys=True)


def _write_item(memory: Memory, item: importing.Item) -> int:
    return int(
        memory.set(item.name, item.value, note="imported", source_time=item.time, origin=Origin.EXTERNAL)
    )


def _entries(paths: Sequence[Path], options: importing.Options) -> Iterator[importing.Entry]:
    """What is in the files, with progress on a terminal: read only when what came before is written."""
    reader = importing.Reader(options)
    found = list(importing.find(paths))
    with contextlib.ExitStack() as stack:
        advance = _progress(stack, sum(one.size for one in found if isinstance(one, importing.Source)))
        for one in found:
            if isinstance(one, importing.Problem):
                yield one
                continue
            advance(one.path.name, 0)
            yield from reader.read(one)
            advance(one.path.name, one.size)


def _progress(stack: contextlib.ExitStack, total: int) -> Callable[[str, int], None]:
    """Shows how many bytes of files are done; call it with a file and what of it has been read."""
    if not sys.stderr.isatty():
        return lambda file, size: None
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    shown = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = shown.add_task("importing", total=total)
    return lambda file, size: shown.update(
        task, description=escape(out.cut(out.safe(file), 30)), advance=size
    )


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
