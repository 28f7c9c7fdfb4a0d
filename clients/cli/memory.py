"""memory: read, write and search an agent's variables, and take them back."""

from __future__ import annotations

import json
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from rlmd.clients.check import INT64
from rlmd.clients.parts import Progress
from rlmd.clients.records import Kind, Version
from rlmd.clients.sync import Memory, Reader
from rlmd.clients.values import parse_json
from rlmd.errors import InvalidInput, NotFound

from . import out
from .base import COUNT, VERSION, App, F, Group, agent_option, pass_app
from .progress import shown


@click.group(
    cls=Group,
    lazy={
        "import": "transfer:import_",
        "export": "transfer:export",
        "keep": "keeping:keep",
        "pin": "keeping:pin",
        "unkeep": "keeping:unkeep",
        "kept": "keeping:kept",
        "purge": "purging:purge",
        "purges": "purging:purges",
        "changes": "changes:changes",
        "tidy": "changes:tidy",
    },
    examples="""
        rlmd memory set people/bob "lives in Berlin"
        rlmd memory search "where does Bob live?"
        rlmd memory history people/bob
    """,
)
def memory() -> None:
    """Variables: named, versioned values that an agent remembers."""


@memory.command(
    "list",
    examples="""
        rlmd memory list
        rlmd memory list people/ --deleted
    """,
)
@click.argument("prefix", default="")
@click.option("--deleted", is_flag=True, help="Also deleted ones.")
@agent_option
@pass_app
def list_(app: App, prefix: str, deleted: bool, agent: str) -> None:
    """The variables whose names begin with PREFIX."""
    with app.client() as client:
        found = list(client.agent(agent).memory.variables(prefix, deleted=deleted))
    if app.json:
        out.print_json(found)
        return
    rows = [(v.name, v.version, v.version.kind, v.version.size, out.local(v.version.time)) for v in found]
    out.table(("name", "version", "kind", "bytes", "written"), rows, empty="There are none.")


@memory.command(
    examples="""
        rlmd memory get people/bob
        rlmd memory get plan --version 3
        rlmd memory get plan --as-of 2026-11-01T12:00
    """
)
@click.argument("name")
@click.option("--version", "-v", type=click.IntRange(1, INT64), help="An earlier version.")
@click.option("--as-of", metavar="TIME", help="As it stood at a time, in ISO 8601.")
@agent_option
@pass_app
def get(app: App, name: str, version: int | None, as_of: str | None, agent: str) -> None:
    """The value of a variable. JSON values are laid out; bytes are written as they are."""
    with app.client() as client:
        reader = client.agent(agent).memory.open(name, version=version, as_of=as_of)
        kind, size = reader.variable.version.kind, reader.variable.version.size
        if app.json:
            out.print_json(replace(reader.variable, value=reader.whole()))
        elif kind is Kind.JSON:
            out.say(json.dumps(reader.whole(), ensure_ascii=False, indent=2))
        elif not out.is_terminal():
            # In a pipe exactly what was stored, as it comes.
            with shown(name, size) as progress:
                _pour(reader, progress)
        elif kind is Kind.BYTES:
            remedy = f"Send them to a file: rlmd memory get {name} > FILE"
            raise InvalidInput(f"{size:,} bytes are nothing for a terminal.", remedy=remedy)
        else:
            last = ""
            for last in reader.parts():
                print(out.safe(last), end="")
            if not last.endswith("\n"):
                print()  # The prompt should start on a new line.


def _pour(reader: Reader, progress: Progress | None) -> None:
    done = 0
    for data in reader.chunks():
        sys.stdout.buffer.write(data)
        done += len(data)
        if progress is not None:
            progress(done)
    sys.stdout.buffer.flush()


def _value_options(function: F) -> F:
    for option in (
        click.argument("value", required=False),
        click.option("--json-value", is_flag=True, help="VALUE is JSON, not text."),
        click.option(
            "--file", "-f", type=click.Path(dir_okay=False, path_type=Path), help="Read it from here."
        ),
        click.option("--bytes", "as_bytes", is_flag=True, help="Keep what is read as bytes, not text."),
        click.option(
            "--expect", type=VERSION, help="Only if this is the latest version; 0: if there is none."
        ),
        click.option("--note", "-m", default="", help="Why, for the history."),
        click.option("--source-time", metavar="TIME", help="When what it tells happened, in ISO 8601."),
        agent_option,
    ):
        function = option(function)
    return function


