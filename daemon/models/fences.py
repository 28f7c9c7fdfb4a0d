"""Finds, in what a model wrote, the code that it wants run.

Lines decide where a fenced block begins and ends, as in CommonMark but blind to lists and other containers,
because models indent carelessly; and Python has the last word: a closing fence inside a string literal closes
nothing. The rules, which hold on every channel:

- A fence marked `python`, `py`, `python3` or `repl`, in any case and with any attributes, runs, also if its
  code is wrong: the model is then told the error.
- A fence without a mark runs if its content parses as Python; otherwise it is a quotation, part of the prose.
- A fence marked with any other language, quoted inside a longer fence or in a block quotation, is prose.
- A fence that is never closed runs if its content parses as Python; else `Parsed.problem` tells the model.
- Fences may be indented, in a list or not, and code keeps its indentation relative to its fence.
"""

from __future__ import annotations

import ast
import itertools
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

LANGUAGES = frozenset({"", "python", "py", "python3", "repl"})
MAX_CODE_CHARS = 200_000
"""Characters of one block; larger ones are not steps that a model wrote, and slow to parse."""
_EXTENSIONS = 32
"""How many closing fences are tried for a block whose string literal is not closed."""

# An opening fence: perhaps behind the mark of a list item; of backticks only if no other stands behind it.
_OPENING = re.compile(r"\s*(?:(?:[-*+]|\d{1,9}[.)])\s+)?(?P<markup>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)$")
_LANGUAGE = re.compile(r"[\s{.]*([\w+#-]*)")


@dataclass(frozen=True, kw_only=True)
class Block:
    """Code to run."""

    code: str
    line: int
    """Line of the reply at which the code starts, from 1."""


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """A reply taken apart."""

    blocks: tuple[Block, ...]
    """In the order in which they stand."""
    prose: str
    """All that is not code to run, stripped."""
    problem: str | None = None
    """What the model must be told, if something that looks like code cannot be run."""


@dataclass(frozen=True, kw_only=True)
class _Fence:
    """A fenced block: its opening is line `first`, and `end` is the line after its last (all from 0)."""

    first: int
    end: int
    closed: bool
    markup: str
    language: str
    code: str


def parse(text: str) -> Parsed:
    """Take a reply apart. Never raises, whatever the text."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    blocks: list[Block] = []
    prose: list[str] = []
    problem: str | None = None
    done = 0
    for fence in _fences(lines):
        runs = _parses(fence.code) or (fence.closed and fence.language)
        if len(fence.code) > MAX_CODE_CHARS:
            problem = f"The block at line {fence.first + 1} is over {MAX_CODE_CHARS} characters: not run."
        elif fence.code.strip() and runs:
            blocks.append(Block(code=fence.code, line=fence.first + 2))
            prose += lines[done : fence.first]
            done = fence.end
        elif fence.code.strip() and not fence.closed:
            problem = (
                f"The block that opens at line {fence.first + 1} is not closed, and what follows does not"
                f" parse as Python, so it did not run. Close it with {fence.markup} on a line of its own."
            )
    prose += lines[done:]
    return Parsed(blocks=tuple(blocks), prose="\n".join(prose).strip(), problem=problem)


def _fences(lines: list[str]) -> Iterator[_Fence]:
    """The fenced blocks that may hold Python."""
    at = 0
    while at < len(lines):
        opening = _OPENING.match(lines[at])
        if opening is None:
            at += 1
            continue
        markup = opening["markup"]
        language = _LANGUAGE.match(opening["info"])
        fence = _read(lines, at, markup, opening.start("markup"), language[1].lower() if language else "")
        if fence.language in LANGUAGES:
            yield fence
        at = fence.end


def _read(lines: list[str], first: int, markup: str, column: int, language: str) -> _Fence:
    """The block that opens at a line: to the first closing fence that is not inside a string."""
    closings = (n for n in range(first + 1, len(lines)) if _closes(lines[n], markup))
    end = next(closings, len(lines))
    code = _code(lines[first + 1 : end], column)
    if language in LANGUAGES and _ends_in_string(code):
        for later in itertools.islice(closings, _EXTENSIONS):
            longer = _code(lines[first + 1 : later], column)
            if len(longer) > MAX_CODE_CHARS:
                break
            if _parses(longer):
                end, code = later, longer
                break
    if not _parses(code) and _parses(textwrap.dedent(code)):
        code = textwrap.dedent(code)
    closed = end < len(lines)
    return _Fence(first=first, end=end + closed, closed=closed, markup=markup, language=language, code=code)


def _closes(line: str, markup: str) -> bool:
    line = line.strip()
    return len(line) >= len(markup) and line == markup[0] * len(line)


def _code(lines: list[str], column: int) -> str:
    """The lines inside a fence that stands at a column, without the indentation that comes from there."""
    inside = []
    for line in lines:
        margin = len(line) - len(line.lstrip(" \t"))
        inside.append(line[min(margin, column) :])
    return "\n".join(inside)


def _ends_in_string(code: str) -> bool:
    error = _syntax_error(code)
    return error is not None and error.startswith(("unterminated triple-quoted", "unterminated f-string"))


def _parses(code: str) -> bool:
    return _syntax_error(code) is None


def _syntax_error(code: str) -> str | None:
    """Why the code is not Python; None if it is."""
    if len(code) > MAX_CODE_CHARS:
        return "too long"
    try:
        with warnings.catch_warnings():
            # Python warns of doubtful code (`"\d"`, `x is 1`); this is not the place.
            warnings.simplefilter("ignore")
            ast.parse(code)
    except SyntaxError as exc:
        return exc.msg
    except (ValueError, MemoryError, RecursionError) as exc:
        return str(exc) or type(exc).__name__
    return None
