"""why: where a version of a variable comes from, back to what somebody said."""

from __future__ import annotations

from typing import Any

import click

from rlmd.clients.records import Call, Step, Variable
from rlmd.clients.sync import Agent
from rlmd.errors import InvalidInput, NotFound

from . import out
from .base import App, Command, agent_option, pass_app


@click.command(
    cls=Command,
    examples="""
        rlmd why people/bob
        rlmd why plan@2 --json
    """,
)
@click.argument("name", metavar="NAME[@VERSION]")
@agent_option
@pass_app
def why(app: App, name: str, agent: str) -> None:
    """Which call of which step of which run wrote a version, and what woke that run."""
    name, number = _parse(name)
    with app.client() as client:
        chain = _chain(client.agent(agent), name, number)
    if app.json:
        out.print_json(chain)
    else:
        out.fields(chain)


def _parse(name: str) -> tuple[str, int | None]:
    head, at, tail = name.rpartition("@")
    if not at:
        return name, None
    if not (tail.isascii() and tail.isdecimal() and 0 < len(tail) < 18):
        raise InvalidInput(f"{tail!r} is no version", field="name", remedy="Write it like plan@2.")
    return head, int(tail)


def _chain(agent: Agent, name: str, number: int | None) -> dict[str, Any]:
    """From the version back to its source, as far as it goes."""
    found: Variable = agent.memory.variable(name, version=number)
    version, author = found.version, found.version.author
    chain: dict[str, Any] = {
        "version": f"{name}@{version.number}, {version.kind} of {version.size} bytes",
        "written": out.local(version.time),
        "note": version.note,
        "by": author.user,
    }
    if author.run:
        try:
            run = agent.run(author.run).get()
        except NotFound:
            return {**chain, "run": f"{author.run} of {author.agent}, which is gone"}
        step = next((step for step in run.steps if step.number == author.step), None)
        call = next((call for call in step.calls if call.number == author.call), None) if step else None
        chain |= {
            "by": f"{author.agent}, an agent of {author.user}",
            "call": f"{author.call}: {_call(call)}",
            "step": f"{author.step}: {_line(step)}",
            "run": f"{run.id}, {run.state}",
            "event": f"{run.event_kind} on {run.channel or 'no channel'}: {out.cut(run.event_text, 200)}",
        }
    return {key: value for key, value in chain.items() if value}


def _call(call: Call | None) -> str:
    from .view import describe

    return describe(call) if call else "not kept"


def _line(step: Step | None) -> str:
    return out.cut((step.code or step.reply).strip(), 200) if step else "not kept"