def _write(
    app: App,
    name: str,
    value: str | None,
    json_value: bool,
    file: Path | None,
    as_bytes: bool,
    agent: str,
    *,
    append: bool,
    **why: Any,
) -> None:
    """Set or append the value that the options mean; `-` means stdin."""
    if value is not None and file is not None:
        raise click.UsageError("Give VALUE or --file, not both.")
    if json_value and as_bytes:
        raise click.UsageError("Give --json-value or --bytes, not both.")
    if value is None and file is None:
        raise click.UsageError("Give a VALUE, --file, or - for stdin.")
    given = value is not None and value != "-"
    if given and as_bytes:
        raise click.UsageError("--bytes is for --file and stdin.")
    with app.client() as client:
        memory = client.agent(agent).memory
        if given or json_value:
            text = value if given and value is not None else _text(file)
            new = parse_json(text) if json_value else text
            version = (memory.append if append else memory.set)(name, new, **why)
        else:
            total = file.stat().st_size if file is not None else None
            with shown(name, total) as progress:
                source = file or sys.stdin.buffer
                version = memory.upload(
                    name, source, text=not as_bytes, append=append, progress=progress, **why
                )
        _written(app, name, version)


def _text(file: Path | None) -> str:
    raw = file.read_bytes() if file is not None else sys.stdin.buffer.read()
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        raise InvalidInput(
            f"Not UTF-8 text: byte {exc.start} is 0x{raw[exc.start]:02x}.",
            field="value",
            remedy="JSON is UTF-8.",
        ) from exc


@memory.command(
    "set",
    examples="""
        rlmd memory set people/bob "lives in Berlin"
        rlmd memory set plan --json-value '{"next": "Bern"}' --expect 2
        rlmd memory set inbox/report --file report.txt --note "from Ann"
        date | rlmd memory set clock -
    """,
)
@click.argument("name")
@_value_options
@pass_app
def set_(
    app: App,
    name: str,
    value: str | None,
    json_value: bool,
    file: Path | None,
    as_bytes: bool,
    expect: int | None,
    note: str,
    source_time: str | None,
    agent: str,
) -> None:
    """Write a new version of a variable, from VALUE, a file, or stdin."""
    why = {"expect": expect, "note": note, "source_time": source_time}
    _write(app, name, value, json_value, file, as_bytes, agent, append=False, **why)


@memory.command(
    examples="""
        rlmd memory append journal "Bob moved to Berlin."
        rlmd memory append todo --json-value '{"buy": "milk"}'
    """
)
@click.argument("name")
@_value_options
@pass_app
def append(
    app: App,
    name: str,
    value: str | None,
    json_value: bool,
    file: Path | None,
    as_bytes: bool,
    expect: int | None,
    note: str,
    source_time: str | None,
    agent: str,
) -> None:
    """Add text to a text, bytes to bytes, or an item to a list; creates the variable."""
    why = {"expect": expect, "note": note, "source_time": source_time}
    _write(app, name, value, json_value, file, as_bytes, agent, append=True, **why)


@memory.command(
    examples="""
        rlmd memory search "where does Bob live?"
        rlmd memory search promises -k 3 --prefix chats/ --after 2026-01-01
    """
)
@click.argument("query")
@click.option("-k", type=COUNT, default=10, show_default=True, help="How many hits at most.")
@click.option("--prefix", default="", help="Only in variables whose names begin so.")
@click.option("--after", metavar="TIME", help="Only what is not older.")
@click.option("--before", metavar="TIME", help="Only what is older.")
@agent_option
@pass_app
def search(
    app: App, query: str, k: int, prefix: str, after: str | None, before: str | None, agent: str
) -> None:
    """The passages that fit best, by meaning and words."""
    with app.client() as client:
        hits = client.agent(agent).memory.search(query, k, prefix, after=after, before=before)
    if app.json:
        out.print_json(hits)
    elif not out.is_terminal():
        rows = [(f"{h.score:.3f}", h.name, h.version, out.local(h.time), h.text) for h in hits]
        out.table(("score", "name", "version", "time", "text"), rows)
    elif not hits:
        out.note("Nothing fits.")
    else:
        from rich.console import Console
        from rich.text import Text

        console = Console()
        for hit in hits:
            head = f"{hit.name} v{hit.version}  {out.local(hit.time)}  {hit.score:.3f}"
            console.print(Text(out.safe(head), style="bold"))
            console.print(Text(out.safe(out.cut(hit.text, 400))), "")


