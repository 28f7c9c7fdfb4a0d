"""What a user installs: the wheel, made from the sdist, alone in a clean environment, and able to chat."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from .tree import PARTS, ROOT, package_folders, project

pytestmark = pytest.mark.slow

SECONDS = 600
LEFT_OUT = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
TALK = "Bob lives in Berlin\nwhere does Bob live?\n"


def run(*command: str | Path, env: Mapping[str, str] | None = None, feed: str = "") -> str:
    done = subprocess.run(
        command, env=env, input=feed, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was made from it. The tree itself is only read."""
    scratch = tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT, scratch / "tree", ignore=LEFT_OUT, symlinks=True)
    run(sys.executable, "-m", "build", "--outdir", scratch / "dist", scratch / "tree")
    return scratch / "dist"


def test_the_wheel_holds_the_packages_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"{package.replace('.', '/')}/{file.name}"
        for package, folder in package_folders().items()
        for file in folder.glob("*.py")
    }
    for package, patterns in project()["tool"]["setuptools"]["package-data"].items():
        folder = package_folders()[package]
        expected |= {
            f"{package.replace('.', '/')}/{file.relative_to(folder)}"
            for pattern in patterns
            for file in folder.glob(pattern)
        }
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "rlmd/migrations/versions/m0001_first_tables.py" in names


def test_the_sdist_holds_each_file_once(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    # The links below rlmd/ would double every part.
    doubled = [name for name in names if name.startswith(tuple(f"rlmd/{part}" for part in PARTS))]
    assert doubled == []
    assert {"LICENSE", "README.md", "pyproject.toml", "proto/rlmd/v1/memory.proto"} <= set(names)


def test_a_clean_environment_chats(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    bin = tmp_path / "venv/bin"
    run(bin / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    env = {
        "HOME": str(tmp_path),
        "PATH": f"{bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "LANG": "C.UTF-8",
    }
    # Away from the clone: nothing may be found there by chance.
    where = run(bin / "python", "-P", "-c", "import rlmd; print(rlmd.__file__)", env=env)
    assert where.startswith(str(tmp_path))
    assert run(bin / "rlmd", "version", env=env).strip() == project()["project"]["version"]
    data = tmp_path / "data"
    try:
        said = run(bin / "rlmd", "--data", data, "chat", env=env, feed=TALK)
        assert len(said.splitlines()) == 2
        assert "Berlin" in said.splitlines()[1]
        again = run(bin / "rlmd", "--data", data, "chat", "-m", "where does Bob live?", env=env)
        assert "Berlin" in again
    finally:
        told = run(bin / "rlmd", "--data", data, "down", env=env)
    assert told.startswith("Stopped")
