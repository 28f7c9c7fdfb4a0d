"""The built-in model: fixed rules in place of a language model, so that `rlmd` lives before it has a key.

It stands exactly where a real model stands. It is given the same messages, keeps no state between calls, and
answers with programs for the same REPL, which run, are journaled and can be read like any other. What it
understands is the table in `builtin_rules.py`; the programs are in `builtin_programs.py` (what changes),
`builtin_answers.py` (what reads) and `builtin_tidy.py` (what puts in order).

Its scheme of memory: what is said about somebody or something is appended to `facts/<subject>`, a list of
`{"said", "by", "at"}`: the sentence, who said it, when. Corrections replace a statement in a new version,
so that `memory.history` keeps what was said before. `builtin/changes` remembers what `undo` takes back, and
`builtin/forgotten` what answers do not quote from the log any more.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence

from . import builtin_answers as answers
from . import builtin_language as language
from . import builtin_reminders as reminders
from .api import Message, OnText, Reply, Request, Usage
from .builtin_code import fenced, say
from .builtin_extract import extract
from .builtin_rules import own_step, program_for
from .builtin_tidy import tidy
from .text import mend

MODEL = "builtin"

_OPEN = re.compile(r"^<event\b[^\n]*>[ \t]*\n", re.MULTILINE)
_CLOSE = re.compile(r"\n</event>[ \t]*$", re.MULTILINE)
_SUB_CALL = re.compile(r"\bsub-?(?:call|model)\b", re.IGNORECASE)
_TIDY = re.compile(r'^<event kind="tidy"', re.MULTILINE)
_STRANGER = re.compile(r'<event kind="(?:call|told)" [^\n]*sender="[^"\n]*/')
"""An event from another user's agent, whose name has its user in front: it gives nobody steps to run."""
_CHILD = re.compile(r'^<event kind="rlm">', re.MULTILINE)
_DUE = re.compile(r'^<event kind="schedule" ', re.MULTILINE)


class BuiltinModel:
    """See the module."""

    @property
    def default(self) -> str:
        return MODEL

    @property
    def label(self) -> str:
        return "built-in rules (no model; set OPENAI_API_KEY or OPENAI_BASE_URL for a real one)"

    async def close(self) -> None:
        """Nothing is open."""

    async def complete(self, request: Request, on_text: OnText | None = None) -> Reply:
        """Answer the request; see `Model.complete`. Costs nothing and cannot fail."""
        text = answer(request.messages)
        for line in text.splitlines(keepends=True):
            handed = on_text(line) if on_text is not None else None
            if inspect.isawaitable(handed):
                await handed
        return Reply(text=text, usage=Usage(), model=MODEL)


def answer(messages: Sequence[Message]) -> str:
    """What the rules say to these messages: a program in a fence, or plain text to a sub-call.

    A sub-call (`llm`) is a request without an event; a child run (`rlm`) has an event whose line says `rlm`.
    """
    system = "\n".join(message.text for message in messages if message.role == "system")
    asked = [message.text for message in messages if message.role == "user"]
    event = event_text(asked[0]) if asked else ""
    if event is None:
        if len(asked) == 1 or _SUB_CALL.search(system):
            return extract(mend("\n\n".join(asked)))
        event = asked[-1]
    event = mend(event).strip()
    step = None if _stranger(asked) else own_step(event)
    if all(message.role != "assistant" for message in messages):
        if _CHILD.search(asked[0]):
            return fenced(answers.extract(language.stems(event)))
        if _TIDY.search(asked[0]):
            return fenced(tidy())
        if step is None and _DUE.search(asked[0]):
            return fenced(reminders.due(event))
        return fenced(step if step is not None else program_for(event))
    observation = _without_header(mend(asked[-1]))
    if step is not None:
        return fenced(say(observation or "The step ran and printed nothing."))
    return fenced(say(f"That did not work. The REPL says:\n{observation}"))


def _stranger(asked: Sequence[str]) -> bool:
    opening = _OPEN.search(asked[0]) if asked else None
    return opening is not None and _STRANGER.match(opening[0]) is not None


def event_text(card: str) -> str | None:
    """The event's text, as the state card has it between `<event ...>` and `</event>`; None without."""
    opening = _OPEN.search(card)
    if opening is None:
        return None
    # The text may itself hold such a line: the last one counts. An empty text has no line of its own.
    closings = list(_CLOSE.finditer(card, opening.end() - 1))
    return card[opening.end() : closings[-1].start()] if closings else None


def _without_header(observation: str) -> str:
    first, _, rest = observation.partition("\n")
    return rest.strip() if first.startswith("[observation") else observation.strip()
