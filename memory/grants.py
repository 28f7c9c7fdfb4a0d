"""What members of a hive may do: patterns, verbs, how often and until when.

    *                 every variable, or every member
    notes/*           what begins so
    plan              that one
    {member}/*        stands for the member's own name: each has a corner of its own

Without a grant that is in force, nothing: there is no other way to a hive's space or to its members.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from rlmd.errors import InvalidInput

from .hive_records import CALLING, Grant, Verb
from .names import check_text, short

OWN = "{member}"
DEFAULTS: Sequence[tuple[str, Sequence[Verb]]] = (
    ("*", (Verb.READ, Verb.SEARCH, Verb.APPEND, Verb.ASK, Verb.TELL)),
    (f"{OWN}/*", (Verb.WRITE,)),
)
"""What a new hive grants to all: to read and add, and to change only what stands below one's own name."""
DEFAULT_RATE = 120
MAX_RATE = 100_000
"""Calls a minute from one member to another."""


def fits(pattern: str, name: str, member: str) -> bool:
    """Whether a pattern, as it is meant for a member, covers a name."""
    pattern = pattern.replace(OWN, member)
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def holding(grants: Iterable[Grant], verb: Verb, member: str, now: datetime) -> list[Grant]:
    """Those in force that let a member do something."""
    mine = (grant for grant in grants if grant.member in ("", member) and grant.holds(now))
    # Who may change a variable may add to it.
    enough = {verb, Verb.WRITE} if verb is Verb.APPEND else {verb}
    return [grant for grant in mine if enough & set(grant.verbs)]


def check_verbs(verbs: Iterable[str]) -> tuple[Verb, ...]:
    """Raises InvalidInput."""
    found = []
    for verb in verbs:
        if verb not in list(Verb):
            raise InvalidInput(
                f"{short(verb)} is not a verb", field="verbs", remedy=f"There are: {', '.join(Verb)}."
            )
        found.append(Verb(verb))
    if not found:
        raise InvalidInput("no verb is given", field="verbs", remedy=f"There are: {', '.join(Verb)}.")
    return tuple(verb for verb in Verb if verb in found)


def check_pattern(pattern: str) -> str:
    """Raises InvalidInput."""
    check_text(pattern, "pattern", limit=512)
    if not pattern.strip() or "*" in pattern[:-1]:
        raise InvalidInput(
            f"{short(pattern)} is not a pattern",
            field="pattern",
            remedy="Write a name, or its beginning with '*' at the end: 'plan', 'notes/*', '*'.",
        )
    return pattern


def check_rate(rate: int | None, verbs: Sequence[Verb]) -> int | None:
    """Raises InvalidInput."""
    if rate is None:
        return None
    if not 1 <= rate <= MAX_RATE:
        raise InvalidInput(
            f"{rate} is not between 1 and {MAX_RATE:,}", field="rate", remedy="Leave it out for the usual."
        )
    if not set(verbs) & set(CALLING):
        raise InvalidInput("only ask and tell have a rate", field="rate", remedy="Leave it out.")
    return rate
