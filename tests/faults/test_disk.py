"""The disk: full, failing to sync, locked by another program. Nothing is acknowledged that is not on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import rlmd
from tests.daemon_process import DaemonProcess
from tests.memory.test_database import HOLDER

DISK_MIB = 16
NOISE = os.urandom(200_000)
FAULT = 70
"""The status that a daemon ends with that cannot go on."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0700", "rlmd-test", str(folder)],
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_refuses_writes_and_passes(small_disk: Path) -> None:
    other = small_disk / "somebody-elses-file"
    with DaemonProcess(small_disk / "data") as daemon, rlmd.connect(data=daemon.data) as client:
        memory = client.agent().memory
        memory.set("plan", "the plan")
        settled(client)
        fill(other, leave=3_000_000)
        written = filled(memory)
        assert memory.get("plan") == "the plan"
        assert memory.search("plan")[0].name == "plan"
        for number in range(written):
            assert memory.get(f"big/{number}") == NOISE[number:]
        pid = client.status().pid
        other.unlink()
        memory.set("big/more", NOISE)
        assert memory.get("big/more") == NOISE
        assert client.agent().chat("Hello").text
        assert client.status().pid == pid, "it was restarted"


def test_a_daemon_on_a_full_disk_starts_or_says_why(small_disk: Path) -> None:
    other = small_disk / "somebody-elses-file"
    daemon = DaemonProcess(small_disk / "data")
    with daemon, rlmd.connect(data=daemon.data) as client:
        client.agent().memory.set("plan", "the plan")
    fill(other)
    with in_foreground(daemon) as process:
        if answers(daemon, process):
            with rlmd.connect(data=daemon.data) as client:
                assert client.agent().memory.get("plan") == "the plan"
        else:
            assert process.stderr
            said = process.stderr.read().decode()
            assert process.returncode == 1, said
            assert "full" in said
            assert "Traceback" not in said
    other.unlink()
    with daemon, rlmd.connect(data=daemon.data) as client:
        assert client.agent().memory.get("plan") == "the plan"


def test_a_failed_sync_is_the_end(tmp_path: Path) -> None:
    """Retrying would be a lie: after a failed fsync the kernel forgets what it could not write."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    daemon = DaemonProcess(tmp_path / "data")
    with daemon:
        with rlmd.connect(data=daemon.data, timeout=20) as client:
            memory = client.agent().memory
            memory.set("plan", "safe")
            process = psutil.Process(daemon.pid)
            inject = "inject=fdatasync,fsync:error=EIO"
            tracer = subprocess.Popen(
                [strace, "-f", "-q", "-p", str(daemon.pid), "-o", "/dev/null", "-e", inject],
                stderr=subprocess.DEVNULL,
            )
            try:
                if not traced(process):
                    pytest.skip("strace may not attach to a process here")
                with (
                    rlmd.connect(data=daemon.data, timeout=3) as impatient,
                    pytest.raises((rlmd.Unavailable, rlmd.DeadlineExceeded)),
                ):
                    impatient.agent().memory.set("lost", 1)
                assert daemon.wait() == FAULT
            finally:
                tracer.kill()
                tracer.wait()
        assert "disk I/O error" in daemon.log
        daemon.start()
        with rlmd.connect(data=daemon.data) as client:
            assert client.agent().memory.get("plan") == "safe"
            client.agent().memory.set("plan", "safe again")


def test_another_program_holds_the_database(daemon: DaemonProcess) -> None:
    with rlmd.connect(data=daemon.data) as client:
        memory = client.agent().memory
        memory.set("plan", "a")
        with ThreadPoolExecutor(1) as pool:
            with holding(daemon.data / "rlmd.db"):
                waiting = pool.submit(memory.set, "plan", "b")
                time.sleep(0.5)
                assert not waiting.done(), "nobody held it"
                assert memory.get("plan") == "a"
            waiting.result(20)
        assert memory.get("plan") == "b"


@pytest.mark.slow
def test_another_program_holds_the_database_for_too_long(daemon: DaemonProcess) -> None:
    with rlmd.connect(data=daemon.data) as client, rlmd.connect(data=daemon.data, timeout=15) as impatient:
        memory = client.agent().memory
        memory.set("plan", "a")
        run = client.agent().send("Hello")
        run.wait()
        with holding(daemon.data / "rlmd.db"):
            # The library says it again while it has time, and then what the daemon had said.
            with pytest.raises(rlmd.Unavailable, match="locked by another process"):
                impatient.agent().memory.set("plan", "b")
            assert memory.get("plan") == "a"
            assert client.status().pid == daemon.pid
        memory.set("plan", "c")
        assert memory.get("plan") == "c"
        assert client.agent().chat("Hello").text


def filled(memory: rlmd.Memory) -> int:
    """Write until the disk is full; gives how many values were taken."""
    for number in range(100):
        try:
            memory.set(f"big/{number}", NOISE[number:])
        except rlmd.Exhausted as error:
            refused = error
            break
    else:
        raise AssertionError("the disk never was full")
    assert "full" in refused.reason
    assert refused.remedy
    assert number > 0
    return number


def settled(client: rlmd.Client) -> None:
    """Wait until the index has taken in what there is: it writes to the same disk."""
    until = time.monotonic() + 60
    while (status := client.status()).index != "ready" or status.index_pending:
        assert time.monotonic() < until, "the index does not come to rest"
        time.sleep(0.05)


def fill(path: Path, *, leave: int = 0) -> None:
    """Leave so many bytes, or fewer if others write at the same time."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while shutil.disk_usage(path).free > leave:
            file.write(bytes(4096))


def answers(daemon: DaemonProcess, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the daemon serves, or has ended without that."""
    until = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < until, "it neither serves nor ends"
        with (
            contextlib.suppress(rlmd.Unavailable, rlmd.DeadlineExceeded),
            rlmd.connect(data=daemon.data, timeout=1) as client,
        ):
            return client.status().pid == process.pid
        time.sleep(0.05)
    return False


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Another program holds the database's write lock until the block's end."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            process.stdin.close()


def traced(process: psutil.Process, seconds: float = 5.0) -> bool:
    """Wait until every thread has its tracer; false if that does not come."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        threads = Path(f"/proc/{process.pid}/task").iterdir()
        if all(map(is_traced, threads)):
            return True
        time.sleep(0.05)
    return False


def is_traced(thread: Path) -> bool:
    """A thread that has ended meanwhile does not matter."""
    try:
        return "TracerPid:\t0\n" not in (thread / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextmanager
def in_foreground(daemon: DaemonProcess) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that may end by itself."""
    command = [sys.executable, "-m", "rlmd.daemon", "--data", str(daemon.data)]
    with subprocess.Popen(command, env=daemon.env, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.terminate()
