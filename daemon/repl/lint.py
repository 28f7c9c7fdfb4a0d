"""What a step uses that the sandbox lacks, found in its syntax tree before anything runs.

Models write CPython by habit, and would learn of one gap a step. Here all causes in a step are named
at once, each with its line and a way around. Nothing is reported that might work: code inside a `try`
may be prepared to fail.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import channels, hints, hive, prelude
from .api import Fault
from .gaps import (
    BUILTIN_TYPES,
    METHODS,
    MISSING_BUILTINS,
    MISSING_MODULES,
    MISSING_NAMES,
    NOT_OFFERED,
)
from .source import Source
from .surface import MODULES

_WRITTEN = (channels.NAME, hive.NAME)
_MODULES = frozenset({*hints.MODULES, *MODULES, *prelude.MODULES, *_WRITTEN, "os.path", "__future__"})


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that would fail."""

    line: int
    cause: str
    way: str
    """What to do instead, in a sentence; may be empty."""


def lint(source: Source, *, known: frozenset[str], depth: int) -> list[Finding]:
    """What the sandbox lacks of what a step uses; nothing if this Python cannot parse it.

    Args:
        known: Names bound by earlier steps.
        depth: Levels of recursion that are left.
    """
    if source.tree is None:
        return []
    visitor = _Visitor(source, known, depth)
    visitor.visit(source.tree)
    return sorted(visitor.found, key=lambda finding: finding.line)


def fault(found: Sequence[Finding]) -> Fault | None:
    """The findings of lint and check as one fault; None if there are none."""
    if not found:
        return None
    ordered = sorted(found, key=lambda finding: finding.line)
    return Fault(
        kind="refused",
        type="Unsupported" if any(finding.way for finding in ordered) else "CheckFailed",
        message="\n".join(f"line {finding.line}: {finding.cause}" for finding in ordered),
        line=ordered[0].line,
        hints=tuple(dict.fromkeys(finding.way for finding in ordered if finding.way)),
    )


