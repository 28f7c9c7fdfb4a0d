"""Messages of the contract about hives as the client's records."""

from __future__ import annotations

from rlmd.proto.rlmd.v1 import hives_pb2

from .decode import last
from .hive_records import Crossing, Grant, Hive, Invitation, Member
from .values import from_time


def hive(message: hives_pb2.Hive) -> Hive:
    return Hive(
        name=last(message.name),
        owner=last(message.owner),
        members=tuple(map(member, message.members)),
        space=last(message.space),
        create_time=from_time(message.create_time),
    )


def member(message: hives_pb2.Member) -> Member:
    return Member(
        name=last(message.name),
        user=last(message.user),
        agent=last(message.agent),
        about=message.about,
        join_time=from_time(message.join_time),
    )


def grant(message: hives_pb2.Grant) -> Grant:
    return Grant(
        id=last(message.name),
        member=message.member,
        pattern=message.pattern,
        verbs=tuple(message.verbs),
        rate=message.rate,
        create_time=from_time(message.create_time),
        expire_time=from_time(message.expire_time) if message.HasField("expire_time") else None,
        revoke_time=from_time(message.revoke_time) if message.HasField("revoke_time") else None,
    )


def crossing(message: hives_pb2.Crossing) -> Crossing:
    return Crossing(
        hive=message.hive,
        time=from_time(message.time),
        member=message.member,
        peer=message.peer,
        outward=message.outward,
        verb=message.verb,
        target=message.target,
        run=str(message.run) if message.run else "",
    )


def invitation(message: hives_pb2.InviteToHiveResponse) -> Invitation:
    return Invitation(code=message.code, expire_time=from_time(message.expire_time))
