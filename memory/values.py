"""Values and their bytes. A `str` is text, `bytes` are bytes, everything else is JSON data."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from rlmd.errors import InvalidInput, TooLarge

from .names import check_text, short
from .records import Kind

MAX_BYTES = 1 << 30
"""Largest value: 1 GiB."""
MAX_DEPTH = 100
"""Deepest JSON."""
MAX_BITS = 10_000
"""Largest integer in JSON; Python itself refuses to read those of over 4,300 digits."""
_SMALL = 1 << 64
_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
PLAIN = (str, bytes, bytearray, memoryview)
"""Types of values that are not JSON data."""


@dataclass(frozen=True)
class Encoded:
    kind: Kind
    data: bytes
    characters: int
    """Of a text; else 0."""


def encode(value: Any, field: str = "value") -> Encoded:
    """The bytes that are kept for a value.

    Raises:
        InvalidInput: it is not JSON, text or bytes; `field` names the path of the bad part.
        TooLarge: over 1 GiB.
    """
    if isinstance(value, str):
        check_text(value, field)
        encoded = Encoded(Kind.TEXT, value.encode(), len(value))
    elif isinstance(value, (bytes, bytearray, memoryview)):
        encoded = Encoded(Kind.BYTES, bytes(value), 0)
    else:
        encoded = Encoded(Kind.JSON, encode_json(value, field), 0)
    if len(encoded.data) > MAX_BYTES:
        raise TooLarge(
            f"{len(encoded.data):,} bytes are more than 1 GiB",
            field=field,
            remedy="Keep it in several variables.",
        )
    return encoded


def encode_json(value: Any, field: str = "value") -> bytes:
    """Compact JSON in UTF-8; refuses what JSON does not have instead of bending it."""
    if not _plain(value, 0):
        _check_json(value, field, 0)
    return _compact(value).encode()


def decode(kind: Kind, data: bytes) -> Any:
    match kind:
        case Kind.TEXT:
            return data.decode()
        case Kind.BYTES:
            return data
        case Kind.JSON:
            return json.loads(data)
        case Kind.DELETED:
            return None


def readable(kind: Kind, data: bytes) -> str:
    """A value as text for people and for diffs: JSON is laid out with an item a line."""
    match kind:
        case Kind.TEXT:
            return data.decode()
        case Kind.JSON:
            return json.dumps(json.loads(data), ensure_ascii=False, indent=2, sort_keys=True)
        case Kind.BYTES:
            return "\n".join(data[i : i + 32].hex(" ") for i in range(0, len(data), 32))
        case Kind.DELETED:
            return ""


def _plain(value: Any, depth: int) -> bool:
    """Whether it is JSON beyond doubt. Quicker than `_check_json`, which says of the others what is wrong."""
    kind = type(value)
    if kind is str:
        return bool(value.isascii())
    if kind is int:
        return bool(-_SMALL < value < _SMALL)
    if kind is float:
        return math.isfinite(value)
    if kind is dict:
        for key in value:
            if type(key) is not str or not key.isascii():
                return False
        value = value.values()
    elif kind is not list:
        return value is None or kind is bool
    if depth == MAX_DEPTH:
        return False
    for item in value:  # noqa: SIM110 (a loop is twice as fast as all() here)
        if not _plain(item, depth + 1):
            return False
    return True


def _check_json(value: Any, path: str, depth: int) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        check_text(value, path)
    elif isinstance(value, int):
        if value.bit_length() > MAX_BITS:
            raise InvalidInput(
                f"a number of {value.bit_length():,} bits is more than {MAX_BITS:,}",
                field=path,
                remedy="Keep it as a text.",
            )
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(
                f"{value} is not a JSON number", field=path, remedy="Use None or a text instead."
            )
    elif depth >= MAX_DEPTH:
        raise InvalidInput(
            f"more than {MAX_DEPTH} levels deep (or it holds itself)", field=path[:200], remedy="Flatten it."
        )
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidInput(
                    f"the key {short(key)} is not a text",
                    field=path,
                    remedy="JSON has only texts as keys; use str(key).",
                )
            check_text(key, path)
            _check_json(item, f"{path}[{short(key)}]", depth + 1)
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            _check_json(item, f"{path}[{position}]", depth + 1)
    else:
        raise InvalidInput(
            f"a {type(value).__name__} is not JSON data, text or bytes",
            field=path,
            remedy="Make it of dicts, lists, texts, numbers, booleans and None.",
        )
