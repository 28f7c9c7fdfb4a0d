"""The table of what a program may call: one entry a function, from which everything else is made.

The driver dispatches by it and binds arguments with it, `stubs.py` makes from it the text for the
prompt and the declarations for the checker. To offer a new function, add a line here and answer its
name in the host; to offer a new module, put its name in front of a dot.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from . import channels, hive


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One function that a program may call."""

    name: str
    """Dotted if it belongs to a module: `memory.get`."""
    typed: str
    """Parameters and result as Python writes them, with types: what the checker sees."""
    doc: str
    """One line, for the prompt."""
    waits: bool = False
    """Whether the program awaits it."""
    aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Keywords that mean another parameter. They are bound but not shown in the prompt."""
    substitute: str = ""
    """Parameter that never crosses: its value stands in for a None from the host. It may be any object."""
    takes_bytes: bool = False
    """Whether bytes may cross as the whole value of `value`."""

    @cached_property
    def signature(self) -> inspect.Signature:
        """The parameters, without types. Defaults are literals."""
        function = ast.parse(f"def offer{self.typed}: ...").body[0]
        assert isinstance(function, ast.FunctionDef)
        return inspect.Signature(_parameters(function.args))

    @cached_property
    def _kinds(self) -> Mapping[str, frozenset[str]]:
        """What parameters may be, in words; those that may be anything are left out."""
        function = ast.parse(f"def offer{self.typed}: ...").body[0]
        assert isinstance(function, ast.FunctionDef)
        args = function.args
        named = {a.arg: ast.unparse(a.annotation) for a in (*args.args, *args.kwonlyargs) if a.annotation}
        kinds = {name: frozenset(_KINDS[part] for part in text.split(" | ")) for name, text in named.items()}
        return {name: kind for name, kind in kinds.items() if "anything" not in kind}

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Refuse arguments, already JSON, of a type that the function does not take.

        Raises:
            TypeError: names the argument, what it is and what it must be.
        """
        for name, value in arguments.items():
            allowed = self._kinds.get(name)
            kind = _JSON_KINDS.get(type(value), "")
            if allowed and kind not in allowed:
                wanted = " or ".join(sorted(allowed, reverse=True))
                given = f"{type(value).__name__} {str(value)[:40]!r}" if value is not None else "None"
                raise TypeError(
                    f"{self.name}(): {name} must be {wanted}, not {given}. It is {self.name}{self.shown}"
                )

    @property
    def shown(self) -> str:
        """The parameters as the prompt shows them: no types, no aliases."""
        kept = [p for p in self.signature.parameters.values() if p.name not in self.aliases]
        return str(self.signature.replace(parameters=kept))

    @property
    def module(self) -> str:
        return self.name.rpartition(".")[0]

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        """Match arguments to parameters; an alias becomes the parameter it means.

        Raises:
            TypeError: they do not fit; the message shows the signature.
        """
        try:
            bound = self.signature.bind(*args, **kwargs)
            for alias, meant in self.aliases.items():
                if alias not in bound.arguments:
                    continue
                if meant in bound.arguments:
                    raise TypeError(f"{alias!r} and {meant!r} are the same; give one")
                bound.arguments[meant] = bound.arguments.pop(alias)
        except TypeError as exc:
            raise TypeError(f"{self.name}(): {exc}. It is {self.name}{self.shown}") from exc
        ordered = {
            name: bound.arguments[name] for name in self.signature.parameters if name in bound.arguments
        }
        return inspect.BoundArguments(self.signature, ordered)


def _parameters(args: ast.arguments) -> list[inspect.Parameter]:
    kinds = inspect.Parameter
    positional = [*args.posonlyargs, *args.args]
    missing = len(positional) - len(args.defaults)
    found = [
        kinds(
            arg.arg,
            kinds.POSITIONAL_OR_KEYWORD,
            default=kinds.empty if at < missing else ast.literal_eval(args.defaults[at - missing]),
        )
        for at, arg in enumerate(positional)
    ]
    if args.vararg:
        found.append(kinds(args.vararg.arg, kinds.VAR_POSITIONAL))
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        value = kinds.empty if default is None else ast.literal_eval(default)
        found.append(kinds(arg.arg, kinds.KEYWORD_ONLY, default=value))
    return found


_JSON_KINDS: Mapping[type, str] = MappingProxyType({str: "text", int: "a whole number", type(None): "None"})
_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "str": "text",
        "datetime": "text",
        "date": "text",
        "int": "a whole number",
        "None": "None",
        "Any": "anything",
    }
)
"""What the types in `Offer.typed` are once a value has crossed, in words for the program's error."""

