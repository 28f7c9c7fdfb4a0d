"""How a program reaches the other members of its hives: who is there, what is asked, and what came of it.

A question commits with the row of its call, and with the event and the run of each member that is asked. The
caller waits as for a person: parked, if it takes long. The end of a member's run is its answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rlmd.daemon.repl import hive, records
from rlmd.daemon.repl.api import Call
from rlmd.daemon.repl.channels import Listing
from rlmd.errors import Cancelled, DeadlineExceeded, InvalidInput, RlmdError
from rlmd.memory import questions
from rlmd.memory.hive_calls import Asked
from rlmd.memory.hive_records import HiveCall, Verb
from rlmd.memory.log import MAX_TEXT
from rlmd.memory.names import check_text
from rlmd.memory.records import Agent, CallState, Form, Origin, Run, RunLimits
from rlmd.memory.settling import TOLD, woken_by_agent
from rlmd.memory.shared import Door
from rlmd.memory.store import Store, Transaction
from rlmd.memory.variables import Writing

from .asking import duration
from .calls import as_text

WAITING = frozenset({"hive.ask", "hive.ask_all", "hive.vote"})
PLAIN = frozenset({"hive.tell", "hive.tell_all", "hive.log"})
SHOWN = 12
"""Members of a hive of which a prompt tells."""
Limits = Callable[[RunLimits], RunLimits]


class MemberFailed(RuntimeError):
    """A member that was asked gave no answer; the program may catch this."""


# -- who is there ---------------------------------------------------------------------------------


def listing(tx: Transaction, agent: Agent) -> Listing:
    """The other members of each hive that the agent is in, for a step that imports them."""
    shared = tx.shared(agent)
    return {
        f"{hive.MARK}{door.hive}": [member.name for member in shared.peers(door)] for door in shared.doors()
    }


def imports(code: str) -> bool:
    """Whether a step may import the members."""
    return hive.NAME in code


def who(tx: Transaction, agent: Agent) -> str:
    """Lines about the hives, for a prompt; empty if the agent is in none."""
    shared = tx.shared(agent)
    lines = []
    for door in shared.doors():
        peers = shared.peers(door)
        told = [f"{hive.identifier(each.name)} ({each.about})" for each in peers[:SHOWN]]
        if len(peers) > SHOWN:
            told.append(f"and {len(peers) - SHOWN:,} more")
        lines.append(
            f"Hive {door.hive}, where you are {door.member}: {', '.join(told) or 'nobody else yet'}."
        )
    if lines:
        lines.append(
            "from hive import NAME; await NAME.ask(question), NAME.tell(text); import hive; "
            "(await hive.ask_all(question)).answers, (await hive.vote(question, choices)).winner, "
            "hive.tell_all(text), hive.log(line). What you share is in memory under names like @HIVE/plan."
        )
    return "\n".join(lines)


def asked_by(run: Run) -> str:
    """What a prompt says before an event that came from another agent; empty for any other."""
    if not woken_by_agent(run):
        return ""
    who = f"{run.event.sender}, another agent"
    if run.event.kind == TOLD:
        return f"{who}, tells you this and waits for no answer; nobody is sent a reply:"
    return f"{who}, asks you and waits. What you give to reply or done, text or JSON data, is your answer:"


# -- asking ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a call asks, from its arguments."""

    hive: str
    """Empty: the only one."""
    member: str
    """Empty: all."""
    text: str
    seconds: float | None
    default: Any
    quorum: int | None
    form: Form | None
    """What an answer must be, if it is a vote."""


def question(call: Call) -> Question:
    """Raises InvalidInput."""
    args, given = list(call.args), call.kwargs
    where = args.pop(0)
    member = args.pop(0) if call.name == "hive.ask" else ""
    text = said(args.pop(0), "question")
    form = None
    if call.name == "hive.vote":
        form = _choices(args.pop(0))
        text = f"{text}\nAnswer with one of: {', '.join(form.choices)}."
    quorum = given.get("quorum")
    if quorum is not None and quorum < 1:
        raise InvalidInput(f"{quorum} is less than 1", field="quorum", remedy="Leave it out for all.")
    seconds = duration(given.get("timeout"))
    return Question(
        hive=where,
        member=member,
        text=text,
        seconds=seconds,
        default=given.get("default"),
        quorum=quorum,
        form=form,
    )


def _choices(given: Any) -> Form:
    if not isinstance(given, list) or len(given) < 2 or not all(isinstance(each, str) for each in given):
        raise InvalidInput("choices must be two or more texts", field="choices", remedy='["yes", "no"].')
    return questions.check_form(Form(choices=tuple(given)))


def said(value: Any, field: str) -> str:
    """Raises InvalidInput: there is nothing to say, or too much."""
    text = "" if value is None else as_text(value)
    if not text.strip():
        raise InvalidInput("there is no text", field=field, remedy="Say something.")
    return check_text(text, field, limit=MAX_TEXT)


@dataclass(frozen=True, kw_only=True)
class Calling:
    """Who calls, and on which terms."""

    agent: Agent
    run: Run
    call: int
    limits: Limits
    origin: Origin
    """The lowest of what the caller has read."""


def ask(tx: Transaction, calling: Calling, asked: Question) -> list[HiveCall]:
    """Put a question to a member, or to all. Of all, those that may not be asked are left out.

    Raises:
        NotFound, PermissionDenied, PreconditionFailed, Exhausted: see `HiveCalls.open`; of all, only if
            nobody can be asked.
    """
    until = None if asked.seconds is None else tx.now + timedelta(seconds=asked.seconds)
    return _open(tx, calling, asked.hive, asked.member, asked.text, Verb.ASK, until)


