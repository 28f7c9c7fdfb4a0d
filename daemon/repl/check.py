"""The type check of a step before it runs, in a session that only checks.

The sandbox's checker is good at names, arguments and missing awaits, and wrong about programs that
work by rebinding names. So every check is alone: names of earlier steps are `Any`, a first call is
answered by an exception before anything runs, and only the rules that mean certain failure count. A
step that is refused wrongly costs more than a mistake that is found a moment later.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import dataclasses
import json
import re
from typing import Any

from pydantic_monty import (
    AsyncMonty,
    AsyncMontySession,
    ExternalModule,
    MontyError,
    MontyTypingError,
    ResourceLimits,
)

from . import channels, hive, stubs
from .lint import Finding
from .records import RECORDS
from .source import LAST, Source
from .surface import BY_NAME, MODULES, READY, members, of_module, signatures

CHECKS_PER_SESSION = 200
"""The checker remembers every check; after so many its session is replaced."""
CHECK_SECONDS = 10.0
"""A check that takes longer is given up, and the step runs unchecked."""

_RULES = frozenset(
    {
        "unresolved-import", "unresolved-attribute", "unresolved-reference", "unknown-argument",
        "missing-argument", "too-many-positional-arguments", "invalid-await", "not-subscriptable",
        "not-iterable", "call-non-callable",
    }
)  # fmt: skip
_COROUTINE = "CoroutineType"
_FIELDS = {record.__name__: [field.name for field in dataclasses.fields(record)] for record in RECORDS}
_QUOTED = re.compile(r"`([^`]*)`")


class Checker:
    """Checks steps, one at a time."""

    def __init__(self, pool: AsyncMonty) -> None:
        self._pool = pool
        self._session: AsyncMontySession | None = None
        self._checks = 0
        self._lock = asyncio.Lock()

    async def check(self, source: Source, known: frozenset[str]) -> list[Finding]:
        """What would certainly fail in a step; `known` are the names of earlier steps.

        Gives nothing if the checker itself fails: the step then shows its faults by running.
        """
        async with self._lock:
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    raw = await self._diagnose(_prefix(known - {LAST}) + _body(source))
            except (MontyError, RuntimeError, TimeoutError, ValueError):
                await self._drop()
                return []
            except BaseException:
                await self._drop()
                raise
        return [found for diagnosis in raw if (found := _finding(diagnosis, source, known))]

    async def close(self) -> None:
        """End the session. Safe to repeat."""
        async with self._lock:
            await self._drop()

    async def _diagnose(self, code: str) -> list[dict[str, Any]]:
        if self._checks >= CHECKS_PER_SESSION:
            await self._drop()
        session = self._session or await self._open()
        self._checks += 1
        try:
            await session.feed_run(code, external_lookup={stubs.CHECK_STOP: _stop})
        except MontyTypingError as exc:
            found: list[dict[str, Any]] = json.loads(exc.display())
            return found
        except MontyError as exc:
            # The stop itself, or a construct that the sandbox cannot parse, which the lint names.
            if type(exc.exception()) not in (InterruptedError, OSError, NotImplementedError, SyntaxError):
                raise
        return []

    async def _open(self) -> AsyncMontySession:
        modules = {
            name: ExternalModule(dict.fromkeys(members(name), _stop), stubs=stubs.check_module(name))
            for name in MODULES
        }
        # Who is there when the step runs, nobody knows before.
        for name in (channels.NAME, hive.NAME):
            modules[name] = ExternalModule({}, stubs=stubs.CHECK_CHANNELS)
        session = self._pool.checkout(
            script_name="step.py",
            type_check=True,
            type_check_stubs=stubs.check_functions(),
            type_check_format="json",
            external_modules=modules,
            limits=ResourceLimits(
                max_feed_duration_secs=CHECK_SECONDS, max_memory=256 * 1024 * 1024, max_suspensions=2**31 - 1
            ),
        )
        await session.__aenter__()
        self._session, self._checks = session, 0
        return session

    async def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                await session.__aexit__(None, None, None)
            except (MontyError, RuntimeError):
                return


def _stop() -> None:
    raise InterruptedError("checked")


def _prefix(known: frozenset[str]) -> str:
    """One line in front of the step, so that its line numbers shift by one."""
    anys = "".join(f"; {name}: Any = {stubs.CHECK_ANY}" for name in sorted(known))
    return f"from typing import Any; {stubs.CHECK_STOP}(); import {', '.join((*MODULES, *READY))}{anys}\n"


def _body(source: Source) -> str:
    # A __future__ import must come first in a file, and our line is in front of it.
    return re.sub(r"^from __future__ import .*$", "", source.code, flags=re.MULTILINE)


def _finding(diagnosis: dict[str, Any], source: Source, known: frozenset[str]) -> Finding | None:
    rule, message = str(diagnosis["name"]), str(diagnosis["message"])
    line = max(0, int(diagnosis["location"]["row"]) - 1)
    if _COROUTINE in message and message.startswith("`def "):
        return Finding(line=line, cause=_plain(message), way="Call it, and await the call: await llm(...).")
    if _COROUTINE in message:
        return Finding(
            line=line, cause=_plain(message), way="Put `await` in front of the call that gives this value."
        )
    if rule == "invalid-await" and line in _plain_awaits(source):
        return None
    if rule not in _RULES or not _certain(rule, message, source, known):
        return None
    return Finding(line=line, cause=_plain(message), way=_way(rule, message))


def _way(rule: str, message: str) -> str:
    """How it is meant to be done, for mistakes about what is offered; otherwise empty."""
    quoted = _QUOTED.findall(message)
    last = quoted[-1] if quoted else ""
    if rule in ("unknown-argument", "missing-argument", "too-many-positional-arguments"):
        found = signatures(last)
        return f"It is {found}." if found else ""
    if rule == "unresolved-reference" and (names := of_module(last)):
        return f"Write {' or '.join(names)}."
    if rule == "unresolved-attribute":
        if quoted[0] in MODULES:
            return f"{quoted[0]} has {', '.join(members(quoted[0]))}."
        if quoted[0] in _FIELDS:
            return f"A {quoted[0]} has {' '.join(f'.{name}' for name in _FIELDS[quoted[0]])}."
    return ""


def _certain(rule: str, message: str, source: Source, known: frozenset[str]) -> bool:
    quoted = _QUOTED.findall(message)
    if rule == "unresolved-reference":
        # Names bound elsewhere in the step may be bound when it comes to it (`except NameError`), and
        # the checker lacks builtins that the sandbox has.
        return not quoted or not (
            quoted[0] in source.names or quoted[0] in known or hasattr(builtins, quoted[0])
        )
    if rule == "unresolved-import":
        # Whole modules that are missing are the lint's: it knows what is served beside the library.
        return not message.startswith("Cannot resolve")
    if rule in ("unresolved-attribute", "not-subscriptable", "not-iterable", "call-non-callable"):
        # A union may be narrower when it runs than the checker can tell.
        return not any("|" in text or "Unknown" in text for text in quoted)
    return True


def _plain_awaits(source: Source) -> set[int]:
    """Lines on which a call that gives its value at once is awaited directly: needless, but it runs."""
    nodes = ast.walk(source.tree) if source.tree is not None else ()
    awaits = [node.value for node in nodes if isinstance(node, ast.Await)]
    calls = [node for node in awaits if isinstance(node, ast.Call)]
    return {
        node.lineno
        for node in calls
        if (offer := BY_NAME.get(ast.unparse(node.func))) is not None and not offer.waits
    }


def _plain(message: str) -> str:
    return message.replace("CoroutineType[Any, Any, ", "an un-awaited call's [")
