"""What things may be called, checked in one place."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

from rlmd.errors import InvalidInput

MAX_NAME = 512
MAX_NOTE = 1_000
_ID = re.compile(r"[a-z][a-z0-9-]{0,62}")
_NO_SEGMENTS = ("", ".", "..")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CHANNEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def check_id(value: str, field: str) -> str:
    """An id of a user or agent: 1 to 63 of a-z, 0-9 and `-`, beginning with a letter."""
    if not _ID.fullmatch(value):
        raise InvalidInput(
            f"{short(value)} is not a valid id",
            field=field,
            remedy="Use 1 to 63 of a-z, 0-9 and '-', beginning with a letter.",
        )
    return value


def check_channel(value: str, field: str = "channel") -> str:
    """A channel's name: as an id, and `_`, because programs import it."""
    if not _CHANNEL.fullmatch(value):
        raise InvalidInput(
            f"{short(value)} is not a valid channel",
            field=field,
            remedy="Use 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter.",
        )
    return value


def check_variable(name: str, field: str = "name") -> str:
    """A variable's name: segments parted by `/`, none empty, `.` or `..`, no control characters.

    Returns it in Unicode's composed form (NFC), so that one name is one variable however it was typed.
    """
    name = unicodedata.normalize("NFC", check_text(name, field))
    if problem := _variable_problem(name):
        raise InvalidInput(
            f"{short(name)} is not a valid name: {problem}",
            field=field,
            remedy="A name is like 'people/bob': parts between slashes, at most 512 characters in all.",
        )
    return name


def check_prefix(prefix: str, field: str = "prefix") -> str:
    """The beginning of a variable's name, in the form in which names are kept."""
    return unicodedata.normalize("NFC", check_text(prefix, field))


def _variable_problem(name: str) -> str:
    if not name:
        return "it is empty"
    if len(name) > MAX_NAME:
        return f"it has {len(name)} characters"
    if _CONTROL.search(name):
        return "it holds a control character"
    if name != name.strip():
        return "it begins or ends with white space"
    if name.startswith("@"):
        return "names that begin with '@' belong to hives"
    for segment in name.split("/"):
        if segment in _NO_SEGMENTS:
            return f"a part of it is {segment!r}"
    return ""


def check_text(value: str, field: str, *, limit: int | None = None) -> str:
    """Text that can be kept: no lone surrogates, and at most `limit` characters."""
    if limit is not None and len(value) > limit:
        raise InvalidInput(
            f"{len(value):,} characters are more than {limit:,}",
            field=field,
            remedy="Shorten it and try again.",
        )
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"character {error.start} is half of a surrogate pair, which is not text",
            field=field,
            remedy="Decode the text as UTF-8 (or with errors='replace') before you send it.",
        ) from None
    return value


def check_page(size: int, *, most: int = 1000, default: int = 100, field: str = "page_size") -> int:
    """A page size or limit: 0 means the default."""
    if size < 0 or size > most:
        raise InvalidInput(
            f"{size} is not between 0 and {most:,}", field=field, remedy="0 means the default."
        )
    return size or default


def check_past(time: datetime | None, now: datetime, field: str) -> datetime | None:
    """A time that has been; a minute's grace for clocks that differ."""
    if time is not None and (time - now).total_seconds() > 60:
        raise InvalidInput(
            f"{time.isoformat()} is in the future",
            field=field,
            remedy=f"It is now {now.isoformat(timespec='seconds')}.",
        )
    return time


def short(value: object) -> str:
    """A value as it may stand in a message: quoted and not long."""
    text = repr(value)
    return text if len(text) <= 80 else text[:60] + "...'"
