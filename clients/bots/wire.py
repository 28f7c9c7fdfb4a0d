"""What a messenger must be able to do for a bot. Its people are known by ids, and all talk is in private."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from .bot import Bot


@dataclass(frozen=True, kw_only=True)
class File:
    """Something that is sent beside a text."""

    name: str
    size: int
    """Bytes, as the messenger says; 0 if it does not."""
    fetch: Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, kw_only=True)
class Letter:
    """Something that a person says to a bot."""

    id: str
    """The same whenever it is delivered again."""
    sender: str
    """Who, by an id that does not change."""
    name: str
    """How they call themselves."""
    text: str
    files: Sequence[File] = ()


class Wire(ABC):
    """A messenger. Its errors are rlmd's; after `Unavailable` and `Exhausted` what failed is tried again."""

    name: ClassVar[str]
    longest: ClassVar[int]
    """Characters of one message, as `width` counts them."""

    @abstractmethod
    async def __aenter__(self) -> Self:
        """Connect. Raises RlmdError: such as a token that is none."""

    @abstractmethod
    async def __aexit__(self, *exc: Any) -> None: ...

    @abstractmethod
    async def listen(self, bot: Bot) -> None:
        """Give what people say and press to a bot, until this is cancelled. Each person's in order."""

    @abstractmethod
    async def send(self, person: str, text: str) -> None:
        """Say something to a person; at most `longest` characters, not only white space."""

    @abstractmethod
    async def ask(self, person: str, text: str, choices: Sequence[str], question: str) -> Any:
        """Say something with a button for each choice; what is given names the message for `settle`."""

    @abstractmethod
    async def settle(self, message: Any, text: str) -> None:
        """Put another text in the place of a message, and take its buttons away."""

    def width(self, text: str) -> int:
        """How long a text is, as the messenger counts."""
        return len(text)
