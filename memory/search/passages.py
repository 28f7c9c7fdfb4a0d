"""Texts cut into the passages that a search gives out, in one pass over a text of any size.

A passage is about 800 characters and never over 1,200. It ends, by preference, at a paragraph, a line, a
sentence or a word, so that a chat with a speaker on each line keeps its lines whole. Joined, the passages are
the text; where a cut falls depends only on the text before it and a little after it, never on how the text
came in.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LONGEST = 1200
"""Characters of a passage at most."""
_SHORTEST = 400
_TARGET = 1000
_AHEAD = 32
"""Characters beyond the longest passage that a cut may look at."""

_PARAGRAPH = re.compile(r"\n[ \t\r]*\n\s?")
_LINE = re.compile(r"\n")
_SENTENCE = re.compile(r"[.!?…][\"'”’)\]]*\s+|[。！？｡]")
_SPACE = re.compile(r"\s+")
_BORDERS = ((_PARAGRAPH, _TARGET), (_LINE, LONGEST), (_SENTENCE, _TARGET), (_SPACE, _TARGET))


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text: `start` in characters from the text's beginning."""

    start: int
    text: str


def cut(chunks: Iterable[str]) -> Iterator[Piece]:
    """The passages of the text that `chunks` make when joined. Holds no more than a chunk and a passage."""
    start, rest = 0, ""
    for chunk in chunks:
        rest += chunk
        at = 0
        while len(rest) - at > LONGEST + _AHEAD:
            end = at + _border(rest[at : at + LONGEST + _AHEAD])
            yield Piece(start + at, rest[at:end])
            at = end
        start, rest = start + at, rest[at:]
    while rest:
        end = len(rest) if len(rest) <= LONGEST else _border(rest[: LONGEST + _AHEAD])
        yield Piece(start, rest[:end])
        start, rest = start + end, rest[end:]


def _border(text: str) -> int:
    """Where to cut the front of `text`: at the last border of the best kind that is well placed."""
    for pattern, longest in _BORDERS:
        best = 0
        for match in pattern.finditer(text, _SHORTEST):
            if match.end() > longest:
                break
            best = match.end()
        if best:
            return best
    end = _TARGET
    while end > _SHORTEST and _joined(text[end - 1], text[end]):
        end -= 1
    return end


def _joined(before: str, after: str) -> bool:
    """Whether two characters are one to the eye: an accent on its letter, a family of emoji."""
    return "\u200d" in (before, after) or unicodedata.category(after)[0] == "M"
