"""memory purge, memory purges: erase for good, and see that something was erased."""

from __future__ import annotations

import sys

import click

from rlmd.errors import InvalidInput

from . import out
from .base import App, Command, agent_option, pass_app


@click.command(
    cls=Command,
    examples="""
        rlmd memory purge people/bob
        rlmd memory purge people/bob --text "Bob lives in Berlin" --yes
        rlmd memory purge --prefix old/ --note "Bob asked for it"
        rlmd memory purge
    """,
)
@click.argument("names", nargs=-1)
@click.option("--prefix", help="All variables whose names begin so.")
@click.option("--text", default="", help="Also messages and whatever else holds this text.")
@click.option("--note", "-m", default="", help="Why, for the list of purges.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@agent_option
@pass_app
def purge(
    app: App, names: tuple[str, ...], prefix: str | None, text: str, note: str, yes: bool, agent: str
) -> None:
    """Erase variables with all their past, to the last byte. There is no way back.

    What runs that wrote or read them have in their journals goes too. Without names it finishes a purge that
    was cut off.
    """
    named = bool(names) or prefix is not None or bool(text)
    if named and not yes and not _agreed():
        raise click.Abort
    with app.client() as client:
        erased = client.agent(agent).memory.purge(*names, prefix=prefix, text=text, note=note)
    if app.json:
        out.print_json(erased)
        return
    if erased.purge is None:
        out.say("Nothing of what was purged before is left.")
    else:
        what = erased.purge
        out.say(
            f"Erased {what.variables} variables with {what.versions} versions, the journals of"
            f" {what.runs} runs, and {what.messages} messages."
        )
    for copy in erased.copies:
        out.note(f"A copy from before an upgrade may still hold it: {copy} in the data directory. Delete it.")


@click.command(cls=Command, examples="rlmd memory purges --json")
@pass_app
def purges(app: App) -> None:
    """That something was purged, newest first: how much, and nothing of what."""
    with app.client() as client:
        found = client.agent().memory.purges()
    if app.json:
        out.print_json(found)
        return
    rows = [
        (p.id, p.space, p.variables, p.versions, p.runs, p.messages, out.local(p.time), p.note) for p in found
    ]
    heads = ("purge", "space", "variables", "versions", "runs", "messages", "when", "why")
    out.table(heads, rows, empty="Nothing was purged.")


def _agreed() -> bool:
    try:
        return click.confirm("Erase it for good? There is no way back.", err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise InvalidInput("nobody answered.", field="yes", remedy="Give --yes.") from None
