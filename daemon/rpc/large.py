"""Values of any size, in parts: the two streaming methods of the service Memory.

Neither holds more than a few MiB of a value. What takes long (cutting, checking, compressing, reading) runs
on a thread, and the stream waits for it: a sender cannot be faster than the disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from rlmd.errors import InvalidInput, RlmdError
from rlmd.memory.names import check_text
from rlmd.memory.pieces import Packed
from rlmd.memory.records import Author, Kind
from rlmd.memory.store import Store, Transaction, digest_of
from rlmd.memory.uploads import BATCH_BYTES, Draft
from rlmd.memory.variables import Writing, check_kind
from rlmd.proto.rlmd.v1 import memory_pb2 as pb
from rlmd.proto.rlmd.v1.memory_pb2_grpc import MemoryServicer

from . import convert
from .auth import caller
from .names import variable_of
from .service import Service
from .values import origin_from, time_from, unknown

GATHERED = 1024 * 1024
"""Bytes of chunks that are worked on together."""
READ = 1024 * 1024
CHUNK = 256 * 1024
"""Bytes of a chunk that is sent."""
_KINDS = {pb.VALUE_KIND_TEXT: Kind.TEXT, pb.VALUE_KIND_BYTES: Kind.BYTES}
_MODES = {pb.WRITE_MODE_UNSPECIFIED: False, pb.WRITE_MODE_SET: False, pb.WRITE_MODE_APPEND: True}


class LargeValues(Service, MemoryServicer):
    """`WriteVariable` and `ReadVariable`."""

    async def WriteVariable(
        self, requests: AsyncIterator[pb.WriteVariableRequest], context: object
    ) -> pb.Variable:
        target = _target(await anext(requests, None))
        store = self.store()
        store.read(lambda tx: tx.space(target.space).check(target.name, target.writing))
        upload = _Upload(store, Draft(target.kind))
        try:
            await upload.receive(requests)
            return await upload.commit(target)
        finally:
            upload.leave()

    async def ReadVariable(
        self, request: pb.ReadVariableRequest, context: object
    ) -> AsyncIterator[pb.ReadVariableResponse]:
        space, name = variable_of(request.name)
        version, as_of = request.version or None, time_from(request, "as_of")
        store = self.store()
        found = store.read(lambda tx: tx.space(space).facts(name, version=version, as_of=as_of))
        yield pb.ReadVariableResponse(variable=convert.variable(found))
        number, size = found.version.number, found.version.size
        for start in range(0, size, READ):
            # A connection for each part: a slow reader must not hold an old state of the database open.
            data = await asyncio.to_thread(
                store.read,
                lambda tx, start=start: tx.space(space).part(name, number, start, start + READ),
            )
            for place in range(0, len(data), CHUNK):
                yield pb.ReadVariableResponse(chunk=data[place : place + CHUNK])


@dataclass(frozen=True, kw_only=True)
class _Target:
    """Where the value goes, and how."""

    space: str
    name: str
    kind: Kind
    append: bool
    writing: Writing
    request_id: str
    digest: bytes
    """Of the header without the id."""


class _Upload:
    """One stream's value. `leave` it, whatever happens."""

    def __init__(self, store: Store, draft: Draft) -> None:
        self._store = store
        self._draft = draft
        self._stored = False
        self._id: int | None = None
        """Set on the writer's thread, so that it is known even if the call is cut off meanwhile."""

    async def receive(self, requests: AsyncIterator[pb.WriteVariableRequest]) -> None:
        """All of the value.

        Raises:
            InvalidInput: parts are missing or in the wrong order, or the text is not UTF-8.
            TooLarge: over 1 GiB.
        """
        gathered: list[bytes] = []
        waiting = 0
        async for request in requests:
            match request.WhichOneof("part"):
                case "chunk":
                    gathered.append(request.chunk)
                    waiting += len(request.chunk)
                    if waiting >= GATHERED:
                        await self._take(b"".join(gathered))
                        gathered, waiting = [], 0
                case "end":
                    await self._take(b"".join(gathered), last=True)
                    if self._draft.size != request.end.size_bytes:
                        raise _broken(f"{self._draft.size:,} of {request.end.size_bytes:,} bytes have come")
                    return
                case other:
                    raise _broken(f"chunks or the end are due, not {other or 'nothing'}")
        raise _broken("the stream has no end")

    async def commit(self, target: _Target) -> pb.Variable:
        """Make the version, or give the answer that this request got before."""
        draft = self._draft
        digest = digest_of("rlmd.v1.WriteVariable", target.digest + draft.digest)

        def make(tx: Transaction) -> bytes:
            space = tx.space(target.space)
            if draft.small is not None:
                write = space.append if target.append else space.set
                if target.append and (there := space.find(target.name)) is not None:
                    check_kind(target.name, there.version.kind, target.kind)
                found = write(target.name, draft.value(draft.small), target.writing)
            else:
                tx.uploads.store(draft.take(0))
                found = space.adopt(
                    target.name, target.kind, draft.leaves, target.writing, append=target.append
                )
            return convert.variable(found).SerializeToString()

        def work(tx: Transaction) -> bytes:
            if self._id is not None:
                tx.uploads.touch(self._id)
            answer = tx.once(target.request_id, digest, lambda: make(tx))
            if self._id is not None:
                tx.uploads.end(self._id)
            return answer

        answer = await self._store.write(work)
        self._stored = False
        return pb.Variable.FromString(answer)

    def leave(self) -> None:
        """Say that what was stored without a version may go."""
        if self._stored:
            # Behind a batch that was on its way when the call was cut off.
            self._store.submit(self._abandon)

    def _abandon(self, tx: Transaction) -> None:
        if self._id is not None:
            tx.uploads.abandon(self._id)

    async def _take(self, data: bytes, *, last: bool = False) -> None:
        await asyncio.to_thread(self._cut, data, last)
        if packed := self._draft.take(BATCH_BYTES):
            before, self._stored = self._id, True
            try:
                await self._store.write(lambda tx: self._keep(tx, packed))
            except RlmdError:
                # Taken back, and so is the row that a first batch has made; its number may be another's now.
                self._id = before
                raise

    def _keep(self, tx: Transaction, packed: list[Packed]) -> None:
        """Store a batch of the upload, which begins with its first one."""
        if self._id is None:
            self._id = tx.uploads.begin()
        else:
            tx.uploads.touch(self._id)
        tx.uploads.store(packed)

    def _cut(self, data: bytes, last: bool) -> None:
        self._draft.add(data)
        if last:
            self._draft.end()


