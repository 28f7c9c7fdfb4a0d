"""The two commands of the Makefile, as far as they go without installing: that is what test_wheel.py does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .tree import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

SECONDS = 120


def make(folder: Path, *arguments: str, feed: str = "") -> subprocess.CompletedProcess[str]:
    env = {"HOME": str(folder), "LANG": "C.UTF-8", "PATH": os.environ.get("PATH", os.defpath)}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=env,
        input=feed,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the Makefile in it, and nothing installed."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.fixture
def installed(clone: Path) -> Iterator[Path]:
    """The same after an installation: its `.venv` is the environment of this test."""
    (clone / ".venv").mkdir()
    (clone / ".venv/bin").symlink_to(Path(sys.executable).parent)
    for mark in ("made", "installed"):
        (clone / ".venv" / mark).touch()
    yield clone
    rlmd, data = str(clone / ".venv/bin/rlmd"), str(clone / "data")
    subprocess.run(
        [rlmd, "--data", data, "down", "--force"], check=True, capture_output=True, timeout=SECONDS
    )


def test_chat_through_a_pipe_prints_replies_and_nothing_else(installed: Path) -> None:
    done = make(
        installed,
        "chat",
        f"RLMD_DATA={installed / 'data'}",
        feed="Bob lives in Berlin\nwhere does Bob live?\n",
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert "Berlin" in done.stdout.splitlines()[1]
    model, embedder = done.stderr.splitlines()
    assert model.startswith("model: built-in rules")
    assert embedder.startswith("embedder: ")
    assert (installed / "data/rlmd.db").exists()


def test_nothing_is_installed_twice(installed: Path) -> None:
    assert "pip" not in make(installed, "--dry-run", "chat").stdout
    later = (installed / ".venv/installed").stat().st_mtime + 10
    os.utime(installed / "pyproject.toml", (later, later))
    assert "pip" in make(installed, "--dry-run", "chat").stdout


def test_a_missing_python_is_told(clone: Path) -> None:
    done = make(clone, "chat", "PYTHON=no-such-python")
    assert done.returncode != 0
    assert "sudo apt install python3 python3-venv" in done.stderr
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize(
    ("refused", "told"),
    [("sys.version_info", "3.11 or later"), ("ensurepip", "sudo apt install python3-venv")],
)
def test_a_python_that_will_not_do_is_told(clone: Path, refused: str, told: str) -> None:
    # As Debian's without python3-venv: it runs, and one import fails.
    python = clone / "python"
    python.write_text(f'#!/bin/sh\ncase "$*" in *{refused}*) exit 1;; esac\nexit 0\n')
    python.chmod(0o755)
    done = make(clone, "chat", f"PYTHON={python}")
    assert done.returncode != 0
    assert told in done.stderr
    assert not (clone / ".venv").exists()


def test_help_is_what_make_says_first(clone: Path) -> None:
    done = make(clone)
    assert done.returncode == 0
    assert [line.split()[1] for line in done.stdout.splitlines()][:4] == ["help", "chat", "demo", "test"]


def test_ci_runs_what_people_run() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text()
