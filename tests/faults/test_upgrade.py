"""An upgrade of the database, killed at each of its statements: the old one or the new, never between."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

import rlmd
from rlmd.memory.migrate import COPIES, migrate
from tests.daemon_process import DaemonProcess
from tests.memory.host import opened

OLD = "0001"
MOST_STATEMENTS = 200
UPGRADE = """
import os, signal, sqlite3, sys
from pathlib import Path
from sqlalchemy import Engine, event
from rlmd.memory.migrate import migrate

left = int(sys.argv[2])

def step(*_):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

def traced(connection, _):
    connection.set_trace_callback(step)

event.listen(Engine, "connect", traced)
migrate(Path(sys.argv[1]))
"""
"""Is killed just before its statement of that number, as SQLite counts them: BEGIN and COMMIT count."""


FIRST = """
PRAGMA journal_mode = WAL;
INSERT INTO users VALUES (1, 'owner', 1, 0);
INSERT INTO spaces VALUES (1, 1, 'main');
INSERT INTO agents
    (id, user_id, space_id, name, instructions, model, sub_model, limits, create_time, update_time)
    VALUES (1, 1, 1, 'main', '', '', '', '{}', 0, 0);
INSERT INTO variables VALUES (1, 1, 'plan', 1, 0);
INSERT INTO versions
    (variable_id, number, kind, size, characters, inline, author_user, author_agent, author_step, author_call,
     origin, note, write_time)
    VALUES (1, 1, 'text', 11, 11, CAST('from before' AS BLOB), 'owner', '', 0, 0, 3, '', 0);
"""
"""A user with an agent and a variable."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database as the first version left it, with a variable in it, after a kill."""
    folder = tmp_path / "old"
    folder.mkdir()
    path = folder / "rlmd.db"
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(files("rlmd.migrations")))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, OLD)
    engine.dispose()
    killed = tmp_path / "killed"
    with closing(sqlite3.connect(path)) as first:
        # By hand: the code of today knows columns that were not there.
        first.executescript(FIRST)
        # What was written last is still in the write-ahead log.
        shutil.copytree(folder, killed)
    return killed / "rlmd.db"


def upgrade(path: Path, kill_at: int) -> int:
    """The status of a process that upgrades."""
    script = [sys.executable, "-c", UPGRADE, str(path), str(kill_at)]
    return subprocess.run(script, check=False, timeout=60).returncode


def state(path: Path) -> tuple[str, bool, str]:
    """Revision, whether the table of the next revision is there, and what SQLite says of the whole."""
    with closing(sqlite3.connect(path)) as connection:
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        found = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'uploads'").fetchone()
        (sound,) = connection.execute("PRAGMA integrity_check").fetchone()
    return revision, bool(found[0]), sound


def test_killed_at_each_statement_it_is_old_or_new(old: Path, tmp_path: Path) -> None:
    seen = set()
    for number in range(1, MOST_STATEMENTS):
        path = tmp_path / str(number) / "rlmd.db"
        shutil.copytree(old.parent, path.parent)
        status = upgrade(path, number)
        revision, has_table, sound = state(path)
        assert sound == "ok"
        assert has_table == (revision != OLD), f"between old and new, killed at statement {number}"
        copy = next(path.parent.glob("rlmd.before-*"), None)
        if revision != OLD or copy is not None:
            assert copy is not None, "no copy was made before it began"
            assert state(copy) == (OLD, False, "ok")
        seen.add(revision)
        with opened(path) as home:
            assert home.look(lambda space: space.get("plan")).value == "from before"
        assert not path.with_suffix(".partial").exists()
        shutil.rmtree(path.parent)
        if status == 0:
            break
        assert status == -9
    else:
        raise AssertionError("the upgrade never came to its end")
    assert number > 5, "it was killed nowhere"
    assert len(seen) == 2


def test_a_daemon_upgrades_what_a_kill_has_left(old: Path) -> None:
    assert upgrade(old, 8) == -9
    with DaemonProcess(old.parent) as daemon:
        # The token of before is not known to anybody: the daemon makes one for the first administrator.
        with rlmd.connect(data=daemon.data) as client:
            memory = client.agent().memory
            assert memory.get("plan") == "from before"
            memory.set("plan", "from now")
        daemon.kill()
        daemon.start()
        with rlmd.connect(data=daemon.data) as client:
            assert [version.number for version in client.agent().memory.history("plan")] == [1, 2]


def test_copies_are_few(old: Path) -> None:
    for number in range(5):
        old.with_suffix(f".before-older-{number}").write_bytes(b"")
    migrate(old)
    copies = sorted(path.name for path in old.parent.glob("rlmd.before-*"))
    assert len(copies) == COPIES
    assert "rlmd.before-older-0" not in copies
    newest = max(old.parent.glob("rlmd.before-*"), key=lambda path: path.stat().st_size)
    assert state(newest) == (OLD, False, "ok")


def test_an_older_daemon_refuses_and_names_the_copy(old: Path) -> None:
    migrate(old)
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    copy = next(old.parent.glob("rlmd.before-*"))
    copy.rename(old.with_suffix(".before-9999"))
    before = old.read_bytes()
    command = [sys.executable, "-m", "rlmd.daemon", "--data", str(old.parent)]
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False)
    said = ended.stderr.decode()
    assert ended.returncode == 1
    assert "was written by a newer rlmd" in said
    assert "rlmd.before-9999" in said
    assert "Traceback" not in said
    assert old.read_bytes() == before
