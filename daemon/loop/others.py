"""What a program does with others: it asks people, calls what channels offer, and tells them things.

What waits has a row of its own, which commits with that of its call; a run that is taken up again finds it by
the call, and waits on for the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from rlmd.daemon.repl.api import Call
from rlmd.errors import RlmdError
from rlmd.memory.records import (
    CallState,
    ChannelCall,
    Entry,
    Form,
    Origin,
    Question,
    QuestionState,
)
from rlmd.memory.store import Transaction

from . import asking, calling
from .approving import consequence
from .desk import DEFAULT_CHANNEL, Clerk
from .scribe import Row


class Others(Clerk):
    """The calls of one run that reach somebody."""

    # -- asking -----------------------------------------------------------------------------------

    async def ask(
        self,
        call: Call,
        entry: Entry | None,
        question: str,
        choices: Sequence[str] | None = None,
        *,
        type: Any = None,
        timeout: Any = None,
        default: Any = None,
        channel: str | None = None,
    ) -> Any:
        """Ask once, and wait for the answer."""
        wakes = self._tree.wakes
        asked = self._store.read(lambda tx: tx.questions.of_call(self._run, call.number))
        if asked is None:
            row = None if entry is not None else self._row(call)
            try:
                self._check_company("ask")
                seconds, form = asking.duration(timeout), asking.form(choices, type)
                if channel is not None and channel != self._own_channel():
                    asking_there = consequence(f"{channel}.ask", [question], {"choices": list(choices or ())})
                    row = await self.approve(call, row, asking_there)
                asked = await self._put(call, row, question, form, seconds, channel)
            except RlmdError:
                self._made(call, row)
                raise
        while asked.state is QuestionState.OPEN:
            await self._rest(call, asked.expire_time, wakes)
            wakes = self._tree.wakes
            asked = await asking.look(self._store, asked, self._equipment.clock.now())
        if asked.answered_on and self._is_external(asked.answered_on):
            self._desk.lower(Origin.EXTERNAL)
        return asking.outcome(asked, default)

    async def _put(
        self,
        call: Call,
        row: Row | None,
        question: str,
        form: Form,
        seconds: float | None,
        channel: str | None,
    ) -> Question:
        """Put a question; `row` is that of its call, if it has none yet. Raises InvalidInput."""
        until = None if seconds is None else self._equipment.clock.now() + timedelta(seconds=seconds)
        where = channel or self._own_channel()

        def work(tx: Transaction) -> tuple[Question, Row | None]:
            asked = asking.ask(
                tx,
                self._agent,
                self._run,
                call.number,
                channel=where or DEFAULT_CHANNEL,
                text=question,
                form=form,
                until=until,
            )
            return asked, None if row is None else asking.told(row, asked)

        asked = await self._scribe.commit(work)
        assert asked is not None, "asking gives a question"
        return asked

    # -- calling ----------------------------------------------------------------------------------

    async def call(
        self,
        call: Call,
        entry: Entry | None,
        channel: str,
        function: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Call what a channel offers once, and wait for the result."""
        given = calling.Given(channel=channel, function=function, args=args, kwargs=kwargs)
        wakes = self._tree.wakes
        called = self._store.read(lambda tx: tx.channel_calls.of_call(self._run, call.number))
        if called is None:
            called = await self._open(call, None if entry is not None else self._row(call), given)
        while called.state is CallState.OPEN:
            await self._rest(call, called.expire_time, wakes)
            wakes = self._tree.wakes
            called = await calling.look(self._store, called, self._equipment.clock.now())
        if not called.trusted:
            # Also what it says about why it failed.
            self._desk.lower(Origin.EXTERNAL)
        return calling.outcome(called)

    async def _open(self, call: Call, row: Row | None, given: calling.Given) -> ChannelCall:
        """Send a call; `row` is that of its own call, if it has none yet. Raises as `calling.prepare`."""
        try:
            self._check_company("channels")
            order = await self._prepared(given)
            if order.function.side_effects:
                about = consequence(f"{given.channel}.{given.function}", given.args, given.kwargs)
                row = await self.approve(call, row, about)
                # The owner may have taken days, and what is offered may be another.
                order = await self._prepared(given)
        except (RlmdError, TypeError):
            self._made(call, row)
            raise
        called = await self._scribe.commit(
            lambda tx: (order.open(tx, self._agent, self._run, call.number), row)
        )
        assert called is not None, "calling gives a call"
        return called

    async def _prepared(self, given: calling.Given) -> calling.Order:
        now = self._equipment.clock.now()
        return await calling.prepare(self._store, self._equipment.router, given, now)

    # -- telling ----------------------------------------------------------------------------------

    async def tell(self, call: Call, entry: Entry | None, channel: str, value: Any) -> None:
        """Say something on a channel. Raises InvalidInput: there is nothing to say."""
        self._check_company("channels")
        text = calling.text_of(value)
        if channel != self._own_channel():
            row = None if entry is not None else self._row(call)
            await self.approve(call, row, consequence(f"{channel}.tell", [text], {}))

        def work(tx: Transaction) -> tuple[None, Row]:
            origin = min(Origin.AGENT, self._desk.origin)
            message = calling.tell(tx, self._agent, self._run, channel, text, origin)
            return None, self._desk.outcome(call, {"result": {"message": message.id}})

        await self._scribe.commit(work)

    def _is_external(self, channel: str) -> bool:
        found = self._store.read(lambda tx: tx.channels.find(channel))
        return found is not None and found.external
