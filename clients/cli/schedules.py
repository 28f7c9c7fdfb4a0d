"""schedule: add, list, show, pause, resume, run, edit, delete, preview."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click

from rlmd.clients.records import Occurrence, Schedule, ScheduleState

from . import out
from .base import COUNT, App, F, Group, agent_option, pass_app

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _span(context: click.Context, parameter: click.Parameter, value: str | None) -> timedelta | None:
    """A length of time: `90s`, `5m`, `2h`, `1d`, or seconds."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,9})\s*([smhd]?)", value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is no length of time; write 90s, 5m, 2h or 1d.")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2] or "s"])


def _policy(context: click.Context, parameter: click.Parameter, value: str | None) -> str | int | None:
    """What becomes of what was missed."""
    if value is None or value in ("skip", "once"):
        return value
    if not re.fullmatch(r"\d{1,3}", value) or not 1 <= int(value) <= 100:
        raise click.BadParameter(f"{value!r} is not skip, once, or a number from 1 to 100.")
    return int(value)


@click.group(
    cls=Group,
    examples="""
        rlmd schedule add "20m" "Remind me of the oven"
        rlmd schedule add "every weekday at 8:30" "Write the morning brief" --name brief
        rlmd schedule list
        rlmd schedule show brief
        rlmd schedule preview "0 9 * * 1-5" --timezone Europe/Berlin
    """,
)
def schedule() -> None:
    """What wakes an agent at a time, or again and again, and what became of it."""


def _times(function: F) -> F:
    """The options that say when something is due, beside WHEN."""
    for option in (
        click.option("--end", metavar="TIME", help="Nothing is due after."),
        click.option("--start", metavar="TIME", help="Nothing is due before; an interval is due then first."),
        click.option("--timezone", metavar="ZONE", help="In which WHEN is meant.  [default: the daemon's]"),
    ):
        function = option(function)
    return function


def _manner(function: F) -> F:
    """The options that say how it is carried out."""
    for option in (
        click.option(
            "--grace",
            metavar="TIME",
            callback=_span,
            help="What fires later than this is missed.  [default: 10m]",
        ),
        click.option(
            "--missed",
            metavar="skip|once|N",
            callback=_policy,
            help="What is done about what was missed.  [default: once]",
        ),
        click.option("--jitter", metavar="TIME", callback=_span, help="Fire up to so much later, by chance."),
        click.option(
            "--if", "condition", metavar="CODE", help="Only when this has become true: Python that reads."
        ),
        click.option("--channel", metavar="NAME", help="Where the outcome is told.  [default: chat]"),
        click.option("--name", metavar="NAME", help="A name for it."),
    ):
        function = option(function)
    return function


@schedule.command(
    examples="""
        rlmd schedule add "20m" "Remind me of the oven"
        rlmd schedule add "tomorrow at 9" "Ask me about the trip"
        rlmd schedule add "0 9 * * 1-5" "Write the morning brief" --name brief --timezone Europe/Berlin
        rlmd schedule add "every 2h" "Look at the inbox" --jitter 5m --missed skip
        rlmd schedule add "every 1m" "Sort the inbox" --if "len(memory.names('inbox/')) > 10"
    """
)
@click.argument("when")
@click.argument("text")
@_manner
@_times
@agent_option
@pass_app
def add(app: App, /, when: str, text: str, agent: str, **given: Any) -> None:
    """Have the agent woken by TEXT at WHEN: a time, a length from now, "every ..." or a crontab line."""
    with app.client() as client:
        made = client.schedules.add(when, text, agent=agent, **_said(given))
    if app.json:
        out.print_json(made)
    else:
        out.say(f"Schedule {_label(made)} is due {_next(made)}.")


@schedule.command(
    "list",
    examples="""
        rlmd schedule list
        rlmd schedule list --all --json
    """,
)
@click.option("--all", "ended", is_flag=True, help="Also those that are over.")
@click.option("-n", default=100, show_default=True, type=COUNT, help="How many at most.")
@click.option("--agent", default="", metavar="NAME", help="Only of this agent.")
@pass_app
def list_(app: App, ended: bool, n: int, agent: str) -> None:
    """Schedules, newest first. With --json each comes with what was due, the last 1,000 instants in all."""
    with app.client() as client:
        found = client.schedules.list(agent=agent, ended=ended, n=n)
        due = client.schedules.occurrences(agent=agent, n=1_000)
    if app.json:
        out.print_json([{**out.plain(each), "occurrences": _of(each, due)} for each in found])
        return
    rows = [_row(each, _of(each, due)) for each in found]
    heads = ("schedule", "name", "agent", "state", "next", "when", "last", "text")
    out.table(heads, rows, empty="There are none.")


@schedule.command(examples="rlmd schedule show brief")
@click.argument("id")
@click.option("-n", default=20, show_default=True, type=COUNT, help="How many instants at most.")
@pass_app
def show(app: App, id: str, n: int) -> None:
    """One schedule, by its number or name, with what became of each instant at which it was due."""
    with app.client() as client:
        found = client.schedules.get(id)
        due = client.schedules.occurrences(found.id, n=n)
    if app.json:
        out.print_json({**out.plain(found), "occurrences": due})
        return
    out.fields(_fields(found))
    out.say()
    rows = [(out.local(each.due_time), each.fate, each.run or "", each.reason) for each in due]
    out.table(("due", "fate", "run", "why"), rows, empty="Nothing was due yet.")


