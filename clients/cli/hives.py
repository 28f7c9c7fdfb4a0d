"""hive: create, list, show, join, invite, leave, dissolve, grants, grant, revoke, audit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

from rlmd.clients.hive_records import Grant, Member

from . import out
from .base import COUNT, App, Group, agreed, pass_app

VERBS = ("read", "search", "append", "write", "ask", "tell")
_SPANS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _seconds(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """A length of time such as 30m, 12h, 7d."""
    if value is None:
        return None
    if value[-1:] in _SPANS and value[:-1].isdecimal() and 0 < int(value[:-1]) < 10**6:
        return int(value[:-1]) * _SPANS[value[-1]]
    raise click.BadParameter(f"{value!r} is no length of time; write it like 30m, 12h or 7d.")


@click.group(
    cls=Group,
    examples="""
        rlmd hive create team
        rlmd hive join team researcher
        rlmd hive show team
    """,
)
def hive() -> None:
    """Agents that share memory and call each other."""


@hive.command(examples="rlmd hive create team")
@click.argument("name")
@pass_app
def create(app: App, name: str) -> None:
    """Make a hive. Its members share the variables under @NAME/."""
    with app.client() as client:
        made = client.hives.create(name)
    if app.json:
        out.print_json(made)
    else:
        out.say(f"Made the hive {made.name}; `rlmd hive join {made.name} AGENT` makes an agent a member.")


@hive.command("list", examples="rlmd hive list --json")
@pass_app
def list_(app: App) -> None:
    """The hives that you own, or in which an agent of yours is."""
    with app.client() as client:
        found = client.hives.list()
    if app.json:
        out.print_json(found)
        return
    rows = [(each.name, each.owner, " ".join(member.name for member in each.members)) for each in found]
    out.table(("hive", "owner", "members"), rows, empty="There is none.")


@hive.command(examples="rlmd hive show team")
@click.argument("name")
@pass_app
def show(app: App, name: str) -> None:
    """A hive's members, and what they may do."""
    with app.client() as client:
        found = client.hives.get(name)
        granted = client.hives.grants(name)
    if app.json:
        out.print_json({**out.plain(found), "grants": out.plain(list(granted))})
        return
    out.fields({"hive": found.name, "owner": found.owner, "memory": f"{found.space}/..."})
    out.say()
    out.table(("member", "agent of", "about"), [_member(each) for each in found.members], empty="Nobody yet.")
    out.say()
    _table(granted)


@hive.command(
    examples="""
        rlmd hive join team researcher
        rlmd hive join team main --as boss --about "Decides"
        rlmd hive join theirs main --code Xn4...
    """
)
@click.argument("name")
@click.argument("agent")
@click.option("--as", "called", default="", metavar="NAME", help="What the others call it.")
@click.option("--about", default="", help="What the others are told of it; else how its instructions begin.")
@click.option("--code", default="", help="An invitation, if the hive is another user's.")
@pass_app
def join(app: App, name: str, agent: str, called: str, about: str, code: str) -> None:
    """Make an agent of yours a member."""
    with app.client() as client:
        member = client.hives.join(name, agent, called=called, about=about, code=code)
    if app.json:
        out.print_json(member)
    else:
        out.say(f"{member.name} is in {name}.")


@hive.command(
    examples="""
        rlmd hive invite team
        rlmd hive invite team --for 7d
    """
)
@click.argument("name")
@click.option(
    "--for", "seconds", metavar="TIME", callback=_seconds, help="How long it works; a day if not given."
)
@pass_app
def invite(app: App, name: str, seconds: int | None) -> None:
    """A code by which one agent of another user of this daemon can join. It works once."""
    with app.client() as client:
        invitation = client.hives.invite(name, seconds=seconds)
    if app.json:
        out.print_json(invitation)
        return
    out.say(invitation.code)
    out.note(f"Until {out.local(invitation.expire_time)}: rlmd hive join {name} AGENT --code ...")


@hive.command(examples="rlmd hive leave team researcher")
@click.argument("name")
@click.argument("member")
@pass_app
def leave(app: App, name: str, member: str) -> None:
    """Take a member out, at once: your own agent, or of a hive of yours anybody's."""
    with app.client() as client:
        client.hives.leave(name, member)
    if app.json:
        out.print_json({"left": member})
    else:
        out.say(f"{member} is no longer in {name}.")


