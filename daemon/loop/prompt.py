"""What a model sees, built from parts with budgets: it does not grow with memory, log or steps.

    system   who it is, how a step works, what it can call          fixed for a run
    card     time, sizes, best memories, last messages, the event   fixed for a run
    folded   older steps, a line each                               bounded
    steps    the last steps: what it wrote, what it was shown       as many as fit

The event's text stands last in the card and unchanged; only one that would not fit is shown by head
and tail, and says where the whole is. Nothing else in the card can begin a line with `<`.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice

from rlmd.daemon.models.api import Message
from rlmd.daemon.repl.hints import sandbox_hints
from rlmd.daemon.repl.stubs import stubs
from rlmd.memory import records
from rlmd.memory.records import Agent, Origin, Run
from rlmd.memory.search import Shelf
from rlmd.memory.store import Store, Transaction

from . import hiving
from .budgets import low
from .calling import who
from .equipment import Equipment
from .tokens import cut, line, tokens

log = logging.getLogger(__name__)

INSTRUCTIONS = 0.2
"""Share of the whole budget."""
CARD = 0.55
STEPS = 0.34
FOLDED = 0.02
"""Shares of what the system prompt leaves. What a program knows is in its names, not in its prompt: so few
steps are shown, and the next one costs the same, be it the third or the three hundredth."""
EVENT = 0.65
FACTS = 0.08
"""Shares of the card; what is known of memory and of channels has the last each. Memories and conversation
have the rest, and what the event does not use."""
LEAST = 1_500
"""Tokens for card and steps if the system prompt alone has eaten a small budget."""
HITS = 8
QUERY_CHARS = 2_000
"""Of the event, by which memories are searched."""
PARTS = 20
"""Of what a parent passed, that are told in a child's card."""
LAST_MESSAGES = 12
NAMES = 40
MESSAGE_CHARS = 600
DEFAULT_INSTRUCTIONS = "Be helpful, brief and exact. Say what you do not know."


@dataclass(frozen=True, kw_only=True)
class ShownStep:
    """A step that is over."""

    number: int
    reply: str
    shown: str
    fold: str
    """One line about it."""


