"""The public face: complete, light, and the same in its two kinds."""

from __future__ import annotations

import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import rlmd
import rlmd.errors

ROOT = Path(__file__).resolve().parents[2]


def test_all_is_there() -> None:
    for name in rlmd.__all__:
        assert getattr(rlmd, name) is not None
    assert rlmd.__version__ == version("rlmd")
    assert {kind.__name__ for kind in rlmd.errors.ALL} < set(rlmd.__all__)
    assert set(rlmd.__all__) <= set(dir(rlmd))


def loaded_by(code: str) -> set[str]:
    listing = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_is_light() -> None:
    heavy = {"grpc", "click", "sqlalchemy", "lancedb", "pydantic_monty", "openai", "rich", "google.protobuf"}
    assert not heavy & loaded_by("import rlmd; rlmd.errors; rlmd.__version__")
    assert not {"sqlalchemy", "lancedb", "pydantic_monty", "openai", "numpy"} & loaded_by(
        "import rlmd; rlmd.connect"
    )


def _spent() -> float:
    """Seconds of processor time of all children so far: a busy machine does not change them much."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_version_is_quick() -> None:
    def seconds() -> float:
        began = _spent()
        code = "import sys; sys.argv = ['rlmd', 'version']; from rlmd.clients.cli.main import main; main()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == f"{rlmd.__version__}\n"
        return _spent() - began

    assert min(seconds() for _ in range(3)) < 0.3


def test_the_sync_library_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/unasync.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
