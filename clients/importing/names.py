"""Names of variables for whatever files and chats are called: always valid, and never one for two things.

What a name may not hold is replaced, and a mark made of the original is added, so that two names that differ
only in such characters stay two. The same file always gets the same name.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from os.path import splitext

MAX_NAME = 512
"""Characters of a variable's name."""
MAX_SEGMENT = 160
_LONGEST_SUFFIX = 16
_NOT_IN_NAMES = ("Cc", "Cs")
"""Control characters, and halves of surrogates, by which Python shows bytes that are not UTF-8."""


def file_name(prefix: str, parts: Sequence[str]) -> str:
    """The name for a file, from the parts of its path."""
    name = "/".join(_segment(part) for part in parts)
    if not prefix and name.startswith("@"):
        # Names that begin so belong to hives.
        name = _marked("_" + name, name)
    room = MAX_NAME - len(prefix)
    return prefix + (name if len(name) <= room else _marked(name, name, max(room, MAX_SEGMENT)))


def slug(name: object) -> str:
    """A title as one part of a name, or empty if nothing of it can stand there."""
    text = str(name) if isinstance(name, str | int) and not isinstance(name, bool) else ""
    return re.sub(r"[^\w.@+-]+", "-", unicodedata.normalize("NFC", text)).strip("-.@")[:100].rstrip("-.")


class Names:
    """Who has which name in this import."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}

    def claim(self, name: str, owner: str) -> str:
        """The name, or another one if somebody else has it. An owner who asks again gets the same."""
        wanted, salt = name, owner
        while self._owners.setdefault(wanted, owner) != owner:
            wanted, salt = _marked(name, salt, MAX_NAME), salt + "+"
        return wanted


def _segment(part: str) -> str:
    composed = unicodedata.normalize("NFC", part)
    kept = "".join("-" if unicodedata.category(c) in _NOT_IN_NAMES or c == "/" else c for c in composed)
    kept = kept.strip()
    if kept.strip(".") == "" and len(kept) < 3:
        kept = "_" * max(len(kept), 1)
    if len(kept) > MAX_SEGMENT:
        return _marked(kept, part, MAX_SEGMENT)
    return kept if kept == composed else _marked(kept, part)


def _marked(name: str, original: str, longest: int = MAX_NAME) -> str:
    """The name with a mark before its suffix, cut to a length."""
    mark = hashlib.sha256(original.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    stem, suffix = splitext(name)
    if len(suffix) > _LONGEST_SUFFIX:
        stem, suffix = name, ""
    return f"{stem[: longest - len(mark) - len(suffix) - 1].rstrip('/. ')}-{mark}{suffix}"
