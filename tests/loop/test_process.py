"""The daemon as a process: it answers, it stops cleanly, it comes back after a kill."""

from __future__ import annotations

import rlmd
from tests.conftest import StartDaemon
from tests.daemon_process import DaemonProcess
from tests.model_server import ModelServer


def test_answers_without_a_provider_and_keeps_its_memory_over_a_kill(daemon: DaemonProcess) -> None:
    with rlmd.connect(data=daemon.data) as client:
        client.agent().memory.set("plan", ["a"])
        assert client.agent().chat("Hello").text
    daemon.kill()
    daemon.restart()
    with rlmd.connect(data=daemon.data) as client:
        assert client.agent().memory.get("plan") == ["a"]


def test_a_scripted_model_is_the_agents_model(start_daemon: StartDaemon, model_server: ModelServer) -> None:
    model_server.script(["```python\nx = 20 + 1\n```", "```python\nreply(str(x * 2))\n```"])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        assert client.agent().chat("Think").text == "42"
    daemon.stop()
