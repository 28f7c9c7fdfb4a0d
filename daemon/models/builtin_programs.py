"""The programs of the built-in model that change memory: text in, Python for the REPL out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .builtin_code import CHANGES, FITS, KEEP, program, say


@dataclass(frozen=True)
class Statement:
    """A sentence to remember, and the variable it goes to."""

    name: str
    said: str


_ENTRY = '{{"said": {said!r}, "by": event.sender, "at": event.time.isoformat()}}'


def remember(statements: Sequence[Statement], told: str = "") -> str:
    """Append each statement to its variable; say so, or `told` in its place."""
    parts = [KEEP]
    for statement in statements:
        entry = _ENTRY.format(said=statement.said)
        parts.append(f"""
name = {statement.name!r}
keep(name, version(name), noted=True)
add(name, {entry})
""")
    noted = "\n".join(f'Noted under {s.name}: "{s.said}"' for s in statements)
    return program(*parts, say(told or noted))


def correct(statement: Statement, words: Sequence[str]) -> str:
    """Put a statement in the place of the one that shares most of the words; of equals, the latest."""
    entry = _ENTRY.format(said=statement.said)
    return program(
        KEEP,
        f"name = {statement.name!r}\nwords = {list(words)!r}",
        FITS,
        f"""
facts = entries(memory.get(name))
keep(name, version(name))
entry = {entry}
scores = [fits(said(fact)) for fact in facts]
if any(scores):
    at = max([i for i in range(len(facts)) if scores[i] == max(scores)])
    old = said(facts[at])
    note = f"corrected by {{event.sender}}; was: {{old[:200]}}"
    forgotten([old])
    memory.set(name, facts[:at] + facts[at + 1:] + [entry], note=note)
    reply(f'Corrected under {{name}}: "{{entry["said"]}}" in place of "{{old}}", which stays in its history.')
else:
    add(name, entry)
    reply(f'Noted under {{name}}: "{{entry["said"]}}". I had nothing that it corrects.')
done()
""",
    )


def forget(names: Sequence[str], holders: Sequence[str], words: Sequence[str], asked: str) -> str:
    """Delete the first of the variables that exists, or else take statements out of the first holder.

    Taken are the statements that hold all the words, where there are words.
    """
    return program(
        KEEP,
        f"words = {list(words)!r}",
        FITS,
        f"""
for name in {list(names)!r}:
    before = version(name)
    if before:
        keep(name, before, deleted=True)
        forgotten([said(fact) for fact in entries(memory.get(name))])
        memory.delete(name)
        reply(f"Forgotten: {{name}}. `undo` brings it back; the log of messages is unchanged.")
        done()
for name in {list(holders)!r}:
    facts = entries(memory.get(name))
    fit = [bool(words) and fits(said(fact) + " " + name) == len(words) for fact in facts]
    gone = [said(facts[i]) for i in range(len(facts)) if fit[i]]
    left = [facts[i] for i in range(len(facts)) if not fit[i]]
    if gone:
        keep(name, version(name), deleted=not left)
        forgotten(gone)
        if left:
            memory.set(name, left, note=f"forgotten for {{event.sender}}")
        else:
            memory.delete(name)
        lines = "\\n".join(gone)
        reply(f"Forgotten from {{name}}; `undo` brings it back:\\n{{lines}}")
        done()
""",
        say(f"I have nothing under {asked!r}, so there is nothing to forget. `list` shows what I keep."),
    )


def undo(*, note_only: bool = False) -> str:
    """Take back the last change that one of these programs made; with `note_only`, if it was a note."""
    return program(
        KEEP,
        f"note_only = {note_only!r}",
        f"""
kept = changes()
if not kept:
    reply("There is no change of mine to take back.")
    done()
change = kept[-1]
if note_only and not change.get("noted"):
    reply("The last change was not a note. `undo` takes it back; `forget NAME` forgets something else.")
    done()
name = change["name"]
had = [said(fact) for fact in entries(memory.get(name))]
# First off the list: a change that cannot be taken back does not keep `undo` from those before it.
memory.set({CHANGES!r}, kept[:-1])
if change.get("deleted"):
    if memory.get(name) is None:
        memory.undelete(name)
    what = f"{{name}} is back."
elif change["before"]:
    memory.revert(name, change["before"], note="undo")
    what = f"{{name}} says again what it said in version {{change['before']}}."
else:
    if memory.get(name) is not None:
        memory.delete(name)
    what = f"{{name}} is gone again, as before."
has = [said(fact) for fact in entries(memory.get(name))]
forgotten([text for text in had if text not in has])
reply("Undone: " + what)
done()
""",
    )
