"""A daemon that fails as it is told: a real gRPC server on a real socket, for what a good daemon does not do.

It keeps what was asked of it in `requests`, and takes for each call the next of `script`: a status code to
fail with, an error of rlmd to tell, seconds to be silent for, or messages to answer with; a code among the
messages of a stream cuts it there.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_status import rpc_status

from rlmd.daemon.rpc.errors import status_of
from rlmd.errors import RlmdError
from rlmd.proto.rlmd.v1 import channels_pb2_grpc, memory_pb2_grpc, runs_pb2_grpc
from rlmd.settings import Settings

Context = Any


class Double:
    """Serves on the socket of a data directory from `start` until `stop`; may be started again."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.requests: list[Any] = []
        self.tokens: list[str] = []
        self.script: deque[Any] = deque()
        self._server: grpc.Server | None = None
        data.mkdir(mode=0o700, exist_ok=True)
        (data / "token").write_text("secret\n")

    def start(self) -> None:
        server = grpc.server(futures.ThreadPoolExecutor(4))
        memory_pb2_grpc.add_MemoryServicer_to_server(_service(memory_pb2_grpc.MemoryServicer, self), server)
        runs_pb2_grpc.add_RunsServicer_to_server(_service(runs_pb2_grpc.RunsServicer, self), server)
        channels_pb2_grpc.add_ChannelsServicer_to_server(
            _service(channels_pb2_grpc.ChannelsServicer, self), server
        )
        server.add_insecure_port(f"unix:{Settings(data=self.data).socket}")
        server.start()
        self._server = server

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop(0).wait()
            self._server = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(Settings(data=self.data).socket)

    def answer(self, request: Any, context: Context) -> Any:
        """The next of the script, for a call with one answer."""
        self._note(request, context)
        item = self.script.popleft()
        if isinstance(item, float):
            time.sleep(item)
        if isinstance(item, RlmdError):
            context.abort_with_status(rpc_status.to_status(status_of(item)))
        if isinstance(item, grpc.StatusCode):
            context.abort(item, "scripted")
        return item

    def stream(self, request: Any, context: Context) -> Iterator[Any]:
        """The next of the script, for a stream."""
        self._note(request, context)
        for item in self.script.popleft():
            if isinstance(item, grpc.StatusCode):
                context.abort(item, "scripted")
            yield item

    def _note(self, request: Any, context: Context) -> None:
        self.requests.append(request)
        self.tokens += [value for key, value in context.invocation_metadata() if key == "authorization"]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _service(servicer: type[Any], double: Double) -> Any:
    """A servicer whose every method asks the double."""
    methods = [name for name in vars(servicer) if not name.startswith("_")]
    streams = {"WatchRun", "Chat"}
    made = {name: staticmethod(double.stream if name in streams else double.answer) for name in methods}
    return type(servicer.__name__, (servicer,), made)()


@contextlib.contextmanager
def running() -> Iterator[Double]:
    """A double on a directory of its own, with a path short enough for a socket."""
    with tempfile.TemporaryDirectory() as folder, Double(Path(folder) / "data") as double:
        yield double
