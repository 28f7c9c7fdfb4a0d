"""What all commands share: the options `--data` and `--json`, examples in the help, the client."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rlmd.clients.check import INT32, INT64
from rlmd.errors import Unavailable
from rlmd.settings import Loaded, Settings

if TYPE_CHECKING:
    from rlmd.clients.sync import Client

F = TypeVar("F", bound=Callable[..., Any])
VERSION = click.IntRange(0, INT64)
COUNT = click.IntRange(1, INT32)
"""What options that name a version, or how many, take: what the contract can carry."""


class App:
    """What the global options say. They may stand before or after the command's name."""

    def __init__(self) -> None:
        self.data: str | None = None
        self.json = False

    @property
    def loaded(self) -> Loaded:
        return Settings.load({"data": self.data}, os.environ)

    @property
    def settings(self) -> Settings:
        return self.loaded.settings

    def client(self) -> Client:
        """A client of the daemon on the data directory. Waits for no daemon that is not there."""
        from rlmd.clients import local
        from rlmd.clients.sync import connect

        settings = self.settings
        try:
            return connect(data=settings.data)
        except Unavailable as exc:
            # Its socket may be gone while it lives: then starting another would not help.
            held = local.holder(settings)
            if held is None:
                raise
            raise local.silent(settings, held) from exc


pass_app = click.make_pass_decorator(App)


def _set(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value and (app := context.find_object(App)) is not None and parameter.name is not None:
        setattr(app, parameter.name, value)


def _common() -> list[click.Parameter]:
    return [
        click.Option(
            ["--data"],
            metavar="DIR",
            help="Data directory of the daemon.  [env: RLMD_DATA]",
            callback=_set,
            expose_value=False,
        ),
        click.Option(
            ["--json"], is_flag=True, help="Machine-readable output.", callback=_set, expose_value=False
        ),
    ]


class Command(click.Command):
    """A command with the common options, and examples below its help."""

    def __init__(self, *args: Any, examples: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common()
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_examples(self.examples, formatter)


class Group(click.Group):
    """A group whose commands are loaded when they are called.

    Args:
        lazy: For each command where it is: `module:attribute`, the module below `rlmd.clients.cli`.
    """

    command_class = Command

    def __init__(
        self, *args: Any, examples: str = "", lazy: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common()
        self.examples = examples
        self.lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self.lazy[cmd_name].partition(":")
        found: click.Command = getattr(importlib.import_module(f"rlmd.clients.cli.{module}"), attribute)
        return found

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_examples(self.examples, formatter)


def _write_examples(examples: str, formatter: click.HelpFormatter) -> None:
    if not examples:
        return
    formatter.write_paragraph()
    formatter.write("Examples:\n")
    for line in examples.strip().splitlines():
        formatter.write(f"  {line.strip()}\n")


def agent_option(function: F) -> F:
    """The option `--agent`."""
    option = click.option("--agent", "-a", default="main", show_default=True, help="Which agent.")
    return option(function)


def agreed(question: str) -> bool:
    """Ask for a yes, before what cannot be taken back."""
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        # Ctrl-C on a terminal; anywhere else, an input that ended without an answer.
        if sys.stdin.isatty():
            raise
        raise click.UsageError("Nobody answered: give --yes.") from None
