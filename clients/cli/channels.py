"""channel: list, show."""

from __future__ import annotations

import json
from typing import Any

import click

from rlmd.clients.records import ChannelInfo, FunctionInfo
from rlmd.errors import NotFound

from . import out
from .base import App, Group, pass_app


@click.group(
    cls=Group,
    examples="""
        rlmd channel list
        rlmd channel show home
    """,
)
def channel() -> None:
    """Who connects, such as bots and computers, and which functions they offer."""


@channel.command("list", examples="rlmd channel list --json")
@pass_app
def list_(app: App) -> None:
    """Your channels that have ever connected: whether they are there now, and what they offer."""
    with app.client() as client:
        found = client.channels()
    if app.json:
        out.print_json(found)
        return
    rows = [
        (each.name, _state(each), out.local(each.seen_time), each.pending, ", ".join(_names(each)))
        for each in found
    ]
    heads = ("channel", "state", "last seen", "pending", "functions")
    out.table(heads, rows, empty="Nobody has connected yet. See docs/how-do-i-connect-a-bot.md.")


@channel.command(examples="rlmd channel show home")
@click.argument("name")
@pass_app
def show(app: App, name: str) -> None:
    """One channel, and how its functions are called."""
    with app.client() as client:
        found = next((each for each in client.channels() if each.name == name), None)
    if found is None:
        reason = f"No channel {name!r} has ever connected."
        raise NotFound(reason, field="channel", remedy="See `rlmd channel list`.")
    if app.json:
        out.print_json(found)
        return
    out.fields(
        {
            "channel": found.name,
            "state": _state(found),
            "says": "text from outside" if found.external else "its owner's words",
            "last seen": out.local(found.seen_time),
            "pending": found.pending,
        }
    )
    for each in found.functions:
        out.say(f"\n{signature(each)}")
        for line in each.doc.splitlines():
            out.say(f"    {line}".rstrip())


def signature(function: FunctionInfo) -> str:
    """How a function is called, as Python writes it: `lights(on: boolean, level: integer = 3)`."""
    parameters = function.parameters if isinstance(function.parameters, dict) else {}
    required = parameters.get("required", ())
    parts = []
    for name, each in parameters.get("properties", {}).items():
        kind = _kind(each)
        part = f"{name}: {kind}" if kind else name
        if name not in required:
            part += f" = {json.dumps(each['default']) if 'default' in each else '...'}"
        parts.append(part)
    result = _kind(function.result)
    return f"{function.name}({', '.join(parts)})" + (f" -> {result}" if result else "")


def _kind(schema: Any) -> str:
    """The type that a schema means, in a few words; empty if they would be many."""
    if not isinstance(schema, dict):
        return ""
    if isinstance(choices := schema.get("enum"), list):
        return " | ".join(json.dumps(choice, ensure_ascii=False) for choice in choices[:10])
    if isinstance(several := schema.get("anyOf"), list):
        return " | ".join(filter(None, map(_kind, several)))
    kind = schema.get("type", "")
    return " | ".join(map(str, kind)) if isinstance(kind, list) else str(kind)


def _state(channel: ChannelInfo) -> str:
    return "online" if channel.online else "away"


def _names(channel: ChannelInfo) -> list[str]:
    return [each.name for each in channel.functions]
