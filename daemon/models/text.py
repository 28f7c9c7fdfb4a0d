"""Text as it may be sent: Unicode that has a form in UTF-8."""

from __future__ import annotations


def mend(text: str) -> str:
    """The text with each half of a character (a lone surrogate) made U+FFFD, and matching halves joined."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
