"""Whether a request over HTTP is from who knows the secret.

Two ways of signing are known. `standard` is that of https://www.standardwebhooks.com: the signature covers
an id and the time as well, so that what was recorded cannot be sent again later. `github` is that of GitHub,
which many others use too: it covers the body alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping

from rlmd.errors import InvalidInput, Unauthenticated

TOLERANCE = 300.0
"""Seconds that a request's own time may differ from ours."""
LEAST_SECRET = 16
"""Bytes of a secret."""
_PREFIX = "whsec_"

Headers = Mapping[str, str]
Check = Callable[[bytes, Headers, bytes, float], str]
"""Takes the secret, the headers, the body and the time; gives an id, or raises Unauthenticated."""


def key(secret: str) -> bytes:
    """The bytes that a secret stands for.

    Raises:
        InvalidInput: it is too short, or not what it claims to be.
    """
    try:
        found = base64.b64decode(secret[len(_PREFIX) :], validate=True) if secret.startswith(_PREFIX) else b""
    except binascii.Error as exc:
        remedy = f"What follows {_PREFIX} is base64."
        raise InvalidInput("The secret is damaged.", field="secret_file", remedy=remedy) from exc
    found = found or secret.encode()
    if len(found) < LEAST_SECRET:
        remedy = f"Use {LEAST_SECRET} bytes or more, such as from `openssl rand -hex 32`."
        raise InvalidInput("The secret is too short.", field="secret_file", remedy=remedy)
    return found


def standard(secret: bytes, headers: Headers, body: bytes, now: float) -> str:
    """As Standard Webhooks says: `webhook-id`, `webhook-timestamp`, `webhook-signature`."""
    id, sent = _given(headers, "webhook-id"), _given(headers, "webhook-timestamp")
    signatures = _given(headers, "webhook-signature").split()
    expected = base64.b64encode(
        hmac.digest(secret, b".".join([id.encode(), sent.encode(), body]), hashlib.sha256)
    )
    if not any(_same(each, b"v1," + expected) for each in signatures):
        raise _refused("webhook-signature")
    if not sent.isdecimal() or abs(now - int(sent[:20])) > TOLERANCE:
        raise Unauthenticated(
            "The request is too old, or from the future.",
            field="webhook-timestamp",
            remedy=f"Sign the time of sending, in seconds since 1970; it may be off by {TOLERANCE:.0f}.",
        )
    return id


def github(secret: bytes, headers: Headers, body: bytes, now: float) -> str:
    """As GitHub does: `X-Hub-Signature-256`. Its `X-GitHub-Delivery` is not signed."""
    expected = f"sha256={hmac.digest(secret, body, hashlib.sha256).hex()}".encode()
    if not _same(_given(headers, "X-Hub-Signature-256"), expected):
        raise _refused("X-Hub-Signature-256")
    # Whatever stands in that header, the same body under the same id is one request.
    return hashlib.sha256(headers.get("X-GitHub-Delivery", "").encode() + b"\0" + body).hexdigest()


WAYS: Mapping[str, Check] = {"standard": standard, "github": github}


def _same(given: str, expected: bytes) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), expected)


def _given(headers: Headers, name: str) -> str:
    if not (found := headers.get(name, "")):
        remedy = "Sign requests, and send what the signature needs."
        raise Unauthenticated(f"There is no {name}.", field=name, remedy=remedy)
    return found


def _refused(field: str) -> Unauthenticated:
    return Unauthenticated(
        "The signature is not of this body and secret.", field=field, remedy="Sign it anew."
    )
