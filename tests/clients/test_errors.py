"""Errors that travel: what the daemon raises is what the client raises."""

from __future__ import annotations

import grpc
import pytest

from rlmd import errors
from rlmd.clients.errors import from_rpc
from rlmd.daemon.rpc.errors import status_of


def failed(code: grpc.StatusCode, details: str = "", raw: bytes | None = None) -> grpc.aio.AioRpcError:
    """A call that failed, as gRPC raises it."""
    trailing = grpc.aio.Metadata(*([("grpc-status-details-bin", raw)] if raw is not None else []))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details)


@pytest.mark.parametrize("kind", errors.ALL)
def test_every_class_comes_back_as_itself(kind: type[errors.RlmdError]) -> None:
    sent = kind("what ä happened", field="name", remedy="Do this.")
    code = grpc.StatusCode[kind.code]
    got = from_rpc(failed(code, "", status_of(sent).SerializeToString()), "on /data")
    assert type(got) is kind
    assert (got.reason, got.field, got.remedy) == (sent.reason, sent.field, sent.remedy)


@pytest.mark.parametrize("raw", [None, b"", b"\xff\xff", b"not a status"])
@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_is_an_error_of_ours(code: grpc.StatusCode, raw: bytes | None) -> None:
    got = from_rpc(failed(code, "text", raw), "on /data")
    assert type(got) in errors.ALL
    assert got.reason


def test_a_dead_socket_names_the_daemon_and_the_command() -> None:
    got = from_rpc(failed(grpc.StatusCode.UNAVAILABLE, "failed to connect"), "on /data")
    assert isinstance(got, errors.Unavailable)
    assert "/data" in got.reason
    assert "rlmd up" in got.remedy
