"""The programs of the built-in model that read: they quote what memory and the log have."""

from __future__ import annotations

from collections.abc import Sequence

from .builtin_code import FACTS, FITS, FORGOTTEN, READ, program, say

# How questions and commands begin, which are in the log too but tell nothing.
_ASKED = (
    r"(?i)\W*(?:please )?(/|what|where|who|when|which|why|how|is|are|was|were|do|does|did|has|have|can|could"
    r"|tell me|search|find|look for|forget|delete|remove|erase|remind|show|list|history|undo)\b"
)


def answer(
    question: str, words: Sequence[str], names: Sequence[str], musts: Sequence[str], first: str
) -> str:
    """Quote the lines that fit best, at most three, newest first: from memory, or else from the log.

    What the log has and memory has had too, at any version, is left to memory: it may have been corrected or
    forgotten. The variables in `names` are looked at in any case; those of `first` go first, of them
    those that deny if the question does (`I don't like tea`).
    """
    return program(
        f"question = {question!r}\nwords = {list(words)!r}\nmusts = {list(musts)!r}",
        FITS,
        READ,
        f"""
found, seen = [], []
known = [said(entry) for entry in entries(memory.get({FORGOTTEN!r}))]

def denies(text):
    return bool(re.search(r"\\b(?:not|never|no|\\w+n['’]t)\\b", text.lower()))

def find(entry, at, where, near=1.0):
    text = said(entry)
    if all([must in (text + where).lower() for must in musts]):
        agrees = denies(text) == denies(question)
        found.append((fits(text + " " + where), where == {first!r}, agrees, near, at, entry, where))

def earlier(name):
    had = []
    for version in range(max(1, memory.version(name) - 20), memory.version(name) + 1):
        try:
            had += [said(fact) for fact in entries(memory.get(name, version=version))]
        except Exception:
            continue
    return had

hits = memory.search(question, k=10)
for name in dict.fromkeys({list(names)!r} + [hit.name for hit in hits]):
    if name.startswith({FACTS!r}):
        for fact in entries(memory.get(name)):
            find(fact, str(fact.get("at", "")) if isinstance(fact, dict) else "", name)
        known += earlier(name)
known = [text for text in known if len(text) > 3]  # A shorter one is in too many messages.
for hit in hits:
    if not hit.name.startswith(({FACTS!r}, "builtin/")):
        at = hit.time.isoformat()
        for line in [line.strip() for line in hit.text.split("\\n")]:
            find({{"said": line, "at": at}}, at, hit.name, hit.score)

if not [f for f in found if f[0] == len(words)]:
    for m in log.search(question, k=20):
        asked = m.text.endswith("?") or re.match({_ASKED!r}, m.text) or m.text == event.text
        if not (asked or m.from_agent or [text for text in known if text in m.text]):
            at = m.time.isoformat()
            find({{"said": m.text, "by": m.sender, "at": at}}, at, "log")
""",
        """
found.sort(key=lambda f: f[:5], reverse=True)
best = found[0][:2] if found else (0, False)
if best[0] == 0 or best[0] * 2 < len(words):
    reply("I found nothing about that, neither in memory nor in the log.")
    done()
lines = [] if best[0] == len(words) else ["Nothing says exactly that. The nearest that I have:"]
for score, first, agrees, near, at, entry, where in found:
    if (score, first) == best and said(entry) not in seen and len(seen) < 3:
        seen.append(said(entry))
        lines.append(told(entry, where))
reply("\\n".join(lines))
done()
""",
    )


def list_names(prefix: str) -> str:
    """The variables that begin so, or hold the word in their name, each with its last statement."""
    return program(
        READ,
        f"prefix = {prefix!r}",
        """
names = [n for n in memory.names() if not n.startswith("builtin/")]
names = [n for n in names if n.startswith(prefix)] or [n for n in names if prefix.rstrip("/") in n]
lines = []
for name in names[:30]:
    kept = entries(memory.get(name))
    more = f" ({len(kept)} statements)" if len(kept) > 1 else ""
    last = " ".join(said(kept[-1]).split()) if kept else "empty"
    lines.append(f"{name}: {last[:80]}{more}")
if len(names) > 30:
    lines.append(f"... and {len(names) - 30} more")
reply("\\n".join(lines) or "I keep nothing yet. Tell me something: `Bob lives in Berlin`.")
done()
""",
    )


def show(names: Sequence[str], asked: str) -> str:
    """The value of the first of the variables that exists."""
    return program(
        READ,
        f"""
import json

for name in {list(names)!r}:
    value = memory.get(name)
    if value is None:
        continue
    if isinstance(value, list) and any([isinstance(x, dict) and "said" in x for x in value]):
        text = "\\n".join([told(x) for x in value])
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
    reply(f"{{name}}, version {{memory.version(name)}}:\\n{{text[:4000]}}")
    done()
""",
        say(f"There is nothing under {asked!r}. `list` shows what I keep."),
    )


def history(names: Sequence[str], asked: str) -> str:
    """When and why the first of the variables that exists was written."""
    return program(
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
    return program(
        f"words = {list(words)!r}",
        FITS,
        r"""
parts = event.context
text = "\n".join([part if isinstance(part, str) else str(part) for part in parts])
sentences = [s.strip() for s in re.split(r"(?<=[.!?])\s+|\n+", text[:200000]) if s.strip()]
ranked = sorted([(-fits(s), at) for at, s in enumerate(sentences)])
done([sentences[at][:400] for score, at in ranked[:3] if score])
""",
    )
