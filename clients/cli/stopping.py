"""stop, resume: all runs at once."""

from __future__ import annotations

import click

from . import out
from .base import App, Command, pass_app


@click.command(
    cls=Command,
    examples="""
        rlmd stop --all
        rlmd stop --all --reason "it writes to everybody"
        rlmd stop --all --everyone
    """,
)
@click.option("--all", "everything", is_flag=True, help="All your runs. There is no other kind of stop here.")
@click.option("--everyone", is_flag=True, help="Those of all users; for administrators.")
@click.option("--reason", default="", help="Why, for the record and for who is told.")
@pass_app
def stop(app: App, everything: bool, everyone: bool, reason: str) -> None:
    """Stop all runs where they are, at once, until `rlmd resume`.

    No model is asked: what computes is killed, and nothing is set to work any more, also after a restart.
    Messages are taken, and wait. One run is stopped by `rlmd run cancel`, the daemon by `rlmd down`.
    """
    if not everything:
        raise click.UsageError("Say --all: it stops all your runs. One of them: `rlmd run cancel ID`.")
    with app.client() as client:
        made, count = client.admin.stop_all(reason, everyone=everyone)
    if app.json:
        out.print_json({"stop": out.plain(made), "interrupted_runs": count})
    else:
        more = " --everyone" if made.everyone else ""
        out.say(f"Stopped; {count} at work. All goes on after `rlmd resume{more}`.")


@click.command(
    cls=Command,
    examples="""
        rlmd resume
        rlmd resume --everyone
    """,
)
@click.option("--everyone", is_flag=True, help="End a stop of all users; for administrators.")
@pass_app
def resume(app: App, everyone: bool) -> None:
    """Let all runs go on where they were, after `rlmd stop --all`."""
    with app.client() as client:
        count = client.admin.resume_all(everyone=everyone)
    if app.json:
        out.print_json({"resumed_runs": count})
    else:
        out.say(f"Nothing is stopped any more; {count} had waited.")
