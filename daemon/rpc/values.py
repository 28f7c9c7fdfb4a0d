"""Values, times and enums as they come in: checked strictly, so that what is stored is what was meant."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, overload

from google.protobuf.timestamp_pb2 import Timestamp

from rlmd.errors import InvalidInput, TooLarge
from rlmd.memory.clock import EPOCH
from rlmd.memory.records import Kind, Origin
from rlmd.proto.rlmd.v1 import memory_pb2 as pb

MAX_VALUE = 16 * 1024 * 1024
"""Bytes of a value in one request or answer."""
_FIRST = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
_LAST = int(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())


def value_from(value: pb.Value, field: str = "value") -> Any:
    """The Python value: `str`, `bytes`, or JSON data.

    Raises:
        InvalidInput: none of the three kinds is set, or the JSON is not JSON.
        TooLarge: over 16 MiB.
    """
    kind = value.WhichOneof("kind")
    if kind is None:
        raise InvalidInput("there is no value", field=field, remedy="Set one of json, text and data.")
    if value.ByteSize() > MAX_VALUE:
        content = value.data if kind == "data" else getattr(value, kind).encode()
        if len(content) > MAX_VALUE:
            raise TooLarge(
                f"{len(content):,} bytes are more than one request takes, {MAX_VALUE:,}",
                field=field,
                remedy="Set the first part with SetVariable and add the others with AppendVariable.",
            )
    if kind == "json":
        return json_from(value.json, f"{field}.json")
    return value.text if kind == "text" else value.data


def json_from(text: str, field: str) -> Any:
    """Strict JSON: no NaN, no infinity, nothing behind the end."""
    try:
        return _strict.decode(text)
    except json.JSONDecodeError as error:
        reason = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        reason = "not JSON that can be kept: it is nested too deeply"
    except ValueError as error:
        reason = f"not JSON: {error}"
    raise InvalidInput(reason, field=field, remedy="Correct it, or send it as text.")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


_strict = json.JSONDecoder(parse_constant=_refuse_constant)


def value_to(value: Any, kind: Kind) -> pb.Value:
    """Raises TooLarge: over 16 MiB."""
    match kind:
        case Kind.TEXT:
            return pb.Value(text=value)
        case Kind.BYTES:
            return pb.Value(data=value)
        case Kind.JSON:
            return pb.Value(json=json_text(value))
        case Kind.DELETED:
            raise RuntimeError("a deletion has no value")


def check_size(size: int) -> None:
    """Raises TooLarge for a stored value that does not fit into an answer."""
    if size > MAX_VALUE:
        raise TooLarge(
            f"the value has {size:,} bytes, and one answer takes {MAX_VALUE:,}",
            field="name",
            remedy="Read it in parts with ReadSlice, or look into it with Grep or Search.",
        )


def json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def time_from(message: Any, field: str) -> datetime | None:
    """The time in a request's field; None if it is not set. Parts of a microsecond are dropped.

    Raises:
        InvalidInput: outside of the years 1 to 9999.
    """
    if not message.HasField(field):
        return None
    time: Timestamp = getattr(message, field)
    if not _FIRST <= time.seconds <= _LAST or not 0 <= time.nanos < 1_000_000_000:
        raise InvalidInput(
            f"{time.seconds} s and {time.nanos} ns since 1970 is not a time",
            field=field,
            remedy="Times lie in the years 1 to 9999; nanoseconds are 0 to 999,999,999.",
        )
    return EPOCH + timedelta(seconds=time.seconds, microseconds=time.nanos // 1000)


@overload
def time_to(time: datetime) -> Timestamp: ...
@overload
def time_to(time: None) -> None: ...
@overload
def time_to(time: datetime | None) -> Timestamp | None: ...
def time_to(time: datetime | None) -> Timestamp | None:
    """None stays unset."""
    if time is None:
        return None
    since = time - EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def origin_from(number: int, own: Origin = Origin.OWNER) -> Origin:
    """Where a written content came from: the caller's own or lower, never higher.

    Raises:
        InvalidInput: not an origin.
    """
    if number == pb.ORIGIN_UNSPECIFIED:
        return own
    try:
        return min(own, Origin(number))
    except ValueError:
        raise unknown(number, "origin", pb.Origin.keys()) from None


def unknown(number: int, field: str, names: list[str]) -> InvalidInput:
    """For a number that an enum does not have, or that may not be used here."""
    return InvalidInput(
        f"{number} is not one of its values", field=field, remedy=f"There are: {', '.join(names)}."
    )


def given(text: str) -> Any:
    """An answer as it was given: JSON if it is that, otherwise the text that a person wrote."""
    try:
        return json.loads(text)
    except ValueError:
        return text
