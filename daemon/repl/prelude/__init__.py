"""Pure modules that the sandbox lacks, served inside it: written in its own subset of Python.

The sandbox asks the host for a module that it does not know, and the host may answer with an object
of the sandbox. So each file here makes one object, whose methods are the module's functions, and
binds it to `rlmd_<module>_module__`. Nothing in the daemon imports these files. One is fed only when a
step imports its module, because what is fed makes every snapshot of the session larger.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

MODULES: frozenset[str] = frozenset(
    {"difflib", "heapq", "io", "operator", "statistics", "string", "textwrap", "uuid"}
)
"""Modules that are served."""


@lru_cache(maxsize=16)
def source(name: str) -> str:
    """The code that makes a module and ends in it."""
    text = files(__name__).joinpath(f"{name}.py").read_text(encoding="utf-8")
    # Annotations are not evaluated there, and the import would put a name into the program's world.
    return text.replace("from typing import Any\n", "") + f"rlmd_{name}_module__\n"
