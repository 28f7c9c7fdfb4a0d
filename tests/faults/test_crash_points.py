"""A daemon that ends itself with SIGKILL at a named place, between a commit on a call's way and what follows.

One program passes all of them. Whichever is hit, the client is told in the end what it would have been told,
and what is left is what an undisturbed daemon leaves. While a run waits, the daemon is killed from outside.
(Before each commit, and at any other, runs are cut off in tests/loop: test_replay.py, test_property.py.)
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rlmd
from rlmd.clients.records import RunState
from rlmd.daemon.models.api import Usage
from rlmd.memory.clock import SystemClock
from rlmd.memory.store import House
from tests.daemon_process import DaemonProcess, model_env
from tests.loop.lives import Left, left
from tests.loop.runner import py
from tests.loop.test_property import difference
from tests.model_server import ModelServer, Text

pytestmark = pytest.mark.slow

COMMITS = (
    "message",
    "started",
    "step",
    "call memory.set",
    "call llm",
    "call rlm",
    "arrived",
    "settled llm",
    "settled rlm",
    "call reply",
    "observation",
    "call ask",
    "waiting",
    "answer",
    "woken",
    "settled ask",
    "call memory.append",
    "call done",
    "ended",
)
PLACES = [
    *(f"after {commit}" for commit in COMMITS),
    *(f"before {commit}" for commit in ("message", "call memory.set", "waiting", "answer", "woken", "ended")),
    "before index",
    "amid index",
    "while it waits",
]

STEPS = [
    """
memory.set('plan', ['Bern', 'Thun'])
words = await asyncio.gather(llm('one'), rlm('Be a child.', 7))
reply(words)
print(words)
""",
    """
drink = await ask('Which?', ['tea', 'coffee'])
memory.append('log', drink)
reply(drink)
done(words)
""",
]
CHILD = "memory.set('of/child', event.context)\ndone(event.context[0] + 1)"
SPENT = Usage(input_tokens=100, output_tokens=10)


def answer(body: dict[str, Any]) -> Text:
    messages = body["messages"]
    system = messages[0]["content"]
    if system.startswith("This is a sub-call"):
        return Text("ONE", usage=SPENT)
    code = CHILD if system.startswith("You are a child") else STEPS[(len(messages) - 2) // 2]
    return Text(py(code), usage=SPENT)


class Person(threading.Thread):
    """Says something, answers what is asked, and hears it to the end; knows nothing of what happens."""

    def __init__(self, data: Path, parked: threading.Event) -> None:
        super().__init__()
        self._data = data
        self._parked = parked
        self.heard: list[str] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with rlmd.connect(data=self._data) as client:
                agent = client.create_agent("it", model="m")
                run = agent.send("Go.")
                while run.get().state is not RunState.WAITING:
                    time.sleep(0.01)
                self._parked.set()
                (question,) = client.questions.list()
                # The library says it again if the first try was written and not told.
                with contextlib.suppress(rlmd.PreconditionFailed):
                    client.questions.answer(question.id, "tea")
                assert client.questions.get(question.id).answer == "tea"
                run.wait()
                self.heard = [update.text for update in run.watch(0) if isinstance(update, rlmd.updates.Said)]
        except BaseException as error:
            self.failure = error


def lived(folder: Path, server: ModelServer, place: str) -> tuple[list[str], Left]:
    """What a person heard, and what is left, of a daemon that ended itself at a place; at none if empty."""
    server.always(answer, model="m")
    parked = threading.Event()
    with DaemonProcess(folder / "data", env={**model_env(server), "RLMD_TEST_CRASH": place}) as daemon:
        person = Person(daemon.data, parked)
        person.start()
        if place == "while it waits":
            assert parked.wait(20)
            daemon.kill()
        elif place:
            assert daemon.wait() == -signal.SIGKILL, "the place was never reached"
        if place:
            daemon.env.pop("RLMD_TEST_CRASH")
            daemon.start()
        person.join()
        if person.failure is not None:
            raise person.failure
        with rlmd.connect(data=daemon.data) as client:
            assert [hit.name for hit in client.agent("it").memory.search("Bern Thun", k=1)] == ["plan"]
    with House.open(folder / "data/rlmd.db", SystemClock()) as house:
        store = house.store(house.read(lambda accounts: accounts.user("owner")))
        return person.heard, store.read(lambda tx: left(tx, "it"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[str], Left]]:
    with ModelServer() as server:
        yield lived(tmp_path_factory.mktemp("whole"), server, "")


@pytest.mark.parametrize("place", PLACES)
def test_what_is_left_is_the_same_wherever_it_ends(
    place: str, whole: tuple[list[str], Left], tmp_path: Path, model_server: ModelServer
) -> None:
    heard, left = lived(tmp_path, model_server, place)
    assert difference(whole[1], left) == ""
    assert heard == whole[0]
    assert [text.split() for text in heard] == [["[", '"ONE",', "8", "]"], ["tea"]]
    paid = len(model_server.requests) - sum(whole[1].spent.values())
    # What was under way is asked for again: the root's step, or the sub-call and the child's.
    assert 0 <= paid <= 2
