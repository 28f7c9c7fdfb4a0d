"""The table of `surface.py` as text: for the prompt, short, and for the checker, with types."""

from __future__ import annotations

import dataclasses

from .records import RECORDS
from .surface import OFFERS, Offer, offered

CHECK_STOP = "rlmd_stop__"
CHECK_ANY = "rlmd_any__"
"""Names that only the checker knows: a call that stops it before the step, and a value of any type."""
CHECK_CHANNELS = "from typing import Any\ndef __getattr__(name: str) -> Any: ...\n"
"""A module that may have anything."""


def stubs(depth: int) -> str:
    """What a program may call, for the system prompt; with `depth` 0 there is no `rlm`."""
    lines = ["# Already imported, and asyncio too. Records have attributes: hit.text, never hit['text']."]
    lines += [f"{record.__name__}({', '.join(_fields(record))})" for record in RECORDS]
    lines.append("event                # what woke this run: .channel .sender .text .time .attachments")
    lines += [_line(offer) for offer in offered(depth)]
    lines += [
        "from channels import home   # people and bots by their channels' names; what they offer: await it",
        "home.tell(text); await home.ask(question, ...); await home.lights(on=True)",
    ]
    return "\n".join(lines)


def _line(offer: Offer) -> str:
    result = offer.typed.rpartition("-> ")[2]
    call = f"{'await ' if offer.waits else ''}{offer.name}{offer.shown}"
    return (
        f"{call} -> {result}  # {offer.doc}" if result not in ("None", "Never") else f"{call}  # {offer.doc}"
    )


def _fields(record: type) -> list[str]:
    return [field.name for field in dataclasses.fields(record)]


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


def check_functions() -> str:
    """What is there without a module, for the checker."""
    names = f"event: Any\n{CHECK_ANY}: Any\ndef {CHECK_STOP}() -> None: ...\n"
    return names.join((_head(), "".join(_definition(offer) for offer in OFFERS if not offer.module)))


def check_module(module: str) -> str:
    """A module, for the checker."""
    return _head() + "".join(_definition(offer) for offer in OFFERS if offer.module == module)


def _head() -> str:
    imports = "from datetime import date, datetime\nfrom typing import Any, Never\n"
    # Each stub file has its own: the checker follows no imports between them.
    return imports + "".join(map(_record, RECORDS))


def _definition(offer: Offer) -> str:
    return f"{'async ' if offer.waits else ''}def {offer.name.rpartition('.')[2]}{offer.typed}: ...\n"
