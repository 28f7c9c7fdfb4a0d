"""What is known of a shelf that can be searched."""

from __future__ import annotations

from dataclasses import dataclass, field

from .meanings import Meanings
from .shelved import Shelved
from .source import Shelf
from .tail import Tail


@dataclass(eq=False)
class Kept:
    """A shelf that can be searched. The keeper's thread changes it, searches read it beside."""

    shelf: Shelf
    shelved: Shelved
    tail: Tail
    meanings: Meanings | None = None
    """None until opened, and without an embedder."""
    missing: set[int] = field(default_factory=set)
    """Stamps of passages that have no vector yet, once `meanings` are open."""
    since: float = 0.0
    """When the first of what gathers in the tail came; 0 while nothing does."""

    @property
    def unseen(self) -> int:
        """Passages in the table that the embedder has not seen."""
        return self.shelved.statistics.passages if self.meanings is None else len(self.missing)
