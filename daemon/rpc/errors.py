"""Errors of rlmd as gRPC statuses with `google.rpc` details; anything else as an incident, without its text.

Every status has an ErrorInfo: `reason` is the class's name, `domain` is `rlmd`, and its metadata holds
`reason`, `field` and `remedy` of the error. A field also makes a BadRequest, and UNAVAILABLE a RetryInfo.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Iterator
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from rlmd.errors import InternalError, NotFound, RlmdError

log = logging.getLogger(__name__)

DOMAIN = "rlmd"
RETRY_SECONDS = 1
MOST_REASON, MOST_FIELD, MOST_REMEDY = 600, 100, 300
"""Bytes. All details travel in one header, twice, and gRPC drops calls whose headers exceed 8 KiB."""


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: Exception, method: str) -> NoReturn:
    """End the call with the error's status. Never returns."""
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, RlmdError) or isinstance(error, InternalError):
        error = _incident(error, method)
    await context.abort_with_status(rpc_status.to_status(status_of(error)))
    raise AssertionError("abort_with_status returned")


def status_of(error: RlmdError) -> status_pb2.Status:
    """The status that a client can make the same error of."""
    reason, field = _cut(error.reason, MOST_REASON), _cut(error.field, MOST_FIELD)
    remedy = _cut(error.remedy, MOST_REMEDY)
    details: list[Message] = [
        error_details_pb2.ErrorInfo(
            reason=type(error).__name__,
            domain=DOMAIN,
            metadata={"reason": reason, "field": field, "remedy": remedy},
        )
    ]
    if field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=reason)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.code == "UNAVAILABLE":
        details.append(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=RETRY_SECONDS)))
    status = status_pb2.Status(
        code=grpc.StatusCode[error.code].value[0],
        message=str(RlmdError(reason, field=field, remedy=remedy)),
    )
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


@contextlib.contextmanager
def about(field: str) -> Iterator[None]:
    """What is not found in here is what the request's field `field` names."""
    try:
        yield
    except NotFound as error:
        raise NotFound(error.reason, field=field, remedy=error.remedy) from error


def _incident(error: Exception, method: str) -> InternalError:
    """Log what happened under an id, and say only the id: a foreign text may hold anybody's data."""
    incident = secrets.token_hex(4)
    log.error("incident %s in %s", incident, method, exc_info=error)
    return InternalError(
        f"a fault in the daemon, incident {incident}",
        remedy="The daemon's log has the trace under this number; please report it.",
    )


def _cut(text: str, most: int) -> str:
    data = text.encode(errors="replace")
    if len(data) <= most:
        return data.decode()
    return data[: most - 3].decode(errors="ignore") + "…"