class Prompt:
    """The prompt of one run. `open` it once, then ask for `messages` before each call of the model."""

    def __init__(self, room: int, system: str, card: str, origin: Origin) -> None:
        self.origin = origin
        """The lowest origin of what the card shows, beside the event itself."""
        self._room = room
        self._system = system
        self._card = card

    @classmethod
    async def open(
        cls, equipment: Equipment, store: Store, agent: Agent, run: Run, context: Sequence[object]
    ) -> Prompt:
        """Gather what the run should know at its start."""
        budget = equipment.settings.prompt_tokens
        depth = run.limits.depth or 0
        given = {"name": agent.name, "stubs": stubs(depth), "hints": sandbox_hints()}
        if run.parent is None:
            own = agent.instructions.strip() or DEFAULT_INSTRUCTIONS
            given["instructions"] = cut(own, int(budget * INSTRUCTIONS))
            given["minds"] = "await llm(...) or await rlm(...) work" if depth else "await llm(...) works"
        system = _template("system" if run.parent is None else "child").format(**given)
        room = max(budget - tokens(system), LEAST)
        if run.parent is None:
            card, origin = await _card(equipment, store, agent, run, int(room * CARD))
        else:
            card, origin = _child_card(equipment, run, context, int(room * CARD)), Origin.OWNER
        return cls(room, system, card, origin)

    def messages(self, steps: Sequence[ShownStep]) -> list[Message]:
        """System, card and the last steps that fit, oldest first; older ones are folded into the card."""
        room = int(self._room * STEPS)
        shown: list[tuple[str, str]] = []
        for step in reversed(steps):
            more = f"log.step({step.number}) has all"
            reply, observation = cut(step.reply, self._room // 8, more=more), step.shown
            if not shown:
                # The last step is always shown, if need be in part.
                observation = cut(observation, room - tokens(reply), more=more)
            room -= tokens(reply) + tokens(observation)
            if room < 0 and shown:
                break
            shown.insert(0, (reply, observation))
        folded = self._folded(steps[: len(steps) - len(shown)])
        messages = [Message("system", self._system), Message("user", self._card + folded)]
        for reply, observation in shown:
            messages += [Message("assistant", reply), Message("user", observation)]
        return messages

    def _folded(self, steps: Sequence[ShownStep]) -> str:
        if not steps:
            return ""
        head = f"[folded: steps {steps[0].number} to {steps[-1].number}; log.step(n) has each in full]"
        lines: list[str] = []
        room = int(self._room * FOLDED) - tokens(head)
        for step in reversed(steps):
            text = f"  {step.number}: {step.fold}"
            room -= tokens(text)
            if room < 0:
                break
            lines.insert(0, text)
        return "\n".join(["", head, *lines])


async def _card(equipment: Equipment, store: Store, agent: Agent, run: Run, room: int) -> tuple[str, Origin]:
    event, zone = run.event, equipment.zone
    # A few point reads are faster here than a thread is woken.
    space, facts, there, recent = store.read(lambda tx: _state(tx, agent, run))
    budget = store.read(lambda tx: low(tx, agent, run, equipment.today()))
    hits = await _memories(equipment, Shelf(space_id=space), event.text)
    head = f"It is {equipment.local_now():%A, %Y-%m-%d %H:%M %Z}. {budget}{cut(facts, int(room * FACTS))}"
    if there:
        head += f"\n{cut(there, int(room * FACTS))}"
    end = [
        "",
        hiving.asked_by(run) or "The event that woke you:",
        f'<event kind="{event.kind}" channel="{event.channel}" sender="{line(event.sender, 100)}">',
        cut(event.text, int(room * EVENT), more="event.text has all"),
        "</event>",
    ]
    left = room - tokens(head) - sum(map(tokens, end))
    memories = _section(
        "Memories that may matter (parts of variables):",
        [
            f"{hit.key} v{hit.version} ({hit.time.astimezone(zone):%Y-%m-%d}): "
            f"{line(hit.text, MESSAGE_CHARS)}"
            for hit in hits
        ],
        left // 2,
    )
    conversation = _section(
        f"Said on this channel before ({event.channel}), newest first:",
        [
            f"{message.time.astimezone(zone):%Y-%m-%d %H:%M} {message.sender}: "
            f"{line(message.text, MESSAGE_CHARS)}"
            for message in recent
        ],
        left // 2,
    )
    # A section is a blank line, its title, and then an item a line.
    seen: list[records.Passage | records.Message] = [
        *hits[: max(len(memories) - 2, 0)],
        *recent[: max(len(conversation) - 2, 0)],
    ]
    lowest = min((each.origin for each in seen), default=Origin.OWNER)
    return "\n".join([head, *memories, *conversation, *end]), lowest


async def _memories(equipment: Equipment, shelf: Shelf, text: str) -> Sequence[records.Passage]:
    """What fits the event best. None if the search fails: a run goes on without, and can ask again."""
    try:
        return await equipment.searcher.search(shelf, text[:QUERY_CHARS], HITS)
    except Exception:
        log.warning("the prompt of a run has no memories, since the search failed", exc_info=True)
        return ()


def _child_card(equipment: Equipment, run: Run, context: Sequence[object], room: int) -> str:
    parts = [
        f"  event.context[{position}]: {_about(part)}" for position, part in enumerate(context[:PARTS])
    ] or ["  event.context is empty."]
    if len(context) > PARTS:
        parts.append(f"  ... and {len(context) - PARTS:,} more")
    return "\n".join(
        [
            f"It is {equipment.local_now():%A, %Y-%m-%d %H:%M %Z}. Your parent passed:",
            cut("\n".join(parts), int(room * (1 - EVENT)) - 50),
            "",
            '<event kind="rlm">',
            cut(run.event.text, int(room * EVENT), more="event.text has all"),
            "</event>",
        ]
    )


def _about(part: object) -> str:
    if isinstance(part, str):
        return f"text of {len(part):,} characters, beginning {line(part[:400], 200)!r}"
    if isinstance(part, list | dict):
        first = part[:20] if isinstance(part, list) else dict(islice(part.items(), 20))
        return f"{type(part).__name__} of {len(part):,} items, beginning {line(repr(first)[:400], 200)}"
    return line(repr(part), 200)


def _state(transaction: Transaction, agent: Agent, run: Run) -> tuple[int, str, str, list[records.Message]]:
    """The space's id, lines about what it holds and who is there, and what was said on the channel before."""
    space = transaction.space(agent.space)
    names = [variable.name for variable in space.page(most=NAMES + 1)]
    if not names:
        facts = "Your memory is empty."
    elif len(names) <= NAMES:
        facts = f"Your variables: {line(', '.join(names), 600)}."
    else:
        first = line(", ".join(names), 160)
        facts = f"You have many variables; memory.names(prefix) lists them. The first: {first}."
    recent = transaction.log(agent.name).recent(
        LAST_MESSAGES, channel=run.event.channel, before=run.event.message
    )
    there = [who(transaction, agent, run.event.channel), hiving.who(transaction, agent)]
    return space.id, facts, "\n".join(filter(None, there)), recent


def _section(title: str, items: Sequence[str], budget: int) -> list[str]:
    kept: list[str] = []
    budget -= tokens(title)
    for item in items:
        budget -= tokens(item)
        if budget < 0:
            break
        kept.append(f"  {item}")
    return ["", title, *kept] if kept else []


@functools.cache
def _template(name: str) -> str:
    return (files("rlmd.daemon.loop") / "prompts" / f"{name}.md").read_text(encoding="utf-8")
