"""Consolidation: an agent that is idle goes over what is new in its memory.

It is a run like any other, of an event that rlmd makes. What is new stands in the event, bounded; what to do
about it is told in prompts/tidy.md. Its limits are smaller than those of a run that somebody waits for, it
can ask nobody, and all that it changes is one changeset (see memory/changes.py).
"""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

from rlmd.memory.news import TIDY, News
from rlmd.memory.records import Run, RunLimits
from rlmd.memory.store import Transaction

from .equipment import Equipment
from .tokens import line

MOST = RunLimits(steps=12, depth=1, seconds=900, model_calls=20)
"""What a run that tidies may use, if its agent may use as much."""
NAMES = 40
"""Of changed variables that the event tells."""
CHANNELS = 8
SENDER = "rlmd"


def tidy(tx: Transaction, equipment: Equipment, agent: str) -> Run:
    """The event, with what is new, and its run, queued. Raises NotFound."""
    record = tx.agents.get(agent)
    own = equipment.limits(record.limits)
    limits = replace(
        own,
        steps=min(own.steps or 0, MOST.steps or 0),
        depth=min(own.depth or 0, MOST.depth or 0),
        seconds=min(own.seconds or 0, MOST.seconds or 0),
        model_calls=min(own.model_calls or 0, MOST.model_calls or 0),
    )
    text = task(tx.news(agent, most=NAMES), equipment)
    return tx.runs.create(record, kind=TIDY, text=text, limits=limits, channel=TIDY, sender=SENDER)


def task(news: News, equipment: Equipment) -> str:
    """What the event says."""
    since = "since ever"
    if news.since is not None:
        since = f"since {news.since.astimezone(equipment.zone):%Y-%m-%d %H:%M}"
    template = (files("rlmd.daemon.loop") / "prompts" / "tidy.md").read_text(encoding="utf-8").strip()
    return template.format(since=since, messages=_messages(news), changed=_changed(news))


def _messages(news: News) -> str:
    if not news.messages:
        return "no messages"
    busiest = sorted(news.messages.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{count:,} on {line(channel, 60)}" for channel, count in busiest[:CHANNELS])
    more = len(busiest) - CHANNELS
    return f"messages: {told}" + (f", and on {more:,} channels more" if more > 0 else "")


def _changed(news: News) -> str:
    if not news.changed:
        return "No variable was written."
    names = line(", ".join(news.names), 1_500)
    more = f" and {news.changed - len(news.names):,} more" if news.changed > len(news.names) else ""
    return f"Variables written: {names}{more}."
