"""What a caller gives, checked before it is sent: each thing that cannot be is an InvalidInput of its field.

Without it a wrong type or a number too large would come as an error of protobuf's, with no name of ours.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from rlmd.errors import InvalidInput

T = TypeVar("T")
INT32 = (1 << 31) - 1
INT64 = (1 << 63) - 1
"""The largest numbers that the contract can carry."""


def check_int(value: object, field: str, low: int = 0, high: int = INT64) -> int:
    """The number, if it is a whole one from `low` to `high`. A boolean is none.

    Raises:
        InvalidInput: it is not.
    """
    remedy = f"Give a whole number, {low:,} or more." if high >= INT32 else f"Give {low:,} to {high:,}."
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(value, "a whole number", field, remedy)
    if value < low:
        raise InvalidInput(f"{_short(value)} is below {low:,}.", field=field, remedy=remedy)
    if value > high:
        raise InvalidInput(f"{_short(value)} is over {high:,}.", field=field, remedy=remedy)
    return int(value)


def check_optional_int(value: object, field: str, low: int = 0, high: int = INT64) -> int | None:
    """As `check_int`; None is left as it is."""
    return None if value is None else check_int(value, field, low, high)


def check_str(value: object, field: str) -> str:
    """The text, if it is one, and valid Unicode.

    Raises:
        InvalidInput: it is none, or holds half of a surrogate pair, which no UTF-8 can carry.
    """
    if not isinstance(value, str):
        raise _wrong(value, "a text", field, "Give a text.")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise InvalidInput(
            f"character {exc.start} is half of a surrogate pair, not a character.",
            field=field,
            remedy="Decode the text it came from with the right encoding, or replace the character.",
        ) from exc
    return value


def check_bool(value: object, field: str) -> bool:
    """The boolean, if it is one.

    Raises:
        InvalidInput: it is not.
    """
    if not isinstance(value, bool):
        raise _wrong(value, "True or False", field, "Give True or False.")
    return value


def check_seconds(value: object, field: str) -> float:
    """A time span of more than 0 seconds and at most a day.

    Raises:
        InvalidInput: it is none.
    """
    remedy = "Give seconds, more than 0 and at most 86,400."
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(value, "a number", field, remedy)
    if not 0 < value <= 86_400:
        raise InvalidInput(f"{_short(value)} cannot be.", field=field, remedy=remedy)
    return float(value)


def check_span(value: object, field: str) -> timedelta:
    """A time span from seconds or a timedelta: not negative, and at most a year.

    Raises:
        InvalidInput: it is none.
    """
    remedy = "Give seconds or a timedelta, from 0 to 366 days."
    if isinstance(value, bool) or not isinstance(value, int | float | timedelta):
        raise _wrong(value, "a time span", field, remedy)
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not 0 <= seconds <= 366 * 86_400:
        raise InvalidInput(f"{_short(value)} cannot be.", field=field, remedy=remedy)
    return timedelta(seconds=seconds)


def check_path(value: object, field: str) -> Path:
    """The path that a text or a path object names.

    Raises:
        InvalidInput: it names none.
    """
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(path, str):
        raise _wrong(value, "a path", field, "Give a text or a pathlib.Path.")
    if not path or "\0" in path:
        raise InvalidInput(f"{_short(path)} is not a path.", field=field, remedy="Give one of a file.")
    return Path(path)


def check_choice(value: object, choices: Mapping[Any, T], field: str) -> T:
    """What a choice stands for.

    Raises:
        InvalidInput: it is none of them.
    """
    # A list cannot be looked up, as it has no hash; and only texts are choices.
    if not isinstance(value, str) or value not in choices:
        remedy = f"Give one of {', '.join(str(choice) for choice in choices if choice)}."
        raise InvalidInput(f"{_short(value)} is none of the choices.", field=field, remedy=remedy)
    return choices[value]


def check_type(value: object, kind: type[Any], field: str) -> None:
    """Refuse what is not of a class.

    Raises:
        InvalidInput: it is not.
    """
    if not isinstance(value, kind):
        raise _wrong(value, f"a {kind.__name__}", field, f"Give a {kind.__name__}.")


def _wrong(value: object, wanted: str, field: str, remedy: str) -> InvalidInput:
    return InvalidInput(
        f"{_short(value)} is a {type(value).__name__}, not {wanted}.", field=field, remedy=remedy
    )


def _short(value: object) -> str:
    """The value as a message can show it. A number of thousands of digits has no text at all."""
    try:
        text = repr(value)
    except ValueError:
        return "A number"
    return text if len(text) <= 40 else f"{text[:39]}…"
