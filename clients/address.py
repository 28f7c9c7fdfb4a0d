"""Where a daemon is, and by which right one may call it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from rlmd.errors import InvalidInput, Unauthenticated, Unavailable
from rlmd.settings import Settings

from .check import check_path, check_str
from .errors import no_daemon

PROBE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Address:
    """A daemon to call."""

    target: str
    """As gRPC takes it: `unix:/path` or `host:port`."""
    token: str = field(repr=False)
    place: str
    """For messages: `on /the/data/directory` or `at 127.0.0.1:7000`."""


def find(address: str | None, data: str | os.PathLike[str] | None, token: str | None) -> Address:
    """The daemon at an address, or on a data directory; without either, on the default one.

    Raises:
        InvalidInput: the address is none.
        Unavailable: nobody listens there.
        Unauthenticated: no token was given and none can be read.
    """
    given = {"data": None if data is None else str(check_path(data, "data"))}
    settings = Settings.load(given, os.environ).settings
    if token is not None:
        _check_token(token)
    if address is not None:
        check_str(address, "address")
    if address is None:
        target, place = f"unix:{settings.socket}", f"on {settings.data}"
    else:
        target, place = address, f"at {address}"
    _probe(target, place)
    return Address(
        target=target, token=read_token(settings.token_file) if token is None else token, place=place
    )


def read_token(file: Path) -> str:
    """The secret in a token file.

    Raises:
        Unauthenticated: there is none, or it cannot be read.
    """
    remedy = "Start the daemon once to make it, or pass a token that `rlmd token create` gave."
    try:
        secret = file.read_text(encoding="ascii").strip()
    except FileNotFoundError as exc:
        raise Unauthenticated(f"There is no token file {file}.", field="token", remedy=remedy) from exc
    except (OSError, UnicodeDecodeError) as exc:
        reason = f"The token file {file} cannot be read: {exc}."
        raise Unauthenticated(reason, field="token", remedy=f"Run as its owner. {remedy}") from exc
    if not _is_token(secret):
        raise Unauthenticated(f"The file {file} holds no token.", field="token", remedy=remedy)
    return secret


def _check_token(token: object) -> None:
    if not _is_token(check_str(token, "token")):
        # The text itself is not shown: it may be a token with a line break too many.
        reason = "It is empty, or holds spaces, line breaks or letters outside of ASCII."
        raise InvalidInput(reason, field="token", remedy="Give it as `rlmd token create` printed it.")


def _is_token(secret: str) -> bool:
    """Whether gRPC can send it: what it cannot, it reports as a fault of its own."""
    return bool(secret) and secret.isascii() and secret.isprintable() and " " not in secret


def _probe(target: str, place: str) -> None:
    """Fail at once where gRPC would only say that all connections failed."""
    try:
        if target.startswith("unix:"):
            path = target.removeprefix("unix:")
            _check_owner(path)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.settimeout(PROBE_SECONDS)
                probe.connect(path)
            return
        host, _, port = target.rpartition(":")
        if not host or not port.isdigit():
            raise InvalidInput(
                f"{target!r} is not an address.",
                field="address",
                remedy="Give 127.0.0.1:PORT or unix:/path/to/rlmd.sock.",
            )
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_SECONDS):
            return
    except (FileNotFoundError, ConnectionRefusedError) as exc:
        raise no_daemon(place) from exc
    except PermissionError as exc:
        reason = f"The socket of the daemon {place} belongs to somebody else."
        raise Unavailable(reason, field="address", remedy="Run as the daemon's owner.") from exc
    except (OSError, OverflowError) as exc:
        raise no_daemon(place, str(exc)) from exc


def _check_owner(path: str) -> None:
    """A token must not go to a socket that somebody else put there, as anybody can in /tmp."""
    owner, own = os.stat(path).st_uid, os.getuid()
    if own not in (0, owner) and owner != 0:
        raise PermissionError(path)
