"""The root command: what there is, and what the exit codes mean."""

from __future__ import annotations

import click

from .base import App, Group, pass_app

_HELP = """A daemon for minds: agents whose memory lasts.

\b
Exit codes:
  0    done
  1    it failed: a run, a model, a file, the daemon itself
  2    wrong usage, or a value that cannot be
  3    there is no such thing
  4    conflict: the name is taken, the variable has moved on, the state is another
  5    no daemon can be reached
  6    no valid token, or it may not do this
  130  interrupted by Ctrl-C
  141  nobody reads the output any more
"""


@click.group(
    cls=Group,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    lazy={
        "up": "lifecycle:up",
        "down": "lifecycle:down",
        "status": "lifecycle:status",
        "chat": "chat:chat",
        "agent": "agents:agent",
        "hive": "hives:hive",
        "memory": "memory:memory",
        "why": "why:why",
        "undo": "changes:undo",
        "permit": "permits:permit",
        "log": "log:log",
        "run": "runs:run",
        "watch": "watch:watch",
        "stop": "stopping:stop",
        "resume": "stopping:resume",
        "questions": "questions:questions",
        "answer": "questions:answer",
        "channel": "channels:channel",
        "bot": "bots:bot",
        "schedule": "schedules:schedule",
        "user": "admin:user",
        "token": "admin:token",
        "usage": "admin:usage",
        "budget": "budgets:budget",
        "price": "budgets:price",
        "config": "config:config",
        "doctor": "doctor:doctor",
        "demo": "demo:demo",
    },
    examples="""
        rlmd chat
        rlmd memory search "where does Bob live?"
        rlmd status --json
    """,
)
def rlmd() -> None: ...


@rlmd.command(examples="rlmd version")  # type: ignore[call-overload,untyped-decorator,unused-ignore]
@pass_app
def version(app: App) -> None:
    """Print the version of this program."""
    from importlib.metadata import version as installed

    click.echo(f'{{"version": "{installed("rlmd")}"}}' if app.json else installed("rlmd"))
