"""Calls of models on behalf of one run: within the tree's limit, and entered in the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from rlmd.daemon.models.api import Message, OnText, Reply, Request, Usage
from rlmd.errors import InvalidInput, ModelError
from rlmd.memory.records import ModelCall, Run
from rlmd.memory.store import Store

from .equipment import Equipment, Tree
from .scribe import Scribe, finish
from .tokens import tokens

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

    def __init__(self, equipment: Equipment, store: Store, run: Run, tree: Tree, scribe: Scribe) -> None:
        self._equipment = equipment
        self._store = store
        self._run = run
        self._tree = tree
        self._scribe = scribe

    async def ask(self, text: str, model: str, *, step: int, call: int) -> str:
        """One sub-model call, without a REPL. What it cost is on disk with the scribe's next commit.

        Raises:
            Exhausted: no model call is left.
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
        """Call a model; what it cost is on disk with the scribe's next commit.

        Raises:
            Exhausted: with the field `model_calls`: no call is left.
            ModelError: the provider failed.
        """
        request = Request(
            messages=messages,
            model=model,
            timeout_seconds=self._equipment.settings.model_timeout_seconds,
            key=f"{self._store.user.id}-{self._run.id}-{step}-{call}",
        )
        self._tree.take_call()
        async with self._equipment.model_slots:
            began = time.monotonic()
            try:
                reply = await self._equipment.model.complete(request, on_text)
            except asyncio.CancelledError:
                # The provider was at work and will bill it, but never told us how much.
                guess = Usage(input_tokens=sum(tokens(m.text) for m in messages), estimated=True)
                reply = Reply(text="", usage=guess, model=model, note="cancelled")
                self._charge(reply, step=step, call=call, began=began)
                await finish(self._scribe.commit())
                raise
        self._charge(reply, step=step, call=call, began=began)
        return replace(reply, text=reply.text.replace("\x00", ""))

    def _charge(self, reply: Reply, *, step: int, call: int, began: float) -> None:
        cost = ModelCall(
            run=self._run.id,
            step=step,
            call=call,
            model=reply.model,
            input_tokens=reply.usage.input_tokens,
            output_tokens=reply.usage.output_tokens,
            cached_tokens=reply.usage.cached_tokens,
            estimated=reply.usage.estimated,
            tries=reply.tries,
            note=reply.note,
            seconds=time.monotonic() - began,
        )
        self._scribe.charge(cost)
