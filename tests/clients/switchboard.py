"""The daemon's end of channels, in a test's hands: a real gRPC server, for what a good daemon seldom does.

It welcomes each client that connects, keeps what it is sent, sends what the test says, and can drop the line.
"""

from __future__ import annotations

import contextlib
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from grpc_status import rpc_status

from rlmd.daemon.rpc.errors import status_of
from rlmd.errors import RlmdError
from rlmd.proto.rlmd.v1 import channels_pb2 as pb
from rlmd.proto.rlmd.v1 import channels_pb2_grpc, questions_pb2, questions_pb2_grpc
from rlmd.settings import Settings

SECONDS = 20.0
Line = queue.SimpleQueue[pb.ConnectResponse | grpc.StatusCode | None]


class Switchboard(channels_pb2_grpc.ChannelsServicer, questions_pb2_grpc.QuestionsServicer):
    """All connections of all clients."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.hellos: list[pb.Hello] = []
        self.requests: list[pb.ConnectRequest] = []
        """What came after the hellos, in order, on whatever connection."""
        self.acknowledged = 0
        """What the welcome says."""
        self.open: list[questions_pb2.Question] = []
        """The questions that are listed."""
        self.closed: dict[str, questions_pb2.Question] = {}
        """Those that can be got, by their ids."""
        self.refusal: RlmdError | None = None
        """With what the next clients are sent away."""
        self._line: Line = queue.SimpleQueue()
        self._change = threading.Condition()

    def Connect(self, requests: Iterator[pb.ConnectRequest], context: Any) -> Iterator[pb.ConnectResponse]:
        hello = next(requests).hello
        line = self._line = queue.SimpleQueue()
        if self.refusal is not None:
            context.abort_with_status(rpc_status.to_status(status_of(self.refusal)))
        threading.Thread(target=self._read, args=(requests, line), daemon=True).start()
        welcome = pb.Welcome(channel=f"channels/{hello.channel}", acknowledged=self.acknowledged)
        yield pb.ConnectResponse(welcome=welcome)
        with self._change:
            self.hellos.append(hello)
            self._change.notify_all()
        while (item := line.get()) is not None:
            if isinstance(item, grpc.StatusCode):
                context.abort(item, "dropped")
            else:
                yield item

    def ListQuestions(
        self, request: questions_pb2.ListQuestionsRequest, context: Any
    ) -> questions_pb2.ListQuestionsResponse:
        return questions_pb2.ListQuestionsResponse(questions=self.open)

    def GetQuestion(self, request: questions_pb2.GetQuestionRequest, context: Any) -> questions_pb2.Question:
        return self.closed[request.name.rpartition("/")[2]]

    def send(self, sequence: int = 0, **response: Any) -> None:
        """Send something on the newest connection."""
        self._line.put(pb.ConnectResponse(sequence=sequence, **response))

    def drop(self) -> None:
        """Cut the newest connection."""
        self._line.put(grpc.StatusCode.UNAVAILABLE)

    def wait(self, condition: Callable[[], object]) -> None:
        """Wait until something is so; it is looked at when anything has come."""
        with self._change:
            assert self._change.wait_for(condition, SECONDS), (self.hellos, self.requests)

    def results(self) -> list[pb.CallResult]:
        return [each.result for each in self.requests if each.HasField("result")]

    def acks(self) -> list[int]:
        return [each.ack.sequence for each in self.requests if each.HasField("ack")]

    def says(self) -> list[pb.Say]:
        return [each.say for each in self.requests if each.HasField("say")]

    def answers(self) -> list[pb.GiveAnswer]:
        return [each.answer for each in self.requests if each.HasField("answer")]

    def _read(self, requests: Iterator[pb.ConnectRequest], line: Line) -> None:
        # It ends by an error where the line is cut.
        with contextlib.suppress(Exception):
            for request in requests:
                with self._change:
                    self.requests.append(request)
                    self._change.notify_all()
        line.put(None)


@contextlib.contextmanager
def running() -> Iterator[Switchboard]:
    """A switchboard on a directory of its own, with a path short enough for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir(mode=0o700)
        (data / "token").write_text("secret\n")
        board = Switchboard(data)  # type: ignore[abstract]
        server = grpc.server(futures.ThreadPoolExecutor(8))
        channels_pb2_grpc.add_ChannelsServicer_to_server(board, server)
        questions_pb2_grpc.add_QuestionsServicer_to_server(board, server)
        server.add_insecure_port(f"unix:{Settings(data=data).socket}")
        server.start()
        try:
            yield board
        finally:
            server.stop(0).wait()


def until(condition: Callable[[], object]) -> None:
    """Wait for something that happens here."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
