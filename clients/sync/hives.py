# Generated from clients/aio/hives.py by scripts/unasync.py. Do not edit.
"""Hives: agents that share a space and call each other, and what each of them may do there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from google.protobuf.duration_pb2 import Duration

from rlmd.clients import decode_hives as decode
from rlmd.clients.check import INT32, check_bool, check_int, check_str, check_type
from rlmd.clients.hive_records import Crossing, Grant, Hive, Invitation, Member
from rlmd.clients.values import to_time
from rlmd.proto.rlmd.v1 import hives_pb2
from rlmd.proto.rlmd.v1.hives_pb2_grpc import HivesStub

from .connection import Connection, request_id

ANY_HIVE = "-"


class Hives:
    """The hives that you own, or in which an agent of yours is."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = HivesStub(connection.channel)

    def create(self, name: str) -> Hive:
        """Make a hive, with a shared space and the usual grants; nobody is in it yet.

        Raises:
            AlreadyExists: there is one of this name among yours.
        """
        request = hives_pb2.CreateHiveRequest(hive_id=check_str(name, "hive"), request_id=request_id())
        return decode.hive(self._connection.call(self._stub.CreateHive, request))

    def get(self, name: str) -> Hive:
        """One hive with its members.

        Raises:
            NotFound: there is no such hive, or you have nothing to do with it.
        """
        request = hives_pb2.GetHiveRequest(name=_name(name))
        return decode.hive(self._connection.call(self._stub.GetHive, request))

    def list(self) -> list[Hive]:
        """Your hives by name."""
        request = hives_pb2.ListHivesRequest(page_size=1000)
        pages = self._connection.pages(self._stub.ListHives, request, "hives")
        return [decode.hive(message) for message in pages]

    def dissolve(self, name: str) -> None:
        """Delete a hive of yours with all that it shared. There is no way back."""
        request = hives_pb2.DissolveHiveRequest(name=_name(name), request_id=request_id())
        self._connection.call(self._stub.DissolveHive, request)

    def join(self, name: str, agent: str, *, called: str = "", about: str = "", code: str = "") -> Member:
        """Make an agent of yours a member.

        Args:
            called: What the others call it; its own name if empty.
            about: What the others are told of it; the beginning of its instructions if empty.
            code: An invitation, if the hive is another user's.

        Raises:
            NotFound: no such agent or hive, or no such code.
            AlreadyExists: it is a member, or the name is taken.
            PreconditionFailed: the code was used, or is too old.
        """
        request = hives_pb2.JoinHiveRequest(
            name=_name(name),
            agent=f"agents/{check_str(agent, 'agent')}",
            member_id=check_str(called, "called"),
            about=check_str(about, "about"),
            code=check_str(code, "code"),
            request_id=request_id(),
        )
        return decode.member(self._connection.call(self._stub.JoinHive, request))

    def leave(self, name: str, member: str) -> None:
        """Take a member out, at once: your own agent, or of a hive of yours anybody's."""
        member = f"{_name(name)}/members/{check_str(member, 'member')}"
        request = hives_pb2.LeaveHiveRequest(name=member, request_id=request_id())
        self._connection.call(self._stub.LeaveHive, request)

    def invite(self, name: str, *, seconds: int | None = None) -> Invitation:
        """A code by which one agent of another user can join a hive of yours. It works once.

        Args:
            seconds: How long it works, 90 days at most; None: a day.
        """
        ttl = None if seconds is None else Duration(seconds=check_int(seconds, "seconds", 1, INT32))
        request = hives_pb2.InviteToHiveRequest(name=_name(name), ttl=ttl)
        return decode.invitation(self._connection.call(self._stub.InviteToHive, request))

    def grants(self, name: str, *, ended: bool = False) -> Sequence[Grant]:
        """What members may do, oldest first; with `ended` also what they might."""
        request = hives_pb2.ListGrantsRequest(parent=_name(name), show_ended=check_bool(ended, "ended"))
        response = self._connection.call(self._stub.ListGrants, request)
        return [decode.grant(message) for message in response.grants]

    def grant(
        self,
        name: str,
        verbs: Collection[str],
        *,
        member: str = "",
        pattern: str = "*",
        rate: int = 0,
        expire_time: datetime | str | None = None,
    ) -> Grant:
        """Let a member of a hive of yours, or all, do more.

        Args:
            verbs: Of read, search, append, write (variables), ask and tell (members).
            member: Empty means all, those who come later too.
            pattern: A name, or its beginning with `*` at the end; `{member}` is the member's own name.
            rate: Calls a minute from one member to another; 0 means 120.

        Raises:
            InvalidInput: a verb, pattern, rate or time that cannot be.
        """
        grant = hives_pb2.Grant(
            member=check_str(member, "member"),
            pattern=check_str(pattern, "pattern"),
            verbs=_words(verbs),
            rate=check_int(rate, "rate", 0, INT32),
            expire_time=to_time(expire_time, "expire_time"),
        )
        request = hives_pb2.CreateGrantRequest(parent=_name(name), grant=grant, request_id=request_id())
        return decode.grant(self._connection.call(self._stub.CreateGrant, request))

    def revoke(self, name: str, id: str) -> Grant:
        """End a grant of a hive of yours: the next use fails."""
        grant = f"{_name(name)}/grants/{check_str(id, 'grant')}"
        request = hives_pb2.RevokeGrantRequest(name=grant, request_id=request_id())
        return decode.grant(self._connection.call(self._stub.RevokeGrant, request))

    def crossings(self, name: str = "", *, n: int = 100) -> Sequence[Crossing]:
        """What went between you and other users, newest first.

        Args:
            name: In this hive; empty means in all, those that are gone too.
            n: How many at most.
        """
        most = check_int(n, "n", 0)
        parent = _name(name or ANY_HIVE)
        request = hives_pb2.ListCrossingsRequest(parent=parent, page_size=min(most, 1000))
        found: Sequence[Crossing] = ()
        if not most:
            return found
        for message in self._connection.pages(self._stub.ListCrossings, request, "crossings"):
            found = (*found, decode.crossing(message))
            if len(found) == most:
                break
        return found


def _words(verbs: Collection[str]) -> Sequence[str]:
    check_type(verbs, Collection, "verbs")
    # A text alone is one verb, not its letters.
    words = [verbs] if isinstance(verbs, str) else verbs
    return [check_str(verb, "verbs") for verb in words]


def _name(name: str) -> str:
    return f"hives/{check_str(name, 'hive')}"
