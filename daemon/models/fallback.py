"""Several models for one call: where the first gives no answer, the next is asked.

A request names them in one text, in order: `first, second`. A model that has failed stands behind the others
for a while, so that not every step of every run waits for it again; where no other answers, it is still
asked. What is wrong with the request, such as a prompt that is too long for a model, moves nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from rlmd.errors import ModelError
from rlmd.settings import MAX_MODELS, names_of

from .api import OnText, Reply, Request
from .failures import Failed

REST_SECONDS = 60.0
"""How long a model that has failed stands behind the others, if the provider does not ask for more."""
LONGEST_REST = 600.0


class Provider(Protocol):
    """Answers for one model at a time; `OpenAIModel` is one."""

    @property
    def label(self) -> str: ...

    @property
    def default(self) -> str: ...

    async def attempt(self, request: Request, on_text: OnText | None, *, others: int) -> Reply | Failed:
        """Answer, or say why not. `others` models are asked next, so there is no use in long waits."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class _Rest:
    until: float
    reason: str


class FallbackModel:
    """A provider of which several models may be asked for at once; all runs share who rests."""

    def __init__(self, provider: Provider, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._provider = provider
        self._now = monotonic
        self._resting: dict[str, _Rest] = {}

    @property
    def default(self) -> str:
        return self._provider.default

    @property
    def label(self) -> str:
        return self._provider.label

    async def close(self) -> None:
        await self._provider.close()

    async def complete(self, request: Request, on_text: OnText | None = None) -> Reply:
        """Answer the request; see `Model.complete`. If the first model did not, the `note` says why."""
        names = names_of(request.model) or (request.model,)
        if len(names) > MAX_MODELS:
            raise ModelError(
                f"{len(names)} models are too many for one call", remedy=f"Name at most {MAX_MODELS}."
            )
        deadline = time.monotonic() + request.timeout_seconds
        order, notes = self._order(names)
        failed: list[tuple[str, Failed]] = []
        for position, name in enumerate(order):
            left = deadline - time.monotonic()
            if failed and left <= 0:
                break
            asked = replace(request, model=name, timeout_seconds=left)
            if request.key and name != names[0]:
                # It is another request, which a provider must not take for the first one.
                asked = replace(asked, key=f"{request.key}-{position}")
            reply = await self._provider.attempt(asked, on_text, others=len(order) - position - 1)
            if isinstance(reply, Reply):
                self._resting.pop(name, None)
                return _told(reply, name, failed, notes)
            failed.append((name, reply))
            notes.append(f"{name}: {reply.told}")
            self._rest(name, reply)
        raise _error(failed)

    def _order(self, names: Sequence[str]) -> tuple[Sequence[str], list[str]]:
        """Who is asked first, and why that is not who is named first."""
        for name in [name for name, rest in self._resting.items() if rest.until <= self._now()]:
            del self._resting[name]
        rested = [name for name in names if name not in self._resting]
        order = [*rested, *(name for name in names if name in self._resting)]
        passed = names[: names.index(order[0])]
        return order, [f"{name}: not asked first, for it has just failed ({self._resting[name].reason})"
                       for name in passed]  # fmt: skip

    def _rest(self, name: str, failed: Failed) -> None:
        if not failed.failure.about_request:
            seconds = min(max(REST_SECONDS, failed.failure.wait_seconds or 0), LONGEST_REST)
            self._resting[name] = _Rest(self._now() + seconds, failed.failure.reason)


def _told(reply: Reply, name: str, failed: Sequence[tuple[str, Failed]], notes: Sequence[str]) -> Reply:
    if not notes:
        return reply
    told = [*notes, f"{name} answered", *filter(None, [reply.note])]
    return replace(reply, tries=reply.tries + sum(each.tries for _, each in failed), note="; ".join(told))


def _error(failed: Sequence[tuple[str, Failed]]) -> ModelError:
    errors = [each.failure.error(name, each.tries) for name, each in failed]
    if len(errors) == 1:
        return errors[0]
    reasons = "; ".join(f"{name}: {error.reason}" for (name, _), error in zip(failed, errors, strict=True))
    names = ", ".join(name for name, _ in failed)
    return ModelError(f"none of them answered. {reasons}", field=f"models {names}", remedy=errors[0].remedy)
