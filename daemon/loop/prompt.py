"""What a model sees, built from parts with budgets: it does not grow with memory, log or steps.

    system   who it is, how a step works, what it can call          fixed for a run
    card     time, sizes, best memories, last messages, the event   fixed for a run
    folded   older steps, a line each                               bounded
    steps    the last steps: what it wrote, what it was shown       as many as fit

The event's text stands last in the card and unchanged; only one that would not fit is shown by head
and tail, and says where the whole is. Nothing else in the card can begin a line with `<`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from rlmd.daemon.models.api import Message
from rlmd.daemon.repl.hints import sandbox_hints
from rlmd.daemon.repl.stubs import stubs
from rlmd.memory import records
from rlmd.memory.records import Agent, Run
from rlmd.memory.search import Shelf
from rlmd.memory.store import Store, Transaction

from .equipment import Equipment
from .tokens import cut, line, tokens

INSTRUCTIONS = 0.25
EVENT = 0.35
MEMORIES = 0.12
CONVERSATION = 0.12
FOLDED = 0.06
"""Shares of the budget; what is left after system and card belongs to the steps."""
HITS = 8
LAST_MESSAGES = 12
NAMES = 40
MESSAGE_CHARS = 600
DEFAULT_INSTRUCTIONS = "Be helpful, brief and exact. Say what you do not know."


@dataclass(frozen=True, kw_only=True)
class PastStep:
    """A step that is over."""

    number: int
    reply: str
    shown: str
    fold: str
    """One line about it."""


class Prompt:
    """The prompt of one run. `open` it once, then ask for `messages` before each call of the model."""

    def __init__(self, budget: int, system: str, card: str) -> None:
        self._budget = budget
        self._system = system
        self._card = card

    @classmethod
    async def open(
        cls, equipment: Equipment, store: Store, agent: Agent, run: Run, context: Sequence[object]
    ) -> Prompt:
        """Gather what the run should know at its start."""
        budget = equipment.settings.prompt_tokens
        depth = run.limits.depth or 0
        if run.parent is None:
            system = _template("system").format(
                name=agent.name,
                instructions=cut(
                    agent.instructions.strip() or DEFAULT_INSTRUCTIONS, int(budget * INSTRUCTIONS)
                ),
                stubs=stubs(depth),
                hints=sandbox_hints(),
            )
            card = await _card(equipment, store, agent, run, budget)
        else:
            system = _template("child").format(name=agent.name, stubs=stubs(depth), hints=sandbox_hints())
            card = _child_card(equipment, run, context, budget)
        return cls(budget, system, card)

    def messages(self, steps: Sequence[PastStep]) -> list[Message]:
        """System, card and the last steps that fit, oldest first; older ones are folded into the card."""
        room = self._budget - tokens(self._system) - tokens(self._card) - int(self._budget * FOLDED)
        shown: list[PastStep] = []
        for step in reversed(steps):
            reply = cut(step.reply, self._budget // 8, more=f"log.step({step.number}) has all")
            room -= tokens(reply) + tokens(step.shown)
            # The last step is always shown, whatever it takes.
            if room < 0 and shown:
                break
            shown.insert(0, PastStep(number=step.number, reply=reply, shown=step.shown, fold=step.fold))
        folded = steps[: len(steps) - len(shown)]
        messages = [Message("system", self._system), Message("user", self._card + self._folded(folded))]
        for step in shown:
            messages += [Message("assistant", step.reply), Message("user", step.shown)]
        return messages

    def _folded(self, steps: Sequence[PastStep]) -> str:
        if not steps:
            return ""
        lines: list[str] = []
        room = int(self._budget * FOLDED)
        for step in reversed(steps):
            text = f"  {step.number}: {step.fold}"
            room -= tokens(text)
            if room < 0:
                break
            lines.insert(0, text)
        return "\n".join(
            [
                "",
                f"[folded: steps {steps[0].number} to {steps[-1].number}; log.step(n) has each in full]",
                *lines,
            ]
        )


async def _card(equipment: Equipment, store: Store, agent: Agent, run: Run, budget: int) -> str:
    event, zone = run.event, equipment.zone
    shelf = Shelf(space_id=await asyncio.to_thread(store.read, lambda tx: tx.space(agent.space).id))
    hits = await equipment.searcher.search(shelf, event.text[:2_000], HITS)
    facts, recent = await asyncio.to_thread(store.read, lambda tx: _state(tx, agent, run))
    lines = [
        f"It is {equipment.local_now():%A, %Y-%m-%d %H:%M %Z}. {facts}",
        *_section(
            "Memories that may matter (parts of variables):",
            [
                f"{hit.key} v{hit.version} ({hit.time.astimezone(zone):%Y-%m-%d}): "
                f"{line(hit.text, MESSAGE_CHARS)}"
                for hit in hits
            ],
            int(budget * MEMORIES),
        ),
        *_section(
            f"Said on this channel before ({event.channel}), newest first:",
            [
                f"{message.time.astimezone(zone):%Y-%m-%d %H:%M} {message.sender}: "
                f"{line(message.text, MESSAGE_CHARS)}"
                for message in recent
            ],
            int(budget * CONVERSATION),
        ),
        "",
        "The event that woke you:",
        f'<event kind="message" channel="{event.channel}" sender="{line(event.sender, 100)}">',
        cut(event.text, int(budget * EVENT), more="event.text has all"),
        "</event>",
    ]
    return "\n".join(lines)


def _child_card(equipment: Equipment, run: Run, context: Sequence[object], budget: int) -> str:
    parts = [
        f"  event.context[{position}]: {_about(part)}" for position, part in enumerate(context[:20])
    ] or ["  event.context is empty."]
    return "\n".join(
        [
            f"It is {equipment.local_now():%A, %Y-%m-%d %H:%M %Z}. Your parent passed:",
            *parts,
            "",
            '<event kind="rlm">',
            cut(run.event.text, int(budget * EVENT), more="event.text has all"),
            "</event>",
        ]
    )


def _about(part: object) -> str:
    if isinstance(part, str):
        return f"text of {len(part):,} characters, beginning {line(part, 200)!r}"
    if isinstance(part, list | dict):
        return f"{type(part).__name__} of {len(part):,} items, beginning {line(repr(part)[:400], 200)}"
    return line(repr(part), 200)


def _state(transaction: Transaction, agent: Agent, run: Run) -> tuple[str, list[records.Message]]:
    """A line about what exists, and what was said on the channel before the event."""
    space = transaction.space(agent.space)
    names = [variable.name for variable in space.page(most=NAMES + 1)]
    if not names:
        facts = "Your memory is empty."
    elif len(names) <= NAMES:
        facts = f"Your variables: {line(', '.join(names), 1_500)}."
    else:
        first = line(", ".join(names), 500)
        facts = f"You have many variables; memory.names(prefix) lists them. The first: {first}."
    recent = transaction.log(agent.name).recent(
        LAST_MESSAGES, channel=run.event.channel, before=run.event.message
    )
    return facts, recent


def _section(title: str, items: Sequence[str], budget: int) -> list[str]:
    kept: list[str] = []
    for item in items:
        budget -= tokens(item)
        if budget < 0:
            break
        kept.append(f"  {item}")
    return ["", title, *kept] if kept else []


def _template(name: str) -> str:
    return (files("rlmd.daemon.loop") / "prompts" / f"{name}.md").read_text(encoding="utf-8")
