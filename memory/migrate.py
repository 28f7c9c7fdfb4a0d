"""Bring a database to the tables of this version, with Alembic. Hold the data directory's lock."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from importlib.resources import as_file, files
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine, event, inspect

from rlmd.errors import PreconditionFailed


def migrate(path: Path) -> None:
    """Upgrade in one transaction; a copy of the old database is left beside it.

    Raises:
        PreconditionFailed: the database was written by a newer rlmd, or by another program.
    """
    with as_file(files("rlmd.migrations")) as scripts:
        config = Config()
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        directory = ScriptDirectory.from_config(config)
        present = _present(path)
        if present == directory.get_current_head():
            return
        if present is not None:
            if present not in {script.revision for script in directory.walk_revisions()}:
                raise PreconditionFailed(
                    f"{path} was written by a newer rlmd (its tables are at {present})",
                    field="data",
                    remedy="Install that version, or use another data directory.",
                )
            backup = path.with_suffix(f".before-{directory.get_current_head()}")
            _copy(path, backup)
        engine = create_engine(URL.create("sqlite", database=str(path)))
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        try:
            with engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        finally:
            engine.dispose()


def _present(path: Path) -> str | None:
    if not path.exists() or path.stat().st_size == 0:
        return None
    engine = create_engine(URL.create("sqlite", database=str(path)))
    try:
        with engine.connect() as connection:
            present = MigrationContext.configure(connection).get_current_revision()
            if present is None and inspect(connection).get_table_names():
                raise PreconditionFailed(
                    f"{path} is the database of another program",
                    field="data",
                    remedy="Use another data directory.",
                )
            return present
    finally:
        engine.dispose()


def _copy(path: Path, backup: Path) -> None:
    """SQLite's own backup sees what is still in the write-ahead log; a copy of the file would not."""
    scratch = backup.with_suffix(".partial")
    scratch.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(scratch)) as target:
        source.backup(target)
    shutil.move(scratch, backup)
