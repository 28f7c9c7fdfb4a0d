"""The daemon on this machine: is one running, start one, stop it.

A daemon holds a lock on its data directory for as long as it lives; the lock's file says who it is.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rlmd.errors import DeadlineExceeded, InvalidInput, PermissionDenied, Unauthenticated, Unavailable
from rlmd.settings import Settings

from .records import Status
from .sync import connect

POLL_SECONDS = 0.05
SILENT_SECONDS = 3.0
"""How long a daemon that says it listens may not answer, as while it takes its socket or ends."""
START_SECONDS = 60.0
LOG_TAIL = 2_000
"""Characters of the log that an error quotes."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The daemon that holds a data directory."""

    pid: int
    version: str
    addresses: Sequence[str]


def holder(settings: Settings) -> Holder | None:
    """Who holds the data directory; None if nobody does."""
    try:
        with open(settings.lock, "rb") as file:
            told = json.loads(file.read() or b"{}")
            found = Holder(
                pid=int(told["pid"]),
                version=str(told.get("version", "")),
                addresses=tuple(map(str, told.get("addresses", ()))),
            )
            # A process that is gone holds nothing: then the lock is not even touched, because a daemon
            # that starts at this moment would take our look for a competitor.
            if not _exists(found.pid):
                return None
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return None


def command(settings: Settings, listen: str | None = None) -> list[str]:
    """How to run the daemon."""
    # -P: a folder named rlmd in the working directory is not to be taken for the program.
    arguments = [sys.executable, "-P", "-m", "rlmd.daemon", "--data", str(settings.data)]
    return [*arguments, "--listen", listen] if listen else arguments


def start(
    settings: Settings,
    *,
    listen: str | None = None,
    wait: float = START_SECONDS,
    env: Mapping[str, str] | None = None,
) -> Status:
    """Start a daemon that outlives this process, and wait until it answers. `env` is its environment.

    Raises:
        Unavailable: it ended instead; the end of its log is quoted. Or another holds the directory and
            does not answer.
        DeadlineExceeded: it has not answered after `wait` seconds.
    """
    make_folder(settings)
    descriptor = os.open(settings.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with open(descriptor, "ab") as log:
        before = log.tell()
        child = subprocess.Popen(
            command(settings, listen),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
            env=env,
        )
    end = time.monotonic() + wait
    while time.monotonic() < end:
        answer = answering(settings)
        if answer is not None:
            return answer
        if child.poll() is not None:
            if running(settings) is not None:
                continue
            raise Unavailable(
                f"The daemon ended while it started (status {child.returncode}): {_tail(settings, before)}",
                remedy=f"Mend what it says; all of it is in {settings.log_file}.",
            )
        time.sleep(POLL_SECONDS)
    raise DeadlineExceeded(
        f"The daemon does not answer after {wait:g} seconds: {_tail(settings, before)}",
        remedy=f"See {settings.log_file} and `rlmd doctor`.",
    )


def answering(settings: Settings) -> Status | None:
    """The status of the daemon on the data directory; None if none answers, or not yet.

    Raises:
        Unauthenticated: one answers, and does not know our token.
    """
    try:
        with connect(data=settings.data, timeout=5) as client:
            return client.status()
    except (Unavailable, DeadlineExceeded):
        return None
    except Unauthenticated:
        # While a daemon starts for the first time, its token may not be written yet.
        if settings.token_file.exists():
            raise
        return None


def running(settings: Settings) -> Status | None:
    """The status of the daemon on the data directory, waited for while it starts; None if there is none.

    Raises:
        Unavailable: there is one, and it does not answer.
        Unauthenticated: it does not know our token.
    """
    began = time.monotonic()
    while True:
        answer = answering(settings)
        if answer is not None:
            return answer
        found = holder(settings)
        if found is None:
            return None
        if time.monotonic() - began > (SILENT_SECONDS if found.addresses else START_SECONDS):
            raise silent(settings, found)
        time.sleep(POLL_SECONDS)


def silent(settings: Settings, found: Holder) -> Unavailable:
    """What to say of a daemon that is there and does not answer."""
    if not found.addresses:
        reason = f"The daemon (pid {found.pid}) on {settings.data} is still starting."
        return Unavailable(reason, remedy=f"Try again in a moment, or see {settings.log_file}.")
    return Unavailable(
        f"The daemon (pid {found.pid}) holds {settings.data} but does not answer.",
        remedy="Run `rlmd down --force`, then `rlmd up`.",
    )


def stop(settings: Settings, *, wait: float = 30, force: bool = False) -> Holder | None:
    """End the daemon on the data directory; None if none runs.

    Args:
        force: Kill it if it has not ended after `wait` seconds. Nothing acknowledged is lost by that.

    Raises:
        DeadlineExceeded: it has not ended.
        PermissionDenied: it belongs to somebody else.
    """
    found = holder(settings)
    if found is None:
        return None
    try:
        os.kill(found.pid, signal.SIGTERM)
        if _gone(settings, found, wait):
            return found
        if force:
            os.kill(found.pid, signal.SIGKILL)
            if _gone(settings, found, 10):
                return found
    except ProcessLookupError:
        return found
    except PermissionError as exc:
        raise PermissionDenied(
            f"The daemon (pid {found.pid}) belongs to somebody else.", remedy="Ask its owner to stop it."
        ) from exc
    raise DeadlineExceeded(
        f"The daemon (pid {found.pid}) has not ended after {wait:g} seconds.",
        remedy="Wait longer, or use --force.",
    )


def make_folder(settings: Settings) -> None:
    """Make the data directory, for its owner alone.

    Raises:
        InvalidInput: it cannot be made or written.
    """
    try:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(settings.data, os.W_OK | os.X_OK):
            raise PermissionError("it may not be written by you")
    except OSError as exc:
        raise InvalidInput(
            f"{settings.data} cannot be used: {exc}.",
            field="data",
            remedy="Choose another folder with --data or RLMD_DATA.",
        ) from exc


def _gone(settings: Settings, found: Holder, wait: float) -> bool:
    end = time.monotonic() + wait
    while time.monotonic() < end:
        now = holder(settings)
        if now is None or now.pid != found.pid:
            return True
        time.sleep(POLL_SECONDS)
    return False


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _tail(settings: Settings, start: int) -> str:
    try:
        with open(settings.log_file, "rb") as log:
            log.seek(start)
            text = log.read().decode("utf-8", "replace").strip()
    except OSError:
        return "it has written no log."
    return text[-LOG_TAIL:] or "it has written nothing to its log."