def _one(name: str, doc: str, said: str, change: Callable[[Any, str], Schedule]) -> None:
    """A command that changes one schedule."""

    @schedule.command(name, help=doc, examples=f"rlmd schedule {name} brief")
    @click.argument("id")
    @pass_app
    def command(app: App, id: str) -> None:
        with app.client() as client:
            changed = change(client.schedules, id)
        if app.json:
            out.print_json(changed)
        else:
            out.say(said.format(label=_label(changed), next=_next(changed)))


_one(
    "pause",
    "Nothing is due until it is resumed.",
    "Schedule {label} is paused.",
    lambda schedules, id: schedules.pause(id),
)
_one(
    "resume",
    "It is due again from now on; what would have been due meanwhile is not made up for.",
    "Schedule {label} is due {next}.",
    lambda schedules, id: schedules.resume(id),
)
_one(
    "delete",
    "End it for good. What became of it stays to be seen with `list --all`.",
    "Schedule {label} is deleted.",
    lambda schedules, id: schedules.delete(id),
)


@schedule.command(examples="rlmd schedule run brief")
@click.argument("id")
@pass_app
def run(app: App, id: str) -> None:
    """Have it run now, beside what it has due."""
    with app.client() as client:
        made = client.schedules.run(id)
    if app.json:
        out.print_json({"run": made.id, "agent": made.agent})
    else:
        out.say(f"Run {made.id} of {made.agent} has begun. Follow it: rlmd run watch {made.agent}/{made.id}")


@schedule.command(
    examples="""
        rlmd schedule edit brief --when "every day at 7"
        rlmd schedule edit 3 --text "Look at the inbox, and at the calendar" --missed skip
    """
)
@click.argument("id")
@click.option("--when", metavar="WHEN", help="As for `add`.")
@click.option("--text", metavar="TEXT", help="As for `add`.")
@_manner
@_times
@pass_app
def edit(app: App, /, id: str, **given: Any) -> None:
    """Change what is given. If that says when it is due, that is reckoned anew."""
    with app.client() as client:
        changed = client.schedules.edit(id, **_said(given))
    if app.json:
        out.print_json(changed)
    else:
        out.say(f"Schedule {_label(changed)} is due {_next(changed)}.")


@schedule.command(
    examples="""
        rlmd schedule preview "every weekday at 8:30"
        rlmd schedule preview "30 2 * * *" --timezone Europe/Berlin --start 2026-10-24 -n 3
    """
)
@click.argument("when")
@click.option("-n", default=10, show_default=True, type=click.IntRange(1, 1_000), help="How many instants.")
@_times
@pass_app
def preview(app: App, /, when: str, n: int, **given: Any) -> None:
    """How WHEN is understood, and when that would be due. Makes nothing."""
    with app.client() as client:
        found = client.schedules.preview(when, n=n, **_said(given))
    if app.json:
        out.print_json(found)
        return
    out.fields({"understood": f"{found.kind} {found.spec}", "timezone": found.timezone})
    for time in found.times:
        out.say(out.within(time, found.timezone))


def _said(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _of(schedule: Schedule, due: list[Occurrence]) -> list[Occurrence]:
    return [each for each in due if each.schedule == schedule.id]


def _row(found: Schedule, due: list[Occurrence]) -> tuple[object, ...]:
    last = due[0].fate if due else ""
    text = out.cut(found.text, 50)
    return found.id, found.name, found.agent, found.state, _next(found), _when(found), last, text


def _label(schedule: Schedule) -> str:
    return schedule.name or schedule.id


def _next(schedule: Schedule) -> str:
    if schedule.kind == "change" and schedule.state is ScheduleState.ACTIVE:
        return f"when {schedule.spec} changes"
    return "never" if schedule.next_time is None else out.within(schedule.next_time, schedule.timezone)


def _when(schedule: Schedule) -> str:
    if schedule.kind == "at":
        return "once"
    if schedule.kind == "change":
        return f"when {schedule.spec} changes"
    return f"every {schedule.spec}" if schedule.kind == "every" else schedule.spec


def _fields(found: Schedule) -> dict[str, object]:
    policy = f"the last {found.most} run" if found.missed == "all" else found.missed
    return {
        "schedule": found.id,
        "name": found.name,
        "agent": found.agent,
        "state": f"{found.state}: {found.reason}" if found.reason else found.state,
        "when": f"{found.kind} {found.spec}",
        "timezone": found.timezone,
        "next": _next(found),
        "text": out.cut(found.text, 200),
        "channel": found.channel,
        "if": out.cut(found.condition, 200) or "always",
        "made by": f"run {found.run}" if found.run else "a person",
        "missed": f"{policy}, after {found.grace.total_seconds():.0f} s of grace",
        "jitter": f"{found.jitter.total_seconds():.0f} s",
    }
