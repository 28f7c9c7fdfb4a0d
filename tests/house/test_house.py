"""The arrangement of the house: packages, sizes, docstrings, and which part may know which."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from .tree import PARTS, ROOT, imports, modules, package_folders, project, texts

MAX_LINES = 600

# What a part must not import. Of rlmd, what it may: everything else of rlmd is forbidden.
MAY_OF_RLMD = {
    "memory": {"rlmd.memory", "rlmd.errors"},
    "proto": {"rlmd.proto"},
    "daemon": {"rlmd.daemon", "rlmd.memory", "rlmd.proto", "rlmd.errors", "rlmd.settings"},
    "clients": {"rlmd.clients", "rlmd.proto", "rlmd.errors", "rlmd.settings"},
    "migrations": {"rlmd.memory.tables"},
}
MUST_NOT = {
    "memory": {"grpc", "google", "openai", "click", "rich", "pydantic_monty"},
    "clients": {"sqlalchemy", "alembic", "lancedb", "pyarrow", "numpy", "pydantic_monty", "apscheduler"},
    "daemon": {"click", "rich", "prompt_toolkit", "lancedb", "alembic"},
}
EXCEPT = {("rlmd.memory.search.embedders", "openai")}
"""The embedder asks a provider; nothing else in memory leaves the machine."""


def test_the_package_list_is_the_folders() -> None:
    # What is missing from the list imports from a clone, and is not there in the wheel.
    assert sorted(package_folders()) == sorted(project()["tool"]["setuptools"]["packages"])


def test_each_part_has_its_folder_and_its_link() -> None:
    assert project()["tool"]["setuptools"]["package-dir"] == {
        "rlmd": "rlmd",
        **{f"rlmd.{part}": part for part in PARTS},
    }
    for part in PARTS:
        assert (ROOT / "rlmd" / part).resolve() == ROOT / part


def test_what_is_not_python_is_package_data() -> None:
    data = project()["tool"]["setuptools"]["package-data"]
    folders = package_folders()
    listed = {
        path
        for package, patterns in data.items()
        for glob in patterns
        for path in folders[package].glob(glob)
    }
    there = {
        path
        for part in (*PARTS, "rlmd")
        for path in (ROOT / part).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert there == listed


def test_every_module_says_what_it_is() -> None:
    silent = [
        name
        for name, file in modules()
        if file.stat().st_size and not ast.get_docstring(ast.parse(file.read_text()))
    ]
    assert silent == []


def test_no_module_is_long() -> None:
    lengths = {name: len(file.read_text().splitlines()) for name, file in modules()}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_dependencies_point_one_way() -> None:
    wrong = []
    for name, file in modules():
        part = name.removeprefix("rlmd").strip(".").split(".")[0]
        for imported in sorted(imports(name, file)):
            if imported.split(".")[0] == "rlmd":
                allowed = MAY_OF_RLMD.get(part)
                fits = allowed is None or any(f"{imported}.".startswith(f"{own}.") for own in allowed)
            else:
                root = imported.split(".")[0]
                fits = root not in MUST_NOT.get(part, ()) or (name, root) in EXCEPT
            if not fits:
                wrong.append(f"{name} imports {imported}")
    assert wrong == []


def test_every_package_that_is_imported_is_declared() -> None:
    about = project()["project"]
    wanted = [
        *about["dependencies"],
        *(one for extra in about["optional-dependencies"].values() for one in extra),
    ]
    declared = {re.split(r"[<>=]", text)[0] for text in wanted}
    roots = {imported.split(".")[0] for name, file in modules() for imported in imports(name, file)} - {
        "rlmd",
        *sys.stdlib_module_names,
    }
    origins = packages_distributions()
    missing = {
        # A distribution may bring its module by another, as pydantic-monty does.
        root
        for root in roots
        if not declared & {_plain(origin) for origin in (root, *origins.get(root, ()))}
    }
    assert missing == set()


def _plain(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import rlmd", ("grpc", "sqlalchemy", "click", "lancedb", "google", "openai")),
        ("import rlmd; rlmd.connect", ("sqlalchemy", "click", "lancedb", "pydantic_monty", "openai")),
        (
            "from rlmd.clients.cli.run import run; run(['version'])",
            ("grpc", "sqlalchemy", "lancedb", "rich", "openai", "prompt_toolkit"),
        ),
        ("import rlmd.memory.store", ("grpc", "openai", "pydantic_monty", "click")),
    ],
)
def test_what_is_not_needed_is_not_loaded(code: str, unwanted: tuple[str, ...]) -> None:
    look = f"{code}\nimport sys\nprint(*sorted({set(unwanted)!r} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []


def test_all_that_the_public_face_names_is_there() -> None:
    import rlmd

    assert [name for name in rlmd.__all__ if not hasattr(rlmd, name)] == []
    assert rlmd.__all__ == sorted(rlmd.__all__)


def test_no_file_names_a_machine() -> None:
    # Paths of somebody's home, and places of packages that only their machine has.
    pattern = re.compile(
        r"(?<![\w.])/(?:root|work|home/\w+|Users/\w+)/|(?:index-url|trusted-host)\b|\bpypi\.\w+"
    )
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in texts()
        if path != Path(__file__).resolve()
        for match in pattern.finditer(path.read_text(errors="replace"))
    ]
    assert found == []
