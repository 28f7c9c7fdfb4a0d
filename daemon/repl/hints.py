"""What models are told about their Python: the gaps, in front, and the way around, after a fault.

A model writes CPython by habit. The short text goes into every system prompt; the sentences go into
the fault of the step that ran into the gap, where they cost nothing until then.
"""

from __future__ import annotations

import re

from . import channels, hive, prelude

MODULES: tuple[str, ...] = (
    "asyncio", "base64", "binascii", "bisect", "collections", "copy", "csv", "dataclasses", "datetime",
    "decimal", "functools", "hashlib", "itertools", "json", "math", "os", "pathlib", "random", "re", "sys",
    "time", "tomllib", "typing", "unicodedata",
)  # fmt: skip
"""Modules of the standard library that the sandbox brings, wholly or in part."""

_GAPS = """\
The REPL runs a subset of Python. It has no class inheritance (raise built-in exceptions), no yield, no del \
(use pop), no decorators on methods, no async with or async for. asyncio has gather (without \
return_exceptions), sleep and run, nothing else. next() wants iter(...): a generator expression is a list. \
Pass lambdas, not methods: key=lambda s: s.lower(). Not there: json.dumps(default=), re.sub with a function, \
asdict, timetuple, fromtimestamp. No files, no network, no environment. Modules, and no others: """


def sandbox_hints() -> str:
    """The paragraph for the system prompt, ending in the modules that can be imported."""
    return _GAPS + " ".join(sorted({*MODULES, *prelude.MODULES, channels.NAME, hive.NAME})) + "."


_AWAIT = "Await a call in the step that starts it; to have many at once, await asyncio.gather(*calls)."

_WAYS: tuple[tuple[str, str, str], ...] = (
    # (type or name of the limit, pattern in the message, way around)
    ("step_seconds", "", "Do less in one step; memory.grep and memory.search are faster on long texts."),
    ("memory_bytes", "", "Work on parts: memory.slice and memory.grep never load the whole."),
    ("sleep_seconds", "", "Sleep less in one step."),
    ("calls_per_step", "", "Call less in one step: ask for more at once, or go on in the next step."),
    ("SandboxError", "", "Effects of the step until the crash are kept; start again from memory."),
    ("RuntimeError", "asyncio scheduler stalled", _AWAIT),
    ("RuntimeError", "exceptions can only be called", "Give an exception one text: raise ValueError('...')."),
    ("NotImplementedError", "cannot suspend in this synchronous context",
     "Call it in a loop or a comprehension first, not inside key=, map, filter or a special method."),
    ("NotImplementedError", "gather", "Await each call in an async function that catches its error."),
    ("NotImplementedError", "inheritance", "Write a plain class, and raise built-in exceptions."),
    ("NotImplementedError", "yield", "Build a list and return it."),
    ("NotImplementedError", "'del'", "Use d.pop(key), a slice, or set the name to None."),
    ("NotImplementedError", "method decorators", "Write a plain method and call it."),
    ("TypeError", "not an iterator", "A generator expression is a list here: next(iter(...), default)."),
    ("TypeError", "callable replacement", "Join pieces from re.finditer, or replace each match by itself."),
    ("TypeError", "unexpected keyword argument 'default'",
     "Turn it into JSON first; memory.set and llm take dates as they are."),
    ("TypeError", "can't be awaited", "Leave out the await: this value is there already."),
    ("TypeError", "tuple indices must be integers or slices, not str",
     "Records have attributes: hit.text, message.text, event.text, not hit['text']."),
    ("TypeError", r"Object of type \w+ is not JSON serializable",
     "memory.set, llm, rlm and reply take records, dates and sets as they are; for json.dumps give dicts."),
    ("TypeError", r": an? \w*(Error|Exception)\b", "Give its text: str(error)."),
    ("AttributeError", "'Event' object has no attribute 'context'", "Only a child run has event.context."),
    ("AttributeError", "'Event' object", "event has .kind .channel .sender .text .time .attachments."),
    ("ValueError", "belong to hives", "Write '@', the hive's name, a slash and the rest: '@team/plan'."),
    ("AttributeError", r"type object|'(str|dict|list|int|float|set|tuple|bytes)' object has no attribute",
     "Methods of built-in types exist only when called: pass a lambda, such as key=lambda s: s.lower()."),
    ("RecursionError", "", "Use a loop."),
)  # fmt: skip


def ways_around(kind: str, message: str) -> tuple[str, ...]:
    """Sentences that help against a fault of this type (or limit) with this message."""
    return tuple(way for name, pattern, way in _WAYS if name == kind and re.search(pattern, message))


NO_RECURSION = (
    "rlm is not available here: no level of recursion is left. Do the work in this program, or ask llm"
)
"""What a program at depth 0 is told that calls `rlm`."""
