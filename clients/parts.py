"""Values too large for one message, cut into the messages of a stream.

What is sent comes from memory (which can be sent again if the daemon was away) or from a file or an iterator
(which cannot). If it fails while it is read, the stream ends without its end, by which the daemon knows that
it is not whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from rlmd.errors import InvalidInput
from rlmd.proto.rlmd.v1 import memory_pb2 as pb

from .check import check_str

CHUNK = 256 * 1024
"""Bytes of a message; characters, where a text is cut."""
LARGE = 4 * 1024 * 1024
"""Characters or bytes from which a value is sent as a stream."""
Progress: TypeAlias = Callable[[int], None]
"""Is told the bytes so far."""


def is_stream(value: object) -> bool:
    """Whether the value is to be read for its parts: a file that is open, or an iterator."""
    return callable(getattr(value, "read", None)) or isinstance(value, Iterator)


def is_large(value: object) -> bool:
    """Whether the value is a text or bytes that one message should not carry."""
    return isinstance(value, str | bytes | bytearray | memoryview) and len(value) > LARGE


class Parts:
    """The messages of one WriteVariable. Iterate over it once a try."""

    def __init__(
        self,
        source: Any,
        header: pb.WriteHeader,
        *,
        text: bool | None = None,
        progress: Progress | None = None,
    ) -> None:
        """`text`: that bytes are UTF-8 text (True) or not (False); None means as the parts are."""
        self._source = source
        self._header = header
        self._text = text
        self._progress = progress
        self.again = not is_stream(source)
        """Whether it can be sent again."""
        self.error: Exception | None = None
        """What reading the source has raised."""

    def __iter__(self) -> Iterator[pb.WriteVariableRequest]:
        try:
            yield from self._messages()
        except GeneratorExit:
            raise
        except Exception as error:
            # Raised here, gRPC would report a cancelled call and lose the reason.
            self.error = error

    def _messages(self) -> Iterator[pb.WriteVariableRequest]:
        sent = 0
        kind: type | None = None
        for part in _read(self._source):
            if kind is None:
                kind = str if isinstance(part, str) else bytes
                yield self._begin(kind is str)
            elif isinstance(part, str) is not (kind is str):
                raise InvalidInput(
                    "texts and bytes are mixed", field="value", remedy="Give parts of one kind."
                )
            data = check_str(part, "value").encode() if isinstance(part, str) else bytes(part)
            for start in range(0, len(data), CHUNK):
                yield pb.WriteVariableRequest(chunk=data[start : start + CHUNK])
            sent += len(data)
            if self._progress is not None:
                self._progress(sent)
        if kind is None:
            yield self._begin(True)
        yield pb.WriteVariableRequest(end=pb.WriteEnd(size_bytes=sent))

    def _begin(self, text: bool) -> pb.WriteVariableRequest:
        self._header.kind = (
            pb.VALUE_KIND_TEXT if (text if self._text is None else self._text) else pb.VALUE_KIND_BYTES
        )
        return pb.WriteVariableRequest(header=self._header)


def _read(source: Any) -> Iterator[str | bytes | bytearray | memoryview]:
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield from _read(file)
    elif isinstance(source, str | bytes | bytearray | memoryview):
        for start in range(0, len(source), CHUNK):
            yield source[start : start + CHUNK]
    elif callable(read := getattr(source, "read", None)):
        while part := read(CHUNK):
            yield _checked(part)
    else:
        yield from map(_checked, source)


def _checked(part: Any) -> str | bytes | bytearray | memoryview:
    if isinstance(part, str | bytes | bytearray | memoryview):
        return part
    raise InvalidInput(
        f"a part is a {type(part).__name__}, not a text or bytes",
        field="value",
        remedy="Give texts, or bytes.",
    )
