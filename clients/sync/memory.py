# Generated from clients/aio/memory.py by scripts/unasync.py. Do not edit.
"""An agent's memory, with the names of the `memory` module that the agent itself programs with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from rlmd.clients import decode
from rlmd.clients.check import (
    INT32,
    check_bool,
    check_choice,
    check_int,
    check_optional_int,
    check_path,
    check_str,
    check_type,
)
from rlmd.clients.parts import Parts, Progress, is_large, is_stream
from rlmd.clients.records import Erased, Hit, Kind, Match, Origin, Purge, Retention, Variable, Version
from rlmd.clients.values import from_value, to_interval, to_time, to_value
from rlmd.errors import InvalidInput, NotFound, PreconditionFailed, TooLarge
from rlmd.proto.rlmd.v1 import forgetting_pb2
from rlmd.proto.rlmd.v1 import memory_pb2 as pb
from rlmd.proto.rlmd.v1.forgetting_pb2_grpc import ForgettingStub
from rlmd.proto.rlmd.v1.memory_pb2_grpc import MemoryStub

from .connection import Connection, request_id
from .large import Reader, write

LONG_SECONDS = 3600.0
"""For a purge, which writes the whole database anew."""
When = datetime | str | None
"""A time; a text is ISO 8601, in the machine's zone if it names none."""


