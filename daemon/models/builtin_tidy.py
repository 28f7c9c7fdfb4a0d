"""The built-in model's program for an event of the kind `tidy`: what rules can honestly do about memory.

Statements that stand twice in a list of facts are merged, and each day on which something was noted gets a
page that lists it. What a statement means, and whether two of them contradict, takes a language model.
"""

from __future__ import annotations

from .builtin_code import FACTS, READ, program

DAYS = "days/"
MOST = 1_000
"""Lists of facts that are gone over."""


def tidy() -> str:
    return program(
        READ,
        f"""
names = memory.names({FACTS!r})[:{MOST}]
lines = []
days = {{}}
for name in names:
    facts = entries(memory.get(name))
    seen = {{}}
    kept = []
    for fact in facts:
        key = " ".join(said(fact).lower().split()).rstrip(".!")
        if key not in seen:
            seen[key] = True
            kept.append(fact)
            if isinstance(fact, dict) and fact.get("at"):
                days.setdefault(str(fact["at"])[:10], []).append(f"- {{said(fact)}} ({{name}})")
    if len(kept) < len(facts):
        gone = len(facts) - len(kept)
        memory.set(name, kept, note=f"{{gone}} that stood there twice, merged")
        lines.append(f"{{name}}: {{gone}} that stood there twice, merged.")
for day in sorted(days):
    page = "\\n".join(days[day])
    if memory.get({DAYS!r} + day) != page:
        memory.set({DAYS!r} + day, page, note="what was noted on that day")
        lines.append(f"{DAYS}{{day}}: what was noted on that day, {{len(days[day])}} in all.")
reply("\\n".join(lines) or "Nothing was worth changing.")
done()
""",
    )
