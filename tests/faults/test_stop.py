"""The end of a daemon: by SIGTERM once and twice, Ctrl-C, a closed terminal; never with a worker left."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

import rlmd
from rlmd.clients.records import RunState
from tests.conftest import StartDaemon
from tests.daemon_process import DaemonProcess
from tests.model_server import ModelServer, Slow

BUSY = "```python\nwhile True: pass\n```"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def ended(process: psutil.Process | subprocess.Popen[bytes], seconds: float) -> float:
    """Wait for the end, and give how long it took."""
    began = time.monotonic()
    process.wait(seconds)
    return time.monotonic() - began


@contextmanager
def health(daemon: DaemonProcess) -> Iterator[SimpleQueue[tuple[float, int]]]:
    """What the health service tells, and when."""
    told: SimpleQueue[tuple[float, int]] = SimpleQueue()
    with grpc.insecure_channel(
        f"unix:{daemon.data}/rlmd.sock", options=[("grpc.default_authority", "localhost")]
    ) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its types know no streams
        stream = stub.Watch(health_pb2.HealthCheckRequest())

        def listen() -> None:
            try:
                for answer in stream:
                    told.put((time.monotonic(), answer.status))
                    if answer.status == NOT_SERVING:
                        return
            finally:
                stream.cancel()

        listener = Thread(target=listen)
        listener.start()
        try:
            yield told
        finally:
            stream.cancel()
            listener.join()


def test_a_run_that_waits_for_its_model_goes_on_after_the_restart(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script([Slow(60, "too late"), "Here I am again."])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client, health(daemon) as told:
        run = client.agent().send("Go on.")
        model_server.wait_for(1)
        assert told.get(timeout=5)[1] == SERVING
        began = time.monotonic()
        daemon.stop()
        took = time.monotonic() - began
        at, status = told.get(timeout=5)
        assert (status, at - began < 1) == (NOT_SERVING, True)
        assert took < 5, "it lost nothing by being stopped"
        daemon.start()
        assert run.wait().state is RunState.DONE
        assert client.agent().log.recent(1)[-1].text == "Here I am again."


def test_a_second_signal_cuts_the_grace_short(start_daemon: StartDaemon, model_server: ModelServer) -> None:
    model_server.script(["```python\nmemory.set('kept', 1)\n```", Slow(60, "too late"), "Here I am again."])
    model_server.always(BUSY, model="busy")
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        waiting = agent.send("Wait.")
        model_server.wait_for(2)
        computing = client.create_agent("busy", model="busy").send("Compute.")
        model_server.wait_for(3)
        process = psutil.Process(daemon.pid)
        workers = process.children(recursive=True)
        assert workers
        os.kill(daemon.pid, signal.SIGTERM)
        time.sleep(0.5)
        assert process.is_running(), "there was no grace"
        began = time.monotonic()
        daemon.stop()
        assert time.monotonic() - began < 5
        _, alive = psutil.wait_procs(workers, timeout=2)
        assert not alive
        daemon.start()
        # Both go on where they were, with their effects had once.
        assert waiting.wait().state is RunState.DONE
        assert agent.log.recent(1)[-1].text == "Here I am again."
        assert int(agent.memory.version("kept") or 0) == 1
        assert computing.cancel("the test ends").state is RunState.CANCELLED


def test_ctrl_c_during_the_start(tmp_path: Path) -> None:
    # At whichever point of its start: the next one finds nothing in its way.
    for delay in (0.4, 0.8, 1.2, 1.6):
        with started(tmp_path / "data") as process:
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            assert ended(process, 20) < 5
            assert process.stderr
            assert "Traceback" not in process.stderr.read().decode()
            assert process.returncode in (0, -signal.SIGINT)
    with DaemonProcess(tmp_path / "data") as daemon, rlmd.connect(data=daemon.data) as client:
        assert client.agent().chat("Hello").text


def test_a_closed_terminal_ends_it_cleanly(tmp_path: Path, model_server: ModelServer) -> None:
    """The daemon in the foreground of a terminal whose window is closed, in the middle of a program."""
    model_server.always(BUSY)
    daemon = DaemonProcess(tmp_path / "data", env={"OPENAI_BASE_URL": model_server.url, "RLMD_MODEL": "m"})
    daemon.data.mkdir(mode=0o700)
    command = [sys.executable, "-m", "rlmd.daemon", "--data", str(daemon.data)]
    child, terminal = pty.fork()
    if child == 0:
        os.execve(command[0], command, daemon.env)
    process = psutil.Process(child)
    reader = Thread(target=drained, args=(terminal,))
    reader.start()
    try:
        while not (daemon.data / "rlmd.sock").exists() or not (daemon.data / "token").exists():
            assert process.status() != psutil.STATUS_ZOMBIE
            time.sleep(0.05)
        with rlmd.connect(data=daemon.data) as client:
            client.agent().send("Compute.")
            model_server.wait_for(1)
        workers = process.children(recursive=True)
    finally:
        process.send_signal(signal.SIGHUP)
        _, status = os.waitpid(child, 0)
        os.close(terminal)
        reader.join()
    assert os.waitstatus_to_exitcode(status) == 0
    assert not (daemon.data / "rlmd.sock").exists()
    _, alive = psutil.wait_procs(workers, timeout=2)
    assert not alive


def drained(terminal: int) -> None:
    try:
        while os.read(terminal, 65_536):
            pass
    except OSError:
        return


@contextmanager
def started(data: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that is not waited for."""
    env = DaemonProcess(data).env
    command = [sys.executable, "-m", "rlmd.daemon", "--data", str(data)]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()
