"""What a model is to the loop: messages in, text and usage out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    role: Role
    text: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """One call of a model."""

    messages: Sequence[Message]
    model: str
    """The provider's name of the model."""
    max_output_tokens: int | None = None
    timeout_seconds: float = 300.0
    """For the whole call, retries included."""
    key: str = ""
    """Idempotency key: the same for every try of the same call of the same step."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens as the provider counts them. `estimated` is set where it gave no count and we guessed."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            estimated=self.estimated or other.estimated,
        )


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the model answered."""

    text: str
    """Empty if it gave none (`content: null`, no choices); the loop treats that as one bad step."""
    usage: Usage
    model: str
    """The model that answered, as the provider names it."""
    finish: str = "stop"
    """`stop`, `length` (cut at the output limit), `refusal`, `empty`, `cut` (it broke off) or `oversize`."""
    tries: int = 1
    """How many requests it took."""
    note: str = ""
    """What went wrong on the way, in one line, for `rlmd run show`; empty if nothing did."""


OnText = Callable[[str], Awaitable[None] | None]


class Model(Protocol):
    """A provider of models."""

    @property
    def label(self) -> str:
        """One line for people: provider and address, never a secret."""
        ...

    @property
    def default(self) -> str:
        """The model that is asked for where the settings name none."""
        ...

    async def complete(self, request: Request, on_text: OnText | None = None) -> Reply:
        """Answer the request; `on_text` is given each piece of text as it streams in.

        Raises:
            ModelError: no answer could be had, after bounded tries; says why and what to do.
            asyncio.CancelledError: the call was cancelled; nothing goes on in the background.
        """
        ...

    async def close(self) -> None: ...
