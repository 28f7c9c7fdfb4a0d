"""The text of PDF files, by pypdf, which is an extra. Pages are numbered, so that they can be cited."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .names import file_name
from .records import Item, Options, Problem, Read, Source
from .text import is_text

if TYPE_CHECKING:
    from pypdf import PdfReader

_ODD = re.compile("[\x00\ud800-\udfff]")


def read_pdf(source: Source, options: Options) -> Read:
    """The text of all pages. A page that cannot be read costs only itself."""
    where = str(source.path)
    try:
        from pypdf import PdfReader
    except ImportError:
        yield Problem(where=where, reason="Reading PDF needs pypdf. Install it: pip install 'rlmd[pdf]'.")
        return
    # What it thinks of slightly damaged files is of no use to the reader.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(source.path)
        if reader.is_encrypted and not reader.decrypt(""):
            yield Problem(where=where, reason="It is encrypted. Save it without a password first.")
            return
        count = len(reader.pages)
    except Exception as exc:  # its errors have no common base, and damaged files find all of them
        yield Problem(where=where, reason=f"Not a PDF that can be read: {_told(exc)}.")
        return
    texts: list[str] = []
    for entry in _pages(reader, count, where):
        if isinstance(entry, Problem):
            yield entry
        else:
            texts.append(entry)
    if not any(text.strip() for text in texts):
        yield Problem(where=where, reason="There is no text in it. Scanned pages need OCR first.")
        return
    written = _written(reader)
    yield Item(
        name=file_name(options.files(), source.named),
        value="\n\n".join(texts) + "\n",
        where=where,
        time=written or source.time,
        dated=written is not None,
    )


def _pages(reader: PdfReader, count: int, where: str) -> Iterator[str | Problem]:
    for number in range(1, count + 1):
        try:
            text = reader.pages[number - 1].extract_text()
        except Exception as exc:  # as above
            yield Problem(where=f"{where}, page {number}", reason=f"It cannot be read: {_told(exc)}.")
            continue
        text = _ODD.sub("\N{REPLACEMENT CHARACTER}", text).strip()
        if text:
            yield f"[page {number}]\n{text}" if count > 1 else text


def _written(reader: PdfReader) -> datetime | None:
    """When it says that it was made."""
    try:
        found = reader.metadata.creation_date if reader.metadata else None
    except Exception:  # dates of PDF are often none
        return None
    if found is None:
        return None
    time = found.replace(microsecond=0, tzinfo=found.tzinfo or UTC)
    return time if time <= datetime.now(UTC) else None


def _told(exc: Exception) -> str:
    text = " ".join(str(exc).split())[:200] or type(exc).__name__
    return (text if is_text(text) else type(exc).__name__).rstrip(".")
