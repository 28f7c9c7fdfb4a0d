"""The programs that the built-in model writes: one function each, text in, Python for the REPL out.

Whatever a person wrote enters a program as a literal (`repr`), never as code. Each program does its work in
one step and ends with `reply` and `done`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

FACTS = "facts/"
CHANGES = "builtin/changes"


@dataclass(frozen=True)
class Statement:
    """A sentence to remember, and the variable it goes to."""

    name: str
    said: str


def fenced(code: str) -> str:
    """The code as a model's reply, in a fence longer than any inside."""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}python\n{code}\n{fence}"


def say(text: str) -> str:
    """Say something, and that is all."""
    return f"reply({text!r})\ndone()"


# Shared by the programs that change memory. `before` is the version to go back to, 0 for none.
_KEEP = f"""
def keep(name, before, deleted=False):
    changes = memory.get({CHANGES!r}) or []
    change = {{"name": name, "before": before, "deleted": deleted}}
    memory.set({CHANGES!r}, changes[-99:] + [change])

def version(name):
    return memory.version(name) if memory.get(name) is not None else 0
"""

# Shared by the programs that compare texts: how many of the words begin a word of the text.
_FITS = """
import re

def fits(text):
    parts = re.findall(r"\\w+", text.lower())
    return len([w for w in words if any([p.startswith(w) for p in parts])])
"""

_ENTRY = '{{"said": {said!r}, "by": event.sender, "at": event.time.isoformat()}}'


def _program(*parts: str) -> str:
    return "\n".join(part.strip("\n") for part in parts)


def remember(statements: Sequence[Statement]) -> str:
    """Append each statement to its variable."""
    parts = [_KEEP]
    for statement in statements:
        entry = _ENTRY.format(said=statement.said)
        parts.append(f"""
name = {statement.name!r}
before = version(name)
memory.append(name, {entry})
keep(name, before)
""")
    noted = "\n".join(f'Noted under {s.name}: "{s.said}"' for s in statements)
    return _program(*parts, say(noted))


def correct(statement: Statement, words: Sequence[str]) -> str:
    """Put a statement in the place of the one that shares most of the words; of equals, the latest."""
    entry = _ENTRY.format(said=statement.said)
    return _program(
        _KEEP,
        f"name = {statement.name!r}\nwords = {list(words)!r}",
        _FITS,
        f"""
facts = memory.get(name) or []
before = version(name)
entry = {entry}
scores = [fits(fact["said"]) for fact in facts]
if any(scores):
    at = max([i for i in range(len(facts)) if scores[i] == max(scores)])
    old = facts[at]["said"]
    note = f"corrected by {{event.sender}}; was: {{old[:200]}}"
    memory.set(name, facts[:at] + facts[at + 1:] + [entry], note=note)
    reply(f'Corrected under {{name}}: "{{entry["said"]}}" in place of "{{old}}", which stays in its history.')
else:
    memory.append(name, entry)
    reply(f'Noted under {{name}}: "{{entry["said"]}}". I had nothing that it corrects.')
keep(name, before)
done()
""",
    )


def forget(names: Sequence[str], asked: str) -> str:
    """Delete the first of the variables that exists."""
    return _program(
        _KEEP,
        f"""
for name in {list(names)!r}:
    before = version(name)
    if before:
        memory.delete(name)
        keep(name, before, deleted=True)
        reply(f"Forgotten: {{name}}. `undo` brings it back; the log of messages is unchanged.")
        done()
""",
        say(f"I have nothing under {asked!r}, so there is nothing to forget. `list` shows what I keep."),
    )


def forget_statement(name: str, words: Sequence[str]) -> str:
    """Take the statements that hold all the words out of a variable."""
    return _program(
        _KEEP,
        f"name = {name!r}\nwords = {list(words)!r}",
        _FITS,
        """
facts = memory.get(name) or []
gone = [fact for fact in facts if fits(fact["said"]) == len(words)]
left = [fact for fact in facts if fits(fact["said"]) < len(words)]
before = version(name)
if not gone:
    reply(f"I keep no such statement under {name}.")
    done()
if left:
    memory.set(name, left, note=f"forgotten for {event.sender}")
else:
    memory.delete(name)
keep(name, before, deleted=not left)
lines = "\\n".join([fact["said"] for fact in gone])
reply(f"Forgotten from {name}; `undo` brings it back:\\n{lines}")
done()
""",
    )


def undo() -> str:
    """Take back the last change that one of these programs made."""
    return f"""
changes = memory.get({CHANGES!r}) or []
if not changes:
    reply("There is no change of mine to take back.")
    done()
change = changes[-1]
name = change["name"]
if change["deleted"]:
    memory.undelete(name)
    told = f"{{name}} is back."
elif change["before"]:
    memory.revert(name, change["before"], note="undo")
    told = f"{{name}} says again what it said in version {{change['before']}}."
else:
    memory.delete(name)
    told = f"{{name}} is gone again, as before."
memory.set({CHANGES!r}, changes[:-1])
reply("Undone: " + told)
done()
""".strip()


# How questions and commands begin, which are in the log too but tell nothing.
_ASKED = (
    r"(?i)\W*(/|what|where|who|when|which|why|how|is|are|was|were|do|does|did|has|have|can|could|tell me"
    r"|search|find|look for|forget|show|list|history|undo)\b"
)