class Memory:
    """The variables of one space.

    All methods raise `InvalidInput` for what cannot be, and `Unavailable` when no daemon answers.
    """

    def __init__(self, connection: Connection, space: str) -> None:
        self._connection = connection
        self._stub = MemoryStub(connection.channel)
        self._forgetting = ForgettingStub(connection.channel)
        self.space = space
        self._parent = f"spaces/{space}"

    def __repr__(self) -> str:
        return f"Memory({self.space!r})"

    def get(self, name: str, default: Any = None, *, version: int | None = None, as_of: When = None) -> Any:
        """The latest value, or an older one by version or time; `default` if there is no such variable.

        Whatever its size, it is read as a whole; `read` and `slice` give parts.

        Raises:
            NotFound: there is no such version.
        """
        try:
            variable = self.variable(name, version=version, as_of=as_of)
        except NotFound:
            if version is None:
                return default
            raise
        return default if variable.version.kind is Kind.DELETED else variable.value

    def variable(self, name: str, *, version: int | None = None, as_of: When = None) -> Variable:
        """The value with all that is known about it.

        Raises:
            NotFound: there is no such variable, or no such version.
        """
        request = pb.GetVariableRequest(
            name=self._name(name), version=_version(version), as_of=to_time(as_of, "as_of")
        )
        try:
            return decode.variable(self._connection.call(self._stub.GetVariable, request))
        except TooLarge:
            reader = self.open(name, version=version, as_of=as_of)
            return replace(reader.variable, value=reader.whole())

    def set(
        self,
        name: str,
        value: Any,
        *,
        expect: int | None = None,
        note: str = "",
        source_time: When = None,
        origin: Origin | None = None,
    ) -> Version:
        """Write a new version, which is on disk when this returns; creates the variable.

        A value of up to 1 GiB may also be an open file or an iterator of texts or of bytes: then it is read
        and sent in parts, and the version is made when all has come. Large texts and bytes are sent so too.

        Args:
            expect: Write only if this is the latest version (0: only if there is no such variable).
            note: Why, for the history.
            source_time: When what the value tells happened, if not now.
            origin: Where it came from; None means from you.

        Raises:
            Conflict: the variable is at another version than `expect`.
        """
        if is_stream(value) or is_large(value):
            header = self._header(name, expect, note, source_time, origin)
            return decode.written(write(self._connection, Parts(value, header)))
        request = pb.SetVariableRequest(
            name=self._name(name),
            value=to_value(value),
            expect_version=check_optional_int(expect, "expect"),
            note=check_str(note, "note"),
            source_time=to_time(source_time, "source_time"),
            origin=_origin(origin),
            request_id=request_id(),
        )
        return decode.written(self._connection.call(self._stub.SetVariable, request))

    def append(
        self, name: str, value: Any, *, expect: int | None = None, note: str = "", source_time: When = None
    ) -> Version:
        """Add text to a text, bytes to bytes, or one item to a list, as a new version; creates the variable.

        As for `set`, the value may be an open file or an iterator.

        Raises:
            Conflict: the variable is at another version than `expect`.
        """
        if is_stream(value) or is_large(value):
            header = self._header(name, expect, note, source_time, None, append=True)
            return decode.written(write(self._connection, Parts(value, header)))
        request = pb.AppendVariableRequest(
            name=self._name(name),
            value=to_value(value),
            expect_version=check_optional_int(expect, "expect"),
            note=check_str(note, "note"),
            source_time=to_time(source_time, "source_time"),
            request_id=request_id(),
        )
        return decode.written(self._connection.call(self._stub.AppendVariable, request))

    def upload(
        self,
        name: str,
        source: Path | str | BinaryIO,
        *,
        text: bool = True,
        append: bool = False,
        expect: int | None = None,
        note: str = "",
        source_time: When = None,
        origin: Origin | None = None,
        progress: Progress | None = None,
    ) -> Version:
        """Write a file of up to 1 GiB as a new version, or append it, without reading it as a whole.

        Args:
            source: Path of the file, or the open file.
            text: Whether it is UTF-8 text, else bytes.
            progress: Is told the bytes sent so far.

        Raises:
            InvalidInput: it is not UTF-8 text.
            OSError: it cannot be read.
        """
        header = self._header(name, expect, note, source_time, origin, append=append)
        file = source if is_stream(source) else check_path(source, "source")
        parts = Parts(file, header, text=check_bool(text, "text"), progress=progress)
        return decode.written(write(self._connection, parts))

    def open(self, name: str, *, version: int | None = None, as_of: When = None) -> Reader:
        """A value of any size, to be read in parts, with all that is known about it.

        Raises:
            NotFound: there is no such variable, or no such version.
        """
        request = pb.ReadVariableRequest(
            name=self._name(name), version=_version(version), as_of=to_time(as_of, "as_of")
        )
        reader = Reader(self._connection, request)
        reader.begin()
        return reader

    def read(self, name: str, *, version: int | None = None, as_of: When = None) -> Iterator[Any]:
        """The value in parts: texts of a text (and of JSON), bytes of bytes; at most 256 KiB each."""
        reader = self.open(name, version=version, as_of=as_of)
        yield from reader.parts()

    def download(
        self,
        name: str,
        path: Path | str,
        *,
        version: int | None = None,
        as_of: When = None,
        progress: Progress | None = None,
    ) -> Variable:
        """Write the value to a file; gives what is known about it. The file is there only when it is whole.

        Raises:
            NotFound: there is no such variable, or no such version.
            OSError: it cannot be written.
        """
        reader = self.open(name, version=version, as_of=as_of)
        target, done = check_path(path, "path"), 0
        partial = target.with_name(f"{target.name}.partial")
        try:
            with partial.open("wb") as file:
                for data in reader.chunks():
                    file.write(data)
                    done += len(data)
                    if progress is not None:
                        progress(done)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return reader.variable

    def set_all(self, values: Mapping[str, Any], *, note: str = "") -> list[Version]:
        """Set up to 1,000 variables, of at most 16 MiB together: all are written, or none.

        Gives their versions in the same order.
        """
        check_type(values, Mapping, "values")
        requests = [
            pb.SetVariableRequest(name=self._name(name), value=to_value(value), note=check_str(note, "note"))
            for name, value in values.items()
        ]
        request = pb.BatchSetVariablesRequest(parent=self._parent, requests=requests, request_id=request_id())
        answer = self._connection.call(self._stub.BatchSetVariables, request)
        return [decode.written(variable) for variable in answer.variables]

    def search(
        self, query: str, k: int = 10, prefix: str = "", *, after: When = None, before: When = None
    ) -> list[Hit]:
        """The passages that fit best, by meaning and words; sees every write that was acknowledged before.

        Args:
            after: Only passages of sources that are not older.
            before: Only passages of sources that are older.

        Raises:
            InvalidInput: nothing can be at or after `after` and before `before`.
        """
        since, until = to_interval(after, before)
        request = pb.SearchRequest(
            parent=self._parent,
            query=check_str(query, "query"),
            k=check_int(k, "k", 1, INT32),
            prefix=check_str(prefix, "prefix"),
            after=since,
            before=until,
        )
        answer = self._connection.call(self._stub.Search, request)
        return [decode.hit(hit) for hit in answer.hits]

    def names(self, prefix: str = "") -> list[str]:
        """The names of all variables that begin so, in their order."""
        return [variable.name for variable in self.variables(prefix)]

    def variables(self, prefix: str = "", *, deleted: bool = False) -> Iterator[Variable]:
        """All variables whose names begin so, in the order of their names, without values."""
        request = pb.ListVariablesRequest(
            parent=self._parent,
            prefix=check_str(prefix, "prefix"),
            page_size=1000,
            show_deleted=check_bool(deleted, "deleted"),
        )
        for message in self._connection.pages(self._stub.ListVariables, request, "variables"):
            yield decode.variable(message)

    def version(self, name: str) -> int:
        """Number of the latest version; 0 if there is no such variable."""
        request = pb.ListVersionsRequest(parent=self._name(name), page_size=1)
        try:
            page = self._connection.call(self._stub.ListVersions, request)
        except NotFound:
            return 0
        return page.versions[0].number if page.versions else 0

    def history(self, name: str) -> list[Version]:
        """All versions, oldest first. Also of a deleted variable.

        Raises:
            NotFound: there never was such a variable.
        """
        request = pb.ListVersionsRequest(parent=self._name(name), page_size=1000)
        pages = self._connection.pages(self._stub.ListVersions, request, "versions")
        return [decode.version(message) for message in pages][::-1]

    def diff(self, name: str, a: int, b: int) -> str:
        """What changed from version `a` to version `b`, as a unified diff; empty if nothing.

        0 as `b` means the latest version, 0 as `a` the one before `b`.
        """
        request = pb.DiffVersionsRequest(
            name=self._name(name), from_version=check_int(a, "a"), to_version=check_int(b, "b")
        )
        return (self._connection.call(self._stub.DiffVersions, request)).diff

    def revert(self, name: str, version: int, *, expect: int | None = None, note: str = "") -> Version:
        """Make the value of an earlier version the latest, as a new version."""
        request = pb.RevertVariableRequest(
            name=self._name(name),
            version=check_int(version, "version", 1),
            expect_version=check_optional_int(expect, "expect"),
            note=check_str(note, "note"),
            request_id=request_id(),
        )
        return decode.written(self._connection.call(self._stub.RevertVariable, request))

    def delete(self, name: str, *, expect: int | None = None, note: str = "") -> Version:
        """Hide the variable, as a new version without a value; `undelete` brings it back.

        Raises:
            NotFound: there is no such variable.
        """
        request = pb.DeleteVariableRequest(
            name=self._name(name),
            expect_version=check_optional_int(expect, "expect"),
            note=check_str(note, "note"),
            request_id=request_id(),
        )
        return decode.written(self._connection.call(self._stub.DeleteVariable, request))

    def undelete(self, name: str, *, note: str = "") -> Version:
        """Bring a deleted variable back as it was, as a new version.

        Raises:
            PreconditionFailed: it is not deleted.
        """
        request = pb.UndeleteVariableRequest(
            name=self._name(name), note=check_str(note, "note"), request_id=request_id()
        )
        return decode.written(self._connection.call(self._stub.UndeleteVariable, request))

    def keep(self, prefix: str, *, seconds: int | None = None, versions: int | None = None) -> Retention:
        """Say how long variables are kept whose names begin so; the longest prefix that fits a name counts.

        Args:
            seconds: Those that nobody has written for so long are deleted, which hides them.
            versions: So many of the last versions are kept; older ones are erased, and cannot come back.
        """
        rule = forgetting_pb2.Retention(
            prefix=check_str(prefix, "prefix"),
            seconds=check_optional_int(seconds, "seconds", 1),
            versions=check_optional_int(versions, "versions", 1),
        )
        return self._retain(rule)

    def pin(self, name: str) -> Retention:
        """No rule of `keep` touches this variable."""
        return self._retain(forgetting_pb2.Retention(prefix=check_str(name, "prefix"), pinned=True))

    def unkeep(self, prefix: str) -> None:
        """Drop the rule for exactly this prefix, or unpin this name.

        Raises:
            NotFound: there is none.
        """
        request = forgetting_pb2.DeleteRetentionRequest(
            parent=self._parent, prefix=check_str(prefix, "prefix")
        )
        self._connection.call(self._forgetting.DeleteRetention, request)

    def retentions(self) -> list[Retention]:
        """The rules of `keep` and `pin`, in the order of their prefixes."""
        request = forgetting_pb2.ListRetentionsRequest(parent=self._parent)
        answer = self._connection.call(self._forgetting.ListRetentions, request)
        return [decode.retention(message) for message in answer.retentions]

    def _retain(self, rule: forgetting_pb2.Retention) -> Retention:
        request = forgetting_pb2.SetRetentionRequest(parent=self._parent, retention=rule)
        return decode.retention(self._connection.call(self._forgetting.SetRetention, request))

    def purge(self, *names: str, prefix: str | None = None, text: str = "", note: str = "") -> Erased:
        """Erase variables with all their past, to the last byte. There is no way back, and it takes long.

        What runs that wrote or read them have in their journals goes too. Without any argument it finishes a
        purge that was cut off.

        Args:
            prefix: All variables whose names begin so.
            text: Also messages, and whatever else holds this text.
            note: Why; kept in the list of purges.

        Raises:
            NotFound: there is no such variable, not even a deleted one.
            PreconditionFailed: a run that is not over has to do with it, or others hold the text.
        """
        request = forgetting_pb2.PurgeVariablesRequest(
            parent=self._parent,
            names=[check_str(name, "names") for name in names],
            prefix=None if prefix is None else check_str(prefix, "prefix"),
            text=check_str(text, "text"),
            note=check_str(note, "note"),
        )
        answer = self._connection.call(
            self._forgetting.PurgeVariables, request, once=True, seconds=LONG_SECONDS
        )
        return decode.erased(answer)

    def purges(self) -> list[Purge]:
        """That something was purged, in whatever space of yours, newest first."""
        request = forgetting_pb2.ListPurgesRequest(page_size=1000)
        pages = self._connection.pages(self._forgetting.ListPurges, request, "purges")
        return [decode.purge(message) for message in pages]

    def size(self, name: str) -> int:
        """Characters of a text, bytes of bytes, items of a list or dict.

        Raises:
            NotFound: there is no such variable.
            InvalidInput: it is a number, a boolean or None, which have no size.
        """
        try:
            return (self._slice(name, 0, 0)).length
        except PreconditionFailed:
            # Only text and bytes are cut in slices; of the rest, the daemon knows bytes, which say nothing.
            value = self.get(name)
        if isinstance(value, list | dict):
            return len(value)
        remedy = "Sizes are of texts, bytes, lists and dicts."
        raise InvalidInput(f"A {type(value).__name__} has no size.", field="name", remedy=remedy)

    def slice(self, name: str, start: int, end: int, *, version: int | None = None) -> Any:
        """Characters of a text (or bytes) from `start` until before `end`, at most 1 Mi of them."""
        return from_value((self._slice(name, start, end, _version(version))).value)

    def grep(self, pattern: str, prefix: str = "", k: int = 100) -> list[Match]:
        """The first `k` lines that match a regular expression, in the order of names and lines."""
        request = pb.GrepRequest(
            parent=self._parent,
            pattern=check_str(pattern, "pattern"),
            prefix=check_str(prefix, "prefix"),
            limit=check_int(k, "k", 1, INT32),
        )
        answer = self._connection.call(self._stub.Grep, request)
        return [decode.match(found) for found in answer.matches]

    def _slice(self, name: str, start: int, end: int, version: int = 0) -> pb.ReadSliceResponse:
        request = pb.ReadSliceRequest(
            name=self._name(name), start=check_int(start, "start"), end=check_int(end, "end"), version=version
        )
        return self._connection.call(self._stub.ReadSlice, request)

    def _header(
        self,
        name: str,
        expect: int | None,
        note: str,
        source_time: When,
        origin: Origin | None,
        *,
        append: bool = False,
    ) -> pb.WriteHeader:
        return pb.WriteHeader(
            name=self._name(name),
            mode=pb.WRITE_MODE_APPEND if check_bool(append, "append") else pb.WRITE_MODE_SET,
            expect_version=check_optional_int(expect, "expect"),
            note=check_str(note, "note"),
            source_time=to_time(source_time, "source_time"),
            origin=_origin(origin),
            request_id=request_id(),
        )

    def _name(self, name: str) -> str:
        if not check_str(name, "name"):
            raise InvalidInput("it is empty", field="name", remedy="Give a name such as people/bob.")
        return f"{self._parent}/variables/{name}"


def _version(version: int | None) -> int:
    """A version as the contract has it, where 0 means the latest."""
    return 0 if version is None else check_int(version, "version", 1)


def _origin(origin: Origin | None) -> pb.Origin.ValueType:
    return pb.ORIGIN_UNSPECIFIED if origin is None else check_choice(origin, decode.ORIGINS, "origin")
