"""Pure modules that the sandbox lacks, served inside it: written in its own subset of Python.

The sandbox asks the host for a module that it does not know, and the host may answer with an object
of the sandbox. So each file here defines a class whose methods are the module's functions and ends in
an instance of it. A file is fed only when a step imports its module: what is fed makes every snapshot
of the session larger.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

MODULES: frozenset[str] = frozenset()
"""Modules that are served."""


@lru_cache(maxsize=64)
def source(name: str) -> str:
    """The code that makes the module and ends in it."""
    return files(__name__).joinpath(f"{name}.monty").read_text(encoding="utf-8")