@hive.command(examples="rlmd hive dissolve team --yes")
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@pass_app
def dissolve(app: App, name: str, yes: bool) -> None:
    """Delete a hive with all that it shared. There is no way back."""
    if not yes and not agreed(f"Dissolve the hive {name} with all its memory?"):
        raise click.Abort
    with app.client() as client:
        client.hives.dissolve(name)
    if app.json:
        out.print_json({"dissolved": name})
    else:
        out.say(f"Dissolved {name}.")


@hive.command(examples="rlmd hive grants team --all")
@click.argument("name")
@click.option("--all", "ended", is_flag=True, help="Also those that have expired or were revoked.")
@pass_app
def grants(app: App, name: str, ended: bool) -> None:
    """What members may do."""
    with app.client() as client:
        found = client.hives.grants(name, ended=ended)
    if app.json:
        out.print_json(list(found))
    else:
        _table(found)


@hive.command(
    examples="""
        rlmd hive grant team write --on "plan*"
        rlmd hive grant team ask --member writer --on researcher --rate 10 --for 7d
    """
)
@click.argument("name")
@click.argument("verbs", nargs=-1, type=click.Choice(VERBS))
@click.option("--member", default="", metavar="NAME", help="Only this one; else all.")
@click.option("--on", "pattern", default="*", show_default=True, metavar="PATTERN", help="A name, or name*.")
@click.option("--rate", type=click.IntRange(1, 100_000), help="Calls a minute from one to another.")
@click.option(
    "--for", "seconds", metavar="TIME", callback=_seconds, help="How long it holds; for ever if not given."
)
@pass_app
def grant(
    app: App,
    name: str,
    verbs: tuple[str, ...],
    member: str,
    pattern: str,
    rate: int | None,
    seconds: int | None,
) -> None:
    """Let members do more. read, search, append and write are about variables, ask and tell about members."""
    if not verbs:
        raise click.UsageError(f"Name what they may: {', '.join(VERBS)}.")
    until = None if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)
    with app.client() as client:
        granted = client.hives.grant(
            name, verbs, member=member, pattern=pattern, rate=rate or 0, expire_time=until
        )
    if app.json:
        out.print_json(granted)
    else:
        out.say(f"Grant {granted.id}: {_words(granted)}")


@hive.command(examples="rlmd hive revoke team 1")
@click.argument("name")
@click.argument("grant_id", metavar="GRANT")
@pass_app
def revoke(app: App, name: str, grant_id: str) -> None:
    """End a grant, by its number: the next use fails."""
    with app.client() as client:
        revoked = client.hives.revoke(name, grant_id)
    if app.json:
        out.print_json(revoked)
    else:
        out.say(f"Revoked {revoked.id}: {_words(revoked)}")


@hive.command(
    examples="""
        rlmd hive audit team
        rlmd hive audit -n 500 --json
    """
)
@click.argument("name", default="")
@click.option("-n", default=50, show_default=True, type=COUNT, help="How many at most.")
@pass_app
def audit(app: App, name: str, n: int) -> None:
    """What went between you and other users, newest first; without a name in all hives."""
    with app.client() as client:
        found = client.hives.crossings(name, n=n)
    if app.json:
        out.print_json(list(found))
        return
    rows = [
        (
            out.local(each.time),
            each.hive,
            f"{each.member} -> {each.peer}" if each.outward else f"{each.member} <- {each.peer}",
            each.verb,
            out.cut(each.target, 60),
            each.run,
        )
        for each in found
    ]
    out.table(("time", "hive", "who", "did", "what", "run"), rows, empty="Nothing has crossed.")


def _member(member: Member) -> tuple[str, str, str]:
    whose = member.user if member.agent in ("", member.name) else f"{member.user} ({member.agent})"
    return member.name, whose, out.cut(member.about, 60)


def _table(grants: Sequence[Grant]) -> None:
    rows = [
        (
            each.id,
            each.member or "(all)",
            " ".join(each.verbs),
            each.pattern,
            each.rate or "",
            _state(each),
        )
        for each in grants
    ]
    out.table(("grant", "member", "may", "on", "a minute", "until"), rows, empty="Nobody may do anything.")


def _state(grant: Grant) -> str:
    if grant.revoke_time is not None:
        return f"revoked {out.local(grant.revoke_time)}"
    return out.local(grant.expire_time)


def _words(grant: Grant) -> str:
    return f"{grant.member or 'all'} may {', '.join(grant.verbs)} on {grant.pattern}"
