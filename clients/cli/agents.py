"""agent: list, show, create, clone, update, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rlmd.clients.records import AgentInfo, Limits

from . import out
from .base import App, F, Group, agreed, pass_app


@click.group(
    cls=Group,
    examples="""
        rlmd agent create researcher --instructions "You find sources and quote them."
        rlmd agent list
    """,
)
def agent() -> None:
    """Minds, each with an identity, a model and a memory."""


def _read(context: click.Context, parameter: click.Parameter, path: str | None) -> str | None:
    """The text of a file, for `--instructions-file`."""
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path} cannot be read: {error}") from None


def _settings(function: F) -> F:
    for option in (
        click.option("--instructions", help="Who it is and how it should act."),
        click.option("--instructions-file", metavar="FILE", callback=_read, help="The same, from a file."),
        click.option("--model", help="Its model; '' means the daemon's."),
        click.option("--sub-model", help="The model of `llm` and `rlm` calls; '' means the daemon's."),
        click.option(
            "--quiet", help="Hours in which its schedules do not disturb: 22:00-07:00; '' for none."
        ),
        click.option("--steps", type=click.IntRange(0, 1000), help="Steps of a run; 0 means the default."),
        click.option("--depth", type=click.IntRange(0, 8), help="Levels of `rlm` below a run."),
        click.option("--seconds", type=click.IntRange(0, 86_400), help="Wall time of a run."),
        click.option("--model-calls", type=click.IntRange(0, 10_000), help="Model calls of a run."),
        click.option("--tokens", type=click.IntRange(0, 10**12), help="Tokens of a run."),
        click.option("--money", type=float, help="Dollars for a run."),
    ):
        function = option(function)
    return function


def _one_text(given: dict[str, Any]) -> None:
    """The instructions, from the line or from a file."""
    read = given.pop("instructions_file")
    if read is not None:
        if given["instructions"] is not None:
            raise click.UsageError("Give --instructions or --instructions-file, not both.")
        given["instructions"] = read


def _limits(given: dict[str, Any], now: Limits | None = None) -> Limits | None:
    """The limits, where any of them is given; what is not given stays as it is now."""
    names = ("steps", "depth", "seconds", "model_calls", "tokens", "money")
    chosen = {name: given.pop(name) for name in names}
    if all(value is None for value in chosen.values()):
        return None
    return Limits(**{n: getattr(now, n, None) if value is None else value for n, value in chosen.items()})


@agent.command("list", examples="rlmd agent list --json")
@pass_app
def list_(app: App) -> None:
    """Your agents."""
    with app.client() as client:
        found = client.agents()
    if app.json:
        out.print_json(found)
        return
    rows = [(a.name, a.model or "(daemon's)", out.cut(a.instructions, 60)) for a in found]
    out.table(("agent", "model", "instructions"), rows)


@agent.command(examples="rlmd agent show main")
@click.argument("name")
@pass_app
def show(app: App, name: str) -> None:
    """One agent."""
    with app.client() as client:
        _show(app, client.agent(name).get())


@agent.command(examples='rlmd agent create researcher --instructions "You find sources." --steps 50')
@click.argument("name")
@_settings
@pass_app
def create(app: App, /, name: str, **given: Any) -> None:
    """Make an agent with an empty memory."""
    _one_text(given)
    limits = _limits(given)
    texts = {key: value or "" for key, value in given.items()}
    with app.client() as client:
        _show(app, client.create_agent(name, limits=limits, **texts).get())


@agent.command(
    examples="""
        rlmd agent clone main rehearsal --memory
        rlmd agent clone researcher second-researcher
    """
)
@click.argument("source")
@click.argument("name")
@click.option("--memory", is_flag=True, help="Copy its variables too, each as it stands now.")
@pass_app
def clone(app: App, source: str, name: str, memory: bool) -> None:
    """Make an agent like another. Its log begins anew."""
    with app.client() as client:
        _show(app, client.agent(source).clone(name, memory=memory).get())


@agent.command(examples='rlmd agent update main --instructions "Answer in one sentence."')
@click.argument("name")
@_settings
@pass_app
def update(app: App, /, name: str, **given: Any) -> None:
    """Change what is given, leave the rest."""
    _one_text(given)
    if all(value is None for value in given.values()):
        raise click.UsageError("Nothing to change is given.")
    with app.client() as client:
        agent = client.agent(name)
        _show(app, agent.update(limits=_limits(given, agent.get().limits), **given))


@agent.command(
    examples="""
        rlmd agent delete researcher
        rlmd agent delete researcher --yes --force
    """
)
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also while it has active runs, which are cancelled.")
@pass_app
def delete(app: App, name: str, yes: bool, force: bool) -> None:
    """Delete an agent with its memory, log and runs. There is no way back."""
    if not yes and not agreed(f"Delete the agent {name} with all its memory?"):
        raise click.Abort
    with app.client() as client:
        client.agent(name).delete(force=force)
    if app.json:
        out.print_json({"deleted": name})
    else:
        out.say(f"Deleted {name}.")


def _show(app: App, found: AgentInfo) -> None:
    if app.json:
        out.print_json(found)
        return
    limits = {name: value for name, value in out.plain(found.limits).items() if value is not None}
    out.fields(
        {
            "agent": found.name,
            "model": found.model or "(daemon's)",
            "sub-model": found.sub_model or "(daemon's)",
            "space": found.space,
            "quiet": found.quiet or "never",
            "limits": " ".join(f"{name}={value}" for name, value in limits.items()) or "(daemon's)",
            "created": out.local(found.create_time),
            "updated": out.local(found.update_time),
            "instructions": found.instructions,
        }
    )
