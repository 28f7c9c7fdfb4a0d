"""How much of a prompt something takes, and how it is cut to fit.

The count is an estimate on the safe side, the same for every provider: bytes of UTF-8 by three, where
English has about four to a token and most scripts fewer.
"""

from __future__ import annotations

from collections.abc import Sequence

BYTES_A_TOKEN = 3
LISTED = 20
MARK = 50
"""Bytes at most of the line that stands for what was cut, without `more`."""


def tokens(text: str) -> int:
    """Estimated tokens of a text."""
    return len(text.encode(errors="replace")) // BYTES_A_TOKEN + 1


def cut(text: str, limit: int, *, more: str = "") -> str:
    """Head and tail of a text of more than `limit` tokens, with a line between that says what is missing.

    `more` says where all of it can be read.
    """
    if tokens(text) <= limit:
        return text
    raw = text.encode(errors="replace")
    keep = max(limit * BYTES_A_TOKEN - MARK - len(more), 40)
    head = raw[: keep * 2 // 3].decode(errors="ignore")
    tail = raw[len(raw) - keep // 3 :].decode(errors="ignore")
    missing = len(text) - len(head) - len(tail)
    where = f"; {more}" if more else ""
    return f"{head}\n[... {missing:,} characters cut{where} ...]\n{tail}"


def line(text: str, limit: int) -> str:
    """A text as one line of at most `limit` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 4] + " ..."


def listed(items: Sequence[str], joint: str) -> str:
    """The items in one text; of many, the first and the last, and how many are between."""
    if len(items) <= LISTED:
        return joint.join(items)
    first, last = items[: LISTED // 2], items[-LISTED // 2 :]
    return joint.join([*first, f"... {len(items) - LISTED:,} more ...", *last])
