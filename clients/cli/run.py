"""Run one command: every error ends as one plain sentence, its remedy and a documented exit code."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Sequence

import click

from rlmd import errors

from .base import App
from .out import safe
from .root import rlmd

USAGE, NOT_FOUND, CONFLICT, UNREACHABLE, FORBIDDEN, INTERRUPTED, PIPE = 2, 3, 4, 5, 6, 130, 141

_CODES: tuple[tuple[type[errors.RlmdError], int], ...] = (
    (errors.InvalidInput, USAGE),
    (errors.TooLarge, USAGE),
    (errors.NotFound, NOT_FOUND),
    (errors.Conflict, CONFLICT),
    (errors.AlreadyExists, CONFLICT),
    (errors.PreconditionFailed, CONFLICT),
    (errors.Unavailable, UNREACHABLE),
    (errors.Unauthenticated, FORBIDDEN),
    (errors.PermissionDenied, FORBIDDEN),
)


def run(arguments: Sequence[str]) -> int:
    """Run `rlmd` with these arguments; the exit code."""
    # gRPC's C core writes notes to stderr that mean nothing to a user.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    _mend_streams()
    app = App()
    try:
        # Not `main`, which would end the process by itself where nobody reads the output any more.
        with rlmd.make_context("rlmd", list(arguments), obj=app) as context:
            code = rlmd.invoke(context)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as exc:
        return exc.exit_code
    except click.exceptions.NoArgsIsHelpError as exc:
        click.echo(exc.format_message(), err=True)
        return USAGE
    except click.UsageError as exc:
        return _usage(app, exc)
    except click.ClickException as exc:
        return _tell(app, "Error", exc.format_message(), code=1)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return PIPE
    except errors.RlmdError as exc:
        return report(app, exc)
    except OSError as exc:
        _forget_stdout()
        what = f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc)
        return _tell(app, "OSError", f"{what}.", code=1)


def report(app: App, error: errors.RlmdError) -> int:
    """Tell an error on stderr; the exit code that it means."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), 1)
    return _tell(app, type(error).__name__, error.reason, error.field, error.remedy, code=code)


def _usage(app: App, error: click.UsageError) -> int:
    path = error.ctx.command_path if error.ctx else "rlmd"
    return _tell(app, "Usage", error.format_message(), remedy=f"See `{path} --help`.", code=USAGE)


def _tell(app: App, kind: str, reason: str, field: str = "", remedy: str = "", *, code: int) -> int:
    if app.json:
        told = {"error": kind, "reason": reason, "field": field, "remedy": remedy, "code": code}
        line = json.dumps(told, ensure_ascii=False)
    else:
        line = safe(str(errors.RlmdError(reason, field=field, remedy=remedy)))
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)
    return code


def _mend_streams() -> None:
    """A stream may be closed, or of an encoding that cannot write what was remembered."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """What could not be written must not fail again when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
