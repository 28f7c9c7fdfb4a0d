"""The second wall, where the machine has one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlmd.daemon.repl.jail import Jail


def test_without_tools_there_is_no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    jail = Jail()
    assert (jail.program, jail.confined) == (None, False)


def test_a_bubblewrap_that_does_not_work_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    jail = Jail()
    assert not jail.confined
    assert jail.program is None or "bwrap" not in jail.program.read_text()
    jail.close()


def test_it_keeps_to_its_folder(tmp_path: Path) -> None:
    for _ in range(2):
        jail = Jail(tmp_path / "sandbox")
        jail.close()
    assert jail.program is None or jail.program.parent == tmp_path / "sandbox"


def test_inside_there_are_no_files_of_ours_and_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLMD_TEST_SECRET", "honey")
    jail = Jail()
    if jail.program is None or not jail.confined:
        jail.close()
        pytest.skip("bubblewrap does not work on this machine")
    try:
        # The interpreter's place is taken by a program that looks around.
        script = jail.program.read_text()
        source = "import os; print(sorted(os.listdir('/')), dict(os.environ), os.getpid())"
        look = Path(sys.executable).resolve()
        inner = script.replace("-- /worker", f"--ro-bind {look.parents[1]} {look.parents[1]} -- {look} -c")
        jail.program.write_text(inner)
        told = subprocess.run([jail.program, source], capture_output=True, text=True, check=True).stdout
    finally:
        jail.close()
    assert "honey" not in told
    assert "home" not in told.partition("]")[0]
    assert "work" not in told.partition("]")[0].replace("worker", "")
