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

LINGER = timedelta(seconds=3)
"""For so long a call of somebody who is connected is waited for before its run may be parked."""


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
        any_of: Any = None,
        all_of: Any = None,
        escalate: Any = None,
    ) -> Any:
        """Ask once, and wait for the answer, or for that of each."""
        mark = self._tree.wakes(self._run.id)
        asked = self._store.read(lambda tx: tx.questions.of_call(self._run, call.number))
        if not asked:
            row = None if entry is not None else self._row(call)
            try:
                self._check_company("ask")
                seconds, form = asking.duration(timeout), asking.form(choices, type)
                own = self._own_channel() or DEFAULT_CHANNEL
                whom = asking.circle(
                    channel or own, any_of, all_of, escalate, seconds, named=channel is not None
                )
                elsewhere = [f"{each}.ask" for each in (*whom.first, *whom.ladder) if each != own]
                if elsewhere:
                    there = consequence(elsewhere, [question], {"choices": list(choices or ())})
                    row = await self.approve(call, row, there)
                asked = await self._put(call, row, question, form, seconds, whom)
            except RlmdError:
                self._made(call, row)
                raise
        while waiting := [each for each in asked if each.state is QuestionState.OPEN]:
            until = min((each.until for each in waiting if each.until is not None), default=None)
            await self._rest(call, until, mark)
            mark = self._tree.wakes(self._run.id)
            now = self._equipment.clock.now()
            asked = [await asking.look(self._store, each, now) for each in asked]
        if any(each.answered_on and self._is_external(each.answered_on) for each in asked):
            self._desk.lower(Origin.EXTERNAL)
        return asking.outcome(asked, default, each=all_of is not None)

    async def _put(
        self,
        call: Call,
        row: Row | None,
        question: str,
        form: Form,
        seconds: float | None,
        whom: asking.Circle,
    ) -> list[Question]:
        """Put a question; `row` is that of its call, if it has none yet. Raises InvalidInput."""

        def work(tx: Transaction) -> tuple[list[Question], Row | None]:
            asked = asking.ask(
                tx,
                self._agent,
                self._run,
                call.number,
                circle=whom,
                text=question,
                form=form,
                seconds=seconds,
            )
            return asked, None if row is None else asking.told(row, asked[0])

        asked = await self._scribe.commit(work)
        assert asked is not None, "asking gives questions"
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
        mark = self._tree.wakes(self._run.id)
        called = self._store.read(lambda tx: tx.channel_calls.of_call(self._run, call.number))
        if called is None:
            called = await self._open(call, None if entry is not None else self._row(call), given)
            called, mark = await self._linger(called, mark)
        while called.state is CallState.OPEN:
            await self._rest(call, called.expire_time, mark)
            mark = self._tree.wakes(self._run.id)
            called = await calling.look(self._store, called, self._equipment.clock.now())
        if not called.trusted:
            # Also what it says about why it failed.
            self._desk.lower(Origin.EXTERNAL)
        return calling.outcome(called)

    async def _linger(self, called: ChannelCall, mark: int) -> tuple[ChannelCall, int]:
        """Give somebody who is there a moment, in which the run is not parked: who chats waits for it."""
        channel = self._store.read(lambda tx: tx.channels.get(called.channel))
        clock = self._equipment.clock
        end = min(clock.now() + LINGER, called.expire_time)
        while (
            called.state is CallState.OPEN and self._equipment.router.online(channel.id) and clock.now() < end
        ):
            await self._tree.woken(self._run.id, mark, self._equipment.seconds_until(end))
            mark = self._tree.wakes(self._run.id)
            called = await calling.look(self._store, called, clock.now())
        return called, mark

    async def _open(self, call: Call, row: Row | None, given: calling.Given) -> ChannelCall:
        """Send a call; `row` is that of its own call, if it has none yet. Raises as `calling.prepare`."""
        try:
            self._check_company("channels")
            order = await self._prepared(given)
            if order.function.side_effects:
                about = consequence([f"{given.channel}.{given.function}"], given.args, given.kwargs)
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
            await self.approve(call, row, consequence([f"{channel}.tell"], [text], {}))

        def work(tx: Transaction) -> tuple[None, Row]:
            origin = min(Origin.AGENT, self._desk.origin)
            message = calling.tell(tx, self._agent, self._run, channel, text, origin)
            return None, self._desk.outcome(call, {"result": {"message": message.id}})

        await self._scribe.commit(work)

    # -- planning ---------------------------------------------------------------------------------

    async def may_plan(self, call: Call, entry: Entry | None) -> None:
        """Return when the run may plan: what it plans speaks and acts later, perhaps on another channel.

        Raises:
            PermissionDenied: the owner does not want it.
            PreconditionFailed: the run tidies.
        """
        self._check_company("schedule")
        if call.name not in ("schedule.cancel", "schedule.pause"):
            row = None if entry is not None else self._row(call)
            await self.approve(call, row, consequence([call.name], call.args, call.kwargs))

    def _is_external(self, channel: str) -> bool:
        found = self._store.read(lambda tx: tx.channels.find(channel))
        return found is not None and found.external
