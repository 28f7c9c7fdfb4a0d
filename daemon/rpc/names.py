"""Resource names: `spaces/{space}/variables/{variable}` and the like, taken apart and put together."""

from __future__ import annotations

import functools
import re

from rlmd.errors import InvalidInput, NotFound
from rlmd.memory.names import check_text, short

_MOST_DIGITS = 18
"""So that a number fits into 64 bits."""


def parse(name: str, pattern: str, field: str = "name") -> list[str]:
    """The ids in a resource name; the last one of `{...=**}` may hold slashes.

        parse("spaces/main/variables/people/bob", "spaces/{space}/variables/{variable=**}")
        # -> ["main", "people/bob"]

    Raises:
        InvalidInput: the name does not fit the pattern.
    """
    check_text(name, field)
    match = _expression(pattern).fullmatch(name)
    if match is None:
        shown = pattern.replace("=**", "")
        raise InvalidInput(
            f"{short(name)} is not a name of the form {shown}", field=field, remedy=f"Give it as {shown}."
        )
    return list(match.groups())


@functools.cache
def _expression(pattern: str) -> re.Pattern[str]:
    expression = re.sub(r"\{\w+=\*\*\}", "(.+)", re.sub(r"\{\w+\}", "([^/]+)", pattern))
    return re.compile(expression, re.DOTALL)


def agent_of(name: str, field: str = "name") -> str:
    return parse(name, "agents/{agent}", field)[0]


def space_of(name: str, field: str = "name") -> str:
    return parse(name, "spaces/{space}", field)[0]


def variable_of(name: str, field: str = "name") -> tuple[str, str]:
    space, variable = parse(name, "spaces/{space}/variables/{variable=**}", field)
    return space, variable


def run_of(name: str, field: str = "name") -> tuple[str, int]:
    """Agent and number. Raises InvalidInput, or NotFound if the id is no number."""
    agent, run = parse(name, "agents/{agent}/runs/{run}", field)
    return agent, number(run, "run", "List the runs that exist.", field)


def question_of(name: str, field: str = "name") -> tuple[str, int]:
    """Agent and number. Raises InvalidInput, or NotFound if the id is no number."""
    agent, question = parse(name, "agents/{agent}/questions/{question}", field)
    return agent, number(question, "question", "List the questions that exist.", field)


def permit_of(name: str, field: str = "name") -> tuple[str, str]:
    agent, what = parse(name, "agents/{agent}/permits/{what}", field)
    return agent, what


def call_of(text: str, field: str) -> int:
    """Number of a call of a channel's function. Raises NotFound if it is no number."""
    return number(text, "call", "Answer with the id of the Invoke.", field)


def schedule_of(name: str, field: str = "name") -> tuple[str, str]:
    """Agent, and number or label."""
    agent, schedule = parse(name, "agents/{agent}/schedules/{schedule}", field)
    return agent, schedule


def token_of(name: str, field: str = "name") -> tuple[str, int]:
    """User and number. Raises InvalidInput, or NotFound if the id is no number."""
    user, token = parse(name, "users/{user}/tokens/{token}", field)
    return user, number(token, "token", "List the tokens that exist.", field)


def user_of(name: str, field: str = "name") -> str:
    return parse(name, "users/{user}", field)[0]


def number(text: str, what: str, remedy: str, field: str) -> int:
    """An id that we gave out is a number; no other text names anything."""
    if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS:
        return int(text)
    raise NotFound(f"there is no {what} {short(text)}", field=field, remedy=remedy)


def agent_name(agent: str) -> str:
    return f"agents/{agent}"


def space_name(space: str) -> str:
    return f"spaces/{space}"


def variable_name(space: str, variable: str) -> str:
    return f"spaces/{space}/variables/{variable}"


def run_name(agent: str, run: int | None) -> str:
    """Empty if there is no run."""
    return "" if run is None else f"agents/{agent}/runs/{run}"


def message_name(agent: str, message: int | str) -> str:
    return f"agents/{agent}/messages/{message}"


def question_name(agent: str, question: int) -> str:
    return f"agents/{agent}/questions/{question}"


def permit_name(agent: str, what: str) -> str:
    return f"agents/{agent}/permits/{what}"


def channel_name(channel: str) -> str:
    return f"channels/{channel}"


def schedule_name(agent: str, schedule: int) -> str:
    return f"agents/{agent}/schedules/{schedule}"


def user_name(user: str) -> str:
    return f"users/{user}"


def token_name(user: str, token: int) -> str:
    return f"users/{user}/tokens/{token}"
