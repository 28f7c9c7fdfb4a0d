"""What changed between two texts, as a unified diff, in bounded time.

Comparing takes the square of the lines in the worst case. What both texts begin and end with is
therefore set aside first, which leaves little of most long texts; what remains has a limit.
"""

from __future__ import annotations

import difflib
import re

from rlmd.errors import TooLarge

MAX_BYTES = 4 * 1024 * 1024
"""Most bytes of both texts together."""
MAX_LINES = 20_000
"""Most lines, of both texts together, between what they begin and what they end with."""
_CONTEXT = 3


def check_size(size: int) -> None:
    """Raises TooLarge."""
    if size > MAX_BYTES:
        raise _too_large(f"{size:,} bytes are too much to compare (most: {MAX_BYTES:,})")


def unified(old: str, new: str, labels: tuple[str, str]) -> str:
    """A diff that is empty only if both are equal: line ends count, and a missing last one is told.

    Raises:
        TooLarge: too many lines differ.
    """
    before, after = _lines(old), _lines(new)
    shortest = min(len(before), len(after))
    head = next((i for i in range(shortest) if before[i] != after[i]), shortest)
    rest = shortest - head
    tail = next((i for i in range(rest) if before[-1 - i] != after[-1 - i]), rest)
    if len(before) + len(after) - 2 * (head + tail) > MAX_LINES:
        raise _too_large(f"over {MAX_LINES:,} lines are too many to compare")
    first, left = max(head - _CONTEXT, 0), max(tail - _CONTEXT, 0)
    lines = difflib.unified_diff(
        before[first : len(before) - left], after[first : len(after) - left], *labels
    )
    return "".join(_shown(line, first) for line in lines).removesuffix("\n")


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _shown(line: str, first: int) -> str:
    """A line of the diff of what follows the first lines, as it stands in the diff of the whole."""
    if line.startswith("@@"):
        return re.sub(r"(?<=[-+])\d+", lambda number: str(int(number[0]) + first), line)
    return line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"


def _too_large(reason: str) -> TooLarge:
    return TooLarge(
        reason,
        field="name",
        remedy="Read both versions by slices and compare the parts that matter.",
    )
