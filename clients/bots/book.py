"""Who may talk with a bot: a file in the data directory, which neither a model nor a stranger can reach.

A stranger is given a code; whoever owns the data directory confirms it with `rlmd bot pair CODE`. A code can
be used once, and for an hour. Bots and the command line are processes of their own, so each change is made
under a lock, and the file is replaced as a whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rlmd.errors import AlreadyExists, Exhausted, InternalError, InvalidInput, NotFound

CODE_SECONDS = 3600.0
MOST_STRANGERS = 100
"""Codes that are open at a time, of all bots; who comes then is refused without one."""
MOST_NAME = 60
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that are taken for each other."""
_CHANNEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody on a messenger who was let in."""

    bot: str
    id: str
    """Who they are there: it does not change, as names do."""
    name: str
    channel: str
    external: bool = False
    """Whether what they say is text from outside, and not the owner's word."""


@dataclass(frozen=True, kw_only=True)
class Stranger:
    """Somebody on a messenger who was given a code."""

    code: str
    bot: str
    id: str
    name: str
    time: float
    """Seconds since 1970, when the code was given."""


@dataclass(frozen=True, kw_only=True)
class _Page:
    people: tuple[Person, ...] = ()
    strangers: tuple[Stranger, ...] = ()


class Book:
    """The people of all bots of a data directory."""

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._file = folder / "bots.json"
        self._now = now
        self._seen: tuple[int, int, int] | None = None
        self._page = _Page()

    def people(self) -> Sequence[Person]:
        """Who was let in."""
        return self._read().people

    def strangers(self) -> Sequence[Stranger]:
        """Who waits to be let in."""
        return tuple(each for each in self._read().strangers if self._open(each))

    def find(self, bot: str, id: str) -> Person | None:
        """Somebody who was let in; None for a stranger."""
        return next((each for each in self.people() if (each.bot, each.id) == (bot, id)), None)

    def introduce(self, bot: str, id: str, name: str) -> Stranger:
        """A code for a stranger; the same again while it can be used.

        Raises:
            Exhausted: too many wait already.
        """
        with self._changing() as page:
            open_ = tuple(each for each in page.strangers if self._open(each))
            found = next((each for each in open_ if (each.bot, each.id) == (bot, id)), None)
            if found is not None:
                return found
            if len(open_) >= MOST_STRANGERS:
                raise Exhausted("Too many strangers wait to be let in.", remedy="Try again in an hour.")
            code = "".join(secrets.choice(_LETTERS) for _ in range(8))
            made = Stranger(
                code=f"{code[:4]}-{code[4:]}", bot=bot, id=id, name=_shown(name), time=self._now()
            )
            self._write(replace(page, strangers=(*open_, made)))
            return made

    def let_in(self, code: str, channel: str = "", *, external: bool = False) -> Person:
        """Confirm a code: the stranger is a channel from now on.

        Args:
            channel: Its name; several people, or one on several messengers, may share one. Empty means
                one made of the person's name.
            external: Whether what they say is text from outside, and not the owner's word.

        Raises:
            NotFound: there is no such code, or its hour is over.
            InvalidInput: no channel can be called so.
            AlreadyExists: somebody else's channel is called as this one would be by itself.
        """
        plain = re.sub(r"[^A-Z0-9]", "", code.upper())
        with self._changing() as page:
            waiting = (each for each in page.strangers if self._open(each))
            found = next((each for each in waiting if each.code.replace("-", "") == plain), None)
            if found is None:
                remedy = "Codes are good once, for an hour. Have them write to the bot again."
                raise NotFound(f"There is no code {code!r}.", field="code", remedy=remedy)
            name = channel or _made_of(found.name)
            if not _CHANNEL.fullmatch(name):
                remedy = "Use 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter: `--as ann`."
                raise InvalidInput(f"{name!r} cannot be a channel.", field="channel", remedy=remedy)
            others = [each for each in page.people if (each.bot, each.id) != (found.bot, found.id)]
            if not channel and any(each.channel == name for each in others):
                remedy = "Name another with `--as`, or say `--as " + name + "` if it is the same person."
                raise AlreadyExists(f"There is a channel {name} already.", field="channel", remedy=remedy)
            person = Person(bot=found.bot, id=found.id, name=found.name, channel=name, external=external)
            rest = tuple(each for each in page.strangers if each is not found)
            self._write(_Page(people=(*others, person), strangers=rest))
            return person

    def shut_out(self, bot: str, id: str) -> Person:
        """Somebody may no longer talk with a bot.

        Raises:
            NotFound: they could not before.
        """
        with self._changing() as page:
            found = next((each for each in page.people if (each.bot, each.id) == (bot, id)), None)
            if found is None:
                remedy = "See `rlmd bot list`."
                raise NotFound(f"Nobody on {bot} is known as {id!r}.", field="id", remedy=remedy)
            self._write(replace(page, people=tuple(each for each in page.people if each is not found)))
            return found

    def _open(self, stranger: Stranger) -> bool:
        return 0 <= self._now() - stranger.time < CODE_SECONDS

    def _read(self) -> _Page:
        """The file as it is; read only when it has changed, as bots ask at each message."""
        try:
            with self._file.open("rb") as file:
                stat = os.fstat(file.fileno())
                seen = stat.st_ino, stat.st_mtime_ns, stat.st_size
                if seen != self._seen:
                    self._page = _parsed(json.loads(file.read()))
                    self._seen = seen
        except FileNotFoundError:
            return _Page()
        except (ValueError, TypeError, KeyError) as exc:
            raise InternalError(
                f"{self._file} is damaged: {exc}.", remedy="Mend it, or move it away and pair anew."
            ) from exc
        return self._page

    @contextlib.contextmanager
    def _changing(self) -> Iterator[_Page]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self._folder / "bots.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._read()

    def _write(self, page: _Page) -> None:
        new = self._folder / "bots.json.new"
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(page), file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)


def _parsed(data: dict[str, list[dict[str, object]]]) -> _Page:
    return _Page(
        people=tuple(Person(**each) for each in data["people"]),  # type: ignore[arg-type]
        strangers=tuple(Stranger(**each) for each in data["strangers"]),  # type: ignore[arg-type]
    )


def _shown(name: str) -> str:
    """A name as strangers give it, which may be anything, on one line and not long."""
    clean = "".join(each if each.isprintable() else " " for each in name)
    return " ".join(clean.split())[:MOST_NAME] or "somebody"


def _made_of(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:63]
