"""Make the Python code of the contract from proto/rlmd/v1/*.proto, with type stubs.

    python scripts/generate.py            write it beside the .proto files
    python scripts/generate.py --check    change nothing; exit 1 if what is committed is not fresh

The virtual path `rlmd/proto=proto` makes the generated code import `rlmd.proto...`: nothing to patch.
"""

from __future__ import annotations

import filecmp
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
PLUGINS = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")
"""Of this environment, which need not be on the path."""
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


def generate(out: Path) -> None:
    """Write the generated modules to `out`/rlmd/proto/rlmd/v1."""
    sources = [f"rlmd/proto/{path.relative_to(PROTO)}" for path in sorted(PROTO.glob("rlmd/v1/*.proto"))]
    arguments = [
        "protoc",
        f"-Irlmd/proto={PROTO}",
        f"-I{files('grpc_tools') / '_proto'}",
        *(f"--plugin={name}={Path(sys.executable).with_name(name)}" for name in PLUGINS),
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
        *sources,
    ]
    if code := protoc.main(arguments):
        raise SystemExit(code)


def main() -> int:
    check = "--check" in sys.argv[1:]
    stale = []
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = Path(scratch) / "rlmd/proto/rlmd/v1"
        committed = PROTO / "rlmd/v1"
        names = {
            path.name
            for folder in (fresh, committed)
            for path in folder.iterdir()
            if path.name.endswith(SUFFIXES)
        }
        for name in sorted(names):
            new, old = fresh / name, committed / name
            if new.exists() and old.exists() and filecmp.cmp(new, old, shallow=False):
                continue
            stale.append(name)
            if check:
                continue
            if new.exists():
                old.write_bytes(new.read_bytes())
            else:
                old.unlink()
    if check and stale:
        print("not fresh:", *stale, "\nrun: python scripts/generate.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
