"""What a step prints: head and tail are kept, the middle is counted and dropped.

The sandbox's own collectors fail a step that printed too much although it ran to its end; this one
never does, and what it holds stays bounded during a flood.
"""

from __future__ import annotations

from collections import deque


class Printed:
    """Collects text in at most about `limit` characters: the first half and the last half."""

    def __init__(self, limit: int) -> None:
        self._room = limit - limit // 2
        self._tail_limit = limit // 2
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self._dropped = 0

    def __call__(self, _stream: str, text: str) -> None:
        """Take a piece, as the sandbox's print callback."""
        if self._room:
            self._head.append(text[: self._room])
            text = text[self._room :]
            self._room -= len(self._head[-1])
        if not text:
            return
        self._tail.append(text)
        self._tail_size += len(text)
        while self._tail_size - len(self._tail[0]) >= self._tail_limit:
            self._dropped += len(self._tail[0])
            self._tail_size -= len(self._tail.popleft())

    def finish(self) -> tuple[str, int]:
        """The text kept and the number of characters cut; where there is a cut, a line says so."""
        tail = "".join(self._tail)
        kept = tail[max(0, len(tail) - self._tail_limit) :]
        cut = self._dropped + len(tail) - len(kept)
        head = "".join(self._head)
        if not cut:
            return head + kept, 0
        return f"{head}\n[... {cut} characters cut ...]\n{kept}", cut


def shorten(text: str, limit: int) -> str:
    """Head and tail of a text that is longer than `limit`."""
    printed = Printed(limit)
    printed("stdout", text)
    return printed.finish()[0]
