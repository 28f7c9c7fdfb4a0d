"""What the calls that reach somebody have in common: their rows, how they wait, and the owner's approval.

The host of a run hands them over to who knows how to do them: people and channels (others.py), and the other
members of hives (members.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from rlmd.daemon.repl.api import Call
from rlmd.errors import PermissionDenied, PreconditionFailed
from rlmd.memory.news import TIDY
from rlmd.memory.records import Agent, EntryKind, Origin, Question, QuestionState, Run
from rlmd.memory.settling import woken_by_agent
from rlmd.memory.store import Store, Transaction

from . import asking
from .approving import ALWAYS, FORM, NO, Consequence, question
from .equipment import Equipment, Tree
from .scribe import Row, Scribe

DEFAULT_CHANNEL = "chat"
ALONE = "nobody is asked, called or told anything, and nothing planned, while memory is tidied"


class Desk(Protocol):
    """Where the calls of the run are answered; `host.RunHost` is one."""

    step: int
    origin: Origin
    """The lowest origin of what the run has read."""

    def lower(self, origin: Origin) -> None:
        """The run has read something of this origin."""
        ...

    def stands(self, call: Call) -> None:
        """The row of the call is in the journal; what it comes to will be another."""
        ...

    def outcome(self, call: Call, data: Mapping[str, Any]) -> Row:
        """The row with what a call that does not wait has come to."""
        ...

    def arguments(self, call: Call) -> dict[str, Any]:
        """What the journal keeps of a call."""
        ...

    def resting(
        self, call: Call, until: datetime | None, *, run: int | None = None, mark: int = 0
    ) -> AbstractContextManager[None]:
        """The call waits for something that outlives the process; it ends at `until` in any case.

        Args:
            run: By whose wakes it may end before.
            mark: How many of those there had been before it was looked whether to wait.
        """
        ...


class Clerk:
    """Does some of the calls of one run, at the desk of its host."""

    def __init__(
        self,
        equipment: Equipment,
        store: Store,
        agent: Agent,
        run: Run,
        tree: Tree,
        scribe: Scribe,
        desk: Desk,
    ) -> None:
        self._equipment = equipment
        self._store = store
        self._agent = agent
        self._run = run
        self._tree = tree
        self._scribe = scribe
        self._desk = desk

    # -- what the owner must approve --------------------------------------------------------------

    async def approve(self, call: Call, row: Row | None, about: Consequence) -> Row | None:
        """Return when the run may do it: at once, or when its owner has approved.

        Args:
            row: That of the call, if it has none yet; given back if it has none still.

        Raises:
            PermissionDenied: the owner does not want it.
            Cancelled: the question was withdrawn.
        """
        number = asking.approval(call.number)
        sought = self._store.read(lambda tx: tx.questions.of_call(self._run, number))
        if not sought and (self._desk.origin > Origin.EXTERNAL or self._is_permitted(about)):
            return row
        asked = sought[0] if sought else await self._seek(call, row, about)
        while asked.state is QuestionState.OPEN:
            mark = self._tree.wakes(self._run.id)
            asked = await asking.look(self._store, asked, self._equipment.clock.now())
            if asked.state is QuestionState.OPEN:
                await self._rest(call, None, mark)
        answer = asking.outcome([asked], None, each=False)
        if answer == NO:
            raise PermissionDenied(
                f"the owner does not approve of {about.what}",
                field="approval",
                remedy="Do without it, or tell them why it is needed.",
            )
        if answer == ALWAYS:
            await self._store.write(
                lambda tx: [tx.permits.add(self._agent.name, each) for each in about.whats]
            )
        return None

    async def _seek(self, call: Call, row: Row | None, about: Consequence) -> Question:
        """Ask the owner, on their own channel: whoever wrote what was read must not answer."""

        owner = asking.Circle(first=[self._equipment.settings.approval_channel])

        def work(tx: Transaction) -> tuple[Question, Row | None]:
            (asked,) = asking.ask(
                tx,
                self._agent,
                self._run,
                asking.approval(call.number),
                circle=owner,
                text=question(self._run, about),
                form=FORM,
                seconds=None,
            )
            return asked, None if row is None else asking.told(row, asked)

        asked = await self._scribe.commit(work)
        assert asked is not None, "asking gives a question"
        self._desk.stands(call)
        return asked

    def _is_permitted(self, about: Consequence) -> bool:
        return self._store.read(lambda tx: all(tx.permits.has(self._agent.id, each) for each in about.whats))

    def _own_channel(self) -> str:
        """Where the run was spoken to; a child has no channel, but its root has.

        Where another agent has asked, nobody listens on its channel: questions are for the owner.
        """
        root = self._store.read(lambda tx: tx.runs.get(self._run.root))
        return DEFAULT_CHANNEL if woken_by_agent(root) else root.event.channel

    # -- all --------------------------------------------------------------------------------------

    def _check_company(self, field: str) -> None:
        if self._run.event.kind == TIDY:
            raise PreconditionFailed(ALONE, field=field, remedy="Leave it as it is.")

    async def _rest(self, call: Call, until: datetime | None, mark: int) -> None:
        """Wait until something happens, unless something has since the run was woken so often."""
        with self._desk.resting(call, until, run=self._run.id, mark=mark):
            await self._tree.woken(self._run.id, mark, self._equipment.seconds_until(until))

    def _row(self, call: Call, data: Mapping[str, Any] = {}) -> Row:
        return Row(
            kind=EntryKind.CALL,
            data={**self._desk.arguments(call), **data},
            step=self._desk.step,
            call=call.number,
            name=call.name,
            time=self._equipment.clock.now(),
        )

    def _made(self, call: Call, row: Row | None) -> None:
        """A call that came to nothing was made all the same: its row stands before that of its error."""
        standing = self._store.read(lambda tx: tx.questions.of_call(self._run, asking.approval(call.number)))
        if row is not None and not standing:
            self._scribe.note(row.kind, row.data, step=row.step, call=call.number, name=call.name)
