"""The table of `surface.py` as text: for the prompt, short, and for the checker, with types."""

from __future__ import annotations

import dataclasses

from .records import RECORDS
from .surface import MODULES, OFFERS, Offer, offered

CHECK_STOP = "rlmd_stop__"
CHECK_ANY = "rlmd_any__"
WORLD = "rlmd_world"
"""Module in which the checker finds the records."""


def stubs(depth: int) -> str:
    """What a program may call, for the system prompt; with `depth` 0 there is no `rlm`."""
    lines = ["# Already imported. Records have attributes: hit.text, never hit['text']."]
    lines += [f"{record.__name__}({', '.join(_fields(record))})" for record in RECORDS]
    lines.append("event                # what woke this run: .channel .sender .text .time .attachments")
    lines += [_line(offer) for offer in offered(depth)]
    return "\n".join(lines)


def _line(offer: Offer) -> str:
    result = offer.typed.rpartition("-> ")[2]
    call = f"{'await ' if offer.waits else ''}{offer.name}{offer.shown}"
    return (
        f"{call} -> {result}  # {offer.doc}" if result not in ("None", "Never") else f"{call}  # {offer.doc}"
    )


def _fields(record: type) -> list[str]:
    return [field.name for field in dataclasses.fields(record)]


def check_world() -> str:
    """The records, as the checker's module `WORLD`."""
    return "from typing import Any\n" + "".join(map(_record, RECORDS))


def _record(record: type) -> str:
    # Not a NamedTuple: the checker would know the types of the fields, and refuse what runs.
    fields = "".join(f"    {name}: Any\n" for name in _fields(record))
    return f"""\
class {record.__name__}:
{fields}
    def __iter__(self) -> Any: ...
    def __getitem__(self, at: Any) -> Any: ...
    def __len__(self) -> int: ...
    def __lt__(self, other: Any) -> bool: ...
    def _asdict(self) -> dict[str, Any]: ...
    def _replace(self, **fields: Any) -> Any: ...
"""


_HEAD = f"""\
from datetime import date, datetime
from typing import Any, Never
from {WORLD} import {", ".join(record.__name__ for record in RECORDS)}
"""


def check_functions() -> str:
    """What is there without a module, for the checker."""
    names = f"event: Any\n{CHECK_ANY}: Any\ndef {CHECK_STOP}() -> None: ...\n"
    return _HEAD + names + "".join(_definition(offer) for offer in OFFERS if not offer.module)


def check_module(module: str) -> str:
    """A module, for the checker."""
    return _HEAD + "".join(_definition(offer) for offer in OFFERS if offer.module == module)


def check_modules() -> dict[str, str]:
    """All modules, for the checker."""
    return {**{name: check_module(name) for name in MODULES}, WORLD: check_world()}


def _definition(offer: Offer) -> str:
    return f"{'async ' if offer.waits else ''}def {offer.name.rpartition('.')[2]}{offer.typed}: ...\n"
