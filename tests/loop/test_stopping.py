"""`rlmd stop --all`: whatever is stuck, all stands still at once, over restarts, until `rlmd resume`."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import psutil
import pytest

import rlmd
from rlmd.clients.records import RunState
from rlmd.clients.updates import Ended, Halted, Said
from tests.conftest import StartDaemon
from tests.daemon_process import DaemonProcess
from tests.model_server import ModelServer, Slow

from .runner import py

AT_ONCE = 5.0
LANE = 3
"""Messages that wait on a channel behind one that computes."""


def workers(daemon: DaemonProcess) -> list[psutil.Process]:
    """Processes of the sandbox that compute, or have."""
    children = psutil.Process(daemon.pid).children(recursive=True)
    alive = [each for each in children if each.status() != psutil.STATUS_ZOMBIE]
    return [each for each in alive if each.cpu_times().user > 0.3]


def wait_for(client: rlmd.Client, agent: str, states: list[RunState]) -> None:
    end = time.monotonic() + 10
    while sorted(run.state for run in client.agent(agent).runs()) != sorted(states):
        assert time.monotonic() < end, [run.state for run in client.agent(agent).runs()]
        time.sleep(0.02)


def test_everything_stands_still_and_goes_on_where_it_was(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    busy = py("memory.append('log', 'x')\nwhile memory.get('go') is None: sum(range(100_000))\nreply('free')")
    model_server.script([busy, *[f"reply {number}" for number in range(LANE)]], model="busy")
    model_server.script([py("memory.set('kept', 1)"), Slow(60, "too late"), "Here I am again."], model="slow")
    model_server.script([py("reply('it was ' + await ask('Which?'))")], model="asks")
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        for name in ("busy", "slow", "asks", "late"):
            client.create_agent(name, model=name)
        computing = client.agent("busy").send("Compute.")
        lane = [client.agent("busy").send(f"message {number}") for number in range(LANE)]
        hanging = client.agent("slow").send("Think.")
        asking = client.agent("asks").chat("Ask me.")
        end = time.monotonic() + 10
        while not workers(daemon):
            assert time.monotonic() < end
        model_server.wait_for(4)

        began = time.monotonic()
        stop, count = client.admin.stop_all("too much at once")
        assert time.monotonic() - began < AT_ONCE, "nothing is asked, and nothing waited for"
        assert (stop.by, stop.reason, stop.everyone, count) == ("owner", "too much at once", False, 2)
        gone = psutil.wait_procs(workers(daemon), timeout=2)
        assert not gone[1]
        assert client.status().stop == stop
        states = [RunState.QUEUED] * (1 + LANE)
        assert [run.state for run in client.agent("busy").runs()] == states
        assert hanging.get().state is RunState.QUEUED

        # What comes now is taken, and waits; who waits for it is told.
        with pytest.raises(rlmd.PreconditionFailed, match=r"too much at once.*kept.*rlmd resume"):
            client.agent("late").chat("Hello?")
        assert isinstance(next(iter(hanging.watch(1000))), Halted)
        client.questions.answer(client.questions.list()[0].id, "this")
        asked = len(model_server.requests)
        daemon.kill()
        daemon.start()
        assert client.status().stop == stop
        assert client.admin.stop_all("again") == (stop, 0), "what is stopped stays as it is"
        time.sleep(1)
        assert len(model_server.requests) == asked, "a model was asked while all was stopped"
        assert client.agent("asks").run(asking.run).get().state is RunState.QUEUED

        model_server.script(["better late"], model="late")
        client.agent("busy").memory.set("go", True)
        assert client.admin.resume_all() == 1 + LANE + 1 + 1 + 1
        assert client.status().stop is None
        said = [run.wait().state for run in [computing, *lane, hanging]]
        assert said == [RunState.DONE] * len(said)
        assert client.agent("asks").run(asking.run).wait().state is RunState.DONE
        log = client.agent("busy").memory.get("log")
        assert log == "x", "its first call was had once"
        texts = [m.text for m in client.agent("busy").log.recent(50) if m.from_agent]
        assert texts == ["free", *[f"reply {number}" for number in range(LANE)]], "a lane keeps its order"
        assert client.agent("slow").memory.version("kept") == 1
        assert client.agent("asks").log.recent(1)[0].text == "it was this"
        assert client.agent("late").run(client.agent("late").runs()[0].id).wait().state is RunState.DONE
        assert client.admin.resume_all() == 0


def test_a_stop_is_one_users_or_everybodys(start_daemon: StartDaemon) -> None:
    daemon = start_daemon()
    with rlmd.connect(data=daemon.data) as owner:
        _, secret = owner.admin.create_user("bob")
        with rlmd.connect(data=daemon.data, token=secret) as bob:
            bob.admin.stop_all("mine")
            assert owner.agent().chat("Hello").state is RunState.DONE
            with pytest.raises(rlmd.PermissionDenied, match="only administrators"):
                bob.admin.stop_all(everyone=True)
            stop, _ = owner.admin.stop_all(everyone=True)
            assert stop.everyone
            with pytest.raises(rlmd.PreconditionFailed, match="everybody is stopped"):
                bob.admin.resume_all()
            with pytest.raises(rlmd.PreconditionFailed, match="resume --everyone"):
                owner.agent().chat("Hello")
            with pytest.raises(rlmd.PermissionDenied):
                bob.admin.resume_all(everyone=True)
            assert owner.admin.resume_all(everyone=True) == 1
            assert owner.status().stop is None
            told = bob.status().stop
            assert told is not None
            assert (told.reason, told.everyone) == ("mine", False), "bob's own stop holds on"
            bob.admin.resume_all()
            assert bob.agent().chat("Hello").state is RunState.DONE


def test_while_the_database_is_held_it_is_stopped_all_the_same(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.always(py("while True: pass"))
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data, timeout=1) as client:
        run = client.agent().send("Compute.")
        end = time.monotonic() + 10
        while not workers(daemon):
            assert time.monotonic() < end
        with closing(sqlite3.connect(daemon.data / "rlmd.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises((rlmd.Unavailable, rlmd.DeadlineExceeded)):
                client.admin.stop_all()
            assert client.status().stop is not None
            assert not workers(daemon), "the sandbox computes on"
            other.execute("ROLLBACK")
    with rlmd.connect(data=daemon.data) as client:
        client.admin.stop_all()
        assert run.agent == "main"
        daemon.restart()
        assert client.status().stop is not None
        ended = client.agent().run(run.id).cancel("the test ends")
        assert ended.state is RunState.CANCELLED, "one that is stopped can be cancelled"


def test_whoever_follows_is_told_once_and_sees_it_go_on(
    start_daemon: StartDaemon, model_server: ModelServer
) -> None:
    model_server.script([py("reply('one')\nawait asyncio.sleep(0.2)\nreply('two')"), "unused"])
    daemon = start_daemon(model_server)
    with rlmd.connect(data=daemon.data) as client:
        client.admin.stop_all("wait")
        run = client.agent().send("Talk.")
        seen: list[object] = []
        for update in run.watch():
            seen.append(update)
            if isinstance(update, Halted):
                client.admin.resume_all()
        assert sum(isinstance(update, Halted) for update in seen) == 1
        assert [update.text for update in seen if isinstance(update, Said)] == ["one", "two"]
        assert isinstance(seen[-1], Ended)
