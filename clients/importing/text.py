"""Bytes as text: UTF-8 with or without a mark, UTF-16 with one. What is neither is named by its line."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

_ODD = re.compile("[\ud800-\udfff]")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def decode(raw: bytes) -> str:
    """The text. A byte that is not text becomes half of a surrogate, which `is_text` finds."""
    if raw.startswith(_UTF_16):
        return raw.decode("utf-16", "surrogatepass" if len(raw) % 2 == 0 else "replace")
    return raw.decode("utf-8-sig", "surrogateescape")


def is_text(text: str) -> bool:
    """Whether all of it is characters."""
    return _ODD.search(text) is None


def lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines with their numbers from 1, without their ends, of whatever kind those are."""
    # Not `splitlines`, which also cuts at characters that stand within lines.
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        yield number, line.removesuffix("\n")


def first_odd(text: str) -> tuple[int, str] | None:
    """Line and reason of the first thing that is not text; None if all is."""
    found = _ODD.search(text)
    if found is None:
        return None
    line = len(re.findall(r"\r\n|\r|\n", text[: found.start()])) + 1
    return line, odd(found[0])


def odd(text: str) -> str:
    """Why this is not text."""
    found = _ODD.search(text)
    code = ord(found[0]) if found else 0
    return f"Not UTF-8 text: byte 0x{code - 0xDC00:02x}." if 0xDC80 <= code <= 0xDCFF else "Half a character."
