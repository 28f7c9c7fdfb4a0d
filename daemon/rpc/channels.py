"""The service Channels."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

from rlmd.daemon.loop.mailbox import Accepted
from rlmd.memory.names import check_page
from rlmd.memory.records import Channel
from rlmd.memory.search import Shelf
from rlmd.memory.store import Store, Transaction
from rlmd.proto.rlmd.v1 import channels_pb2 as pb
from rlmd.proto.rlmd.v1.channels_pb2_grpc import ChannelsServicer
from rlmd.proto.rlmd.v1.runs_pb2 import RunUpdate

from . import convert
from .auth import caller
from .connect import connect
from .errors import about
from .memory import check_query
from .names import agent_of, run_name
from .offers import channel_to
from .pages import cut, place, size_of
from .service import Service
from .updates import follow
from .values import time_from, time_to

DEFAULT_CHANNEL = "chat"
PASSAGES = 3
"""Passages that are asked for per hit, since several may be of one message."""


class Channels(Service, ChannelsServicer):
    async def Send(self, request: pb.SendRequest, context: object) -> pb.SendResponse:
        accepted = await self._accept(self.store(), request)
        run = accepted.run
        message = convert.message(accepted.message, run=run.id)
        return pb.SendResponse(
            message=message, run=run_name(run.agent, run.id), after_sequence=accepted.after
        )

    async def Chat(self, request: pb.SendRequest, context: object) -> AsyncGenerator[RunUpdate, None]:
        store = self.store()
        accepted = await self._accept(store, request)
        run = accepted.run
        updates = follow(store, self.backend.engine, run.agent, run.id, accepted.after, parked=True)
        async with contextlib.aclosing(updates):
            async for update in updates:
                yield update

    async def Connect(
        self, request: AsyncIterator[pb.ConnectRequest], context: object
    ) -> AsyncGenerator[pb.ConnectResponse, None]:
        async with contextlib.aclosing(connect(self.backend, self.store(), request)) as responses:
            async for response in responses:
                yield response

    async def ListChannels(self, request: pb.ListChannelsRequest, context: object) -> pb.ListChannelsResponse:
        after, most = place(request, str), size_of(request) + 1

        def work(tx: Transaction) -> tuple[list[Channel], Mapping[int, int]]:
            found = tx.channels.page(after=after or "", most=most)
            return found, tx.channels.pending(found)

        found, pending = self.store().read(work)
        page, token = cut(request, found, lambda channel: channel.name)
        online = self.backend.engine.router.online
        shown = [
            channel_to(each, connections=online(each.id), pending=pending.get(each.id, 0)) for each in page
        ]
        now = self.backend.house.clock.now()
        for each in shown:
            if each.connections:
                each.seen_time.CopyFrom(time_to(now))
        return pb.ListChannelsResponse(channels=shown, next_page_token=token)

    async def _accept(self, store: Store, request: pb.SendRequest) -> Accepted:
        agent = agent_of(request.agent, "agent")
        with about("agent"):
            return await self.backend.engine.accept(
                store,
                agent,
                text=request.text,
                channel=request.channel or DEFAULT_CHANNEL,
                sender=request.sender or caller().name,
                request_id=request.request_id,
            )

    async def ListMessages(self, request: pb.ListMessagesRequest, context: object) -> pb.ListMessagesResponse:
        agent = agent_of(request.parent, "parent")
        before, most = place(request, int), size_of(request) + 1
        since, until = time_from(request, "after"), time_from(request, "before")
        with about("parent"):
            found = self.store().read(
                lambda tx: tx.log(agent).recent(
                    most, before=before, channel=request.channel, since=since, until=until
                )
            )
        page, token = cut(request, found, lambda message: message.id)
        return pb.ListMessagesResponse(messages=map(convert.message, page), next_page_token=token)

    async def SearchMessages(
        self, request: pb.SearchMessagesRequest, context: object
    ) -> pb.SearchMessagesResponse:
        agent = agent_of(request.parent, "parent")
        query = check_query(request.query)
        k = check_page(request.k, most=100, default=10, field="k")
        store = self.store()
        with about("parent"):
            shelf = Shelf(agent_id=store.read(lambda tx: tx.agents.get(agent)).id)
        passages = await self.backend.searcher.search(shelf, query, k * PASSAGES)
        scores: dict[int, float] = {}
        for passage in passages:  # Best first: the first passage of a message is its best.
            scores.setdefault(int(passage.key), passage.score)
        messages = store.read(lambda tx: tx.log(agent).several(list(scores)))
        hits = [
            pb.MessageHit(message=convert.message(messages[id]), score=score)
            for id, score in scores.items()
            if id in messages
        ]
        return pb.SearchMessagesResponse(hits=hits[:k])
