"""Where the server listens, and that nobody else can."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import grpc
import pytest

from rlmd.errors import PreconditionFailed

from .host import Client, Daemon, daemon, dial


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_socket_is_its_owners_alone_and_goes_with_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "run" / "rlmd.sock"
    async with daemon(tmp_path, socket=path) as served:
        assert (mode(path), mode(path.parent)) == (0o600, 0o700)
        assert (await served.alice.call("GetStatus")).addresses == [f"unix:{path}"]
    assert not path.exists()


async def test_socket_of_a_dead_daemon_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "rlmd.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with daemon(tmp_path) as served:
        assert (await served.bob.call("GetSelf")).name == "users/bob"


async def test_file_in_the_place_of_the_socket_stays(tmp_path: Path) -> None:
    (tmp_path / "rlmd.sock").write_text("mine")
    with pytest.raises(PreconditionFailed, match=r"rlmd\.sock"):
        async with daemon(tmp_path):
            pass
    assert (tmp_path / "rlmd.sock").read_text() == "mine"


async def test_tcp_on_loopback_tells_guests_less(tmp_path: Path) -> None:
    async with daemon(tmp_path, listen="127.0.0.1:0") as served:
        address = served.server.addresses[1]
        assert not address.endswith(":0")
        async with dial(address) as channel:
            bob = await Client(channel, served.bob.secret).call("GetStatus")
            alice = await Client(channel, served.alice.secret).call("GetStatus")
        local = await served.bob.call("GetStatus")
    assert (bob.data, alice.data, local.data) == ("", str(tmp_path), str(tmp_path))
    assert (bob.agents, bob.index.state) == (1, "ready")


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.168.0.1:80", "unix:/tmp/x", "127.0.0.1"])
async def test_other_addresses_are_refused(tmp_path: Path, listen: str) -> None:
    with pytest.raises(PreconditionFailed, match="loopback"):
        async with daemon(tmp_path, listen=listen):
            pass


async def test_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PreconditionFailed) as caught:
        async with daemon(tmp_path, listen=f"127.0.0.1:{taken.getsockname()[1]}"):
            pass
    assert caught.value.field == "listen"
    assert not (tmp_path / "rlmd.sock").exists()


async def test_message_over_the_limit_is_refused_and_the_daemon_goes_on(served: Daemon) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.alice.call("GetAgent", name="x" * (33 * 1024 * 1024))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await served.alice.call("GetSelf")).administrator
