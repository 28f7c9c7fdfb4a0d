"""Calls of models on behalf of one run: within the tree's limit, and entered in the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from rlmd.daemon.models.api import Message, OnText, Reply, Request, Usage
from rlmd.errors import InvalidInput, ModelError
from rlmd.memory.records import Agent, Run
from rlmd.memory.store import Store

from .equipment import Equipment, Tree
from .purse import Purse, Taken
from .scribe import Scribe, finish

SUB_CALL = (
    "This is a sub-call, made by a program that will use your answer as a value. "
    "Answer with what is asked for and nothing else."
)
MAX_SUB_PROMPT = 2_000_000
"""Characters that one `llm` call may send."""
BROKEN = frozenset({"cut", "oversize"})
"""How a reply ends that did not come to its end, by a fault on the way."""


class Thinking:
    """What one run asks of models."""

    def __init__(
        self, equipment: Equipment, store: Store, agent: Agent, run: Run, tree: Tree, scribe: Scribe
    ) -> None:
        self._equipment = equipment
        self._store = store
        self._run = run
        self._scribe = scribe
        self._purse = Purse(equipment, store, agent, run, tree, scribe)

    async def ask(self, text: str, model: str, *, step: int, call: int) -> str:
        """One sub-model call, without a REPL. What it cost is on disk with the scribe's next commit.

        Raises:
            Exhausted: a limit of the run is used up.
            Spent: a budget is.
            ModelError: the provider failed, or its answer is no answer.
            InvalidInput: the text is too long.
        """
        if len(text) > MAX_SUB_PROMPT:
            raise InvalidInput(
                f"{len(text):,} characters are more than {MAX_SUB_PROMPT:,}",
                field="llm",
                remedy="Cut the text and gather several calls.",
            )
        messages = [Message("system", SUB_CALL), Message("user", text)]
        reply = await self.complete(messages, model, step=step, call=call)
        if not reply.text or reply.finish in BROKEN:
            what = "the model's answer broke off" if reply.text else "the model gave no text"
            raise ModelError(f"{what} ({reply.finish})", remedy="Ask again, or in another way.")
        return reply.text

    async def complete(
        self,
        messages: Sequence[Message],
        model: str,
        *,
        step: int,
        call: int = 0,
        on_text: OnText | None = None,
    ) -> Reply:
        """Call a model; what it may cost is on disk before, what it did with the scribe's next commit.

        Raises:
            Exhausted: a limit of the run is used up; the field says which.
            Spent: a budget is.
            ModelError: the provider failed.
        """
        request = Request(
            messages=messages,
            model=model,
            timeout_seconds=self._equipment.settings.model_timeout_seconds,
            key=f"{self._store.user.id}-{self._run.id}-{step}-{call}",
        )
        while True:
            async with self._equipment.model_slots:
                taken = await self._purse.take(request, step=step, call=call)
                if isinstance(taken, Taken):
                    reply = await self._call(request, taken, on_text)
                    break
            # Not in a slot: whoever has a budget that is not used up must not wait for this one.
            await self._equipment.till.changed(taken)
        return replace(reply, text=reply.text.replace("\x00", ""))

    async def _call(self, request: Request, taken: Taken, on_text: OnText | None) -> Reply:
        try:
            reply = await self._equipment.model.complete(request, on_text)
        except asyncio.CancelledError:
            # The provider was at work and will bill it, but never told us how much.
            guess = Usage(input_tokens=taken.wish.estimate.input_tokens, estimated=True)
            self._purse.pay(taken, Reply(text="", usage=guess, model=request.model, note="cancelled"))
            await finish(self._scribe.commit())
            raise
        except ModelError:
            await self._purse.release(taken)
            raise
        self._purse.pay(taken, reply)
        return reply