@memory.command(
    examples="""
        rlmd memory history plan
        rlmd memory history plan -n 5 --json
    """
)
@click.argument("name")
@click.option("-n", type=COUNT, help="Only the newest so many.")
@agent_option
@pass_app
def history(app: App, name: str, n: int | None, agent: str) -> None:
    """The versions of a variable, newest first: when, by whom, why."""
    with app.client() as client:
        versions = client.agent(agent).memory.history(name)[::-1][:n]
    if app.json:
        out.print_json(versions)
        return
    rows = [(v.number, out.local(v.time), _author(v), v.kind, v.size, v.note) for v in versions]
    out.table(("version", "written", "by", "kind", "bytes", "note"), rows)


@memory.command(
    examples="""
        rlmd memory diff plan
        rlmd memory diff plan 2 5
    """
)
@click.argument("name")
@click.argument("a", type=VERSION, default=0)
@click.argument("b", type=VERSION, default=0)
@agent_option
@pass_app
def diff(app: App, name: str, a: int, b: int, agent: str) -> None:
    """What changed from version A to version B; without them, by the latest version."""
    with app.client() as client:
        changed = client.agent(agent).memory.diff(name, a, b)
    if app.json:
        out.print_json({"name": name, "diff": changed})
        return
    if not out.is_terminal():
        print(changed, end="" if changed.endswith("\n") or not changed else "\n")
        return
    for line in changed.splitlines():
        color = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        click.secho(out.safe(line), fg=color)


@memory.command(examples='rlmd memory revert plan 2 --note "the old plan was better"')
@click.argument("name")
@click.argument("version", type=click.IntRange(1, INT64))
@click.option("--note", "-m", default="", help="Why, for the history.")
@agent_option
@pass_app
def revert(app: App, name: str, version: int, note: str, agent: str) -> None:
    """Make an earlier version the latest again, as a new version."""
    with app.client() as client:
        _written(app, name, client.agent(agent).memory.revert(name, version, note=note))


@memory.command(
    examples="""
        rlmd memory delete plan
        rlmd memory delete plan --expect 4
    """
)
@click.argument("names", nargs=-1, required=True)
@click.option("--expect", type=VERSION, help="Only if this is the latest version.")
@click.option("--note", "-m", default="", help="Why, for the history.")
@agent_option
@pass_app
def delete(app: App, names: tuple[str, ...], expect: int | None, note: str, agent: str) -> None:
    """Hide variables: all, or none if one is not there. Their past stays; `undelete` brings them back."""
    if expect is not None and len(names) > 1:
        raise click.UsageError("--expect is for one variable.")
    with app.client() as client:
        memory = client.agent(agent).memory
        if len(names) > 1:
            _check_there(memory, names)
        for name in names:
            _written(app, name, memory.delete(name, expect=expect, note=note))


def _check_there(memory: Memory, names: tuple[str, ...]) -> None:
    there = set(memory.names())
    missing = [name for name in names if unicodedata.normalize("NFC", name) not in there]
    if missing:
        raise NotFound(
            f"There is no variable {', '.join(missing)}; nothing was deleted.",
            field="name",
            remedy="See `rlmd memory list`.",
        )


@memory.command(examples="rlmd memory undelete plan")
@click.argument("name")
@click.option("--note", "-m", default="", help="Why, for the history.")
@agent_option
@pass_app
def undelete(app: App, name: str, note: str, agent: str) -> None:
    """Bring a deleted variable back as it was."""
    with app.client() as client:
        _written(app, name, client.agent(agent).memory.undelete(name, note=note))


def _written(app: App, name: str, version: Version) -> None:
    if app.json:
        out.print_json({"name": name, "version": version.number, **_rest(version)}, indent=None)
    else:
        out.say(f"{name} v{version}")


def _rest(version: Version) -> dict[str, Any]:
    return {key: value for key, value in out.plain(version).items() if key != "number"}


def _author(version: Version) -> str:
    author = version.author
    return f"{author.agent} run {author.run}.{author.step}.{author.call}" if author.run else author.user
