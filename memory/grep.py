"""Regular expressions over texts that come in pieces, line by line, in bounded time.

The package `regex` takes the syntax of `re`, lets go of the interpreter while it matches, and can be
stopped: a pattern that backtracks for ever ends in an error, not in a daemon that hangs. Most blocks of a
long text are passed over without it, and are not even decoded: those that lack the characters which every
match must have.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate

import numpy as np
import regex

from rlmd.errors import DeadlineExceeded, InvalidInput

from .literals import literals
from .names import check_text

MAX_PATTERN = 1_000
SECONDS = 10.0
"""Most time that one piece of a text may take."""
MAX_REPEATS = 1_000_000
"""Product of a pattern's counted repeats: nested ones are written out when it is compiled."""
LONGEST_LINE = 1024 * 1024
"""Bytes of a line that are searched together: a longer one is searched in parts of so many."""
SHOWN = 1_000
"""Characters of a line that are shown around a match."""
_NEWLINE = 10
_FIRST_OCTET = -64
"""Least octet, as a signed number, that begins a character of UTF-8."""
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
        self._needles = [[needle.encode() for needle in branch] for branch in literals(pattern)]

    def lines(self, chunks: Iterable[bytes]) -> Iterator[tuple[int, int, str]]:
        """Each line that matches: number from 1, character at which the match starts, text.

        The chunks are UTF-8, each of whole characters. Lines end with `\\n` or `\\r\\n`, which are not part
        of them.
        """
        number, offset, told = 1, 0, 0
        for raw in _whole_lines(chunks):
            if self._possible(raw):
                block, removed = _without_returns(raw.decode())
                line, counted = number, 0
                for begin, end, at in self._matches(block):
                    line += block.count("\n", counted, begin)
                    counted = begin
                    if line != told:  # It may have matched in the part before.
                        yield line, offset + at + bisect_left(removed, at), _around(block, begin, end, at)
                    told = line
            # Several times as quick as `raw.count` and `len(raw.decode())`.
            octets = np.frombuffer(raw, np.int8)
            number += int(np.count_nonzero(octets == _NEWLINE))
            offset += int(np.count_nonzero(octets >= _FIRST_OCTET))

    def _possible(self, block: bytes) -> bool:
        """Whether it may hold a match."""
        return not self._needles or any(all(needle in block for needle in branch) for branch in self._needles)

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


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text in blocks that end with a line, whatever the pieces; the last may be without line end.

    So may parts of a line that is too long to be searched as a whole.
    """
    rest: list[bytes] = []
    length = 0
    for chunk in chunks:
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield b"".join([*rest, chunk[:cut]])
            rest, length = [], 0
        if cut < len(chunk):
            rest.append(chunk[cut:])
            length += len(chunk) - cut
        if length >= LONGEST_LINE:
            yield b"".join(rest)
            rest, length = [], 0
    if rest:
        yield b"".join(rest)


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
