"""What becomes of a message: it answers a question that a run has asked, or wakes the agent."""

from __future__ import annotations

import json
from dataclasses import dataclass

from rlmd.errors import NotFound
from rlmd.memory.names import check_channel
from rlmd.memory.records import EntryKind, Message, Origin, Question, Run, RunState
from rlmd.memory.store import Transaction, digest_of

from . import asking
from .asking import Match, matched
from .equipment import Equipment


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A message that has come in."""

    agent: str
    channel: str
    sender: str
    text: str
    origin: Origin = Origin.OWNER
    """Whose words these are: of the owner, or of somebody outside."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A message that is on disk."""

    message: Message
    run: Run
    """What the agent does about it: a new run, or the one whose question it answers."""
    after: int = 0
    """The place in that run's journal after which something about the message can stand."""
    fresh: bool = False
    """Whether the run was made for it just now, and nobody carries it out yet."""
    answered: Question | None = None
    """The question that it has answered just now."""


def receive(tx: Transaction, equipment: Equipment, letter: Letter, request_id: str) -> Accepted:
    """Write a message down with what it means; the same `request_id` again gives the same.

    Raises:
        NotFound: no such agent.
        InvalidInput: no text, or a bad channel or sender.
    """
    check_channel(letter.channel)
    given = [letter.agent, letter.text, letter.channel, letter.sender]
    digest = digest_of("accept", json.dumps(given).encode(errors="replace"))
    new: list[Accepted] = []

    def work() -> bytes:
        new.append(_receive(tx, equipment, letter))
        return json.dumps([new[0].message.id, new[0].run.id, new[0].after]).encode()

    message_id, run_id, after = json.loads(tx.once(request_id, digest, work))
    if new:
        return new[0]
    message = tx.log(letter.agent).several([message_id]).get(message_id)
    if message is None:
        raise NotFound("the message is gone", field="request_id", remedy="Send it anew with another id.")
    return Accepted(message=message, run=tx.runs.get(run_id), after=after)


def _receive(tx: Transaction, equipment: Equipment, letter: Letter) -> Accepted:
    agent = tx.agents.get(letter.agent)
    match = matched(tx, agent, letter.channel, letter.text)
    if match.question is not None:
        return _answer(tx, letter, match.question, match.answer)
    message = _write(tx, letter)
    run = tx.runs.create(
        agent,
        kind="message",
        text=letter.text,
        limits=equipment.limits(agent.limits),
        channel=letter.channel,
        sender=letter.sender,
        message=message.id,
        origin=letter.origin,
    )
    if match.told:
        _tell(tx, letter, run, match)
        return Accepted(message=message, run=tx.runs.get(run.id))
    return Accepted(message=message, run=run, fresh=True)


def _answer(tx: Transaction, letter: Letter, asked: Question, answer: str) -> Accepted:
    root = tx.runs.get(asked.root)
    message = _write(tx, letter, run=root.id)
    after = tx.journal(root.id).length()
    answered = asking.answer(tx, asked.id, answer, by=letter.sender, on=letter.channel)
    return Accepted(message=message, run=root, after=after, answered=answered)


def _tell(tx: Transaction, letter: Letter, run: Run, match: Match) -> None:
    """It answers none that is open, or nobody can tell which: its run is no more than to say so."""
    text = match.told
    said = tx.log(letter.agent).add(
        channel=letter.channel,
        sender=letter.agent,
        text=text,
        origin=Origin.AGENT,
        from_agent=True,
        run=run.id,
    )
    journal = tx.journal(run.id)
    call = {"args": {"args": [text], "kwargs": {}}, "digest": "", "result": {"message": said.id}}
    journal.add(EntryKind.CALL, call, call=1, name="reply")
    reason = match.reason
    journal.add(EntryKind.ENDED, {"state": RunState.DONE.value, "reason": reason, "result": None})
    tx.runs.end(run, RunState.DONE, reason=reason)


def _write(tx: Transaction, letter: Letter, run: int | None = None) -> Message:
    return tx.log(letter.agent).add(
        channel=letter.channel,
        sender=letter.sender,
        text=letter.text,
        origin=letter.origin,
        from_agent=False,
        run=run,
    )
