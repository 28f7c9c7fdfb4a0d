"""What the built-in model knows of time: it finds the words that say when, and hands them to `schedule`.

It does not read them itself. If `schedule` does not understand them, the person is told what it understood.
"""

from __future__ import annotations

import re

from .builtin_code import program, say

_DAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_AGAIN = r"every|each|daily|hourly|weekly|monthly"
_START = (
    rf"in (?=\d|an?\b|half\b|one\b)|at (?=\d|noon|midnight)|on (?=\d|{_DAY})|(?:day after )?tomorrow|tonight"
    rf"|today|next (?={_DAY}|week|month|year)|this (?=morning|afternoon|evening)|{_AGAIN}|noon|midnight"
    rf"|(?=\d{{4}}-\d\d-\d\d)|(?={_DAY}\b)"
)
_WHEN = rf"(?P<when>(?:{_START})\b.*?)"
_WHAT = r"(?P<what>\S.*?)"
_THAT = r"(?:to|that|about|of)\s+"
_END = r"[\s.!]*\Z"
_SHAPES = tuple(
    re.compile(shape, re.IGNORECASE | re.DOTALL)
    for shape in (
        rf"(?:please\s+)?remind me,?\s+{_WHEN}(?:\s*[,:]|\s+(?:to|that|about))\s+{_WHAT}{_END}",
        rf"(?:please\s+)?remind me\s+(?:{_THAT})?{_WHAT},?\s+{_WHEN}{_END}",
        rf"{_WHEN}\s*,?\s+(?:please\s+)?remind me\s+(?:{_THAT})?{_WHAT}{_END}",
        rf"(?P<when>(?:{_AGAIN})\b.*?)\s*,?\s+(?:please\s+)?"
        rf"(?:tell me|say)\s+(?:{_THAT})?{_WHAT}{_END}",
        rf"(?:please\s+)?(?:wake me(?:\s+up)?|set an? (?:alarm|timer|reminder))\s+(?:for\s+)?"
        rf"(?P<when>\S.*?){_END}",
    )
)

_SHOWN = """
def shown(s):
    when = s.next.strftime("%a %Y-%m-%d %H:%M") if s.next else s.state
    again = "" if s.kind == "at" else f", again and again ({s.spec})"
    return f"{when}{again}: {s.text}"
"""


def remind(text: str) -> str | None:
    """The program for a sentence that asks to be reminded; None if it does not say when."""
    for shape in _SHAPES:
        match = shape.match(text)
        if match is not None:
            return _plan(match["when"].strip(), match.groupdict().get("what") or "time is up")
    return None


def _plan(when: str, what: str) -> str:
    again = re.fullmatch(
        r"(?:every|each)\s+(.+)|((?:daily|hourly|weekly|monthly)\b.*)", when, re.I | re.DOTALL
    )
    call = "schedule.at(when, what)"
    if again is not None:
        when = again[1] or re.sub(r"(?i)^(?:dai|hour|week|month)(?:i)?ly", _noun, when)
        call = "schedule.every(when, what)"
    return program(
        _SHOWN,
        f"""
when, what = {when!r}, {what!r}
try:
    made = {call}
except ValueError as error:
    reply(f"I set no reminder. {{error}}")
    done()
reply(f"Reminder {{made.name}}, {{shown(made)}}. `cancel {{made.name}}` takes it back.")
done()
""",
    )


def _noun(match: re.Match[str]) -> str:
    return {"dai": "day", "hou": "hour", "wee": "week", "mon": "month"}[match[0][:3].lower()]


def show() -> str:
    """What is to come."""
    return program(
        _SHOWN,
        """
lines = [f"{s.name}: {shown(s)}" for s in schedule.list()]
reply("\\n".join(lines) or "There are no reminders. `remind me in 20 minutes to call Bob` makes one.")
done()
""",
    )


def cancel(name: str) -> str:
    """Take one back."""
    return program(
        f"""
try:
    gone = schedule.cancel({name!r})
except LookupError:
    reply("There is no reminder {name}. `reminders` lists them.")
    done()
""",
        'reply(f"Cancelled: {gone.text}")\ndone()',
    )


def due(text: str) -> str:
    """What is said when one is due."""
    return say(f"Reminder: {text}")
