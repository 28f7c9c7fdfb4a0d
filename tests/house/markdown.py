"""The pages as data: their fenced blocks, and whether what came out is what a page shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .tree import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])

_FENCE = re.compile(
    r"^(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    """Line of its fence, from 1."""
    info: str
    """What stands behind the opening fence: a language, and how the block is meant."""
    body: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Command:
    """What somebody types at `$ `, and what the page says that comes out."""

    text: str
    shown: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page,
            line=text.count("\n", 0, found.start()) + 1,
            info=found["info"].strip(),
            body=found["body"],
        )
        for found in _FENCE.finditer(text)
    ]


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block; `> ` goes on with one."""
    typed: list[str] = []
    shown: list[str] = []
    for line in block.body.splitlines():
        if line.startswith("$ "):
            if typed:
                yield Command(text="\n".join(typed), shown="\n".join(shown))
            typed, shown = [line[2:]], []
        elif line.startswith("> ") and typed and not shown:
            typed.append(line[2:])
        else:
            assert typed, f"{block}: it begins with output"
            shown.append(line)
    assert typed, f"{block}: there is no command in it"
    yield Command(text="\n".join(typed), shown="\n".join(shown))


def fits(shown: str, real: str) -> bool:
    """Whether a page shows what came out. `...` stands for anything in a line, alone for any lines.

    Blanks and tabs are one: pages show with blanks what a pipe parts by tabs.
    """
    parts = [
        r"(?:.*\n)*?" if line == "..." else r"[^\n]*".join(map(re.escape, line.split("..."))) + r"\n"
        for line in _lines(shown)
    ]
    return re.fullmatch("".join(parts), "".join(f"{line}\n" for line in _lines(real))) is not None


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.strip("\n").splitlines()]


def links(page: Path) -> list[str]:
    """Where the page's links lead, but for those into the web."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    return [target for target in found if not target.startswith(("http://", "https://"))]
