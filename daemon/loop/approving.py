"""What a run may do after it has read text from outside: nothing of consequence, unless its owner approves.

Text from outside may hold instructions, and a model may follow them. So a run whose origin has fallen to
`external` stops at each call that reaches beyond its memory and its own conversation. The owner is shown the
call with its exact arguments, on their own channel; the approval is bound to that very call, and `always`
makes it a permit of the agent's (see memory/permits.py). All this is below the prompt: no model can skip it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlmd.memory.records import Form, Run

YES, NO, ALWAYS = "yes", "no", "always"
FORM = Form(choices=(YES, NO, ALWAYS))
MAX_SHOWN = 8_000
"""Characters of a call that the owner is shown."""


@dataclass(frozen=True)
class Consequence:
    """A call that reaches further than the run's own memory and conversation."""

    whats: Sequence[str]
    """By which it is permitted, such as `home.lights`; it takes all of them."""
    shown: str
    """The call with its arguments, as the owner is shown it."""

    @property
    def what(self) -> str:
        return " and ".join(self.whats)


def consequence(whats: list[str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Consequence:
    given = [_literal(value) for value in args] + [
        f"{key}={_literal(value)}" for key, value in kwargs.items()
    ]
    return Consequence(whats, f"{' and '.join(whats)}({', '.join(given)})")


def question(run: Run, about: Consequence) -> str:
    """What the owner is asked."""
    shown = about.shown
    if len(shown) > MAX_SHOWN:
        shown = f"{shown[:MAX_SHOWN]} ... and {len(shown) - MAX_SHOWN:,} characters more"
    return (
        f"Run {run.root} of {run.agent} has read text from outside, and wants to call {shown}. Shall it? "
        f"`always` permits {about.what} to {run.agent} for good."
    )


def _literal(value: Any) -> str:
    """A value on one line, in quotes where it is a text: it must not look like anything else."""
    return json.dumps(value, ensure_ascii=False, default=repr)
