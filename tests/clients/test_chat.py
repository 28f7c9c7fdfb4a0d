"""The chat, through a pipe and on a terminal, also when it is interrupted or the daemon goes away."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.clients.conftest import COMMAND, Cli, runner
from tests.daemon_process import DaemonProcess

Process = subprocess.Popen[bytes]
ENDLESS = b"/py while True: pass"


@contextlib.contextmanager
def piped(daemon: DaemonProcess, *options: str) -> Iterator[Process]:
    """A chat that is fed by a pipe, while it runs."""
    pipe = subprocess.PIPE
    environment = {**daemon.env, "RLMD_DATA": str(daemon.data)}
    with subprocess.Popen(
        [*COMMAND, "chat", *options], env=environment, stdin=pipe, stdout=pipe, stderr=pipe
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def write(process: Process, line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line + b"\n")
    process.stdin.flush()


def test_a_pipe_gets_replies_and_nothing_else(cli: Cli) -> None:
    said = cli("chat", input=b"My bike is green.\n\n\xff\nWhat colour is my bike?\n")
    assert said.code == 0
    assert "green" in said.out.splitlines()[-1]
    assert "line 3: not UTF-8" in said.err
    assert "model: " in said.err
    assert "model: " not in said.out


def test_slash_commands(cli: Cli) -> None:
    cli("memory", "set", "slash/a", "x")
    cli("agent", "create", "slash-agent")
    told = cli(
        "chat",
        input="/help\n/hepl me\n/memory slash/\n/run 999999\n/run\n"
        "/agent nobody\n/agent slash-agent\n/quit\nno\n",
    )
    assert told.code == 0
    assert "/quit" in told.out
    assert "slash/a\tv1" in told.out
    assert "999999" in told.err
    assert "There is no command /hepl" in told.err
    assert "/run needs a number" in told.err
    assert "nobody" in told.err
    assert cli("run", "list", "--agent", "slash-agent").out == ""


def test_one_message_as_json(cli: Cli) -> None:
    told = json.loads(cli("chat", "-m", "/py print(6 * 7)", "--json").out)
    assert told["state"] == "done"
    assert "42" in told["text"]


def test_watching_a_run(cli: Cli) -> None:
    run = json.loads(cli("chat", "-m", "/py x = memory.set('watched', 1)", "--json").out)["run"]
    assert "memory.set watched → v1" in cli("run", "watch", run).out
    lines = [json.loads(line) for line in cli("run", "watch", f"main/{run}", "--json").out.splitlines()]
    assert (lines[0]["update"], lines[-1]["update"]) == ("started", "ended")
    assert "memory.set watched → v1" in cli("run", "show", run).out


def test_ctrl_c_in_a_pipe_cancels_and_leaves(shared: DaemonProcess, cli: Cli) -> None:
    with piped(shared) as process:
        write(process, ENDLESS)
        until = time.monotonic() + 20
        while not cli("run", "list", "--state", "running").out:
            assert time.monotonic() < until
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert b"stopped by Ctrl-C" in err
    assert not cli("run", "list", "--state", "running").out


def test_a_restart_in_the_middle_of_a_pipe(daemon: DaemonProcess) -> None:
    # Else the chat and the test would race to start the daemon again.
    with piped(daemon, "--no-start") as process:
        assert process.stdout is not None
        write(process, b"My boat is blue.")
        assert b"blue" in process.stdout.readline()
        daemon.kill()
        write(process, b"What colour is my boat?")
        daemon.start()
        out, err = process.communicate(timeout=40)
    assert process.returncode == 0, err
    assert b"blue" in out
    assert runner(daemon)("run", "list").out.count("\n") == 2


class Terminal:
    """`rlmd chat` on a terminal of its own."""

    def __init__(self, daemon: DaemonProcess) -> None:
        environment = {
            **daemon.env,
            "RLMD_DATA": str(daemon.data),
            "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1",
        }
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            os.execve(COMMAND[0], [*COMMAND, "chat"], environment)
        self.seen = ""

    def type(self, keys: str) -> None:
        os.write(self._file, keys.encode())

    def wait_for(self, words: str, seconds: float = 20) -> str:
        """What was shown until these words came; it is forgotten then."""
        until = time.monotonic() + seconds
        while words not in self.seen:
            assert time.monotonic() < until, f"{words!r} did not come: {self.seen}"
            if select.select([self._file], [], [], 0.1)[0]:
                raw = os.read(self._file, 65_536).decode(errors="replace")
                self.seen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", raw)
        before, _, self.seen = self.seen.partition(words)
        return before

    def end(self) -> int:
        """The exit code."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                if select.select([self._file], [], [], 0.05)[0]:
                    self.seen += os.read(self._file, 65_536).decode(errors="replace")
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
        raise AssertionError("the chat did not end")

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._file)


@pytest.fixture
def terminal(shared: DaemonProcess) -> Iterator[Terminal]:
    made = Terminal(shared)
    try:
        yield made
    finally:
        made.close()


def test_a_terminal_shows_steps_and_ctrl_c_stays(terminal: Terminal, shared: DaemonProcess) -> None:
    terminal.wait_for("embedder: ")
    terminal.wait_for("main>")
    terminal.type("/py x = memory.set('shown', 1)\x1b\rprint('line two')\r")
    terminal.wait_for("memory.set shown → v1")
    terminal.wait_for("main>")
    terminal.type(ENDLESS.decode() + "\r")
    terminal.wait_for("working")
    time.sleep(0.5)
    terminal.type("\x03")
    terminal.wait_for("The run was cancelled: stopped by Ctrl-C")
    terminal.wait_for("main>")
    terminal.type("half a line\x03")
    terminal.type("/py print('still' + ' here')\r")
    terminal.wait_for("still here")
    terminal.wait_for("main>")
    terminal.type("\x04")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.seen
    history = shared.data / "chat_history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert "half a line" not in history.read_text()


def test_a_terminal_shows_what_was_said_after_a_wait(terminal: Terminal, shared: DaemonProcess) -> None:
    terminal.wait_for("main>")
    terminal.type("/py reply('heard ' + await ask('Which way?'))\r")
    terminal.wait_for("Which way?")
    terminal.wait_for("waits, and uses nothing")
    terminal.wait_for("main>")
    cli = runner(shared)
    (question,) = [line.split("\t")[0] for line in cli("questions").out.splitlines() if "Which way?" in line]
    assert cli("answer", question, "north").code == 0
    until = time.monotonic() + 20
    while "heard north" not in cli("log", "-n", "3").out:
        assert time.monotonic() < until
    assert "heard north" not in terminal.seen
    terminal.type("\r")
    assert "Which way?" not in terminal.wait_for("heard north"), "the question was shown again"
    terminal.type("\r/runs\r")
    assert "heard north" not in terminal.wait_for("begun"), "it was shown twice"


def test_a_terminal_revives_a_daemon_that_is_killed(daemon: DaemonProcess) -> None:
    terminal = Terminal(daemon)
    try:
        terminal.wait_for("main>")
        terminal.type(ENDLESS.decode() + "\r")
        terminal.wait_for("working")
        until = time.monotonic() + 20
        while not runner(daemon)("run", "list", "--state", "running").out:
            assert time.monotonic() < until
        daemon.kill()
        terminal.wait_for("The daemon is gone; starting it again.")
        terminal.wait_for("working")
        assert runner(daemon)("run", "list", "--state", "running").out
        terminal.type("\x03")
        terminal.wait_for("The run was cancelled: stopped by Ctrl-C")
        terminal.wait_for("main>")
    finally:
        terminal.close()
        assert runner(daemon)("down", "--force").code == 0
