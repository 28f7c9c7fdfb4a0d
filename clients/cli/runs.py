"""run: list, show, watch, cancel."""

from __future__ import annotations

import click

from rlmd.clients.money import dollars
from rlmd.clients.records import RunInfo, RunState, Step
from rlmd.clients.sync import Client, Run
from rlmd.clients.updates import Ended

from . import out
from .base import COUNT, VERSION, App, Group, agent_option, pass_app


@click.group(
    cls=Group,
    examples="""
        rlmd run list
        rlmd run show 12
        rlmd run watch 12
        rlmd run replay 12
        rlmd run fork 12 --at 4 --answer no
    """,
)
def run() -> None:
    """What agents did, step by step, and what they do now."""


def handle(client: Client, agent: str, id: str) -> Run:
    """The run by its id, or by `agent/id`."""
    named, _, number = id.rpartition("/")
    return client.agent(named or agent).run(number)


@run.command(
    "list",
    examples="""
        rlmd run list -n 5
        rlmd run list --state failed --state cancelled
        rlmd run list --background
    """,
)
@click.option("-n", default=20, show_default=True, type=COUNT, help="How many at most.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in RunState]),
    help="Only in this state.",
)
@click.option("--children", is_flag=True, help="Also runs that other runs began.")
@click.option(
    "--background", is_flag=True, help="Only what schedules began, and whether its outcome is told."
)
@agent_option
@pass_app
def list_(app: App, n: int, states: tuple[str, ...], children: bool, background: bool, agent: str) -> None:
    """Runs, newest first."""
    with app.client() as client:
        found = client.agent(agent).runs(
            states=[RunState(s) for s in states], children=children, background=background, n=n
        )
    if app.json:
        out.print_json(found)
        return
    if background:
        told = [
            (r.id, r.state, r.delivery, out.local(r.deliver_time), out.local(r.create_time), _event(r))
            for r in found
        ]
        out.table(("run", "state", "delivery", "told", "begun", "event"), told, empty="There are none.")
        return
    rows = [(r.id, r.state, out.local(r.create_time), r.step_count, _event(r)) for r in found]
    out.table(("run", "state", "begun", "steps", "event"), rows, empty="There are none.")


def _event(run: RunInfo) -> str:
    return out.cut(run.event_text, 60)


@run.command(examples="rlmd run show 12 --json")
@click.argument("id")
@agent_option
@pass_app
def show(app: App, id: str, agent: str) -> None:
    """One run with its steps and their calls."""
    with app.client() as client:
        found = handle(client, agent, id).get()
    if app.json:
        out.print_json(found)
        return
    out.fields(_head(found))
    from .view import describe

    for step in found.steps:
        out.say()
        out.say(f"step {step.number} ({_written(step)})")
        if step.note:
            out.say("\n".join(f"  ! {note}" for note in step.note.split("; ")))
        out.say(step.code or step.reply)
        for call in step.calls:
            out.say(f"  {describe(call)}")
        if step.observation.strip():
            out.say("\n".join(f"  │ {line}" for line in step.observation.strip().splitlines()))


def _written(step: Step) -> str:
    """By which model, and for how much."""
    about = "about " if step.usage.estimated else ""
    tokens = f"{about}{step.usage.input_tokens}+{step.usage.output_tokens} tokens"
    return f"{step.model}, {tokens}" if step.model else tokens


def _head(found: RunInfo) -> dict[str, object]:
    used = found.usage
    return {
        "run": found.id,
        "agent": found.agent,
        "state": f"{found.state}: {found.reason}" if found.reason else found.state,
        "event": out.cut(found.event_text, 200),
        "begun": out.local(found.create_time),
        "ended": out.local(found.end_time),
        "used": f"{used.model_calls} model calls, {used.input_tokens}+{used.output_tokens} tokens, "
        f"{dollars(used.cost)}",
    }


@run.command(
    examples="""
        rlmd run watch 12
        rlmd run watch 12 --after 8 --json
    """
)
@click.argument("id")
@click.option("--after", type=VERSION, default=0, help="Only what comes after this place in its journal.")
@agent_option
@pass_app
def watch(app: App, id: str, after: int, agent: str) -> int:
    """Follow a run until it has ended; exit with 1 if it failed or was cancelled."""
    from rich.console import Console

    from .view import Steps

    view = Steps(Console(highlight=False))
    ended: Ended | None = None
    try:
        with app.client() as client:
            for update in handle(client, agent, id).watch(after):
                if app.json:
                    told = {"update": type(update).__name__.lower(), **out.plain(update)}
                    out.print_json(told, indent=None)
                else:
                    view.show(update)
                ended = update if isinstance(update, Ended) else None
    finally:
        view.close()
    return 0 if ended is not None and ended.state is RunState.DONE else 1


@run.command(examples='rlmd run cancel 12 --reason "wrong question"')
@click.argument("id")
@click.option("--reason", default="", help="Why, for the record.")
@agent_option
@pass_app
def cancel(app: App, id: str, reason: str, agent: str) -> None:
    """Stop a run and its children. What it did is kept."""
    with app.client() as client:
        found = handle(client, agent, id).cancel(reason)
    if app.json:
        out.print_json(found)
    else:
        out.say(f"{found.id} is {found.state}.")


@run.command(examples="rlmd run replay 12")
@click.argument("id")
@agent_option
@pass_app
def replay(app: App, id: str, agent: str) -> int:
    """Do a run again from its journal, without effects, and compare; exit with 1 if it differs."""
    with app.client() as client:
        found = handle(client, agent, id).replay()
    if app.json:
        out.print_json(found)
    elif found.equal:
        out.say(f"Equal: {found.steps} steps and {found.calls} calls again in {found.seconds * 1000:.0f} ms.")
    else:
        out.say(f"It differs. {found.difference}")
    return 0 if found.equal else 1


@run.command(
    examples="""
        rlmd run fork 12 --at 4 --answer no
        rlmd run fork 12 --at 4
    """
)
@click.argument("id")
@click.option("--at", required=True, type=click.IntRange(1), help="The call from which on it differs.")
@click.option("--answer", help="What that call gives in the new run; without it the call is made anew.")
@agent_option
@pass_app
def fork(app: App, id: str, at: int, answer: str | None, agent: str) -> None:
    """Begin a run that shares the past of another up to a call.

    What the past had done to memory stays done, once. From the fork on the new run is live: it writes, asks
    and replies.
    """
    with app.client() as client:
        past = handle(client, agent, id)
        forked = past.fork(at) if answer is None else past.fork(at, answer)
        found = forked.get()
    if app.json:
        out.print_json(found)
    else:
        out.say(f"Run {found.id} goes on from call {at} of run {id}. Follow it: rlmd run watch {found.id}")
