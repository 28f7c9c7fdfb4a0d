"""What a hit must be: the filter of a search, for rows in memory and as LanceDB's condition."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from .ranking import Row


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Times in microseconds, `after` <= time < `before`; `prefix` of a key, `exclude` whole keys."""

    prefix: str = ""
    after: int | None = None
    before: int | None = None
    exclude: Collection[str] = ()

    def allows(self, row: Row) -> bool:
        return (
            row.key.startswith(self.prefix)
            and (self.after is None or row.time >= self.after)
            and (self.before is None or row.time < self.before)
            and row.key not in self.exclude
        )

    def sql(self, hidden: Iterable[int] = ()) -> str:
        """The same as a condition, which also leaves out the ids of `hidden`; empty if all is allowed."""
        parts = []
        if self.prefix:
            parts.append(f"starts_with(key, {_quoted(self.prefix)})")
        if self.after is not None:
            parts.append(f"time >= {self.after}")
        if self.before is not None:
            parts.append(f"time < {self.before}")
        if self.exclude:
            parts.append(f"key NOT IN ({', '.join(map(_quoted, sorted(self.exclude)))})")
        if ids := sorted(hidden):
            parts.append(f"id NOT IN ({', '.join(map(str, ids))})")
        return " AND ".join(parts)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
