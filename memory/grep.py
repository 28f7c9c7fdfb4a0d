"""Regular expressions over texts that come in pieces, line by line, in bounded time.

The package `regex` takes the syntax of `re`, lets go of the interpreter while it matches, and can be
stopped: a pattern that backtracks for ever ends in an error, not in a daemon that hangs.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate

import regex

from rlmd.errors import DeadlineExceeded, InvalidInput

from .names import check_text

MAX_PATTERN = 1_000
SECONDS = 10.0
"""Most time that one piece of a text may take."""
MAX_REPEATS = 1_000_000
"""Product of a pattern's counted repeats: nested ones are written out when it is compiled."""
SHOWN = 1_000
"""Characters of a line that are shown around a match."""
_REPEATS = regex.compile(r"\{(\d+)(?:,(\d*))?\}")


class Pattern:
    """A compiled pattern.

    Raises:
        InvalidInput: it is not a regular expression, or too long.
    """

    def __init__(self, pattern: str) -> None:
        check_text(pattern, "pattern", limit=MAX_PATTERN)
        repeats = math.prod(
            max(1, *(int(number[:20] or 0) for number in numbers)) for numbers in _REPEATS.findall(pattern)
        )
        if repeats > MAX_REPEATS:
            raise InvalidInput(
                f"the numbers in braces come to {repeats:,} repeats, more than {MAX_REPEATS:,}",
                field="pattern",
                remedy="Use + or * instead of large numbers.",
            )
        try:
            self._expression = regex.compile(pattern, regex.MULTILINE)
        except (regex.error, ValueError, RecursionError, MemoryError) as error:
            raise InvalidInput(
                f"{pattern!r} is not a regular expression: {error}",
                field="pattern",
                remedy="Escape ( ) [ ] { } . * + ? with a backslash to look for them as they stand.",
            ) from error
        self._pattern = pattern

    def lines(self, chunks: Iterable[str]) -> Iterator[tuple[int, int, str]]:
        """Each line that matches: number from 1, character at which the match starts, text.

        Lines end with `\\n` or `\\r\\n`, which are not part of them.
        """
        number, offset = 1, 0
        for raw in _whole_lines(chunks):
            block, removed = _without_returns(raw)
            counted = 0
            for begin, end, at in self._matches(block):
                number += block.count("\n", counted, begin)
                counted = begin
                yield number, offset + at + bisect_left(removed, at), _around(block, begin, end, at)
            number += block.count("\n", counted)
            offset += len(raw)

    def _matches(self, block: str) -> Iterator[tuple[int, int, int]]:
        """Begin and end of each line that matches, and where its first match starts."""
        position = 0
        while position <= len(block):
            found = self._search(block, position, len(block))
            if found < 0:
                return
            begin = block.rfind("\n", 0, found) + 1
            end = block.find("\n", found)
            end = len(block) if end < 0 else end
            # What matched may reach over the line's end; only what matches within the line counts.
            within = self._search(block, max(begin, position), end)
            if within >= 0 and begin < len(block):
                yield begin, end, within
            position = end + 1

    def _search(self, block: str, start: int, end: int) -> int:
        try:
            match = self._expression.search(block, start, end, timeout=SECONDS, concurrent=True)
        except TimeoutError:
            raise DeadlineExceeded(
                f"{self._pattern!r} took more than {SECONDS:g} s on one piece of text",
                field="pattern",
                remedy="Avoid nested repeats such as (a+)+.",
            ) from None
        except MemoryError:
            raise InvalidInput(
                f"{self._pattern!r} takes too much memory",
                field="pattern",
                remedy="Avoid recursion such as (?R).",
            ) from None
        return match.start() if match else -1


def _whole_lines(chunks: Iterable[str]) -> Iterator[str]:
    """The text in blocks that end with a line, whatever the pieces; the last may be without line end."""
    rest: list[str] = []
    for chunk in chunks:
        cut = chunk.rfind("\n") + 1
        if not cut:
            rest.append(chunk)
            continue
        yield "".join([*rest, chunk[:cut]])
        rest = [chunk[cut:]] if cut < len(chunk) else []
    if rest:
        yield "".join(rest)


def _without_returns(block: str) -> tuple[str, list[int]]:
    """The block with `\\n` for `\\r\\n`, so that `$` finds the line's end, and where a `\\r` was left out."""
    if "\r\n" not in block:
        return block, []
    lines = block.split("\r\n")
    ends = accumulate(len(line) + 1 for line in lines[:-1])
    return "\n".join(lines), [end - 1 for end in ends]


def _around(block: str, begin: int, end: int, at: int) -> str:
    if end - begin <= SHOWN:
        return block[begin:end]
    first = max(begin, min(at - SHOWN // 4, end - SHOWN))
    return block[first : first + SHOWN]
