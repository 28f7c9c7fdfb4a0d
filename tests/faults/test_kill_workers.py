"""A daemon that is killed while programs compute: their workers end with it, not a minute later."""

from __future__ import annotations

import shutil
import time

import psutil
import pytest

import rlmd
from tests.conftest import StartDaemon
from tests.daemon_process import DaemonProcess
from tests.model_server import ModelServer

GONE_SECONDS = 2.0


def computing(daemon: DaemonProcess) -> list[psutil.Process]:
    """Workers that have computed for a while: they do not look whether their daemon is still there."""
    found = psutil.Process(daemon.pid).children(recursive=True)
    return [process for process in found if process.is_running() and process.cpu_times().user > 0.2]


@pytest.mark.skipif(
    not (shutil.which("setpriv") or shutil.which("bwrap")), reason="neither setpriv nor bwrap"
)
def test_workers_end_with_a_daemon_that_is_killed(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.always("```python\nwhile True: pass\n```")
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        runs = [client.agent().send("Compute.", channel=f"c{n}") for n in range(3)]
        model_server.wait_for(3)
        until = time.monotonic() + 20
        while len(workers := computing(daemon)) < 3:
            assert time.monotonic() < until
            time.sleep(0.05)
        daemon.kill()
        _, alive = psutil.wait_procs(workers, timeout=GONE_SECONDS)
        assert not alive, "a worker computes for nobody"
        daemon.start()
        for run in runs:
            run.cancel("the test ends")
