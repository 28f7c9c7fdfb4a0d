"""The service Forgetting."""

from __future__ import annotations

import asyncio

from google.protobuf.empty_pb2 import Empty

from rlmd.memory.erasing import erase
from rlmd.memory.purging import Purge, Wish
from rlmd.memory.retention import Retention
from rlmd.proto.rlmd.v1 import forgetting_pb2 as pb
from rlmd.proto.rlmd.v1.forgetting_pb2_grpc import ForgettingServicer

from .auth import caller
from .errors import about
from .names import space_name, space_of
from .pages import cut, place, size_of
from .service import Service
from .values import time_to


class Forgetting(Service, ForgettingServicer):
    async def PurgeVariables(
        self, request: pb.PurgeVariablesRequest, context: object
    ) -> pb.PurgeVariablesResponse:
        space = space_of(request.parent, "parent")
        prefix = request.prefix if request.HasField("prefix") else None
        store = self.store()
        wish: Wish | None = None
        if request.names or prefix is not None or request.text:
            wish = Wish(space=space, names=tuple(request.names), prefix=prefix, text=request.text)
        with about("parent"):
            store.read(lambda tx: tx.space(space))
        # What a run that waits holds in its names: it will be replayed.
        self.backend.engine.drop_snapshots()
        erased = await asyncio.to_thread(erase, self.backend.house, store, wish, request.note)
        return pb.PurgeVariablesResponse(
            purge=None if erased.purge is None else _purge(erased.purge),
            copies=[copy.name for copy in erased.copies] if caller().administrator else [],
        )

    async def ListRetentions(
        self, request: pb.ListRetentionsRequest, context: object
    ) -> pb.ListRetentionsResponse:
        space = space_of(request.parent, "parent")
        with about("parent"):
            found = self.store().read(lambda tx: tx.retentions(space).list())
        return pb.ListRetentionsResponse(retentions=map(_retention, found))

    async def SetRetention(self, request: pb.SetRetentionRequest, context: object) -> pb.Retention:
        space, given = space_of(request.parent, "parent"), request.retention
        rule = Retention(
            prefix=given.prefix,
            seconds=given.seconds if given.HasField("seconds") else None,
            versions=given.versions if given.HasField("versions") else None,
            pinned=given.pinned,
        )
        with about("parent"):
            self.store().read(lambda tx: tx.space(space))
        return _retention(await self.store().write(lambda tx: tx.retentions(space).set(rule)))

    async def DeleteRetention(self, request: pb.DeleteRetentionRequest, context: object) -> Empty:
        space = space_of(request.parent, "parent")
        with about("parent"):
            self.store().read(lambda tx: tx.space(space))
        await self.store().write(lambda tx: tx.retentions(space).remove(request.prefix))
        return Empty()

    async def ListPurges(self, request: pb.ListPurgesRequest, context: object) -> pb.ListPurgesResponse:
        before, most = place(request, int), size_of(request) + 1
        found = self.store().read(lambda tx: tx.purging.page(before=before, most=most))
        page, token = cut(request, found, lambda purge: purge.id)
        return pb.ListPurgesResponse(purges=map(_purge, page), next_page_token=token)


def _retention(record: Retention) -> pb.Retention:
    return pb.Retention(
        prefix=record.prefix, seconds=record.seconds, versions=record.versions, pinned=record.pinned
    )


def _purge(record: Purge) -> pb.Purge:
    return pb.Purge(
        id=record.id,
        space=space_name(record.space),
        variable_count=record.variables,
        version_count=record.versions,
        run_count=record.runs,
        message_count=record.messages,
        note=record.note,
        purge_time=time_to(record.time),
    )
