"""Purging, to the last byte: a canary gets wherever one can, is purged, and looked for in all files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

import rlmd
from rlmd.clients.records import RunState
from tests.conftest import StartDaemon
from tests.daemon_process import DaemonProcess
from tests.loop.runner import py
from tests.loop.test_waiting import wait_until_parked
from tests.model_server import ModelServer

CANARY = "canary-5b1e-tangerine"
LONG = f"{CANARY} flew by. " * 20_000
"""Large enough for pieces, and not only a row."""


def hits(folder: Path, text: str = CANARY) -> dict[str, int]:
    """How often a text stands in the bytes of each file below a folder."""
    found = {}
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            data = file.read_bytes()
            count = data.count(text.encode()) + data.count(text.encode("utf-16-le"))
            if count:
                found[str(file.relative_to(folder))] = count
    return found


House = tuple[DaemonProcess, rlmd.Client]


@pytest.fixture
def filled(start_daemon: StartDaemon, model_server: ModelServer) -> Iterator[House]:
    """A house with a canary in values of all kinds and sizes, journals, messages, questions and results."""
    model_server.script(
        [
            py(f"memory.set('secret/run', '{CANARY}')\nprint(memory.get('secret/plain'))\nreply('{CANARY}')"),
            py(f"print(memory.search('{CANARY}'))\ndone({{'was': '{CANARY}'}})"),
            py(f"seen = [hit.text for hit in memory.search('tangerine')]\nreply(await ask('{CANARY}?'))"),
            "Nothing special.",
            py("x = await rlm('Look at it.', memory.get('secret/plain'))\nreply('I looked.')"),
            py("print(event.context)\nmemory.set('looked', True)\ndone(event.context[0])"),
        ]
    )
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        memory = client.agent().memory
        memory.set("secret/plain", f"{CANARY} as text")
        memory.set("secret/plain", {"as": [CANARY, "data"]}, note=f"about {CANARY}")
        memory.set("secret/large", LONG)
        memory.append("secret/large", f"once more {CANARY}")
        memory.set("secret/bytes", CANARY.encode() * 1_000)
        memory.set("secret/gone", CANARY)
        memory.delete("secret/gone")
        memory.set("kept", "A finch flew by.")
        agent = client.agent()
        assert agent.send(f"Where is {CANARY}?").wait().state is RunState.DONE
        run = agent.send("Ask me.")
        wait_until_parked(run)
        client.questions.answer(client.questions.list()[0].id, CANARY)
        assert run.wait().state is RunState.DONE
        assert agent.chat("Anything else?", channel="desk").text == "Nothing special."
        assert agent.chat("Look.", channel="desk").text == "I looked."
        assert memory.search(CANARY), "it is indexed"
        yield daemon, client


def test_what_is_purged_is_in_no_byte_of_the_data_directory(filled: House) -> None:
    daemon, client = filled
    agent = client.agent()
    memory = agent.memory
    assert {"rlmd.db", "index"} <= {name.partition("/")[0].removesuffix("-wal") for name in hits(daemon.data)}
    with pytest.raises(rlmd.PreconditionFailed, match="other variables hold the text"):
        memory.purge("secret/plain", text=CANARY)
    erased = memory.purge(prefix="secret/", text=CANARY, note="it was asked for")
    assert erased.purge is not None
    assert (erased.purge.variables, erased.purge.versions, erased.purge.runs) == (5, 8, 4)
    assert hits(daemon.data) == {}
    assert memory.names() == ["kept", "looked"]
    assert memory.search("finch")[0].name == "kept"
    assert CANARY not in str([hit.text for hit in memory.search(CANARY)])
    (told,) = memory.purges()
    assert told == erased.purge
    said = [message.text for message in agent.log.recent(20)]
    assert "(purged)" in said
    assert "Anything else?" in said
    assert not [text for text in said if CANARY in text]
    assert [question.text for question in client.questions.list(ended=True)] == ["(purged)"]
    runs = agent.runs()
    assert [run.state for run in runs] == [RunState.DONE] * 4
    for run in runs:
        assert CANARY not in str(agent.run(run.id).get())
    with pytest.raises(rlmd.PreconditionFailed, match="purged"):
        agent.run(runs[-1].id).replay()
    with pytest.raises(rlmd.PreconditionFailed, match="purged"):
        agent.run(runs[-1].id).fork(1)
    memory.set("secret/plain", "A new one.")
    assert memory.version("secret/plain") == 1
    daemon.restart()
    assert memory.search("finch")[0].name == "kept"
    assert hits(daemon.data) == {}


def test_a_purge_that_a_kill_cuts_off_is_finished_by_another(filled: House) -> None:
    daemon, client = filled

    def begin() -> None:
        with rlmd.connect(data=daemon.data) as other:
            try:
                other.agent().memory.purge(prefix="secret/", text=CANARY)
            except rlmd.RlmdError:
                return

    thread = Thread(target=begin)
    thread.start()
    while not client.agent().memory.purges() and thread.is_alive():
        pass
    daemon.kill()
    thread.join()
    daemon.start()
    assert client.agent().memory.names() == ["kept", "looked"]
    assert client.agent().memory.purge().purge is None
    assert hits(daemon.data) == {}


def test_by_name_alone_what_was_said_stays_and_what_runs_saw_goes(filled: House) -> None:
    _, client = filled
    agent = client.agent()
    erased = agent.memory.purge("secret/run", "secret/plain")
    assert erased.purge is not None
    assert (erased.purge.variables, erased.purge.messages) == (2, 0)
    assert "secret/large" in agent.memory.names()
    assert any(CANARY in message.text for message in agent.log.recent(20))
    for run in agent.runs(children=True):
        if run.event_text in (f"Where is {CANARY}?", "Look.", "Look at it.", "(purged)"):
            assert CANARY not in str(agent.run(run.id).get().steps)


def test_what_is_at_work_is_not_purged(start_daemon: StartDaemon, model_server: ModelServer) -> None:
    model_server.script([py("x = memory.get('secret')\nreply(await ask('And?') + x)")])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        agent = client.agent()
        agent.memory.set("secret", CANARY)
        run = agent.send("Go on.")
        wait_until_parked(run)
        with pytest.raises(rlmd.PreconditionFailed, match=f"run {run.id} has to do with it"):
            agent.memory.purge("secret")
        assert agent.memory.get("secret") == CANARY
        run.cancel()
        agent.memory.purge("secret")
        assert agent.memory.names() == []
        with pytest.raises(rlmd.NotFound, match="not even a deleted one"):
            agent.memory.purge("secret")