_LIMIT = MappingProxyType({"limit": "k"})
_WHEN = "str | datetime | date | None"
_TOLD = "*, name: str | None = None, channel: str | None = None"
_REPEATED = (
    f"timezone: str | None = None, start: {_WHEN} = None, end: {_WHEN} = None, jitter: Any = None,"
    " missed: str | int | None = None"
)

OFFERS: tuple[Offer, ...] = (
    Offer(
        name="memory.get",
        typed=f"(name: str, default: Any = None, *, version: int | None = None, as_of: {_WHEN} = None)"
        " -> Any",
        doc="the latest value, or default; an older one by version or time",
        substitute="default",
    ),
    Offer(
        name="memory.set",
        typed="(name: str, value: Any, *, expect: int | None = None, note: str | None = None) -> Version",
        doc="a new version; expect=N fails unless version N is the latest (0: must not exist)",
        takes_bytes=True,
    ),
    Offer(
        name="memory.append",
        typed="(name: str, value: Any, *, note: str | None = None) -> Version",
        doc="text onto text, an item onto a list; creates it",
    ),
    Offer(
        name="memory.search",
        typed=f'(query: str, k: int = 10, *, prefix: str = "", after: {_WHEN} = None, before: {_WHEN} = None,'
        " limit: int = 10) -> list[Hit]",
        doc="the passages that fit best, by meaning and words",
        aliases=_LIMIT,
    ),
    Offer(name="memory.names", typed='(prefix: str = "") -> list[str]', doc="names that begin so"),
    Offer(name="memory.version", typed="(name: str) -> int", doc="number of the latest version, 0 if none"),
    Offer(name="memory.history", typed="(name: str) -> list[Version]", doc="its versions, oldest first"),
    Offer(name="memory.diff", typed="(name: str, a: int, b: int) -> str", doc="what changed, as text"),
    Offer(
        name="memory.revert",
        typed="(name: str, version: int, note: str | None = None) -> Version",
        doc="a new version with the value of an old one",
    ),
    Offer(name="memory.delete", typed="(name: str) -> None", doc="hide it"),
    Offer(name="memory.undelete", typed="(name: str) -> None", doc="show it again"),
    Offer(name="memory.size", typed="(name: str) -> int", doc="characters of a text, items of a list"),
    Offer(
        name="memory.slice",
        typed="(name: str, start: int, end: int) -> Any",
        doc="a part, without loading all",
    ),
    Offer(
        name="memory.grep",
        typed='(pattern: str, prefix: str = "", k: int = 100, *, limit: int = 100) -> list[Match]',
        doc="lines that match a regular expression",
        aliases=_LIMIT,
    ),
    Offer(
        name="memory.watch",
        typed=f"(prefix: str, text: str, {_TOLD}) -> Schedule",
        doc="wakes you when variables change whose names begin so; not for what you then write",
    ),
    Offer(
        name="log.search",
        typed="(query: str, k: int = 10, *, limit: int = 10) -> list[Message]",
        doc="messages of all channels and times",
        aliases=_LIMIT,
    ),
    Offer(
        name="log.recent",
        typed="(n: int = 20, *, k: int = 20, limit: int = 20) -> list[Message]",
        doc="the last messages, oldest first",
        aliases=MappingProxyType({"k": "n", "limit": "n"}),
    ),
    Offer(
        name="log.between",
        typed="(a: str | datetime | date, b: str | datetime | date) -> list[Message]",
        doc="messages from a until before b",
    ),
    Offer(name="log.step", typed="(n: int) -> str", doc="step n of this run in full: your text, all output"),
    Offer(
        name="schedule.after",
        typed=f"(delay: Any, text: str, {_TOLD}) -> Schedule",
        doc='wakes you once, with this text as the event: "20m", "2 days" or seconds from now',
    ),
    Offer(
        name="schedule.at",
        typed=f"(when: str | datetime | date, text: str, {_TOLD}, timezone: str | None = None) -> Schedule",
        doc='wakes you at a time: "2026-12-24 18:00", "tomorrow at 9"',
    ),
    Offer(
        name="schedule.every",
        typed=f"(interval: Any, text: str, {_TOLD}, {_REPEATED}) -> Schedule",
        doc='wakes you again and again: "2h", "1d", "weekday at 8:30"; missed: "skip", "once" or how many',
    ),
    Offer(
        name="schedule.cron",
        typed=f"(line: str, text: str, {_TOLD}, {_REPEATED}) -> Schedule",
        doc='the same by a crontab line: "0 9 * * 1-5"',
    ),
    Offer(
        name="schedule.watch",
        typed=f"(condition: str, text: str, {_TOLD}, every: Any = 60) -> Schedule",
        doc="wakes you when this Python text, which may only read memory and log, has become true",
    ),
    Offer(name="schedule.list", typed="() -> list[Schedule]", doc="those that are not over"),
    Offer(name="schedule.cancel", typed="(name: str | int) -> Schedule", doc="it wakes you no more"),
    Offer(name="schedule.pause", typed="(name: str | int) -> Schedule", doc="not until it is resumed"),
    Offer(name="schedule.resume", typed="(name: str | int) -> Schedule", doc="from now on again"),
    Offer(name="reply", typed="(text: Any) -> None", doc="answer on the channel that woke you"),
    Offer(name="done", typed="(value: Any = None) -> Never", doc="end the run; code after it does not run"),
    Offer(
        name="ask",
        typed="(question: str, choices: Any = None, *, type: Any = None, timeout: Any = None,"
        " default: Any = None, channel: str | None = None, any_of: Any = None, all_of: Any = None,"
        " escalate: Any = None) -> Any",
        doc="ask the person and wait, days if need be; type: text, yesno, number, date or {field: type};"
        ' timeout: "2d", "20m" or seconds, after which it gives default, or raises TimeoutError;'
        " any_of=[alice, bob]: the first answer of several; all_of: a dict of everybody's; escalate=[bob]:"
        " who is asked next while nobody answers",
        waits=True,
    ),
    Offer(
        name="llm",
        typed="(*parts: Any, model: str | None = None) -> str",
        doc="one call of a sub-model on these parts",
        waits=True,
    ),
    Offer(
        name="rlm",
        typed="(task: str, *context: Any, max_steps: int | None = None, model: str | None = None) -> Any",
        doc="a child run with its own REPL, where `context` is event.context; gives what it ends with",
        waits=True,
    ),
)

