"""The one place where errors of gRPC become errors of rlmd.

The daemon sends what happened, in which field and what to do as `google.rpc` details; the same class is
raised here. What has no such details (a dead socket, a deadline) is mapped by its status code.
"""

from __future__ import annotations

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from rlmd import errors

DOMAIN = "rlmd"
_DETAILS = "grpc-status-details-bin"
_CLASSES = {kind.__name__: kind for kind in errors.ALL}
_BY_CODE: dict[str, type[errors.RlmdError]] = {
    # One class a code: of those that share one, the first.
    kind.code: kind
    for kind in reversed(errors.ALL)
} | {"UNKNOWN": errors.InternalError, "INTERNAL": errors.InternalError, "UNIMPLEMENTED": errors.InternalError}


def from_rpc(exc: grpc.RpcError, place: str) -> errors.RlmdError:
    """The error of rlmd that a failed call means. `place` says which daemon was called."""
    if not isinstance(exc, grpc.Call | grpc.aio.AioRpcError):
        return errors.InternalError(f"The call of the daemon {place} failed: {exc}")
    metadata = dict(exc.trailing_metadata() or ())
    told = _from_details(metadata.get(_DETAILS))
    if told is not None:
        return told
    code, text = exc.code().name, exc.details() or ""
    match code:
        case "UNAVAILABLE":
            return no_daemon(place, text)
        case "DEADLINE_EXCEEDED":
            return errors.DeadlineExceeded(
                f"The daemon {place} did not answer in time.",
                remedy="Give a longer timeout, or see `rlmd status` and the daemon's log.",
            )
        case "CANCELLED":
            # Nobody here has done that: gRPC ends calls so that come while the daemon stops.
            return errors.Unavailable(
                f"The daemon {place} stopped during the call.", remedy="Start it with `rlmd up`."
            )
        case "UNIMPLEMENTED":
            return errors.InternalError(
                f"The daemon {place} does not know this call ({text}).",
                remedy="Client and daemon are of different versions: restart the daemon.",
            )
        case "UNAUTHENTICATED":
            remedy = "Use the token in the file `token` of the daemon's data directory."
            return errors.Unauthenticated(text or "The token is not valid.", remedy=remedy)
    kind = _BY_CODE.get(code, errors.InternalError)
    return kind(text or f"The daemon {place} answered {code}.")


def from_code(code: str, reason: str, field: str, remedy: str) -> errors.RlmdError:
    """The error that a `Failure` on a stream means."""
    return _BY_CODE.get(code, errors.InternalError)(reason, field=field, remedy=remedy)


def no_daemon(place: str, detail: str = "") -> errors.Unavailable:
    """Nobody answers there."""
    # gRPC's own words for "nobody listens there" are of no use to a person.
    known = not detail or detail.startswith(
        ("failed to connect to all addresses", "connections to all backends")
    )
    reason = f"No daemon is running {place}." if known else f"No daemon answers {place} ({detail})."
    return errors.Unavailable(reason, remedy="Start it with `rlmd up`.")


def _from_details(raw: str | bytes | None) -> errors.RlmdError | None:
    if not isinstance(raw, bytes):
        return None
    try:
        status = status_pb2.Status.FromString(raw)
    except DecodeError:
        return None
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    for detail in status.details:
        # `Unpack` leaves the target alone when the detail is of another type.
        detail.Unpack(info) or detail.Unpack(bad)
    if info.domain != DOMAIN or info.reason not in _CLASSES:
        return None
    field = info.metadata.get("field", "")
    if not field and bad.field_violations:
        field = bad.field_violations[0].field
    return _CLASSES[info.reason](
        info.metadata.get("reason", status.message),
        field=field,
        remedy=info.metadata.get("remedy", ""),
    )
