"""What channels offer, as messages of the contract and back."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.duration_pb2 import Duration

from rlmd.daemon.loop.schemas import check_offered
from rlmd.errors import InvalidInput, RlmdError
from rlmd.memory.channels import DEFAULT_SECONDS
from rlmd.memory.records import Channel, Function
from rlmd.proto.rlmd.v1 import channels_pb2 as pb

from .names import channel_name
from .values import time_to, unknown

_WAITS = {pb.OFFLINE_UNSPECIFIED: True, pb.OFFLINE_WAIT: True, pb.OFFLINE_FAIL: False}


def functions_from(messages: Sequence[pb.Function]) -> list[Function]:
    """Takes milliseconds for each schema that was not seen before. Raises InvalidInput."""
    return [check_offered(_function_from(each)) for each in messages]


def _function_from(message: pb.Function) -> Function:
    if message.offline not in _WAITS:
        raise unknown(message.offline, "functions.offline", pb.Offline.keys())
    limit = message.time_limit
    if limit.seconds < 0 or limit.nanos < 0:
        raise InvalidInput(
            f"the time limit of {message.name} is negative",
            field="functions.time_limit",
            remedy="Leave it out for one day.",
        )
    return Function(
        name=message.name,
        doc=message.doc,
        parameters=message.parameters_json,
        result=message.result_json,
        side_effects=message.side_effects,
        seconds=limit.seconds + limit.nanos / 1e9 or DEFAULT_SECONDS,
        trusted=message.trusted,
        waits=_WAITS[message.offline],
    )


def function_to(record: Function) -> pb.Function:
    seconds, part = divmod(record.seconds, 1)
    return pb.Function(
        name=record.name,
        doc=record.doc,
        parameters_json=record.parameters,
        result_json=record.result,
        side_effects=record.side_effects,
        time_limit=Duration(seconds=int(seconds), nanos=round(part * 1e9)),
        offline=pb.OFFLINE_WAIT if record.waits else pb.OFFLINE_FAIL,
        trusted=record.trusted,
    )


def channel_to(record: Channel, *, connections: int, pending: int) -> pb.Channel:
    return pb.Channel(
        name=channel_name(record.name),
        functions=map(function_to, record.functions),
        external=record.external,
        connections=connections,
        seen_time=time_to(record.seen_time),
        pending=pending,
    )


def failure(about: str, error: RlmdError) -> pb.ConnectResponse:
    """That a request was not done, and why."""
    return pb.ConnectResponse(
        failure=pb.Failure(
            about=about, reason=error.reason, field=error.field, remedy=error.remedy, code=error.code
        )
    )