BY_NAME: Mapping[str, Offer] = MappingProxyType({offer.name: offer for offer in OFFERS})

INNER: Mapping[str, Offer] = MappingProxyType(
    {
        channels.CALL: Offer(
            name="channels.call",
            typed="(channel: str, function: str, args: Any, kwargs: Any) -> Any",
            doc="a function that a channel offers",
            waits=True,
        ),
        channels.TELL: Offer(
            name="channels.tell", typed="(channel: str, text: Any) -> None", doc="say something there"
        ),
        channels.ASK: BY_NAME["ask"],
        hive.TO_ONE["ask"]: Offer(
            name="hive.ask",
            typed="(hive: str, member: str, question: Any, *, timeout: Any = None, default: Any = None)"
            " -> Any",
            doc="ask another agent",
            waits=True,
        ),
        hive.TO_ONE["tell"]: Offer(
            name="hive.tell", typed="(hive: str, member: str, text: Any) -> None", doc="wake another agent"
        ),
        hive.TO_ALL["ask_all"]: Offer(
            name="hive.ask_all",
            typed="(hive: str, question: Any, *, quorum: int | None = None, timeout: Any = None) -> Council",
            doc="ask all members at once",
            waits=True,
        ),
        hive.TO_ALL["vote"]: Offer(
            name="hive.vote",
            typed="(hive: str, question: Any, choices: Any, *, quorum: int | None = None,"
            " timeout: Any = None) -> Vote",
            doc="let all members choose",
            waits=True,
        ),
        hive.TO_ALL["tell_all"]: Offer(
            name="hive.tell_all", typed="(hive: str, text: Any) -> None", doc="wake all members"
        ),
        hive.TO_ALL["log"]: Offer(
            name="hive.log", typed="(hive: str, text: Any) -> None", doc="a line in the common log"
        ),
    }
)
"""What the methods of channels and members call, by the names that only they know."""

MODULES: tuple[str, ...] = tuple(dict.fromkeys(offer.module for offer in OFFERS if offer.module))
"""Modules that are there without an import."""

READY: tuple[str, ...] = ("asyncio",)
"""Modules of the standard library that need no import either: awaiting several calls is daily bread."""

FUNCTIONS: tuple[str, ...] = tuple(offer.name for offer in OFFERS if not offer.module)


def offered(depth: int) -> tuple[Offer, ...]:
    """What a program with `depth` levels of recursion left may call: without any, there is no `rlm`."""
    return tuple(offer for offer in OFFERS if depth > 0 or offer.name != "rlm")


def members(module: str) -> list[str]:
    """The names in a module."""
    return [offer.name.rpartition(".")[2] for offer in OFFERS if offer.module == module]


def of_module(name: str) -> tuple[str, ...]:
    """Dotted names of the functions that end in `.name`: `memory.search` and `log.search` for `search`."""
    return tuple(offer.name for offer in OFFERS if offer.module and offer.name.endswith(f".{name}"))


def signatures(name: str) -> str:
    """How the functions of this last name are called, for a hint; empty if there is none."""
    found = [offer for offer in OFFERS if offer.name == name or offer.name.endswith(f".{name}")]
    return " or ".join(f"{'await ' if offer.waits else ''}{offer.name}{offer.shown}" for offer in found)
