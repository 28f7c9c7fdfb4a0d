"""Variables through gRPC: how many writes a second, and how long one caller waits.

    python -m benchmarks.memory [--seconds 5]

A real daemon process on a Unix socket, clients in processes of their own, each write with a request id as
the library sends it. Beside it, in the same way and on the same event loop, a gRPC server that only echoes:
what the transport itself allows on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import uvloop

import rlmd
from rlmd.clients.aio.connection import request_id
from rlmd.proto.rlmd.v1 import memory_pb2 as pb
from rlmd.proto.rlmd.v1.memory_pb2_grpc import MemoryStub
from tests.daemon_process import DaemonProcess

from .figures import Cpu, percentile, report
from .filling import wait_for_index

CALLERS = 64
BATCH, BATCHERS = 100, 8
"""Variables of a batch, and who sends them."""
PROCESSES = 2
"""Of clients: one alone would be the narrow place."""
VALUE = pb.Value(json='{"city": "Berlin", "since": 2019, "likes": ["tea", "rain"]}')
Calls = Callable[[MemoryStub, int], Awaitable[object]]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    seconds = options.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        with _echo(Path(folder)) as (address, pid):
            bare, spent = _many(address, "", seconds, Cpu(pid), 1)
            echo = report("memory.bare_echo", bare, "calls/s", callers=CALLERS)
            report("memory.bare_echo.cpu", spent, "ms")
        with DaemonProcess(Path(folder) / "data") as daemon:
            address = f"unix:{daemon.data / 'rlmd.sock'}"
            token = (daemon.data / "token").read_text().strip()
            with rlmd.connect(data=daemon.data) as client:
                wait_for_index(client)  # Its libraries take seconds of CPU to load, after the start.
                time.sleep(2)
            rates, spent = _many(address, token, seconds, Cpu(daemon.pid), 1)
            report("memory.writes_of_many_callers", rates, "writes/s", least=1500, peer=echo, callers=CALLERS)
            report("memory.writes_of_many_callers.cpu", spent, "ms")
            rates, spent = _many(address, token, seconds, Cpu(daemon.pid), BATCH)
            report("memory.writes_in_batches", rates, "writes/s", least=10_000, callers=BATCHERS, batch=BATCH)
            report("memory.writes_in_batches.cpu", spent, "ms")
            for name, most in (("write", 3), ("read", 2)):
                taken = asyncio.run(_one(address, token, name, seconds))
                report(f"memory.{name}_of_one_caller", taken, "ms", most=most, p95=percentile(taken, 0.95))


def _many(address: str, token: str, seconds: float, cpu: Cpu, batch: int) -> tuple[list[float], list[float]]:
    """Writes a second in three rounds, and the server's CPU milliseconds for each write."""
    rates: list[float] = []
    spent: list[float] = []
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        pool.starmap(_callers, [(address, token, 0.5, n, batch) for n in range(PROCESSES)])
        for _ in range(3):
            before = cpu.seconds()
            given = [(address, token, seconds / 3, n, batch) for n in range(PROCESSES)]
            found = pool.starmap(_callers, given)
            rates.append(sum(count / taken for count, taken in found))
            spent.append((cpu.seconds() - before) * 1000 / sum(count for count, _ in found))
    return rates, spent


def _callers(address: str, token: str, seconds: float, number: int, batch: int) -> tuple[int, float]:
    """This process's share of the callers: how many writes were answered, and in how many seconds."""

    async def run() -> tuple[int, float]:
        async with _stub(address, token) as write:
            began = time.perf_counter()

            async def caller(own: int) -> int:
                count = 0
                while time.perf_counter() - began < seconds:
                    name = f"bench/{number}/{own}/{count % 50}"
                    if batch == 1:
                        await write.SetVariable(_setting(name, request_id()))
                    else:
                        await write.BatchSetVariables(_batch(name, batch))
                    count += batch
                return count

            callers = (CALLERS if batch == 1 else BATCHERS) // PROCESSES
            counts = await asyncio.gather(*(caller(own) for own in range(callers)))
            return sum(counts), time.perf_counter() - began

    return asyncio.run(run())


async def _one(address: str, token: str, kind: str, seconds: float) -> list[float]:
    """Milliseconds of each call of one caller alone."""
    name = "spaces/main/variables/bench/one"
    taken: list[float] = []
    async with _stub(address, token) as stub:
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            if kind == "write":
                await stub.SetVariable(_setting("bench/one", request_id()))
            else:
                await stub.GetVariable(pb.GetVariableRequest(name=name))
            taken.append((time.perf_counter() - began) * 1000)
    return taken[10:]


def _setting(name: str, request: str = "") -> pb.SetVariableRequest:
    return pb.SetVariableRequest(name=f"spaces/main/variables/{name}", value=VALUE, request_id=request)


def _batch(name: str, size: int) -> pb.BatchSetVariablesRequest:
    requests = [_setting(f"{name}/{place}") for place in range(size)]
    return pb.BatchSetVariablesRequest(parent="spaces/main", requests=requests, request_id=request_id())


class _Authorized(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(
            details._replace(metadata=(("authorization", f"Bearer {self._token}"),)), request
        )


@contextlib.asynccontextmanager
async def _stub(address: str, token: str) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(address, interceptors=[_Authorized(token)]) as channel:
        yield MemoryStub(channel)


async def _answer(request: pb.SetVariableRequest, context: object) -> pb.Variable:
    return pb.Variable(name=request.name)


async def _serve_echo(address: str) -> None:
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(
        _answer,
        request_deserializer=pb.SetVariableRequest.FromString,
        response_serializer=pb.Variable.SerializeToString,
    )
    handler = grpc.method_handlers_generic_handler("rlmd.v1.Memory", {"SetVariable": method})
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(address)
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


@contextlib.contextmanager
def _echo(folder: Path) -> Iterator[tuple[str, int]]:
    address = f"unix:{folder / 'echo.sock'}"
    process = subprocess.Popen(
        [sys.executable, "-m", __spec__.name, "--echo", address], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield address, process.pid
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--echo"]:
        uvloop.run(_serve_echo(sys.argv[2]))
    else:
        main()
