"""The service Memory, but for its streams (see large.py).

What may take long (big values, diffs, grep) runs on a thread, off the event loop.
"""

from __future__ import annotations

import asyncio

from rlmd.errors import InvalidInput, RlmdError, TooLarge
from rlmd.memory.batch import Item
from rlmd.memory.names import check_page, check_text
from rlmd.memory.records import Author
from rlmd.memory.search import Shelf
from rlmd.memory.store import Transaction
from rlmd.memory.variables import Space, Writing
from rlmd.proto.rlmd.v1 import memory_pb2 as pb

from . import convert
from .auth import caller
from .errors import about
from .large import LargeValues
from .names import space_of, variable_of
from .pages import cut, place, size_of
from .values import MAX_VALUE, check_size, origin_from, time_from, value_from

MAX_BATCH = 1000
MAX_SLICE = 1024 * 1024
MAX_QUERY = 4_000
LARGE = 64 * 1024
"""Bytes from which a value is read and parsed on a thread."""


class Memory(LargeValues):
    # -- reading ----------------------------------------------------------------------------------

    async def GetVariable(self, request: pb.GetVariableRequest, context: object) -> pb.Variable:
        space, name = variable_of(request.name)
        as_of = time_from(request, "as_of")
        version = request.version or None

        store = self.store()
        # A small value is read faster here than a thread is woken. Of an `as_of` the size is not known yet.
        size = LARGE if as_of else store.read(lambda tx: _size(tx.space(space), name, version))
        check_size(size)

        def work(tx: Transaction) -> pb.Variable:
            found = tx.space(space).get(name, version=version, as_of=as_of)
            check_size(found.version.size)
            return convert.variable(found, value=True)

        return store.read(work) if size < LARGE else await asyncio.to_thread(store.read, work)

    async def ListVariables(
        self, request: pb.ListVariablesRequest, context: object
    ) -> pb.ListVariablesResponse:
        space = space_of(request.parent, "parent")
        after, most = place(request, str) or "", size_of(request) + 1
        with about("parent"):
            found = self.store().read(
                lambda tx: tx.space(space).page(
                    request.prefix, after=after, most=most, deleted=request.show_deleted
                )
            )
        page, token = cut(request, found, lambda variable: variable.name)
        return pb.ListVariablesResponse(variables=map(convert.variable, page), next_page_token=token)

    async def ListVersions(self, request: pb.ListVersionsRequest, context: object) -> pb.ListVersionsResponse:
        space, name = variable_of(request.parent, "parent")
        before, most = place(request, int), size_of(request) + 1
        with about("parent"):
            found = self.store().read(lambda tx: tx.space(space).history(name, before=before, most=most))
        page, token = cut(request, found, lambda version: version.number)
        return pb.ListVersionsResponse(versions=map(convert.version, page), next_page_token=token)

    async def DiffVersions(self, request: pb.DiffVersionsRequest, context: object) -> pb.DiffVersionsResponse:
        space, name = variable_of(request.name)
        _check_version(request.from_version, "from_version")
        _check_version(request.to_version, "to_version")

        def work(tx: Transaction) -> pb.DiffVersionsResponse:
            diff = tx.space(space).diff(name, request.from_version or None, request.to_version or None)
            return pb.DiffVersionsResponse(diff=diff.text, from_version=diff.before, to_version=diff.after)

        return await asyncio.to_thread(self.store().read, work)

    async def ReadSlice(self, request: pb.ReadSliceRequest, context: object) -> pb.ReadSliceResponse:
        space, name = variable_of(request.name)
        start, end = request.start, request.end
        if end - start > MAX_SLICE:
            raise TooLarge(
                f"a slice of {end - start:,} is longer than {MAX_SLICE:,}",
                field="end",
                remedy="Read it in several slices.",
            )
        found = await asyncio.to_thread(
            self.store().read,
            lambda tx: tx.space(space).slice(name, start, end, version=request.version or None),
        )
        value = pb.Value(text=found.value) if isinstance(found.value, str) else pb.Value(data=found.value)
        return pb.ReadSliceResponse(value=value, length=found.length, version=found.version)

    async def Grep(self, request: pb.GrepRequest, context: object) -> pb.GrepResponse:
        space = space_of(request.parent, "parent")
        most = check_page(request.limit, most=10_000, field="limit")
        if not request.pattern:
            raise InvalidInput("there is no pattern", field="pattern", remedy="Give a regular expression.")
        with about("parent"):
            found, more = await asyncio.to_thread(
                self.store().read,
                lambda tx: tx.space(space).grep(request.pattern, request.prefix, most=most),
            )
        return pb.GrepResponse(matches=[convert.match(space, match) for match in found], truncated=more)

    async def Search(self, request: pb.SearchRequest, context: object) -> pb.SearchResponse:
        space = space_of(request.parent, "parent")
        query = check_query(request.query)
        k = check_page(request.k, most=100, default=10, field="k")
        after, before = time_from(request, "after"), time_from(request, "before")
        with about("parent"):
            shelf = Shelf(space_id=self.store().read(lambda tx: tx.space(space).id))
        found = await self.backend.searcher.search(
            shelf, query, k, prefix=request.prefix, after=after, before=before
        )
        return pb.SearchResponse(hits=[convert.hit(space, passage) for passage in found])

    # -- writing ----------------------------------------------------------------------------------

    async def SetVariable(self, request: pb.SetVariableRequest, context: object) -> pb.Variable:
        space, name = variable_of(request.name)
        value = await _parsed(request.value)
        writing = _writing(request, Author(user=caller().name))
        return await self.once(
            request, lambda tx: convert.variable(tx.space(space).set(name, value, writing)), pb.Variable
        )

    async def BatchSetVariables(
        self, request: pb.BatchSetVariablesRequest, context: object
    ) -> pb.BatchSetVariablesResponse:
        space = space_of(request.parent, "parent")
        if not 0 < len(request.requests) <= MAX_BATCH:
            raise InvalidInput(
                f"{len(request.requests):,} requests are not 1 to {MAX_BATCH:,}",
                field="requests",
                remedy="Send more in several batches.",
            )
        if request.ByteSize() > MAX_VALUE + LARGE * 16:
            raise TooLarge("the batch is over 16 MiB", field="requests", remedy="Send several batches.")
        author = Author(user=caller().name)
        items = [_item(each, space, place, author) for place, each in enumerate(request.requests)]

        def work(tx: Transaction) -> pb.BatchSetVariablesResponse:
            with about("parent"):
                into = tx.space(space)
            return pb.BatchSetVariablesResponse(variables=map(convert.variable, into.set_all(items)))

        return await self.once(request, work, pb.BatchSetVariablesResponse)

    async def AppendVariable(self, request: pb.AppendVariableRequest, context: object) -> pb.Variable:
        space, name = variable_of(request.name)
        value = await _parsed(request.value)
        writing = _writing(request, Author(user=caller().name))
        return await self.once(
            request, lambda tx: convert.variable(tx.space(space).append(name, value, writing)), pb.Variable
        )

    async def DeleteVariable(self, request: pb.DeleteVariableRequest, context: object) -> pb.Variable:
        space, name = variable_of(request.name)
        writing = _plain(request.note, _expected(request))
        return await self.once(
            request, lambda tx: convert.variable(tx.space(space).delete(name, writing)), pb.Variable
        )

    async def UndeleteVariable(self, request: pb.UndeleteVariableRequest, context: object) -> pb.Variable:
        space, name = variable_of(request.name)
        writing = _plain(request.note, None)
        return await self.once(
            request, lambda tx: convert.variable(tx.space(space).undelete(name, writing)), pb.Variable
        )

    async def RevertVariable(self, request: pb.RevertVariableRequest, context: object) -> pb.Variable:
        space, name = variable_of(request.name)
        writing = _plain(request.note, _expected(request))
        version = request.version
        return await self.once(
            request, lambda tx: convert.variable(tx.space(space).revert(name, version, writing)), pb.Variable
        )


