"""Asks and tells the other members of a run's hives, on behalf of its program."""

from __future__ import annotations

from typing import Any

from rlmd.daemon.repl import hive
from rlmd.daemon.repl.api import Call
from rlmd.errors import RlmdError
from rlmd.memory.hive_records import HiveCall, Verb
from rlmd.memory.records import Author, Entry, Origin, RunLimits
from rlmd.memory.store import Transaction
from rlmd.memory.variables import Writing

from . import hiving, sharing
from .approving import Consequence, consequence
from .desk import Clerk
from .scribe import Row
from .sharing import Place


class Members(Clerk):
    """The other members of a run's hives, as its program calls them."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.waiting: set[int] = set()
        """Numbers of the calls that wait for answers."""

    async def ask(self, call: Call, entry: Entry | None) -> Any:
        """Ask once, and wait; a run that is taken up again waits on for the same answers."""
        mark = self._tree.wakes(self._run.id)
        asked = self._store.read(lambda tx: tx.hive_calls.of_call(self._run, call.number))
        if not asked:
            asked = await self._put(call, None if entry is not None else self._row(call))
        question = hiving.question(call)
        self.waiting.add(call.number)
        while not hiving.is_over(asked, question):
            await self._rest(call, asked[0].expire_time, mark)
            mark = self._tree.wakes(self._run.id)
            asked = await hiving.look(self._store, asked, question, self._equipment.clock.now())
        asked = await hiving.look(self._store, asked, question, self._equipment.clock.now())
        # Read anew rather than added: a run that was taken up again has counted some already.
        self._tree.elsewhere = self._store.read(lambda tx: tx.hive_calls.used(self._run.root))
        self._desk.lower(min((each.origin for each in asked), default=Origin.AGENT))
        return hiving.outcome(call, question, asked)

    async def _put(self, call: Call, row: Row | None) -> list[HiveCall]:
        """Put the question; `row` is that of its call, if it has none yet."""
        try:
            self._check_company("hive")
            question = hiving.question(call)
            row = await self.approve(call, row, _consequence(call))

            def work(tx: Transaction) -> tuple[list[HiveCall], Row | None]:
                return hiving.ask(tx, self._calling(call), question), row

            asked = await self._scribe.commit(work)
        except RlmdError:
            self._made(call, row)
            raise
        assert asked is not None, "asking gives questions"
        self._equipment.arrivals.push(each.callee_run for each in asked)
        return asked

    async def tell(self, call: Call, entry: Entry | None) -> str:
        """Tell one or all, or write into the common log; gives in a few words what it has changed."""
        self._check_company("hive")
        where, *args = call.args
        member = args.pop(0) if call.name == "hive.tell" else ""
        text = hiving.said(args[0], "text")
        await self.approve(call, None if entry is not None else self._row(call), _consequence(call))

        def work(tx: Transaction) -> tuple[list[HiveCall], Row]:
            row = self._desk.outcome(call, {"result": None})
            if call.name == "hive.log":
                now = self._equipment.local_now()
                hiving.log(tx, self._agent, self._run, where, text, self._writing(call), now)
                return [], row
            return hiving.tell(tx, self._calling(call), where, member, text), row

        told = await self._scribe.commit(work)
        self._equipment.arrivals.push(each.callee_run for each in told or ())
        return done(call)

    async def share(self, call: Call, entry: Entry | None, place: Place) -> None:
        """Return when the run may change a shared variable.

        Raises:
            NotFound, PermissionDenied: see `sharing.spot`; or the owner does not want it.
            PreconditionFailed: memory is being tidied.
        """
        self._check_company("hive")
        name, *args = call.args
        verb = Verb.APPEND if call.name == "memory.append" else Verb.WRITE
        # Nobody is asked for what is not granted.
        self._store.read(lambda tx: sharing.spot(tx, place, verb, name))
        where = str(name).partition("/")[0]
        about = consequence([f"{where}.write"], [name, *args], call.kwargs)
        await self.approve(call, None if entry is not None else self._row(call), about)

    def _calling(self, call: Call) -> hiving.Calling:
        return hiving.Calling(
            agent=self._agent,
            run=self._run,
            call=call.number,
            limits=self._limits,
            origin=self._desk.origin,
        )

    def _limits(self, wanted: RunLimits) -> RunLimits:
        """What a run of another may use: no more than is left here. Raises Exhausted: that is nothing."""
        return self._tree.left(self._equipment.limits(wanted))

    def _writing(self, call: Call) -> Writing:
        author = Author(
            user=self._store.user.name,
            agent=self._agent.name,
            run=self._run.id,
            step=self._desk.step,
            call=call.number,
        )
        return Writing(author=author, origin=min(Origin.AGENT, self._desk.origin))


def _consequence(call: Call) -> Consequence:
    """Of a call of the module `hive`, by the name that a program writes."""
    where, *args = call.args
    method = call.name.rpartition(".")[2]
    member = args.pop(0) if method in hive.TO_ONE else where or hive.NAME
    return consequence([f"{hive.identifier(member)}.{method}"], args, call.kwargs)


def done(call: Call) -> str:
    """What telling has changed, for the observation."""
    if call.name == "hive.tell":
        return f"{call.args[1]} told"
    return "the hive's log written" if call.name == "hive.log" else "all members told"
