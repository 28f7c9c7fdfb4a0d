"""A conversation as a text: a first line of date and speakers, then a line a turn.

    2023-05-08 13:56 · Caroline, Melanie
    13:56 Caroline: Hey Mel!
    13:58 Melanie: Two lines:
      this is the second
    13:59 * Melanie left

Times stand where the source says them; a date where the day changes. `*` marks what nobody said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby

from .names import slug
from .records import Item, Options


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What somebody said, or what happened."""

    speaker: str
    """Empty if nobody said it."""
    text: str
    time: datetime | None = None
    """Aware, in the zone in which it is to be shown."""


@dataclass(frozen=True, kw_only=True)
class Chat:
    """Turns that belong together, on their way into one variable."""

    title: str
    label: str
    """For the end of the name."""
    time: datetime | None
    turns: list[Turn]
    where: str

    def item(self, options: Options) -> Item:
        """The text, its name and its time."""
        names = list(dict.fromkeys(_flat(turn.speaker) for turn in self.turns if turn.speaker))
        head = [f"{self.time:%Y-%m-%d %H:%M}" if self.time else "", ", ".join(names)]
        body = _lines(self.turns, self.time.date() if self.time else None)
        label = "-".join(filter(None, [f"{self.time:%Y-%m-%d}" if self.time else "", self.label]))
        return Item(
            name=f"{options.chats()}{slug(self.title) or 'chat'}/{label}",
            value="\n".join([" · ".join(filter(None, head)), *body]) + "\n",
            where=self.where,
            time=self.time.replace(microsecond=0) if self.time else None,
            dated=self.time is not None,
        )


def days(turns: Iterable[Turn], *, title: str, label: str, where: str) -> Iterator[Chat]:
    """A long chat, a piece for each day. All turns have times."""

    def day(turn: Turn) -> date:
        return turn.time.date() if turn.time else date.min

    # Telephones that were off deliver late: within an export times may go back a little.
    for found, said in groupby(sorted(turns, key=day), key=day):
        of_day = list(said)
        yield Chat(
            title=title, label=label, time=of_day[0].time, turns=of_day, where=f"{where}, {found.isoformat()}"
        )


def _lines(turns: list[Turn], day: date | None) -> Iterator[str]:
    for turn in turns:
        stamp = ""
        if turn.time is not None:
            stamp = f"{turn.time:%H:%M} " if turn.time.date() == day else f"{turn.time:%Y-%m-%d %H:%M} "
            day = turn.time.date()
        who = f"{_flat(turn.speaker)}: " if turn.speaker else "* "
        # Indented, so that no line within a message looks like the beginning of another.
        first, *rest = turn.text.strip().splitlines() or [""]
        yield f"{stamp}{who}{first}".rstrip()
        yield from (f"  {line}".rstrip() for line in rest)


def _flat(text: str) -> str:
    return " ".join(text.split())
