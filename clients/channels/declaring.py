"""What a channel offers and handles, declared by decorators: the same for both faces of a channel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, overload

from rlmd.clients.check import check_str
from rlmd.clients.records import Invocation, Message, Question
from rlmd.errors import InvalidInput, PreconditionFailed

from .calls import current

if TYPE_CHECKING:
    from .functions import Offered, WhenOffline

log = logging.getLogger("rlmd.channel")
F = TypeVar("F", bound=Callable[..., Any])
M = TypeVar("M", bound=Callable[[Message], object])
C = TypeVar("C")
Q = TypeVar("Q", bound=Callable[[Question], object])


@dataclass
class Declared:
    """All that was declared on a channel so far."""

    functions: dict[str, Offered] = field(default_factory=dict)
    on_message: Callable[[Message], object] | None = None
    on_question: Callable[[Question], object] | None = None
    on_closed: Callable[[Question], object] | None = None


class Declaring:
    """The decorators. They may be used before the channel is connected, and after."""

    def __init__(self, name: str, declared: Declared) -> None:
        self.name = check_str(name, "channel")
        self._declared = declared

    def __repr__(self) -> str:
        return f"Channel({self.name!r})"

    @overload
    def function(self, function: F, /) -> F: ...
    @overload
    def function(
        self,
        /,
        *,
        name: str = "",
        side_effects: bool = True,
        trusted: bool = False,
        time_limit: float | timedelta | None = None,
        offline: WhenOffline = "wait",
    ) -> Callable[[F], F]: ...
    def function(self, function: F | None = None, /, **options: Any) -> F | Callable[[F], F]:
        """Offer a function to programs: its signature is the schema, its docstring what the model reads.

        Plain functions run on threads, async ones on the event loop. What it raises, the program gets.

        Args:
            name: Under which it is offered; empty means its own.
            side_effects: Whether it changes something in the world.
            trusted: Whether what it gives is as good as your own word, and not text from outside.
            time_limit: Seconds, or a timedelta, that a call may take with all its waiting; None means a day.
            offline: What a call does while nobody is connected: `wait`, or `fail` at once.

        Raises:
            InvalidInput: its signature cannot be told as JSON Schema, or an option cannot be.
        """

        def offer(function: F) -> F:
            # Imported here, because reading signatures takes a library that nothing else of the client needs.
            from .functions import offered

            made = offered(_callable(function, "function"), **options)
            self._declared.functions[made.message.name] = made
            self._offers_changed()
            return function

        return offer if function is None else offer(function)

    def on_message(self, handler: M) -> M:
        """Give what agents say on this channel to a function, one message at a time.

        While there is none, messages are dropped.
        """
        self._declared.on_message = _callable(handler, "on_message")
        return handler

    def on_question(self, handler: Q) -> Q:
        """Give what agents ask on this channel to a function. It returns the answer, or None: left open.

        It gets those too that were open before. One whose answer does not fit is given to it again.
        """
        self._declared.on_question = _callable(handler, "on_question")
        self._questions_wanted()
        return handler

    def on_closed(self, handler: Q) -> Q:
        """Give questions of this channel that are no longer open to a function, with how they ended.

        A handler of `on_question` that still waits for its answer is cancelled by then, if it is async.
        """
        self._declared.on_closed = _callable(handler, "on_closed")
        return handler

    @property
    def invocation(self) -> Invocation:
        """The call that is being answered, for a function that is offered: its key, its deadline.

        Raises:
            PreconditionFailed: this is no such function.
        """
        if (found := current.get(None)) is None:
            remedy = "Read it in a function that the channel offers."
            raise PreconditionFailed("No call is being answered here.", remedy=remedy)
        return found

    def _warn(self, connected: bool) -> None:
        """Tell who leaves the block and forgot to serve what they declared."""
        declared = self._declared
        if not connected and (declared.functions or declared.on_message or declared.on_question):
            log.warning("channel %s was never connected: call serve() or start()", self.name)

    def _offers_changed(self) -> None:
        """Called when a function was declared."""
        raise NotImplementedError

    def _questions_wanted(self) -> None:
        """Called when a handler of questions was declared."""
        raise NotImplementedError


def _callable(value: C, field: str) -> C:
    if not callable(value):
        raise InvalidInput(f"{value!r:.40} cannot be called.", field=field, remedy="Decorate a function.")
    return value
