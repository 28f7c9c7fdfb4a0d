"""What the journal keeps of a call's arguments and errors: their beginning, and a digest of the whole."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

from rlmd.daemon.repl.api import Call

PREVIEW_TEXT = 2_000
"""Characters of a text that the journal keeps of an argument; its digest stands for the whole."""
PREVIEW_ITEMS = 50


def digest(call: Call) -> str:
    """Stands for a call's name and arguments when a replay compares them."""
    material = json.dumps([call.name, list(call.args), dict(call.kwargs)], sort_keys=True, default=_hex)
    return blake2b(material.encode(), digest_size=16).hexdigest()


def _hex(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else repr(value)


def preview(value: Any) -> Any:
    """The beginning of an argument, for people; small ones are whole."""
    if isinstance(value, str) and len(value) > PREVIEW_TEXT:
        return f"{value[:PREVIEW_TEXT]}[... {len(value):,} characters]"
    if isinstance(value, bytes):
        return f"[{len(value):,} bytes]"
    if isinstance(value, list):
        more = [f"[... {len(value):,} items]"] if len(value) > PREVIEW_ITEMS else []
        return [preview(item) for item in value[:PREVIEW_ITEMS]] + more
    if isinstance(value, dict):
        return {key: preview(item) for key, item in list(value.items())[:PREVIEW_ITEMS]}
    return value


def error_of(error: Exception) -> dict[str, str]:
    return {"type": type(error).__name__, "message": str(error)}