def tell(tx: Transaction, calling: Calling, where: str, member: str, text: str) -> list[HiveCall]:
    """Tell a member something, or all; raises as `ask` does."""
    return _open(tx, calling, where, member, text, Verb.TELL, None)


def _open(
    tx: Transaction,
    calling: Calling,
    where: str,
    member: str,
    text: str,
    verb: Verb,
    until: datetime | None,
) -> list[HiveCall]:
    door = _door(tx, calling.agent, where)
    names = [member] if member else [each.name for each in tx.shared(calling.agent).peers(door)]
    if not names:
        raise InvalidInput(
            f"nobody else is in the hive {door.hive}", field="hive", remedy="Join others to it."
        )
    opened: list[HiveCall] = []
    refused: RlmdError | None = None
    for name in names:
        asked = Asked(
            callee=name,
            text=text,
            verb=verb,
            limits=calling.limits,
            expire_time=until,
            origin=calling.origin,
        )
        try:
            opened.append(tx.hive_calls.open(calling.agent, calling.run, calling.call, door, asked))
        except RlmdError as error:
            refused = error
    if not opened and refused is not None:
        raise refused
    return opened


def _door(tx: Transaction, agent: Agent, name: str) -> Door:
    """The hive of this name, or the only one. Raises NotFound or InvalidInput."""
    shared = tx.shared(agent)
    if name:
        return shared.door(name)
    doors = shared.doors()
    if len(doors) != 1:
        there = ", ".join(hive.identifier(door.hive) for door in doors) or "none"
        raise InvalidInput(
            f"this agent is in {len(doors)} hives", field="hive", remedy=f"Import the one you mean: {there}."
        )
    return doors[0]


def is_over(asked: Sequence[HiveCall], put: Question) -> bool:
    """Whether there is nothing left to wait for."""
    answered = sum(each.state is CallState.DONE for each in asked)
    enough = put.quorum is not None and answered >= put.quorum
    return enough or all(each.state is not CallState.OPEN for each in asked)


async def look(store: Store, asked: Sequence[HiveCall], put: Question, now: datetime) -> list[HiveCall]:
    """The questions as they stand now. Those whose time is over are closed; once enough are answered, all."""

    def read(tx: Transaction) -> list[HiveCall]:
        return [tx.hive_calls.get(each.id) for each in asked]

    current = store.read(read)
    late = [each for each in current if each.expire_time is not None and each.expire_time <= now]
    close = {each.id: CallState.EXPIRED for each in late if each.state is CallState.OPEN}
    if is_over(current, put):
        close |= {each.id: CallState.CANCELLED for each in current if each.state is CallState.OPEN}
    if not close:
        return current

    def end(tx: Transaction) -> list[HiveCall]:
        for each in current:
            if each.id in close:
                tx.hive_calls.end(each, close[each.id])
        return read(tx)

    return await store.write(end)


def outcome(call: Call, put: Question, asked: Sequence[HiveCall]) -> Any:
    """What the program gets.

    Raises:
        MemberFailed: the one that was asked gave no answer.
        DeadlineExceeded: it did not answer in time, and there is no default.
        Cancelled: the question was withdrawn.
    """
    if call.name == "hive.ask":
        return _answer(asked[0], put.default)
    answers = {each.callee: each.result for each in asked if each.state is CallState.DONE}
    missing = {each.callee: _why_not(each) for each in asked if each.state is not CallState.DONE}
    if put.form is None:
        return records.Council(answers=answers, missing=missing)
    return _counted(put.form, answers, missing)


def _answer(asked: HiveCall, default: Any) -> Any:
    match asked.state:
        case CallState.DONE:
            return asked.result
        case CallState.FAILED:
            raise MemberFailed(f"{asked.callee} gave no answer: its run {asked.error}")
        case CallState.EXPIRED if default is not None:
            return default
        case CallState.EXPIRED:
            raise DeadlineExceeded(
                f"{asked.callee} did not answer in time",
                field="hive",
                remedy="Catch TimeoutError, or give ask a default.",
            )
    raise Cancelled("the question was withdrawn", field="hive")


def _why_not(asked: HiveCall) -> str:
    match asked.state:
        case CallState.FAILED:
            return f"its run {asked.error}"
        case CallState.EXPIRED:
            return "it did not answer in time"
    return "enough others had answered"


def _counted(form: Form, answers: Mapping[str, Any], missing: Mapping[str, str]) -> records.Vote:
    votes: dict[str, str] = {}
    unfit: dict[str, str] = {}
    for name, given in answers.items():
        try:
            votes[name] = questions.fit(form, given)
        except InvalidInput as error:
            unfit[name] = f"{error.reason} with one of the choices"
    counts = dict(Counter(votes.values()).most_common())
    best = [choice for choice, count in counts.items() if count == max(counts.values())]
    winner = best[0] if len(best) == 1 else None
    return records.Vote(winner=winner, counts=counts, votes=votes, missing={**missing, **unfit})


# -- the common log -------------------------------------------------------------------------------


def log(
    tx: Transaction, agent: Agent, run: Run, where: str, text: str, writing: Writing, now: datetime
) -> str:
    """A line in the day's part of the common log, which is a shared variable; gives its name."""
    door = _door(tx, agent, where)
    name = f"log/{now:%Y-%m-%d}"
    line = " ".join(said(text, "text").split())
    shared = tx.shared(agent)
    shared.space(door, Verb.APPEND, name).append(name, f"{now:%H:%M} {door.member}: {line}\n", writing)
    shared.note(door, Verb.APPEND, name, run.id)
    return f"{hive.MARK}{door.hive}/{name}"
