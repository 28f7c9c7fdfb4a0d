"""Bytes as text: UTF-8 with or without a mark, UTF-16 with one. What is neither is named by its line."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from pathlib import Path

PIECE = 1 << 20
"""Bytes of a large file that are read at once."""

_ODD = re.compile("[\ud800-\udfff]")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def decode(raw: bytes) -> str:
    """The text. A byte that is not text becomes half of a surrogate, which `is_text` finds."""
    if raw.startswith(_UTF_16):
        return raw.decode("utf-16", "surrogatepass" if len(raw) % 2 == 0 else "replace")
    return raw.decode("utf-8-sig", "surrogateescape")


def is_marked(raw: bytes) -> bool:
    """Whether it begins with a mark of its encoding."""
    return raw.startswith((codecs.BOM_UTF8, *_UTF_16))


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


def first_odd_in(path: Path) -> tuple[int, str] | None:
    """Line and reason of the first thing in a file that is not UTF-8, which is read in pieces."""
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    with path.open("rb") as file:
        while True:
            piece = file.read(PIECE)
            before = len(decoder.getstate()[0])
            try:
                decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as exc:
                # Lines end as in `lines`; in files of this size, lone returns are not counted.
                line += piece.count(b"\n", 0, max(exc.start - before, 0))
                return line, f"Not UTF-8 text: byte 0x{exc.object[exc.start]:02x}."
            if not piece:
                return None
            line += piece.count(b"\n")


def odd(text: str) -> str:
    """Why this is not text."""
    found = _ODD.search(text)
    code = ord(found[0]) if found else 0
    return f"Not UTF-8 text: byte 0x{code - 0xDC00:02x}." if 0xDC80 <= code <= 0xDCFF else "Half a character."
