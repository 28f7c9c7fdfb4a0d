"""Pieces that the built-in model's programs share: Python for the REPL, as text.

Whatever a person wrote enters a program as a literal (`repr`), never as code. Each program does its work in
one step and ends with `reply` and `done`.
"""

from __future__ import annotations

import re

FACTS = "facts/"
CHANGES = "builtin/changes"
"""What `undo` takes back: a list of `{"name", "before", "deleted", "noted"}`, the latest last."""
FORGOTTEN = "builtin/forgotten"
"""Statements that were forgotten, undone or corrected. The log still has them; answers do not quote that."""


def fenced(code: str) -> str:
    """The code as a model's reply, in a fence longer than any inside."""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}python\n{code}\n{fence}"


def say(text: str) -> str:
    """Say something, and that is all."""
    return f"reply({text!r})\ndone()"


def program(*parts: str) -> str:
    """The parts, one after the other."""
    return "\n".join(part.strip("\n") for part in parts)


# Variables may be anybody's: whatever is not a list of statements reads as plain text.
READ = """
def entries(value):
    if value is None:
        return []
    return value if isinstance(value, list) else [value]

def said(entry):
    if isinstance(entry, dict) and "said" in entry:
        return str(entry["said"])
    return entry if isinstance(entry, str) else str(entry)

def told(entry, *where):
    whence = [str(entry.get("by", "")), str(entry.get("at", ""))[:16].replace("T", " ")] \\
        if isinstance(entry, dict) and "said" in entry else []
    whence = ", ".join([part for part in whence + list(where) if part])
    text = " ".join(said(entry).split())[:200]
    return f'"{text}" ({whence})' if whence else f'"{text}"'
"""

# `before` is the version to go back to, 0 for none. It is kept before the change is made: then no change can
# be one that `undo` does not know.
KEEP = (
    READ
    + f"""
def changes():
    kept = memory.get({CHANGES!r})
    kept = kept if isinstance(kept, list) else []
    return [c for c in kept if isinstance(c, dict) and "name" in c and "before" in c]

def keep(name, before, deleted=False, noted=False):
    change = {{"name": name, "before": before, "deleted": deleted, "noted": noted}}
    memory.set({CHANGES!r}, changes()[-99:] + [change])

def forgotten(texts):
    if texts:
        cut = [text[:2000] for text in texts]
        memory.set({FORGOTTEN!r}, (entries(memory.get({FORGOTTEN!r})) + cut)[-500:])

def version(name):
    return memory.version(name) if memory.get(name) is not None else 0

def add(name, entry):
    old = memory.get(name)
    if old is None or isinstance(old, list):
        memory.append(name, entry)
    else:
        memory.set(name, [old, entry])
"""
)

# For programs that compare texts: how many of the words begin a word of the text.
FITS = """
import re

def fits(text):
    parts = re.findall(r"\\w+", text.lower())
    return len([w for w in words if any([p.startswith(w) for p in parts])])
"""
