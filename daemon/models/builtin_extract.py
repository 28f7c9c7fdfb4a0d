"""The built-in model as a sub-model: it cannot read, and quotes sentences that share words with the task."""

from __future__ import annotations

import re

from . import builtin_language as language

_MOST = 3
_SENTENCE_CHARS = 400
_TEXT_CHARS = 200_000
"""Characters that are looked at; what is beyond is said to be unread."""


def extract(prompt: str) -> str:
    """An honest answer to a sub-call: quotations, marked as such, or that there is nothing to quote."""
    task, text = _split(prompt)
    wanted = set(language.stems(task))
    looked = text[:_TEXT_CHARS]
    candidates = [s.strip() for s in re.split(r"(?<=[.!?])\s+|\n+", looked) if s.strip()]
    scored = [(len(wanted & set(language.stems(s))), s) for s in candidates]
    best = sorted((item for item in scored if item[0]), key=lambda item: -item[0])[:_MOST]
    unread = f"\n({len(text) - len(looked)} characters were not read.)" if len(looked) < len(text) else ""
    if not best:
        return f"[built-in rules, no model] Nothing in the text shares a word with the task.{unread}"
    quoted = "\n".join(sentence[:_SENTENCE_CHARS] for _, sentence in best)
    return f"[built-in rules, no model] The sentences nearest to the task:\n{quoted}{unread}"


def _split(prompt: str) -> tuple[str, str]:
    """The task and the text it is about: the first paragraph, line or sentence, and the rest."""
    for pattern in (r"\n\s*\n", r"\n", r"(?<=[.:?!])\s"):
        parts = re.split(pattern, prompt.strip(), maxsplit=1)
        if len(parts) == 2:
            return parts[0], parts[1]
    return prompt, ""
