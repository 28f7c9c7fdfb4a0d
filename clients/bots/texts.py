"""Texts as messengers take them: in parts that are not too long, with what a question asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from rlmd.clients.records import Question, QuestionState

MOST_BUTTONS = 20
LONGEST_BUTTON = 60
"""Choices that are more, or longer, are listed in the text instead, by number."""
YES_OR_NO = "yes or no"

_FILE = re.compile(r"[\x00-\x1f\x7f-\x9f/\\]+")


def parts(text: str, longest: int, width: Callable[[str], int] = len) -> Iterator[str]:
    """A text in parts that are at most so long, parted at paragraphs, lines or words where there are any."""
    rest = text.strip()
    while rest:
        if width(rest) <= longest:
            yield rest
            return
        end = min(len(rest), longest)
        while width(rest[:end]) > longest:
            # Characters may count more than once; how much is too much bounds how many are.
            end -= max(1, (width(rest[:end]) - longest) // 2)
        cut = next(
            (found for mark in ("\n\n", "\n", " ") if (found := rest.rfind(mark, end // 2, end)) > 0), end
        )
        yield rest[:cut].rstrip() or rest[:cut]
        rest = rest[cut:].lstrip()


def choices(question: Question) -> tuple[str, ...]:
    """What the buttons of a question say; empty if it has none."""
    found = question.choices or (("yes", "no") if question.wanted == YES_OR_NO else ())
    fits = len(found) <= MOST_BUTTONS and all(len(each) <= LONGEST_BUTTON for each in found)
    return tuple(found) if fits else ()


def asked(question: Question, buttons: bool) -> str:
    """A question as it is put to a person."""
    return question.text if buttons or not question.wanted else f"{question.text}\n({question.wanted})"


def ended(question: Question) -> str:
    """A question that is no longer open, and how it ended."""
    match question.state:
        case QuestionState.ANSWERED:
            where = question.answered_on or question.answered_by
            by = f" ({where})" if where else ""
            return f"{question.text}\n→ {_plain(question.answer)}{by}"
        case QuestionState.EXPIRED:
            return f"{question.text}\n→ too late: its time is over"
        case _:
            return f"{question.text}\n→ no longer asked"


def file_name(name: str) -> str:
    """A file's name as a part of a variable's name, whatever a stranger calls it."""
    plain = _FILE.sub("_", name).strip(" ._@")[-100:].strip()
    return plain or "file"


def is_text(data: bytes) -> bool:
    """Whether a file is text, and no bytes."""
    try:
        return b"\0" not in data and bool(data.decode())
    except UnicodeDecodeError:
        return False


def _plain(answer: Any) -> str:
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
