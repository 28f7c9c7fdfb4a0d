"""Who is let in, and what the others are told: for every method that the contract has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from rlmd.daemon.rpc.auth import POLICY, RECHECK_SECONDS, Access
from rlmd.daemon.rpc.server import SERVICES

from .host import NOW, STARTED, Daemon, Metadata, methods, refusal

NEVER: list[tuple[str, Callable[[str], Metadata]]] = [
    ("none", lambda secret: ()),
    ("empty", lambda secret: (("authorization", ""),)),
    ("scheme only", lambda secret: (("authorization", "Bearer "),)),
    ("wrong", lambda secret: (("authorization", "Bearer rlmd_" + "x" * 43),)),
    ("cut", lambda secret: (("authorization", f"Bearer {secret[:-1]}"),)),
    ("no scheme", lambda secret: (("authorization", secret),)),
    ("other scheme", lambda secret: (("authorization", f"Basic {secret}"),)),
    ("other header", lambda secret: (("x-token", f"Bearer {secret}"),)),
    ("twice", lambda secret: (("authorization", f"Bearer {secret}"),) * 2),
]


async def invalid(served: Daemon) -> dict[str, Metadata]:
    """Metadata of callers without a valid token, by what is wrong with them."""
    revoked = await served.alice.call("CreateToken")
    await served.alice.call("RevokeToken", name=revoked.token.name)
    soon = Timestamp()
    soon.FromDatetime(NOW + timedelta(seconds=1))
    expired = await served.alice.call("CreateToken", expire_time=soon)
    served.clock.move(timedelta(seconds=1))
    late = {"revoked": revoked.secret, "expired": expired.secret}
    return {
        **{label: make(served.alice.secret) for label, make in NEVER},
        **{label: (("authorization", f"Bearer {secret}"),) for label, secret in late.items()},
    }


async def test_every_method_refuses_every_bad_token_with_the_same_words(served: Daemon) -> None:
    seen = set()
    for label, metadata in (await invalid(served)).items():
        for method in methods():
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await served.alice.send(method, method.request(), metadata)
            seen.add((refusal(caught.value), caught.value.details()))
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED, (label, method.path)
    assert len(seen) == 1


async def test_unknown_method_is_told_only_to_users(served: Daemon) -> None:
    call: Any = served.alice.channel.unary_unary("/rlmd.v1.Memory/Burn")
    for metadata, code in (((), "UNAUTHENTICATED"), (served.alice.metadata, "UNIMPLEMENTED")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", metadata=metadata)
        assert caught.value.code().name == code


def test_policy_names_every_method_and_no_other() -> None:
    ours = {(service, name) for service in SERVICES for name in POLICY[service]}
    assert ours == {(method.service, method.name) for method in methods()}
    assert {service for service in POLICY if not service.startswith("rlmd.")} == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    public = {service for service, of in POLICY.items() if Access.PUBLIC in of.values()}
    assert public == {"grpc.health.v1.Health"}


async def test_method_without_rule_is_closed(served: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(POLICY["rlmd.v1.Admin"], "GetSelf")
    refused = await served.alice.refused("GetSelf")
    assert (refused.code, refused.kind) == ("PERMISSION_DENIED", "PermissionDenied")


async def test_only_administrators_make_and_see_users(served: Daemon) -> None:
    cases: list[tuple[str, dict[str, Any]]] = [("CreateUser", {"user_id": "eve"}), ("ListUsers", {})]
    for rpc, fields in cases:
        refused = await served.bob.refused(rpc, **fields)
        assert refused.code == "PERMISSION_DENIED"
        assert refused.remedy
    assert len((await served.alice.call("ListUsers")).users) == 2


async def test_token_ends_at_once_and_its_stream_within_a_second(served: Daemon) -> None:
    made = await served.alice.call("CreateToken", label="short")
    async with served.client(made.secret) as client:
        run = await served.run()
        stream = client.stream("WatchRun", name=f"agents/main/runs/{run.id}")
        await served.write(run, STARTED)
        assert (await stream.read()).sequence == 1
        await served.alice.call("RevokeToken", name=made.token.name)
        await asyncio.sleep(RECHECK_SECONDS)
        await served.write(run, STARTED)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert (await client.refused("GetSelf")).code == "UNAUTHENTICATED"


async def test_health_needs_no_token_and_says_when_the_daemon_stops(served: Daemon) -> None:
    stub: Any = health_pb2_grpc.HealthStub(served.alice.channel)
    for service in ("", *SERVICES):
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    watch = stub.Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    await served.server.stop()
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_reflection_needs_a_token(served: Daemon) -> None:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(served.alice.channel)  # type: ignore[arg-type]
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ServerReflectionInfo(iter([request])).read()
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    answer = await stub.ServerReflectionInfo(iter([request]), metadata=served.alice.metadata).read()
    assert {service.name for service in answer.list_services_response.service} >= set(SERVICES)
