"""doctor: look at everything that a daemon needs, and say how to mend what is not right."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import click

from rlmd.clients import local
from rlmd.clients.address import read_token
from rlmd.errors import RlmdError
from rlmd.settings import Settings, names_of

from . import out
from .base import App, Command, pass_app

LOW_DISK = 1 << 30
"""Bytes of free space below which a disk counts as nearly full."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    ok: bool
    detail: str
    remedy: str = ""


Check = Callable[[Settings], Finding]


@click.command(
    cls=Command,
    examples="""
        rlmd doctor
        rlmd doctor --json
    """,
)
@pass_app
def doctor(app: App) -> int:
    """Look at everything that the daemon needs; exit with 1 if something is not right."""
    found = list(_examine(app))
    if app.json:
        out.print_json(found)
    else:
        for finding in found:
            mark = click.style("✓", fg="green") if finding.ok else click.style("✗", fg="red")
            click.echo(f"{mark} {finding.check:<10} {out.safe(finding.detail)}")
            if finding.remedy and not finding.ok:
                click.echo(f"  {'':<10} {out.safe(finding.remedy)}")
    return 0 if all(finding.ok for finding in found) else 1


def _examine(app: App) -> Iterator[Finding]:
    yield _python()
    try:
        settings = app.settings
    except RlmdError as exc:
        yield Finding(check="settings", ok=False, detail=f"{exc.field}: {exc.reason}", remedy=exc.remedy)
        return
    yield Finding(check="settings", ok=True, detail="all values are allowed")
    checks: tuple[Check, ...] = (_data, _disk, _lock, _socket, _token, _daemon, _model, _embedder, _sandbox)
    for check in checks:
        yield check(settings)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 11)
    return Finding(
        check="python", ok=ok, detail=f"{version} at {sys.executable}", remedy="Use 3.11 or later."
    )


def _data(settings: Settings) -> Finding:
    folder = settings.data
    if not folder.exists():
        return Finding(check="data", ok=True, detail=f"{folder} will be made at the first start")
    found = folder.stat()
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        remedy = "Choose another folder with --data, or mend its owner and mode."
        return Finding(check="data", ok=False, detail=f"{folder} cannot be used by you", remedy=remedy)
    others = stat.S_IMODE(found.st_mode) & 0o077
    detail = f"{folder}, mode {stat.S_IMODE(found.st_mode):04o}"
    return Finding(check="data", ok=not others, detail=detail, remedy=f"Run: chmod 700 {folder}")


def _disk(settings: Settings) -> Finding:
    folder = next(path for path in (settings.data, *settings.data.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    detail = f"{free / (1 << 30):.1f} GiB free"
    return Finding(check="disk", ok=free >= LOW_DISK, detail=detail, remedy="Free some space.")


def _lock(settings: Settings) -> Finding:
    held = local.holder(settings)
    detail = f"held by pid {held.pid}, version {held.version}" if held else "free: no daemon runs"
    return Finding(check="lock", ok=True, detail=detail)


def _socket(settings: Settings) -> Finding:
    path, held = settings.socket, local.holder(settings)
    if not path.exists():
        remedy = "Restart the daemon: rlmd down && rlmd up --detach"
        return Finding(check="socket", ok=held is None, detail=f"{path} is not there", remedy=remedy)
    mode = stat.S_IMODE(path.stat().st_mode)
    if not path.is_socket() or mode & 0o077:
        detail = f"{path} is no socket, or open to others (mode {mode:04o})"
        return Finding(check="socket", ok=False, detail=detail, remedy="Stop the daemon and remove it.")
    return Finding(check="socket", ok=True, detail=f"{path}, mode {mode:04o}")


def _token(settings: Settings) -> Finding:
    if not settings.token_file.exists() and not settings.database.exists():
        return Finding(check="token", ok=True, detail="will be made at the first start")
    try:
        read_token(settings.token_file)
    except RlmdError as exc:
        return Finding(check="token", ok=False, detail=exc.reason, remedy=exc.remedy)
    mode = stat.S_IMODE(settings.token_file.stat().st_mode)
    remedy = f"Run: chmod 600 {settings.token_file}"
    return Finding(
        check="token", ok=not mode & 0o077, detail=f"{settings.token_file}, mode {mode:04o}", remedy=remedy
    )


def _daemon(settings: Settings) -> Finding:
    try:
        status = local.answering(settings)
    except RlmdError as exc:
        return Finding(check="daemon", ok=False, detail=exc.reason, remedy=exc.remedy)
    if status is None:
        held = local.holder(settings)
        detail = f"pid {held.pid} does not answer" if held else f"none is running on {settings.data}"
        remedy = f"See {settings.log_file}, or `rlmd down --force`." if held else "Start it: rlmd up --detach"
        return Finding(check="daemon", ok=False, detail=detail, remedy=remedy)
    detail = f"pid {status.pid}, version {status.version}, {status.model}, index {status.index}"
    return Finding(check="daemon", ok=True, detail=detail)


def _model(settings: Settings) -> Finding:
    if not settings.openai_api_key and not settings.openai_base_url:
        remedy = "Set OPENAI_API_KEY and RLMD_MODEL for a model of a provider."
        return Finding(check="model", ok=True, detail=f"built-in rules. {remedy}")
    return _provider(settings, "model", settings.model)


def _embedder(settings: Settings) -> Finding:
    kind, _, name = settings.embedder.partition(":")
    if kind == "openai":
        return _provider(settings, "embedder", name)
    if kind == "local" and find_spec("fastembed") is None:
        detail, remedy = "fastembed is missing", "Install it: pip install 'rlmd[local]'"
        return Finding(check="embedder", ok=False, detail=detail, remedy=remedy)
    if kind == "local" and name.startswith("/") and not Path(name).is_dir():
        remedy = "Name a folder with a model in ONNX format and its tokenizer."
        return Finding(check="embedder", ok=False, detail=f"there is no folder {name}", remedy=remedy)
    return Finding(check="embedder", ok=True, detail=name or "built in: words and near spellings")


def _provider(settings: Settings, check: str, model: str) -> Finding:
    """Whether the provider can be reached with this key, and knows the model."""
    from openai import OpenAI, OpenAIError

    place = settings.openai_base_url or "OpenAI"
    remedy = "Mend OPENAI_API_KEY and OPENAI_BASE_URL."
    try:
        with OpenAI(
            api_key=settings.openai_api_key or "none",
            base_url=settings.openai_base_url or None,
            timeout=10,
            max_retries=0,
        ) as provider:
            known = [found.id for found in provider.models.list()]
    except OpenAIError as exc:
        return Finding(check=check, ok=False, detail=f"{place}: {exc}", remedy=remedy)
    missing = [name for name in names_of(model) if name not in known]
    if missing:
        detail = f"{place} does not list {', '.join(missing)}"
        return Finding(check=check, ok=False, detail=detail, remedy=f"Choose of: {', '.join(known[:20])}")
    return Finding(check=check, ok=True, detail=f"{model or 'any'} at {place}")


def _sandbox(settings: Settings) -> Finding:
    if find_spec("pydantic_monty") is None:
        remedy = "Install rlmd again: pip install --force-reinstall rlmd"
        return Finding(check="sandbox", ok=False, detail="pydantic-monty is missing", remedy=remedy)
    found = shutil.which("bwrap")
    outer = (
        "under bubblewrap where the system allows it" if found else "without bubblewrap: it is not installed"
    )
    return Finding(check="sandbox", ok=True, detail=f"pydantic-monty, {outer}")
