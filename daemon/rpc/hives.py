"""The service Hives."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty

from rlmd.errors import InvalidInput
from rlmd.memory.hive_records import Crossing, Grant, Hive, Member
from rlmd.memory.hives import space_name as space_of_hive
from rlmd.memory.store import Transaction
from rlmd.proto.rlmd.v1 import hives_pb2 as pb
from rlmd.proto.rlmd.v1.hives_pb2_grpc import HivesServicer

from .errors import about
from .names import agent_name, agent_of, number, parse, space_name, user_name
from .pages import cut, place, size_of
from .service import Service
from .values import time_from, time_to

ALL_HIVES = "-"


class Hives(Service, HivesServicer):
    async def CreateHive(self, request: pb.CreateHiveRequest, context: object) -> pb.Hive:
        return await self.once(request, lambda tx: _hive(tx.hives.create(request.hive_id)), pb.Hive)

    async def GetHive(self, request: pb.GetHiveRequest, context: object) -> pb.Hive:
        hive = _hive_of(request.name)
        return _hive(self.store().read(lambda tx: tx.hives.get(hive)))

    async def ListHives(self, request: pb.ListHivesRequest, context: object) -> pb.ListHivesResponse:
        after, most = place(request, str) or "", size_of(request) + 1
        found = self.store().read(lambda tx: tx.hives.page(after=after, most=most))
        page, token = cut(request, found, lambda hive: hive.name)
        return pb.ListHivesResponse(hives=map(_hive, page), next_page_token=token)

    async def DissolveHive(self, request: pb.DissolveHiveRequest, context: object) -> Empty:
        hive = _hive_of(request.name)

        def work(tx: Transaction) -> Empty:
            tx.hives.dissolve(hive)
            return Empty()

        return await self.once(request, work, Empty)

    # -- members ----------------------------------------------------------------------------------

    async def JoinHive(self, request: pb.JoinHiveRequest, context: object) -> pb.Member:
        hive, agent = _hive_of(request.name), agent_of(request.agent, "agent")

        def work(tx: Transaction) -> pb.Member:
            with about("agent"):
                tx.agents.get(agent)
            joined = tx.hives.join(
                hive, agent, called=request.member_id, about=request.about, code=request.code
            )
            return _member(hive, joined)

        return await self.once(request, work, pb.Member)

    async def LeaveHive(self, request: pb.LeaveHiveRequest, context: object) -> Empty:
        hive, member = parse(request.name, "hives/{hive}/members/{member}")

        def work(tx: Transaction) -> Empty:
            tx.hives.leave(hive, member)
            return Empty()

        return await self.once(request, work, Empty)

    async def InviteToHive(self, request: pb.InviteToHiveRequest, context: object) -> pb.InviteToHiveResponse:
        hive = _hive_of(request.name)
        seconds = request.ttl.seconds if request.HasField("ttl") else None
        code, until = await self.store().write(lambda tx: tx.hives.invite(hive, seconds))
        return pb.InviteToHiveResponse(code=code, expire_time=time_to(until))

    # -- grants -----------------------------------------------------------------------------------

    async def ListGrants(self, request: pb.ListGrantsRequest, context: object) -> pb.ListGrantsResponse:
        hive = _hive_of(request.parent, "parent")
        with about("parent"):
            found = self.store().read(lambda tx: tx.hives.grants(hive, ended=request.show_ended))
        return pb.ListGrantsResponse(grants=[_grant(hive, grant) for grant in found])

    async def CreateGrant(self, request: pb.CreateGrantRequest, context: object) -> pb.Grant:
        hive = _hive_of(request.parent, "parent")
        given = request.grant
        until = time_from(given, "expire_time")

        def work(tx: Transaction) -> pb.Grant:
            with about("parent"):
                tx.hives.get(hive)
            try:
                granted = tx.hives.grant(
                    hive,
                    given.verbs,
                    member=given.member,
                    pattern=given.pattern or "*",
                    rate=given.rate or None,
                    expire_time=until,
                )
            except InvalidInput as error:
                raise InvalidInput(error.reason, field=f"grant.{error.field}", remedy=error.remedy) from error
            return _grant(hive, granted)

        return await self.once(request, work, pb.Grant)

    async def RevokeGrant(self, request: pb.RevokeGrantRequest, context: object) -> pb.Grant:
        hive, grant = parse(request.name, "hives/{hive}/grants/{grant}")
        grant_id = number(grant, "grant", "List those that exist.", "name")
        return await self.once(request, lambda tx: _grant(hive, tx.hives.revoke(hive, grant_id)), pb.Grant)

    async def ListCrossings(
        self, request: pb.ListCrossingsRequest, context: object
    ) -> pb.ListCrossingsResponse:
        parent = _hive_of(request.parent, "parent")
        hive = "" if parent == ALL_HIVES else parent
        before, most = place(request, int), size_of(request) + 1

        def work(tx: Transaction) -> list[Crossing]:
            if hive:
                tx.hives.get(hive)
            return tx.crossings.page(hive, before=before, most=most)

        with about("parent"):
            found = self.store().read(work)
        page, token = cut(request, found, lambda crossing: crossing.id)
        return pb.ListCrossingsResponse(crossings=map(_crossing, page), next_page_token=token)


def _hive_of(name: str, field: str = "name") -> str:
    return parse(name, "hives/{hive}", field)[0]


def _hive(record: Hive) -> pb.Hive:
    return pb.Hive(
        name=f"hives/{record.name}",
        owner=user_name(record.owner),
        members=[_member(record.name, member) for member in record.members],
        space=space_name(space_of_hive(record.name)),
        create_time=time_to(record.create_time),
    )


def _member(hive: str, record: Member) -> pb.Member:
    return pb.Member(
        name=f"hives/{hive}/members/{record.name}",
        user=user_name(record.user),
        agent=agent_name(record.agent) if record.agent else "",
        about=record.about,
        join_time=time_to(record.create_time),
    )


def _grant(hive: str, record: Grant) -> pb.Grant:
    return pb.Grant(
        name=f"hives/{hive}/grants/{record.id}",
        member=record.member,
        pattern=record.pattern,
        verbs=record.verbs,
        rate=record.rate or 0,
        create_time=time_to(record.create_time),
        expire_time=time_to(record.expire_time),
        revoke_time=time_to(record.revoke_time),
    )


def _crossing(record: Crossing) -> pb.Crossing:
    return pb.Crossing(
        hive=record.hive,
        time=time_to(record.time),
        member=record.member,
        peer=record.peer,
        outward=record.outward,
        verb=record.verb,
        target=record.target,
        run=record.run or 0,
    )
