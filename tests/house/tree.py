"""The source tree as data: parts, modules, what they import, and what pyproject.toml says of them."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

PARTS = ("clients", "daemon", "memory", "migrations", "proto")
"""Folders that are imported as `rlmd.FOLDER`."""

_FOLDERS = (*PARTS, ".ci", "benchmarks", "docs", "examples", "rlmd", "scripts", "tests")
_BINARY = (".pyc", ".so")


def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def package_folders() -> dict[str, Path]:
    """Every package by its import name. `rlmd` itself holds links to the parts, which are not followed."""
    found = {"rlmd": ROOT / "rlmd"}
    for part in PARTS:
        for file in (ROOT / part).rglob("__init__.py"):
            inside = file.parent.relative_to(ROOT)
            found[".".join(("rlmd", *inside.parts))] = file.parent
    return found


def modules() -> Iterator[tuple[str, Path]]:
    """Import name and file of each module that people wrote; generated code is left out."""
    for package, folder in sorted(package_folders().items()):
        for file in sorted(folder.glob("*.py")):
            if not file.stem.endswith(("_pb2", "_pb2_grpc")):
                yield (package if file.stem == "__init__" else f"{package}.{file.stem}"), file


def imports(name: str, file: Path) -> set[str]:
    """Absolute names of the modules that a module imports anywhere in it, those for type checkers too."""
    package = name if file.stem == "__init__" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                above = package.rsplit(".", node.level - 1)[0]
                module = f"{above}.{module}".rstrip(".")
            # `from rlmd import errors` imports the module rlmd.errors.
            found |= {f"{module}.{alias.name}" for alias in node.names} if module == "rlmd" else {module}
    return found


def texts() -> Iterator[Path]:
    """Every file of the project that is text."""
    # In a linked worktree `.git` is a file, which git wrote.
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.name != ".git")
    for folder in _FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix not in _BINARY and ".egg-info" not in str(path):
                yield path
