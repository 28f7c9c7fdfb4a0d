"""Clients that are connected as channels: a thousand at once, each with a message a second.

    python -m benchmarks.channels [--channels 1000] [--seconds 60]

Each message wakes the agent for a run. The model takes half a minute for an answer: so many runs as a daemon
has at once wait for it, the others in the mailbox. What is measured is how soon a message is there, on disk.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import psutil

from rlmd.proto.rlmd.v1 import channels_pb2 as pb
from rlmd.proto.rlmd.v1.channels_pb2_grpc import ChannelsStub
from tests.daemon_process import DaemonProcess, model_env
from tests.model_server import ModelServer, Slow

from .figures import percentile, report

PER_CONNECTION = 100
"""Streams that share a connection."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--channels", type=int, default=1_000)
    options.add_argument("--seconds", type=int, default=60)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, ModelServer() as model:
        model.always(Slow(30, "Yes."))
        daemon = DaemonProcess(Path(folder) / "data", env=model_env(model)).start()
        try:
            asyncio.run(_measure(daemon, given.channels, given.seconds))
        finally:
            # Its mailbox is full: nobody waits for that to be emptied.
            daemon.kill()


class _Client:
    """One channel: says something each second, and notes how long that took."""

    def __init__(self, stub: Any, secret: str, name: str, seconds: int) -> None:
        self._name = name
        self._seconds = seconds
        self._sent: dict[str, float] = {}
        self._call: Any = stub.Connect(
            self._requests(), metadata=(("authorization", f"Bearer {secret}"),), timeout=seconds + 120
        )
        self._begin = asyncio.Event()
        self.connected = asyncio.Event()
        self.taken: list[float] = []
        self.failures = 0

    async def _requests(self) -> AsyncIterator[pb.ConnectRequest]:
        yield pb.ConnectRequest(hello=pb.Hello(channel=self._name))
        await self._begin.wait()
        # They do not all speak at the same moment.
        began = time.perf_counter() + random.random()
        for number in range(self._seconds):
            await asyncio.sleep(began + number - time.perf_counter())
            self._sent[str(number)] = time.perf_counter()
            text = f"message {number} of {self._name}"
            yield pb.ConnectRequest(say=pb.Say(agent="agents/main", text=text, request_id=""))

    def begin(self) -> None:
        self._begin.set()

    async def run(self) -> None:
        number = 0
        async for response in self._call:
            if response.HasField("welcome"):
                self.connected.set()
            elif response.HasField("said"):
                # They are done, and told, in the order in which they were sent.
                self.taken.append((time.perf_counter() - self._sent.pop(str(number))) * 1000)
                number += 1
            elif response.HasField("failure"):
                self.failures += 1


async def _measure(daemon: DaemonProcess, count: int, seconds: int) -> None:
    secret = (daemon.data / "token").read_text().strip()
    address = f"unix:{daemon.data / 'rlmd.sock'}"
    wires = [
        grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(-(-count // PER_CONNECTION))
    ]
    make: Any = ChannelsStub
    stubs = [make(wire) for wire in wires]
    clients = [
        _Client(stubs[number // PER_CONNECTION], secret, f"bot-{number}", seconds) for number in range(count)
    ]
    process = psutil.Process(daemon.pid)
    began = time.perf_counter()
    running = [asyncio.create_task(client.run()) for client in clients]
    await asyncio.gather(*(client.connected.wait() for client in clients))
    report("channels.connect", [time.perf_counter() - began], "s", channels=count)
    report("channels.rss_idle", [process.memory_info().rss / 2**20], "MiB", channels=count)
    spent = sum(process.cpu_times()[:2])
    began = time.perf_counter()
    for client in clients:
        client.begin()
    await asyncio.wait(running)
    wall = time.perf_counter() - began
    taken = [each for client in clients for each in client.taken]
    broken = sum(task.exception() is not None for task in running)
    errors = broken + sum(client.failures for client in clients) + count * seconds - len(taken)
    about = {"channels": count, "messages": len(taken), "seconds": round(wall, 1)}
    report("channels.errors", [errors], "", most=0, **about)
    report("channels.message_p50", [percentile(taken, 0.5)], "ms", **about)
    report("channels.message_p99", [percentile(taken, 0.99)], "ms", most=500, **about)
    report("channels.rss", [process.memory_info().rss / 2**20], "MiB", most=500, **about)
    report("channels.cpu", [(sum(process.cpu_times()[:2]) - spent) / wall * 100], "%", **about)
    for wire in wires:
        await wire.close()


if __name__ == "__main__":
    main()