def answer(
    question: str, words: Sequence[str], names: Sequence[str], musts: Sequence[str], first: str
) -> str:
    """Quote the lines that fit best, at most three, newest first: from memory, or else from the log.

    What the log has and memory has had too, at any version, is left to memory: it may have been corrected or
    forgotten. The variables in `names` are looked at in any case; facts of the one named `first` go first.
    """
    return _program(
        f"question = {question!r}\nwords = {list(words)!r}\nmusts = {list(musts)!r}",
        _FITS,
        f"""
found, known, seen = [], [], []

def find(at, by, text, where, near=1.0):
    if all([must in (text + where).lower() for must in musts]):
        score, at = fits(text + " " + where), at[:16].replace("T", " ")
        found.append((score, where == {first!r}, near, at, by, text, where))

def earlier(name):
    said = []
    for version in range(max(1, memory.version(name) - 20), memory.version(name) + 1):
        try:
            said += [fact["said"] for fact in memory.get(name, version=version) or []]
        except Exception:
            continue
    return said

hits = memory.search(question, k=10)
for name in dict.fromkeys({list(names)!r} + [hit.name for hit in hits]):
    if name.startswith({FACTS!r}):
        for fact in memory.get(name) or []:
            find(fact["at"], fact["by"], fact["said"], name)
        known += earlier(name)
for hit in hits:
    if not hit.name.startswith(({FACTS!r}, "builtin/")):
        for line in [line.strip() for line in hit.text.split("\\n")]:
            find(hit.time.isoformat(), "", line, hit.name, hit.score)

if not [f for f in found if f[0] == len(words)]:
    for m in log.search(question, k=20):
        asked = m.text.endswith("?") or re.match({_ASKED!r}, m.text) or m.text == event.text
        if not (asked or m.from_agent or [said for said in known if said in m.text]):
            find(m.time.isoformat(), m.sender, m.text, "log")
""",
        """
found.sort(key=lambda f: f[:4], reverse=True)
best = found[0][:2] if found else (0, False)
if best[0] == 0 or best[0] * 2 < len(words):
    reply("I found nothing about that, neither in memory nor in the log.")
    done()
lines = [] if best[0] == len(words) else ["Nothing says exactly that. The nearest that I have:"]
for score, first, near, at, by, text, where in found:
    if (score, first) == best and text not in seen and len(seen) < 3:
        seen.append(text)
        who = f"{by}, " if by else ""
        lines.append(f'"{text[:300]}" ({who}{at}, {where})')
reply("\\n".join(lines))
done()
""",
    )


def list_names(prefix: str) -> str:
    """The variables that begin so, or hold the word in their name, each with its last statement."""
    return f"""
prefix = {prefix!r}
names = [n for n in memory.names() if not n.startswith("builtin/")]
names = [n for n in names if n.startswith(prefix)] or [n for n in names if prefix.rstrip("/") in n]
lines = []
for name in names[:30]:
    value = memory.get(name)
    last = value[-1] if isinstance(value, list) and value else value
    last = last["said"] if isinstance(last, dict) and "said" in last else str(last)
    lines.append(f"{{name}}: {{last[:80]}}")
if len(names) > 30:
    lines.append(f"... and {{len(names) - 30}} more")
reply("\\n".join(lines) or "I keep nothing yet. Tell me something: `Bob lives in Berlin`.")
done()
""".strip()


def show(names: Sequence[str], asked: str) -> str:
    """The value of the first of the variables that exists."""
    return _program(
        f"""
import json

for name in {list(names)!r}:
    value = memory.get(name)
    if value is None:
        continue
    if isinstance(value, list) and all([isinstance(x, dict) and "said" in x for x in value]):
        lines = [f'"{{x["said"]}}" ({{x["by"]}}, {{x["at"][:16].replace("T", " ")}})' for x in value]
        text = "\\n".join(lines)
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
    reply(f"{{name}}, version {{memory.version(name)}}:\\n{{text[:4000]}}")
    done()
""",
        say(f"There is nothing under {asked!r}. `list` shows what I keep."),
    )


def history(names: Sequence[str], asked: str) -> str:
    """When and why the first of the variables that exists was written."""
    return _program(
        f"""
for name in {list(names)!r}:
    if memory.version(name):
        last = memory.history(name)[-20:]
        lines = [f"{{v.version}}: {{v.time.isoformat()[:16]}} {{v.note or ''}}" for v in last]
        reply(f"{{name}}, its versions:\\n" + "\\n".join(lines))
        done()
""",
        say(f"There is nothing under {asked!r}. `list` shows what I keep."),
    )


def extract(words: Sequence[str]) -> str:
    """For a child run: give back the sentences of its context that share most words with the task."""
    return _program(
        f"words = {list(words)!r}",
        _FITS,
        r"""
parts = event.context
text = "\n".join([part if isinstance(part, str) else str(part) for part in parts])
sentences = [s.strip() for s in re.split(r"(?<=[.!?])\s+|\n+", text[:200000]) if s.strip()]
ranked = sorted([(-fits(s), at) for at, s in enumerate(sentences)])
done([sentences[at][:400] for score, at in ranked[:3] if score])
""",
    )
