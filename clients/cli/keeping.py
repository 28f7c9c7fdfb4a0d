"""memory keep, pin, unkeep, kept: for how long variables are kept."""

from __future__ import annotations

import re

import click

from rlmd.clients.records import Retention
from rlmd.errors import InvalidInput

from . import out
from .base import App, Command, agent_option, pass_app

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_LENGTH = re.compile(r"(\d{1,12})([smhdw]?)")


@click.command(
    cls=Command,
    examples="""
        rlmd memory keep temp/ --for 30d
        rlmd memory keep drafts/ --versions 20
        rlmd memory keep logs/ --for 52w --versions 100
    """,
)
@click.argument("prefix")
@click.option("--for", "length", metavar="TIME", help="Since the last write, like 12h, 30d or 52w.")
@click.option("--versions", type=int, help="The last so many; older ones are erased.")
@agent_option
@pass_app
def keep(app: App, prefix: str, length: str | None, versions: int | None, agent: str) -> None:
    """Say how long variables are kept whose names begin with PREFIX. Applied within an hour.

    What is over its time is hidden, as by `delete`, and can be brought back; versions beyond the last ones
    are erased, and cannot. Of several rules that fit a name, the one with the longest prefix counts.
    """
    seconds = None if length is None else _seconds(length)
    with app.client() as client:
        _show(app, client.agent(agent).memory.keep(prefix, seconds=seconds, versions=versions))


@click.command(cls=Command, examples="rlmd memory pin plan")
@click.argument("name")
@agent_option
@pass_app
def pin(app: App, name: str, agent: str) -> None:
    """Keep a variable, whatever the rules of `keep` say. `unkeep` unpins it."""
    with app.client() as client:
        _show(app, client.agent(agent).memory.pin(name))


@click.command(cls=Command, examples="rlmd memory unkeep temp/")
@click.argument("prefix")
@agent_option
@pass_app
def unkeep(app: App, prefix: str, agent: str) -> None:
    """Drop the rule for exactly this prefix, or unpin this name."""
    with app.client() as client:
        client.agent(agent).memory.unkeep(prefix)
    if app.json:
        out.print_json({"dropped": prefix})
    else:
        out.say(f"No rule for {prefix} any more.")


@click.command(cls=Command, examples="rlmd memory kept --json")
@agent_option
@pass_app
def kept(app: App, agent: str) -> None:
    """The rules by which variables are kept, and those that are pinned."""
    with app.client() as client:
        found = client.agent(agent).memory.retentions()
    if app.json:
        out.print_json(found)
        return
    out.table(("names", "kept"), [(each.prefix, _rule(each)) for each in found], empty="All are kept.")


def _show(app: App, rule: Retention) -> None:
    if app.json:
        out.print_json(rule)
    else:
        out.say(f"{rule.prefix}: {_rule(rule)}")


def _rule(rule: Retention) -> str:
    if rule.pinned:
        return "pinned"
    parts = []
    if rule.seconds is not None:
        unit = next(name for name in "wdhms" if rule.seconds % _UNITS[name] == 0)
        parts.append(f"for {rule.seconds // _UNITS[unit]}{unit} after the last write")
    if rule.versions is not None:
        parts.append(f"the last {rule.versions} versions")
    return ", ".join(parts)


def _seconds(length: str) -> int:
    match = _LENGTH.fullmatch(length.strip())
    if match is None:
        raise InvalidInput(f"{length!r} is no time.", field="for", remedy="Give one like 12h or 30d.")
    return int(match[1]) * _UNITS[match[2] or "s"]
