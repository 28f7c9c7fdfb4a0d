"""Bring a database to the tables of this version, with Alembic. Hold the data directory's lock.

An upgrade is one transaction, so whatever ends it leaves the old tables or the new ones. Before it begins, a
copy of the old database is on disk beside it, for whoever wants to go back to the version before; the last
few of them are kept.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from importlib.resources import as_file, files
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, create_engine, event, inspect

from rlmd.errors import PreconditionFailed

COPIES = 2
"""Copies of older databases that are kept."""


def migrate(path: Path) -> None:
    """Upgrade in one transaction; a copy of the old database is left beside it.

    Raises:
        PreconditionFailed: the database was written by a newer rlmd, or by another program.
        Exhausted: there is no room for the copy.
    """
    if _is_current(path):
        return
    # A tenth of a second and 11 MB, which only those pay whose database is to be changed.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    with as_file(files("rlmd.migrations")) as scripts:
        config = Config()
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        directory = ScriptDirectory.from_config(config)
        present = _present(path)
        if present == directory.get_current_head():
            return
        if present is not None:
            if present not in {script.revision for script in directory.walk_revisions()}:
                raise _newer(path, present)
            _copy(path, _copy_before(path, str(directory.get_current_head())))
        engine = create_engine(URL.create("sqlite", database=str(path)))
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        try:
            with engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        finally:
            engine.dispose()


def _is_current(path: Path) -> bool:
    """Whether the database is at the newest of the migrations there are; seen without Alembic."""
    found: dict[str, str] = {}
    for script in files("rlmd.migrations").joinpath("versions").iterdir():
        text = script.read_text(encoding="utf-8") if script.name.endswith(".py") else ""
        if named := re.search(r'^revision = "(.+)"$', text, re.MULTILINE):
            before = re.search(r'^down_revision = "(.+)"$', text, re.MULTILINE)
            found[named[1]] = before[1] if before else ""
    heads = found.keys() - set(found.values())
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.Error:
        return False  # It is not there, or is none: who looks closer says what it is.
    return [version for (version,) in rows] == list(heads)


def _newer(path: Path, present: str) -> PreconditionFailed:
    remedy = "Install that version, or use another data directory."
    copy = _copy_before(path, present)
    if copy.exists():
        remedy += f" What was there before it was upgraded is in {copy.name}."
    return PreconditionFailed(
        f"{path} was written by a newer rlmd (its tables are at {present})", field="data", remedy=remedy
    )


def _copy_before(path: Path, revision: str) -> Path:
    """Where the copy is that was made before the upgrade to a revision."""
    return path.with_suffix(f".before-{revision}")


def _present(path: Path) -> str | None:
    from alembic.runtime.migration import MigrationContext

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


def _copy(path: Path, copy: Path) -> None:
    """SQLite's own backup sees what is still in the write-ahead log; a copy of the file would not."""
    scratch = path.with_suffix(".partial")
    scratch.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(scratch)) as target:
            source.backup(target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    scratch.replace(copy)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    copies = sorted(path.parent.glob(f"{path.stem}.before-*"), key=lambda file: file.stat().st_mtime_ns)
    for old in copies[:-COPIES]:
        old.unlink()
