"""What can be known of a step's code before it runs.

The sandbox reads the Python of 3.14, the daemon may run on 3.11: where `ast` cannot parse a step the
sandbox decides alone whether it is valid, and everything here falls back to knowing less.
"""

from __future__ import annotations

import ast
import keyword
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import channels
from .surface import MODULES

LAST = "rlmd_last__"
"""Name under which the sandbox keeps the value of a last bare expression, to show it by its own repr."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A step's code: as written, as fed to the sandbox, and what is in it."""

    code: str
    """As the model wrote it."""
    fed: bytes
    """As the sandbox gets it, in UTF-8: the last expression is bound to `LAST`, and telling is not awaited.
    Lines are the same."""
    tree: ast.Module | None
    """None if this Python cannot parse it."""
    names: frozenset[str]
    """Names that the code binds anywhere; every identifier in it if it could not be parsed."""
    imports: frozenset[str]
    """Modules that it imports; every identifier in it if it could not be parsed."""
    awaited: frozenset[tuple[int, int]]
    """Byte ranges in `fed` of the calls whose result is awaited at once, directly or by `gather`."""

    @property
    def keeps_last(self) -> bool:
        """Whether `fed` binds the last expression to `LAST`."""
        return LAST.encode() in self.fed

    def imported_at(self, module: str, offset: int) -> Sequence[str]:
        """The names that a `from module import ...` statement at a byte offset in `fed` imports."""
        # Of the statements on a line, all: an import that is next to another fails with it.
        line = self.line(offset)
        nodes = ast.walk(self.tree) if self.tree is not None else ()
        return [
            alias.name
            for node in nodes
            if isinstance(node, ast.ImportFrom) and node.module == module
            if node.lineno <= line <= (node.end_lineno or node.lineno)
            for alias in node.names
        ]

    def line(self, offset: int) -> int:
        """The line, from 1, of a byte offset in `fed`."""
        return self.fed.count(b"\n", 0, offset) + 1


def read(code: str) -> Source:
    """Learn what can be learned from `code`."""
    code = code.replace("\r\n", "\n").replace("\r", "\n")
    tree = _parse(code)
    if tree is None:
        words = frozenset(word for word in re.findall(r"[^\W\d]\w*", code) if not keyword.iskeyword(word))
        return Source(
            code=code, fed=code.encode(), tree=None, names=words, imports=words, awaited=frozenset()
        )
    told = _tell_at_once(code, tree)
    fed = _keep_last(told, _parse(told) or tree)
    again = _parse(fed)
    assert again is not None
    return Source(
        code=code,
        fed=fed.encode(),
        tree=tree,
        names=frozenset(_bound(tree)),
        imports=frozenset(_imported(tree)),
        awaited=frozenset(_awaited(fed, again)),
    )


def _parse(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _tell_at_once(code: str, tree: ast.Module) -> str:
    """The code with `(home.tell(x))` in place of `await home.tell(x)`.

    Asking is awaited, so models await telling as well. But it is done at once, in a method that cannot know
    whether its caller awaits it.
    """
    starts = _line_starts(code)
    data = code.encode()
    edits: list[tuple[int, int, bytes]] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Await) or not isinstance(node.value, ast.Call):
            continue
        if isinstance(node.value.func, ast.Attribute) and node.value.func.attr == channels.TELLING:
            (start, end), (value, _) = _span(node, starts), _span(node.value, starts)
            # Ends of lines between the two stay.
            edits += [
                (start, value, b"(" + data[start + len("await") : value].lstrip(b" ")),
                (end, end, b")"),
            ]
    # From the last to the first, so that those before stay where they are.
    for start, end, new in sorted(edits, reverse=True):
        data = data[:start] + new + data[end:]
    return data.decode()


def _keep_last(code: str, tree: ast.Module) -> str:
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr) or isinstance(last.value, (ast.Yield, ast.YieldFrom)):
        return code
    starts = _line_starts(code)
    start, end = _span(last.value, starts)
    data = code.encode()
    wrapped = b"(" + LAST.encode() + b" := (" + data[start:end] + b"))"
    kept = (data[:start] + wrapped + data[end:]).decode()
    # Rather show no value than break a step that was right.
    return kept if _parse(kept) is not None else code


def _line_starts(code: str) -> list[int]:
    starts = [0]
    for line in code.encode().split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    return starts


def _span(node: ast.expr, starts: list[int]) -> tuple[int, int]:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset


def _awaited(code: str, tree: ast.Module) -> Iterator[tuple[int, int]]:
    starts = _line_starts(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Await):
            yield from (_span(call, starts) for call in _gathered(node.value))


def _gathered(node: ast.expr) -> Iterator[ast.Call]:
    if not isinstance(node, ast.Call):
        return
    yield node
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name != "gather":
        return
    for arg in node.args:
        inner = arg.value if isinstance(arg, ast.Starred) else arg
        items = (
            [inner.elt]
            if isinstance(inner, (ast.ListComp, ast.GeneratorExp))
            else getattr(inner, "elts", [inner])
        )
        yield from (item for item in items if isinstance(item, ast.Call))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _bound(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound = ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
            # `import memory` binds what is bound already.
            yield from (name for name in bound if isinstance(node, ast.ImportFrom) or name not in MODULES)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            yield node.name
        elif isinstance(node, ast.MatchMapping) and node.rest:
            yield node.rest
        elif isinstance(node, ast.arg):
            yield node.arg
