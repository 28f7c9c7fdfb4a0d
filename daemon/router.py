"""Who is connected as which channel, and which call was sent to whom.

All of it may be lost: rows are the truth. A commit rings the channels that it has something for; their lines
then look into the tables by themselves. A call goes to the line that has the least to do, and, if that ends
before the result, to another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from rlmd.errors import Exhausted
from rlmd.memory.database import Database

MAX_LINES = 100
"""Clients that are connected as one channel."""
MAX_CALLS = 64
"""Calls that a client has at once; it is sent the next when it has answered one."""


class Line:
    """A client that is connected."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        """Set when there may be something to send."""
        self.rung = True
        """Whether the tables may have something that was not seen there."""
        self.calls: set[int] = set()
        """Calls that were sent on it and have no result yet."""
        self.answered: set[int] = set()
        """Those of them whose result is being written down."""
        self.free = False
        """Whether it waits for something to do: one that is amid sending to a slow client takes no calls."""

    def ring(self) -> None:
        """The tables may have something for it."""
        self.rung = True
        self.news.set()

    @property
    def room(self) -> int:
        """How many calls more it may take."""
        return MAX_CALLS - len(self.calls)


class Router:
    """The lines of all channels of all users."""

    def __init__(self) -> None:
        self._lines: defaultdict[int, list[Line]] = defaultdict(list)
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self, database: Database) -> None:
        """Ring whenever something is committed for a channel."""
        database.on_commit(lambda: self._committed(database.take_rung()))

    @contextlib.contextmanager
    def line(self, channel_id: int) -> Iterator[Line]:
        """A client is connected as a channel. Raises Exhausted: there are too many already."""
        if self.online(channel_id) >= MAX_LINES:
            raise Exhausted(
                f"{MAX_LINES} clients are connected as this channel",
                field="hello.channel",
                remedy="End some of them, or connect under another name.",
            )
        self._loop = asyncio.get_running_loop()
        line = Line()
        self._lines[channel_id].append(line)
        try:
            yield line
        finally:
            self._lines[channel_id].remove(line)
            if not self._lines[channel_id]:
                del self._lines[channel_id]
            # What it leaves undone is another's.
            self.ring([channel_id])

    def online(self, channel_id: int) -> int:
        """How many clients are connected as a channel."""
        return len(self._lines.get(channel_id, ()))

    def take(self, channel_id: int, line: Line, waiting: Iterable[int]) -> list[int]:
        """Those of the calls that wait which are this line's to send: they are its own from now on."""
        lines = self._lines[channel_id]
        held = {call for each in lines for call in each.calls}
        taken = []
        for call in waiting:
            if call in held:
                continue
            if line.room <= 0 or self._leave_to_another(lines, line):
                break
            line.calls.add(call)
            taken.append(call)
        return taken

    def done(self, channel_id: int, call: int) -> None:
        """A call has its result, whoever gave it."""
        for line in self._lines.get(channel_id, ()):
            if call in line.calls:
                line.calls.discard(call)
                # There may be room for the next one now.
                line.ring()

    def ring(self, channel_ids: Collection[int]) -> None:
        """There may be something for these channels."""
        for channel_id in channel_ids:
            for line in self._lines.get(channel_id, ()):
                line.ring()

    def _leave_to_another(self, lines: Iterable[Line], line: Line) -> bool:
        """Whether a line that has less to do, and nothing else, is to take the next call; it is rung."""
        for other in lines:
            if other is not line and other.free and len(other.calls) < len(line.calls):
                other.ring()
                return True
        return False

    def _committed(self, channel_ids: frozenset[int]) -> None:
        """On the writer's thread."""
        if channel_ids and self._loop is not None:
            # A loop that was closed has no lines.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.ring, channel_ids)