class _Visitor(ast.NodeVisitor):
    def __init__(self, source: Source, known: frozenset[str], depth: int) -> None:
        assert source.tree is not None
        self._bound = source.names | known
        self._depth = depth
        self._aliases = dict(_module_names(source.tree))
        self._functions = {node.name for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef)}
        self._containers = set(_containers(source.tree))
        self._guarded = 0
        self.found: list[Finding] = []

    def _report(self, node: ast.stmt | ast.expr, cause: str, way: str) -> None:
        self.found.append(Finding(line=node.lineno, cause=cause, way=way))

    def visit_Try(self, node: ast.Try) -> None:
        # Only what cannot be parsed fails in spite of the handlers.
        self._guarded += bool(node.handlers)
        for child in node.body:
            self.visit(child)
        self._guarded -= bool(node.handlers)
        for rest in (*node.handlers, *node.orelse, *node.finalbody):
            self.visit(rest)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if node.bases or node.keywords:
            way = "Write a plain class without bases, and raise built-in exceptions such as ValueError."
            self._report(node, f"class {node.name} inherits", way)
        for child in node.body:
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and child.decorator_list:
                way = "Write a plain method or function and call it: w.volume(), not w.volume."
                self._report(child, f"method {child.name} has a decorator", way)
            elif isinstance(child, ast.ClassDef):
                self._report(child, f"class {child.name} is inside a class", "Move it out to the top level.")
        self.generic_visit(node)

    def visit_Yield(self, node: ast.Yield) -> None:
        self._report(node, "yield does not exist here", "Build a list and return it.")
        self.generic_visit(node)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        self._report(node, "yield from does not exist here", "Build a list and return it.")
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        self._report(
            node, "del does not exist here", "Use d.pop(key) or items.pop(index), or set the name to None."
        )

    def visit_AsyncWith(self, node: ast.AsyncWith) -> None:
        self._report(node, "async with does not exist here", "Call what it wraps directly and await that.")
        self.generic_visit(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self._report(
            node,
            "async for does not exist here",
            "Await the calls with asyncio.gather and loop over the list.",
        )
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        if node.is_async:
            self._report(
                node.iter,
                "async for does not exist here",
                "Await the calls with asyncio.gather and loop over the list.",
            )
        self.generic_visit(node)

    def visit_TryStar(self, node: ast.TryStar) -> None:
        self._report(node, "except* does not exist here", "Use except.")
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._module(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if node.level:
            self._report(node, "relative import", "There are no files: define it here.")
            return
        if any(alias.name == "*" for alias in node.names):
            self._report(node, f"from {module} import *", f"import {module}, or name what you need.")
            return
        self._module(node, module)
        for alias in node.names:
            self._member(node, module, alias.name)

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load) or node.id in self._bound or self._guarded:
            return
        if node.id in NOT_OFFERED:
            self._report(node, f"{node.id} does not exist here", NOT_OFFERED[node.id])
        elif node.id in MISSING_BUILTINS:
            self._report(node, f"{node.id} does not exist here", MISSING_BUILTINS[node.id])
        elif node.id == "rlm" and self._depth <= 0:
            self._report(
                node, "rlm is not available here", "No level of recursion is left: use llm, or do it here."
            )

    def visit_Attribute(self, node: ast.Attribute) -> None:
        base = node.value
        if isinstance(base, ast.Name) and base.id in BUILTIN_TYPES and base.id not in self._bound:
            self._type_method(node, base.id)
        if isinstance(node.ctx, ast.Load):
            self._member(node, self._dotted(base), node.attr)
        if node.attr in METHODS and node.attr not in self._functions and not self._guarded:
            self._report(node, f".{node.attr} does not exist here", METHODS[node.attr])
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        base, key = node.value, node.slice
        plain = isinstance(base, ast.Name) and base.id in ("event", "memory") and base.id not in self._bound
        if plain and not self._guarded and isinstance(key, ast.Constant) and isinstance(key.value, str):
            assert isinstance(base, ast.Name)
            if base.id == "event":
                way = f"Write event.{key.value}: events, hits and messages have attributes."
            else:
                way = "Use memory.get(name) and memory.set(name, value)."
            self._report(node, f"{base.id}[{key.value!r}] does not work here", way)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = self._dotted(node.func)
        keywords = {keyword.arg for keyword in node.keywords}
        if called == "json.dumps" and keywords & {"default", "cls"}:
            way = "Turn dates and records into JSON first; memory.set, llm and reply take them as they are."
            self._report(node, "json.dumps has no default= and no cls=", way)
        elif called == "asyncio.gather" and "return_exceptions" in keywords:
            way = "Catch inside: async def safe(c): try: return await c / except Exception as e: return e."
            self._report(node, "gather has no return_exceptions=", way)
        elif called == "dataclasses.dataclass" and "order" in keywords:
            self._report(node, "dataclass has no order=", "Sort with key=lambda x: ....")
        self._iterator(node)
        self._replacement(node, called)
        self._method_value(node)
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        call = node.exc
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and _is_exception(call.func.id):
            first = call.args[0] if call.args else None
            wrong = isinstance(first, ast.Constant) and not isinstance(first.value, str)
            if len(call.args) > 1 or wrong:
                self._report(node, f"{call.func.id} takes one text here", f"raise {call.func.id}(f'...').")
        self.generic_visit(node)

    def _module(self, node: ast.stmt, name: str) -> None:
        if name in _MODULES or self._guarded:
            return
        first = name.partition(".")[0]
        way = NOT_OFFERED.get(first) or MISSING_MODULES.get(first)
        there = " ".join(sorted(_MODULES - {"__future__", "os.path"}))
        self._report(node, f"there is no module {name}", way or f"These modules exist: {there}.")

    def _member(self, node: ast.stmt | ast.expr, module: str, name: str) -> None:
        if self._guarded or name not in MISSING_NAMES.get(module, {}):
            return
        self._report(node, f"{module}.{name} does not exist here", MISSING_NAMES[module][name])

    def _type_method(self, node: ast.Attribute, base: str) -> None:
        if (
            node.attr in BUILTIN_TYPES[base]
            or self._guarded
            or not hasattr(getattr(builtins, base), node.attr)
        ):
            return
        way = f"Call it on a value: lambda s: s.{node.attr}(...)."
        self._report(node, f"{base}.{node.attr} cannot be used from the type", way)

    def _iterator(self, node: ast.Call) -> None:
        is_next = isinstance(node.func, ast.Name) and node.func.id == "next" and not self._guarded
        if is_next and node.args and isinstance(node.args[0], ast.GeneratorExp):
            way = "Write next(iter([...]), default)."
            self._report(node, "next() of a generator expression, which is a list", way)

    def _replacement(self, node: ast.Call, called: str) -> None:
        at = 1 if called == "re.sub" else 0
        is_sub = called == "re.sub" or (isinstance(node.func, ast.Attribute) and node.func.attr == "sub")
        if not is_sub or len(node.args) <= at or self._guarded:
            return
        given = node.args[at]
        named = isinstance(given, ast.Name) and given.id in self._functions and called == "re.sub"
        if isinstance(given, ast.Lambda) or named:
            self._report(
                node,
                "re.sub takes no function",
                "Join pieces from re.finditer, or replace each match by itself.",
            )

    def _method_value(self, node: ast.Call) -> None:
        values = [keyword.value for keyword in node.keywords if keyword.arg == "key"]
        if isinstance(node.func, ast.Name) and node.func.id in ("map", "filter"):
            values += node.args[:1]
        for value in values:
            name = (
                value.value.id
                if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name)
                else ""
            )
            if isinstance(value, ast.Attribute) and name in self._containers and not self._guarded:
                text = f"{name}.{value.attr}"
                self._report(value, f"{text} is not a value here", f"Write lambda x: {text}(x).")

    def _dotted(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return self._aliases.get(node.id, "")
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return f"{self._aliases.get(node.value.id, '')}.{node.attr}"
        return ""


def _module_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names that imports bind, and what they stand for: a module, or a member of one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def _containers(tree: ast.Module) -> Iterator[str]:
    """Names that are bound to a built-in container and to nothing else."""
    kinds: dict[str, set[bool]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    kinds.setdefault(target.id, set()).add(_is_container(node.value))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            kinds.setdefault(node.id, set())
        elif isinstance(node, ast.arg):
            kinds.setdefault(node.arg, set()).add(False)
    yield from (name for name, found in kinds.items() if found == {True})


def _is_container(value: ast.expr) -> bool:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id in ("dict", "list", "set", "Counter", "defaultdict")
    return isinstance(value, (ast.Dict, ast.DictComp, ast.List, ast.ListComp, ast.Set, ast.SetComp))


def _is_exception(name: str) -> bool:
    value = getattr(builtins, name, None)
    return isinstance(value, type) and issubclass(value, Exception)
