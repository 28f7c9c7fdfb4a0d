"""up, down, status."""

from __future__ import annotations

import os

import click

from rlmd.clients import local
from rlmd.clients.records import Status

from . import out
from .base import App, Command, pass_app

SECONDS = click.FloatRange(0, 86_400)


@click.command(
    cls=Command,
    examples="""
        rlmd up
        rlmd up --detach
        rlmd up --detach --listen 127.0.0.1:7653
    """,
)
@click.option("--detach", "-d", is_flag=True, help="Go to the background; return when it answers.")
@click.option("--listen", metavar="HOST:PORT", help="Also listen on TCP, on this machine only.")
@click.option(
    "--wait", type=SECONDS, default=60.0, show_default=True, help="Seconds to wait until it answers."
)
@pass_app
def up(app: App, detach: bool, listen: str | None, wait: float) -> None:
    """Start the daemon, here or in the background. If one runs already, say so."""
    settings = type(app.settings).load({"data": app.data, "listen": listen}, os.environ).settings
    running = local.running(settings)
    if running is not None:
        _told(app, running, f"Already running on {settings.data}, pid {running.pid}.")
    elif detach:
        status = local.start(settings, listen=listen, wait=wait)
        _told(app, status, f"Running on {settings.data}, pid {status.pid}. Stop it with `rlmd down`.")
    else:
        local.make_folder(settings)
        command = local.command(settings, listen)
        os.execv(command[0], command)


def _told(app: App, status: Status, sentence: str) -> None:
    if app.json:
        out.print_json(_status(app, status))
    else:
        out.say(sentence)


@click.command(
    cls=Command,
    examples="""
        rlmd down
        rlmd down --wait 5 --force
    """,
)
@click.option(
    "--wait", type=SECONDS, default=30.0, show_default=True, help="Seconds to wait until it has ended."
)
@click.option("--force", is_flag=True, help="Kill it then. Nothing acknowledged is lost.")
@pass_app
def down(app: App, wait: float, force: bool) -> None:
    """Stop the daemon, and wait until it has ended."""
    settings = app.settings
    stopped = local.stop(settings, wait=wait, force=force)
    if app.json:
        out.print_json({"stopped": stopped is not None, "pid": stopped.pid if stopped else None})
    elif stopped:
        out.say(f"Stopped, pid {stopped.pid}.")
    else:
        out.say(f"No daemon is running on {settings.data}.")


@click.command(
    cls=Command,
    examples="""
        rlmd status
        rlmd status --json | jq .pid
    """,
)
@pass_app
def status(app: App) -> None:
    """What is running, where, on which model."""
    with app.client() as client:
        found = client.status()
    if app.json:
        out.print_json(_status(app, found))
        return
    index = f"{found.index}, {found.index_pending} waiting" if found.index_pending else found.index
    out.fields(
        {
            "version": found.version,
            "pid": found.pid,
            "data": found.data,
            "socket": app.settings.socket,
            "addresses": " ".join(found.addresses),
            "model": found.model,
            "embedder": found.embedder,
            "index": f"{index} ({found.index_detail})" if found.index_detail else index,
            "since": out.local(found.start_time),
            "agents": found.agents,
            "variables": found.variables,
            "messages": found.messages,
            "active runs": found.active_runs,
            **_stopped(found),
        }
    )


def _stopped(found: Status) -> dict[str, object]:
    from rlmd.clients.updates import resume_text, stopped_text

    stop = found.stop
    return {} if stop is None else {"stopped": f"{stopped_text(stop)}. {resume_text(stop)}"}


def _status(app: App, found: Status) -> dict[str, object]:
    return {**out.plain(found), "socket": str(app.settings.socket)}
