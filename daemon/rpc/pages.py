"""Page tokens: where the last page ended, bound to the request's other fields.

A token is opaque to clients: base64 of JSON with a digest of the request (without `page_size` and
`page_token`) and the place after which to go on. Nothing in it is secret or trusted: it only says where
in the caller's own list to begin.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message

from rlmd.errors import InvalidInput
from rlmd.memory.names import check_page
from rlmd.memory.store import digest_of

T = TypeVar("T")
K = TypeVar("K", str, int)


def place(request: Any, kind: type[K]) -> K | None:
    """After what this page begins; None for the first.

    Raises:
        InvalidInput: not a token of ours, or one of a request with other fields.
    """
    if not request.page_token:
        return None
    try:
        content = json.loads(base64.urlsafe_b64decode(request.page_token.encode()))
        digest, after = content
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise _bad("it is not a page token") from None
    if digest != _digest(request):
        raise _bad("it belongs to a request with other fields")
    if type(after) is not kind or (isinstance(after, int) and not 0 <= after < 1 << 63):
        raise _bad("it is not a page token")
    return after


def size_of(request: Any) -> int:
    """Raises InvalidInput."""
    return check_page(request.page_size)


def cut(request: Any, items: Sequence[T], key: Callable[[T], K]) -> tuple[Sequence[T], str]:
    """This page and the token of the next one, from a list that was asked for one item more than fits."""
    size = size_of(request)
    if len(items) <= size:
        return items, ""
    page = items[:size]
    content = json.dumps([_digest(request), key(page[-1])]).encode()
    return page, base64.urlsafe_b64encode(content).decode()


def _digest(request: Message) -> str:
    bound = type(request)()
    bound.CopyFrom(request)
    bound.ClearField("page_token")
    bound.ClearField("page_size")
    content = bound.SerializeToString(deterministic=True)
    return digest_of(request.DESCRIPTOR.full_name, content).hex()


def _bad(why: str) -> InvalidInput:
    return InvalidInput(
        why, field="page_token", remedy="Begin again without one, or repeat the first request."
    )
