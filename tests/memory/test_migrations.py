"""Migrations: what they build, what they refuse, and what an interruption leaves."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, text

from rlmd.errors import PreconditionFailed
from rlmd.memory import migrate as module
from rlmd.memory.clock import ManualClock
from rlmd.memory.migrate import migrate
from rlmd.memory.store import House
from rlmd.memory.tables import metadata

from .host import START, opened, writing

NEXT = '''
"""A next version, which is killed in the middle of its work."""
import os
import sqlalchemy as sa
from alembic import op

revision = "test"
down_revision = "{head}"

def upgrade():
    op.create_table("fresh", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("DELETE FROM versions")
    if os.environ.get("RLMD_TEST_KILL"):
        os.kill(os.getpid(), 9)
'''

UPGRADE = """
import sys
from pathlib import Path
from rlmd.memory import migrate
migrate.files = lambda _: Path(sys.argv[2])
migrate.migrate(Path(sys.argv[1]))
"""


def revision(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(found)


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def schema(engine: Engine) -> dict[str, list[str]]:
    """Tables and indexes, and which of them have what Alembic does not compare."""
    with engine.connect() as connection:
        found = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql <> ''"))
        return {
            name: [option for option in ("AUTOINCREMENT", "WITHOUT ROWID", "CASCADE") if option in sql]
            for name, sql in found
            if name not in ("alembic_version", "sqlite_sequence")
        }


def test_migrations_build_the_tables_of_the_code(tmp_path: Path) -> None:
    path = tmp_path / "rlmd.db"
    migrate(path)
    migrated, meant = create_engine(f"sqlite:///{path}"), create_engine(f"sqlite:///{tmp_path / 'meant.db'}")
    metadata.create_all(meant)
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    assert schema(migrated) == schema(meant)
    migrated.dispose()
    meant.dispose()


@pytest.mark.parametrize("begun", [False, True], ids=["no file", "an empty file"])
def test_opening_makes_the_tables_and_opening_again_changes_nothing(tmp_path: Path, begun: bool) -> None:
    path = tmp_path / "rlmd.db"
    if begun:
        path.touch()
    with opened(path) as home:
        home.edit(lambda space: space.set("plan", "a", writing()))
    before = path.read_bytes()
    migrate(path)
    assert path.read_bytes() == before
    with opened(path) as home:
        assert home.look(lambda space: space.get("plan")).value == "a"
    assert [file.name for file in tmp_path.iterdir()] == ["rlmd.db"], "no copy without an upgrade"


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rlmd.db"
    migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(PreconditionFailed, match="newer rlmd") as caught:
        House.open(path, ManualClock(START))
    assert "Install that version" in caught.value.remedy
    assert path.read_bytes() == before


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "rlmd.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(PreconditionFailed, match="another program"):
        House.open(path, ManualClock(START))
    assert path.read_bytes() == before


def test_an_upgrade_that_is_killed_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, scripts = tmp_path / "rlmd.db", tmp_path / "scripts"
    with opened(path) as home:
        home.edit(lambda space: space.set("plan", "a", writing()))
        # The daemon was killed too: the last writes are still in the write-ahead log.
        copied(path, tmp_path / "killed.db")
    head = revision(path)
    copy_scripts(scripts, NEXT.format(head=head))
    for old in (path, tmp_path / "killed.db"):
        command = [sys.executable, "-c", UPGRADE, str(old), str(scripts)]
        killed = subprocess.run(command, env={"RLMD_TEST_KILL": "1"}, check=False, timeout=60)
        assert killed.returncode == -9
        assert revision(old) == head
        assert "fresh" not in tables(old)
        with opened(old) as home:
            assert home.look(lambda space: space.get("plan")).value == "a"

    monkeypatch.setattr(module, "files", lambda _: scripts)
    migrate(path)
    assert revision(path) == "test"
    assert "fresh" in tables(path)
    backup = path.with_suffix(".before-test")
    assert revision(backup) == head
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT count(*) FROM versions").fetchone() == (1,)


def copied(path: Path, to: Path) -> None:
    """The file and its log as a kill would leave them."""
    for end in ("", "-wal"):
        to.with_name(to.name + end).write_bytes(path.with_name(path.name + end).read_bytes())


def copy_scripts(folder: Path, added: str) -> None:
    """The migrations as they are, and one more."""
    source = Path(str(files("rlmd.migrations")))
    (folder / "versions").mkdir(parents=True)
    for file in (source / "env.py", *(source / "versions").glob("m*.py")):
        target = folder / file.relative_to(source)
        target.write_text(file.read_text())
    (folder / "versions" / "m9999_test.py").write_text(added)