def _target(first: pb.WriteVariableRequest | None) -> _Target:
    if first is None or first.WhichOneof("part") != "header":
        raise InvalidInput("the first message is no header", field="header", remedy="Send the header first.")
    header = first.header
    space, name = variable_of(header.name)
    if header.kind not in _KINDS:
        raise unknown(header.kind, "kind", [pb.ValueKind.Name(kind) for kind in _KINDS])
    if header.mode not in _MODES:
        raise unknown(header.mode, "mode", pb.WriteMode.keys())
    check_text(header.request_id, "request_id", limit=128)
    plain = pb.WriteHeader()
    plain.CopyFrom(header)
    plain.ClearField("request_id")
    return _Target(
        space=space,
        name=name,
        kind=_KINDS[header.kind],
        append=_MODES[header.mode],
        writing=Writing(
            author=Author(user=caller().name),
            origin=origin_from(header.origin),
            note=header.note,
            expect=header.expect_version if header.HasField("expect_version") else None,
            source_time=time_from(header, "source_time"),
        ),
        request_id=header.request_id,
        digest=plain.SerializeToString(deterministic=True),
    )


def _broken(reason: str) -> InvalidInput:
    return InvalidInput(
        f"{reason}; nothing was written",
        field="part",
        remedy="Send a header, chunks, and an end with the bytes of all chunks.",
    )