def check_query(query: str) -> str:
    """Raises InvalidInput."""
    check_text(query, "query", limit=MAX_QUERY)
    if not query.strip():
        raise InvalidInput("there is nothing to look for", field="query", remedy="Say it in plain words.")
    return query


def _item(request: pb.SetVariableRequest, space: str, place: int, author: Author) -> Item:
    """One of a batch; errors say at which place."""
    try:
        if request.request_id:
            raise InvalidInput("it is for the whole batch", field="request_id", remedy="Leave it empty here.")
        parent, name = variable_of(request.name)
        if parent != space:
            raise InvalidInput(
                "it is not in the space of `parent`", field="name", remedy="Send a batch for each space."
            )
        return Item(name=name, value=value_from(request.value), writing=_writing(request, author))
    except RlmdError as error:
        error.field = f"requests[{place}].{error.field}"
        raise


async def _parsed(value: pb.Value) -> object:
    if len(value.json) < LARGE:
        return value_from(value)
    return await asyncio.to_thread(value_from, value)


def _writing(request: pb.SetVariableRequest | pb.AppendVariableRequest, author: Author) -> Writing:
    return Writing(
        author=author,
        origin=origin_from(request.origin),
        note=request.note,
        expect=_expected(request),
        source_time=time_from(request, "source_time"),
    )


def _plain(note: str, expect: int | None) -> Writing:
    return Writing(
        author=Author(user=caller().name),
        origin=origin_from(pb.ORIGIN_UNSPECIFIED),
        note=note,
        expect=expect,
    )


def _expected(
    request: pb.SetVariableRequest
    | pb.AppendVariableRequest
    | pb.DeleteVariableRequest
    | pb.RevertVariableRequest,
) -> int | None:
    return request.expect_version if request.HasField("expect_version") else None


def _check_version(number: int, field: str) -> None:
    if number < 0:
        raise InvalidInput(f"{number} is not a version", field=field, remedy="Versions count from 1.")


def _size(space: Space, name: str, version: int | None) -> int:
    """Bytes of a version (None: the latest), without reading it; 0 if there is none, which reading tells."""
    if version is None:
        head = space.find(name)
        return 0 if head is None else head.version.size
    found = space.history(name, before=version + 1, most=1) if version > 0 else []
    return found[0].size if found else 0
