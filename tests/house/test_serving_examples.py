"""The examples that serve until Ctrl-C, each beside a daemon, used as its first lines say."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

import rlmd

from .test_docs import Reader
from .test_docs import reader as reader
from .tree import ROOT

SECONDS = 60.0


class Served:
    """An example that runs."""

    def __init__(self, reader: Reader, *command: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, f"examples/{command[0]}.py", *command[1:]],
            cwd=reader.home,
            env=reader.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._limit = threading.Timer(SECONDS, self._process.kill)
        self._limit.start()

    def shows(self, line: str) -> None:
        """The next line that it prints."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"{line}\n"

    def types(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.kill()
        self._process.send_signal(signal.SIGINT)
        left, _ = self._process.communicate()
        self._limit.cancel()
        if error is None:
            assert (self._process.returncode, left.count("Traceback")) == (0, 0), left


def says(reader: Reader, *lines: str) -> str:
    """What a program of the agent replies in the end."""
    with rlmd.connect(data=reader.data) as client:
        agent = client.agent("main")
        run = agent.send("\n".join(["/py", *lines]))
        ended = run.wait()
        assert ended.state == "done", ended
        said = [each for each in agent.log.recent(20) if each.from_agent and each.run == run.id]
        return "\n".join(each.text for each in said if each.channel == "chat")


@pytest.fixture
def client(reader: Reader) -> Iterator[rlmd.Client]:
    with rlmd.connect(data=reader.data) as made:
        yield made


def test_the_home_bot(reader: Reader) -> None:
    with Served(reader, "home_bot") as bot:
        bot.shows("the home is connected")
        told = says(reader, "from channels import home", 'reply(await home.lights(on=True, room="attic"))')
        assert told == "the lights of the attic are on"
        bot.shows("attic: on")
        assert says(reader, "from channels import home", "reply(str(await home.lit()))") == "['attic']"
        wrong = says(reader, "from channels import home", 'await home.lights(on=True, room="cellar")')
        assert "home.lights" in wrong
        says(reader, "from channels import home", 'home.tell("Good night.")', "done()")
        bot.shows("main: Good night.")
    # What is offered as `offline="fail"` does not wait for it.
    assert "home" in says(
        reader,
        "from channels import home",
        "try:",
        "    await home.lit()",
        "except Exception as error:",
        "    reply(str(error))",
    )


def test_the_person(reader: Reader, client: rlmd.Client) -> None:
    with Served(reader, "person", "ann") as ann:
        ann.shows("ann is connected")
        code = [
            "from channels import ann",
            'x = await ann.ask("Tea?", type="yesno")',
            "ann.tell(str(x))",
            "done()",
        ]
        run = client.agent("main").send("\n".join(["/py", *code]))
        ann.shows("main asks: Tea? (yes or no)")
        ann.types("yes")
        ann.shows("main: True")
        assert run.wait().state == "done"
        ann.types("/py reply(event.sender + ' on ' + event.channel)")
        ann.shows("main: ann on ann")
        client.agent("main").send('/py\nreply(await ask("Coffee?", channel="ann"))')
        ann.shows("main asks: Coffee?")
        (question,) = client.questions.list()
        client.questions.answer(question.id, "no")
        ann.shows("('Coffee?' is answered by owner)")


def test_the_watcher_tells_each_change_once(reader: Reader, client: rlmd.Client) -> None:
    inbox = reader.home / "inbox"
    inbox.mkdir()
    (inbox / "list.txt").write_text("Buy bread.")
    for _ in range(2):
        with Served(reader, "watcher", "inbox") as watcher:
            watcher.shows("watching inbox")
            assert watcher_line(watcher).startswith("inbox/list.txt is at version")
    assert client.agent("main").memory.get("inbox/list.txt") == "Buy bread."
    told = [each for each in client.agent("main").log.recent(20) if each.channel == "watcher"]
    assert [each.text for each in told if not each.from_agent] == ["inbox/list.txt has changed"]


def watcher_line(watcher: Served) -> str:
    assert watcher._process.stdout is not None
    return watcher._process.stdout.readline()


SHELL = ["from channels import computer", "x = await computer.shell({}, seconds=20)", "reply(str(x))"]


def permit(reader: Reader) -> None:
    """As the example says: else a program that has read an output asks before the next command."""
    assert reader.types("rlmd permit add computer.shell")[0] == 0


def shell(reader: Reader, command: str) -> str:
    return says(reader, *(line.format(repr(command)) for line in SHELL))


def test_the_computer_without_a_box(reader: Reader) -> None:
    permit(reader)
    with Served(reader, "computer", "--folder", "work", "--no-box") as computer:
        folder = reader.home / "work"
        computer.shows(f"commands run in {folder}, WITHOUT A BOX: they can do all that you can")
        assert shell(reader, "echo hi > note; cat note; exit 3") == "{'status': 3, 'output': 'hi\\n'}"
        computer.shows("$ echo hi > note; cat note; exit 3")
        assert (folder / "note").read_text() == "hi\n"
        late = says(
            reader,
            "from channels import computer",
            "reply(str(await computer.shell('echo a; sleep 60', seconds=0.5)))",
        )
        assert late == "{'status': 124, 'output': 'a\\n'}"


def test_the_computer_refuses_to_run_without_a_box(reader: Reader) -> None:
    env = {**reader.env, "PATH": str(reader.home)}
    command = [sys.executable, str(ROOT / "examples/computer.py")]
    done = subprocess.run(command, env=env, cwd=reader.home, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no bubblewrap here" in done.stderr


def _works() -> bool:
    wall = shutil.which("bwrap")
    if wall is None:
        return False
    probe = [wall, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _works(), reason="bubblewrap is missing, or does not work here")
def test_the_computers_box(reader: Reader) -> None:
    permit(reader)
    secret = reader.home / "secret"
    secret.write_text("honey")
    with Served(reader, "computer", "--folder", "work") as computer:
        computer.shows(f"commands run in {reader.home / 'work'}, in a box")
        seen = shell(reader, f"cat {secret} {reader.data}/token; env; ls /; ls /proc | grep -c '^[0-9]'")
        assert "honey" not in seen
        assert "RLMD_DATA" not in seen
        assert str(os.getpid()) not in shell(reader, "ls /proc")
        assert "'status': 0" in shell(reader, "echo hi > note && cat note")
        assert "'status': 0" not in shell(reader, "touch /usr/x")
        assert Path(reader.home / "work/note").read_text() == "hi\n"
        network = shell(reader, "ls /sys/class/net /proc/net; cat /proc/net/dev")
        assert "eth0" not in network
