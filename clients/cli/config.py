"""config: the settings in force, and whence each came."""

from __future__ import annotations

import dataclasses

import click

from . import out
from .base import App, Command, pass_app


@click.command(
    cls=Command,
    examples="""
        rlmd config
        rlmd config --json
    """,
)
@pass_app
def config(app: App) -> None:
    """The settings as they are for a daemon that starts now, and whence each came.

    They are taken from defaults, the file config.toml in the data directory, the environment, and flags; the
    later ones win.
    """
    settings, sources = app.loaded
    found = {
        item.name: {"value": _shown(item, getattr(settings, item.name)), "source": sources[item.name]}
        for item in dataclasses.fields(settings)
    }
    if app.json:
        out.print_json(found)
        return
    rows = [(name, "" if of["value"] is None else of["value"], of["source"]) for name, of in found.items()]
    out.table(("setting", "value", "from"), rows)


def _shown(item: dataclasses.Field[object], value: object) -> object:
    """What may be printed: a secret only whether there is one."""
    if not item.repr:
        return "(set)" if value else "(not set)"
    return value if value is None or isinstance(value, int | float | str) else str(value)
