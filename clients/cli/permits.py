"""permit: what an agent may do without asking, even after it has read text from outside."""

from __future__ import annotations

import click

from . import out
from .base import App, Group, agent_option, pass_app


@click.group(
    cls=Group,
    examples="""
        rlmd permit list
        rlmd permit add home.lights
        rlmd permit remove home.lights
    """,
)
def permit() -> None:
    """What an agent may do without asking, even after it has read text from outside."""


@permit.command("list", examples="rlmd permit list --agent main")
@agent_option
@pass_app
def list_(app: App, agent: str) -> None:
    """What is permitted."""
    with app.client() as client:
        found = client.agent(agent).permits()
    if app.json:
        out.print_json(found)
    else:
        rows = [(each.what, out.local(each.create_time)) for each in found]
        out.table(("what", "since"), rows, empty="Nothing: each time you are asked.")


@permit.command(
    examples="""
        rlmd permit add home.lights
        rlmd permit add alice.tell
    """
)
@click.argument("what")
@agent_option
@pass_app
def add(app: App, what: str, agent: str) -> None:
    """Permit WHAT for good: CHANNEL.FUNCTION, CHANNEL.tell or CHANNEL.ask."""
    with app.client() as client:
        made = client.agent(agent).permit(what)
    if app.json:
        out.print_json(made)
    else:
        out.say(f"{agent} may {made.what} without asking.")


@permit.command(examples="rlmd permit remove home.lights")
@click.argument("what")
@agent_option
@pass_app
def remove(app: App, what: str, agent: str) -> None:
    """Permit WHAT no more: the next run that wants it asks."""
    with app.client() as client:
        client.agent(agent).forbid(what)
    if not app.json:
        out.say(f"{agent} asks before it may {what}.")
