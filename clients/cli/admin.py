"""user, token, usage."""

from __future__ import annotations

import click

from rlmd.clients.money import dollars
from rlmd.clients.records import Usage

from . import out
from .base import App, Command, Group, pass_app


@click.group(
    cls=Group,
    examples="""
        rlmd user list
        rlmd user create ann
    """,
)
def user() -> None:
    """Accounts. What belongs to one does not exist for another."""


@user.command("list", examples="rlmd user list --json")
@pass_app
def list_users(app: App) -> None:
    """All users. For administrators."""
    with app.client() as client:
        found = client.admin.users()
    if app.json:
        out.print_json(found)
        return
    rows = [(u.name, "yes" if u.administrator else "", out.local(u.create_time)) for u in found]
    out.table(("user", "administrator", "created"), rows)


@user.command("show", examples="rlmd user show")
@pass_app
def show_user(app: App) -> None:
    """Who you are."""
    with app.client() as client:
        found = client.admin.whoami()
    if app.json:
        out.print_json(found)
    else:
        out.say(found.name)


@user.command("create", examples="rlmd user create ann > ann.token")
@click.argument("name")
@click.option("--administrator", is_flag=True, help="May make users and tokens for others.")
@pass_app
def create_user(app: App, name: str, administrator: bool) -> None:
    """Make a user with an agent `main`. Prints their first token, which is shown only now."""
    with app.client() as client:
        made, secret = client.admin.create_user(name, administrator=administrator)
    if app.json:
        out.print_json({**out.plain(made), "secret": secret})
    else:
        out.say(secret)


@click.group(
    cls=Group,
    examples="""
        rlmd token create --label laptop
        rlmd token list
        rlmd token revoke users/ann/tokens/2
    """,
)
def token() -> None:
    """Rights to call the daemon."""


@token.command("list", examples="rlmd token list --user ann")
@click.option("--user", default="", help="Whose; else yours.")
@pass_app
def list_tokens(app: App, user: str) -> None:
    """Tokens, newest first, without their secrets."""
    with app.client() as client:
        found = client.admin.tokens(user)
    if app.json:
        out.print_json(found)
        return
    rows = [
        (t.name, t.label, out.local(t.create_time), out.local(t.expire_time), out.local(t.revoke_time))
        for t in found
    ]
    out.table(("token", "label", "created", "expires", "revoked"), rows)


@token.command("create", examples="rlmd token create --label laptop --expires 2027-01-01")
@click.option("--label", default="", help="What it is for.")
@click.option("--user", default="", help="For whom; else for you.")
@click.option("--expires", metavar="TIME", help="When it ends by itself.")
@pass_app
def create_token(app: App, label: str, user: str, expires: str | None) -> None:
    """Make a token and print its secret, which is shown only now."""
    with app.client() as client:
        made, secret = client.admin.create_token(label, user=user, expires=expires)
    if app.json:
        out.print_json({**out.plain(made), "secret": secret})
    else:
        out.say(secret)


@token.command("revoke", examples="rlmd token revoke users/ann/tokens/2")
@click.argument("name")
@pass_app
def revoke_token(app: App, name: str) -> None:
    """End a token at once, by its name in `rlmd token list`."""
    with app.client() as client:
        client.admin.revoke_token(name)
    if app.json:
        out.print_json({"revoked": name})
    else:
        out.say(f"Revoked {name}.")


@click.command(
    cls=Command,
    examples="""
        rlmd usage
        rlmd usage --by day --after 2026-11-01
        rlmd usage --by model --json
    """,
)
@click.option("--by", type=click.Choice(["agent", "model", "day", "run", "schedule"]), help="A row for each.")
@click.option("--after", metavar="TIME", help="Only from then on.")
@click.option("--before", metavar="TIME", help="Only until before then.")
@pass_app
def usage(app: App, by: str | None, after: str | None, before: str | None) -> None:
    """What your agents used: model calls, tokens, and what they cost."""
    with app.client() as client:
        # click has checked the choice; mypy cannot know.
        found = client.admin.usage(by or "", after=after, before=before)  # type: ignore[arg-type]
    if app.json:
        out.print_json(found)
        return
    # Where nothing costs anything, the bars are of tokens.
    priced = any(row.cost for row in found)
    sizes = [row.cost if priced else row.input_tokens + row.output_tokens for row in found]
    rows = [
        (row.group or "all", row.model_calls, row.input_tokens, row.cached_tokens, row.output_tokens,
         dollars(row.cost), out.bar(size, max(sizes) or 1), _remark(row))
        for row, size in zip(found, sizes, strict=True)
    ]  # fmt: skip
    heads = (by or "", "calls", "input", "of it cached", "output", "cost", "", "")
    out.table(heads, rows, empty="Nothing was used.")


def _remark(row: Usage) -> str:
    remarks = ["estimated"] if row.estimated else []
    if row.unpriced_calls:
        remarks.append(f"{row.unpriced_calls} calls of unknown price")
    return ", ".join(remarks)
