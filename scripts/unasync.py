"""Make the synchronous library, clients/sync/, from the async one, clients/aio/, token by token.

    python scripts/unasync.py            write it
    python scripts/unasync.py --check    change nothing; exit 1 if what is committed is not fresh

`async` and `await` go away, a few names become their plain twins, and everything else stays as it is.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE, TARGET = ROOT / "clients/aio", ROOT / "clients/sync"
HEADER = "# Generated from clients/aio/{name} by scripts/unasync.py. Do not edit.\n"
NAMES = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "AsyncIterator": "Iterator",
    "anext": "next",
    "asyncio": "time",
}
WORDS = {
    "rlmd.aio.connect": "rlmd.connect",
    "The client library, async:": "The client library:",
    "The library is written here; `scripts/unasync.py` makes `rlmd.clients.sync` from it.": (
        "Made from `rlmd.clients.aio` by `scripts/unasync.py`."
    ),
}
"""What docstrings say otherwise."""
TWINS = {"rlmd.clients.channels.task": "rlmd.clients.channels.thread"}
"""Modules whose twin is written by hand: what works in the background needs a thread in plain code."""


def unasync(source: str) -> str:
    """The synchronous twin of a module."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    lines = source.splitlines(keepends=True)
    out: list[str] = []
    row, column = 1, 0
    skip_space = False
    for position, token in enumerate(tokens):
        gap = _between(lines, (row, column), token.start)
        out.append("" if skip_space else gap)
        row, column = token.end
        skip_space = token.type == tokenize.NAME and token.string in ("async", "await")
        if not skip_space:
            out.append(_twin(tokens, position))
    text = "".join(out).replace("grpc.aio.", "grpc.").replace("@both_ways\n", "")
    for module, twin in TWINS.items():
        text = text.replace(module, twin)
    # `asyncio` and `time` may both have been imported.
    return re.sub(r"^import time\nimport time\n", "import time\n", text, flags=re.MULTILINE)


def _twin(tokens: list[tokenize.TokenInfo], position: int) -> str:
    token = tokens[position]
    if token.type == tokenize.NAME:
        return NAMES.get(token.string, token.string)
    if token.type == tokenize.STRING:
        text = token.string
        for word, plain in WORDS.items():
            text = text.replace(word, plain)
        return re.sub(r"\b(async|await) (?=\w)", "", text)
    return token.string


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]] if start[0] <= len(lines) else ""
    rest = [lines[row - 1] for row in range(start[0] + 1, end[0])]
    last = lines[end[0] - 1][: end[1]] if end[0] <= len(lines) else ""
    return lines[start[0] - 1][start[1] :] + "".join(rest) + last


def generate() -> dict[Path, str]:
    """What every generated file should hold."""
    made = {}
    for path in sorted(SOURCE.glob("*.py")):
        text = HEADER.format(name=path.name) + unasync(path.read_text())
        made[TARGET / path.name] = _formatted(text)
    return made


def _formatted(text: str) -> str:
    for arguments in (
        ["check", "--select", "I,F401,UP028,C416", "--fix", "--unsafe-fixes", "--quiet"],
        ["format"],
    ):
        command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", "clients/sync/x.py", "-"]
        text = subprocess.run(
            command, input=text, capture_output=True, text=True, check=True, cwd=ROOT
        ).stdout
    return text


def main() -> int:
    made = generate()
    there = set(TARGET.glob("*.py"))
    stale = [path for path, text in made.items() if path not in there or path.read_text() != text]
    stale += sorted(there - set(made))
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not fresh: run python scripts/unasync.py", file=sys.stderr)
        return 1 if stale else 0
    TARGET.mkdir(exist_ok=True)
    for path in there - set(made):
        path.unlink()
    for path, text in made.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
