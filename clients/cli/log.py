"""log: what was said to an agent and by it."""

from __future__ import annotations

import click

from . import out
from .base import COUNT, App, Command, agent_option, pass_app


@click.command(
    cls=Command,
    examples="""
        rlmd log -n 50
        rlmd log --search "the trip"
        rlmd log --after 2026-11-01 --before 2026-11-08
    """,
)
@click.option("--search", "-s", "query", help="Only what fits this, by meaning and words; best first.")
@click.option("-n", default=20, show_default=True, type=COUNT, help="How many messages.")
@click.option("--after", metavar="TIME", help="From then on, all of them.")
@click.option("--before", metavar="TIME", help="Until before then.")
@agent_option
@pass_app
def log(app: App, query: str | None, n: int, after: str | None, before: str | None, agent: str) -> None:
    """Messages of all channels, oldest first."""
    if query is not None and (after or before):
        raise click.UsageError("--search looks in all times; leave out --after and --before.")
    with app.client() as client:
        log = client.agent(agent).log
        if query is not None:
            found = log.search(query, n)
        elif after or before:
            found = log.between(after or "0001-01-02", before or "9999-12-30")
        else:
            found = log.recent(n)
    if app.json:
        out.print_json(found)
    elif not out.is_terminal():
        out.table((), [(out.local(m.time), m.channel, m.sender, m.text) for m in found])
    else:
        for message in found:
            head = click.style(f"{out.local(message.time)} {out.safe(message.sender)}", bold=True)
            click.echo(f"{head}  {out.safe(message.text)}")
