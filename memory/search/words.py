"""From text to the words that a search compares: one analysis for documents and for queries, in any script.

Case, accents and width are folded. Scripts that are written without spaces (Chinese, Japanese, Thai, ...)
give single characters and pairs of neighbours, so that any part of a sentence is found. Latin words are
stemmed as English ones; for other languages that is crude, but the same on both sides: an exact word matches.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from functools import lru_cache

import snowballstemmer

_STOP_WORDS = """
a about am an and any are as at be been being but by can could did do does doing for from had
has have having he her hers him his how i if in into is it its may me might my no not of on or
our ours she should so than that the their theirs them then there these they this those to us
was we were what when where which who whom whose why will with would you your yours
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
"""English words that say nothing about what is looked for. Documents keep them: `to be` is found."""

_ASCII_WORD = re.compile(r"[a-z0-9]+")
_POSSESSIVE = re.compile(r"['’]s?\b")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff"
    "\U00020000-\U0003ffff]+"
)
_stemmer = snowballstemmer.stemmer("english")
_stemming = threading.Lock()


def raw_words(text: str) -> list[str]:
    """The folded words of `text` in order, neither stemmed nor sifted."""
    folded = _POSSESSIVE.sub("", text.casefold())
    if folded.isascii():
        return _ASCII_WORD.findall(folded)
    found: list[str] = []
    for word in "".join(map(_fold, unicodedata.normalize("NFKD", folded))).split():
        found.extend(_segments(unicodedata.normalize("NFC", word)))
    return found


def words(text: str) -> list[str]:
    """The stemmed words of a document, in order, with repetitions."""
    return [stem(word) for word in raw_words(text)]


def query_words(text: str) -> list[str]:
    """The distinct stemmed words to look for: without stop words, unless there is nothing else."""
    found = raw_words(text)
    telling = [word for word in found if word not in STOP_WORDS] or found
    return list(dict.fromkeys(map(stem, telling)))


def stem(word: str) -> str:
    """The stem of a folded word; of what is not plain Latin letters, the word itself."""
    return _stem(word) if len(word) > 3 and word.isascii() and word.isalpha() else word


@lru_cache(maxsize=1 << 15)
def _stem(word: str) -> str:
    with _stemming:  # the stemmer keeps its word in itself while it works
        return str(_stemmer.stemWord(word))


@lru_cache(maxsize=1 << 14)
def _fold(character: str) -> str:
    """What is left of one decomposed character: nothing of an accent, a space of what is in no word."""
    if unicodedata.combining(character):
        return ""
    return character if unicodedata.category(character)[0] in "LNM" else " "


def _segments(word: str) -> list[str]:
    if not _UNSPACED.search(word):
        return [word]
    parts: list[str] = []
    end = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > end:
            parts.append(word[end : run.start()])
        characters = run.group()
        parts.extend(characters)
        parts.extend(characters[at : at + 2] for at in range(len(characters) - 1))
        end = run.end()
    if end < len(word):
        parts.append(word[end:])
    return parts
