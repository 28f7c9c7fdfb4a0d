"""Values on their way to the daemon and back: `str` is text, `bytes` are bytes, everything else is JSON."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from rlmd.errors import InvalidInput
from rlmd.proto.rlmd.v1 import memory_pb2 as pb

from .check import check_str

MAX_DEPTH = 100
"""Levels of lists and dicts in one value."""
_LONG_NUMBER = "a number of thousands of digits is more than JSON can carry."


def to_value(value: object) -> pb.Value:
    """A Python value as the contract has it. Tuples become lists.

    Raises:
        InvalidInput: a part is not JSON; the message names its path.
    """
    if isinstance(value, str):
        return pb.Value(text=check_str(value, "value"))
    if isinstance(value, bytes | bytearray | memoryview):
        return pb.Value(data=bytes(value))
    _check(value, "value", 0)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as exc:
        raise InvalidInput(_LONG_NUMBER, field="value", remedy="Give it as a text.") from exc
    return pb.Value(json=text)


def from_value(value: pb.Value) -> Any:
    """A value of the contract as a Python value; None if it has none."""
    match value.WhichOneof("kind"):
        case "json":
            return json.loads(value.json)
        case "text":
            return value.text
        case "data":
            return value.data
    return None


def parse_json(text: str, field: str = "value") -> Any:
    """Strict JSON, as a person types it.

    Raises:
        InvalidInput: it is not; says where.
    """

    def refuse(constant: str) -> Any:
        raise InvalidInput(f"{constant} is not JSON.", field=field, remedy="Use null or a text instead.")

    try:
        return json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as exc:
        where = f"line {exc.lineno}, column {exc.colno}"
        raise InvalidInput(
            f"not JSON: {exc.msg} at {where}.", field=field, remedy="Texts need double quotes."
        ) from exc
    except ValueError as exc:
        raise InvalidInput(_LONG_NUMBER, field=field, remedy="Give it as a text.") from exc
    except RecursionError as exc:
        raise InvalidInput("JSON that is nested too deeply.", field=field, remedy="Flatten it.") from exc


def _check(value: object, path: str, depth: int) -> None:
    if value is None or isinstance(value, bool | int):
        return
    if isinstance(value, str):
        check_str(value, path)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(f"{value} is not a JSON number.", field=path, remedy="Use None or a text.")
    elif depth >= MAX_DEPTH:
        reason = f"more than {MAX_DEPTH} levels deep, or it holds itself."
        raise InvalidInput(reason, field=path[:200], remedy="Flatten it.")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidInput(f"the key {key!r} is not a text.", field=path, remedy="Use str(key).")
            _check(item, f"{path}[{check_str(key, path)!r}]", depth + 1)
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            _check(item, f"{path}[{position}]", depth + 1)
    else:
        raise InvalidInput(
            f"a {type(value).__name__} is not JSON data, text or bytes.",
            field=path,
            remedy="Make it of dicts, lists, texts, numbers, booleans and None.",
        )


def to_time(when: datetime | str | None, field: str) -> Timestamp | None:
    """A time as the contract has it. A text is read as ISO 8601; without a zone it is in the machine's.

    Raises:
        InvalidInput: the text is no time, or the time is outside the years 1 to 9999 in UTC.
    """
    if when is None:
        return None
    remedy = "Give a datetime, or a text such as 2026-11-01 or 2026-11-01T18:00+01:00."
    if not isinstance(when, str | datetime):
        raise InvalidInput(f"a {type(when).__name__} is not a time.", field=field, remedy=remedy)
    try:
        moment = datetime.fromisoformat(when) if isinstance(when, str) else when
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError) as exc:
        raise InvalidInput(f"{when!r} is not a time.", field=field, remedy=remedy) from exc
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def to_interval(
    after: datetime | str | None, before: datetime | str | None
) -> tuple[Timestamp | None, Timestamp | None]:
    """Both ends of a time span, as the contract has them.

    Raises:
        InvalidInput: an end is no time, or nothing can be between them.
    """
    since, until = to_time(after, "after"), to_time(before, "before")
    if since is not None and until is not None and since.ToNanoseconds() >= until.ToNanoseconds():
        raise InvalidInput(
            f"{after} is not before {before}: no time is in between.",
            field="after",
            remedy="Give the earlier time as after, the later one as before.",
        )
    return since, until


def from_time(stamp: Timestamp) -> datetime:
    """An aware datetime in UTC."""
    return stamp.ToDatetime(tzinfo=UTC)
