"""What is refused before a step runs, and above all what is not."""

from __future__ import annotations

import pytest

from rlmd.daemon.repl import check
from rlmd.daemon.repl.api import Fault
from rlmd.daemon.repl.lint import Finding, fault, lint
from rlmd.daemon.repl.sandbox import Sandbox
from rlmd.daemon.repl.source import read
from rlmd.daemon.repl.stubs import stubs
from rlmd.daemon.repl.surface import OFFERS

from .conftest import Steps


def causes(code: str, *, known: frozenset[str] = frozenset(), depth: int = 1) -> list[str]:
    return [f"{found.line}: {found.cause}" for found in lint(read(code), known=known, depth=depth)]


LACKING = [
    ("class A(Exception): pass", "1: class A inherits"),
    ("def f():\n    yield 1", "2: yield"),
    ("d = {}\ndel d['a']", "2: del"),
    ("class A:\n    @property\n    def f(self): return 1", "3: method f has a decorator"),
    ("async def f():\n    async with x as y: pass", "2: async with"),
    ("async def f():\n    async for x in y: pass", "2: async for"),
    ("from math import *", "1: from math import *"),
    ("import numpy as np", "1: there is no module numpy"),
    ("from collections.abc import Sequence", "1: there is no module collections.abc"),
    ("sorted(['b'], key=str.lower)", "1: str.lower cannot be used from the type"),
    ("d = {'a': 1}\nmax(d, key=d.get)", "2: d.get is not a value here"),
    ("import json\njson.dumps({}, default=str)", "2: json.dumps has no default= and no cls="),
    ("from json import dumps\ndumps({}, default=str)", "2: json.dumps has no default= and no cls="),
    ("import asyncio\nawait asyncio.gather(return_exceptions=True)", "2: gather has no return_exceptions="),
    ("import re\nre.sub('a', lambda m: 'b', 'a')", "2: re.sub takes no function"),
    ("from dataclasses import asdict", "1: dataclasses.asdict does not exist here"),
    ("import asyncio\nasyncio.create_task(x)", "2: asyncio.create_task does not exist here"),
    (
        "from datetime import datetime\ndatetime.fromtimestamp(1)",
        "2: datetime.datetime.fromtimestamp does not exist",
    ),
    (
        "import datetime\ndatetime.datetime.fromtimestamp(1)",
        "2: datetime.datetime.fromtimestamp does not exist",
    ),
    ("next((x for x in []), None)", "1: next() of a generator expression"),
    ("raise KeyError(1)", "1: KeyError takes one text here"),
    ("input('?')", "1: input does not exist here"),
    ("event.time.timetuple()", "1: .timetuple does not exist here"),
]


@pytest.mark.parametrize(("code", "cause"), LACKING)
def test_what_the_sandbox_lacks_is_named(code: str, cause: str) -> None:
    assert any(found.startswith(cause) for found in causes(code))


@pytest.mark.parametrize(("code", "cause"), LACKING)
async def test_what_the_lint_refuses_fails_indeed(
    run: Steps, code: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_args: object, **_keywords: object) -> list[Finding]:
        return []

    monkeypatch.setattr("rlmd.daemon.repl.session.lint.lint", nothing)
    assert (await run(code)).fault is not None


def test_all_causes_are_named_at_once_in_order() -> None:
    found = lint(read("import numpy\nclass A(B):\n    pass\ndel x"), known=frozenset(), depth=1)
    refused = fault(found)
    assert refused is not None
    assert refused.message.splitlines() == [
        "line 1: there is no module numpy",
        "line 2: class A inherits",
        "line 4: del does not exist here",
    ]
    assert len(refused.hints) == 3


GOOD = [
    "try:\n    import numpy\nexcept ImportError:\n    numpy = None",
    "try:\n    counter\nexcept NameError:\n    counter = 0\ncounter",
    "def input(q): return q\ninput('a')",
    "class A:\n    def get(self, k): return k\na = A()\nlist(map(a.get, [1]))",
    "from __future__ import annotations\ndef f(x: int | None = None) -> list[int]: return []\nf()",
    "k = 1\nk = 'text'\nk.upper()",
    "rows = None\nfor r in [1]:\n    rows = [r]\nrows.append(2)",
    "d = {}\nd['a'] = 1\nd['b'] = 'x'\nd['b'].upper()",
    "list(map(str, filter(None, [1]))), getattr([], 'nope', 3), hasattr([], 'x')",
    "try:\n    1 / 0\nexcept (ConnectionError, ImportError, ZeroDivisionError) as e:\n    type(e).__name__",
    "x = memory.get('a') or {'n': 1}\nx['n'] += 1\nmemory.set('a', x)\nx['n']",
    "hits = memory.search('q', k=3)\n[h.text.upper() for h in hits if h.score > 0.1 and h.name != 'x']",
    "best = max(memory.search('q'), key=lambda h: h.score, default=None)\nbest and best.text",
    "for i, h in enumerate(sorted(memory.search('q'), key=lambda h: h.time)):\n    print(i, *h)",
    "from collections import Counter, defaultdict\nc = Counter()\nc['a'] += 1\nc.most_common(1)",
    "from dataclasses import dataclass, field\n@dataclass\nclass P:\n    n: int\n"
    "    xs: list[int] = field(default_factory=list)\nP(1).n",
    "import re\nm = re.search('a', 'b')\nm.group(0) if m else 'none'",
    "async def part(x):\n    return await llm('Summarise', x)\nimport asyncio\n"
    "parts = await asyncio.gather(*[part(c) for c in 'abc'])\n'\\n'.join(parts)",
    "a, b = await llm('x'), await llm('y', model='small')\nreply(a + b)",
    "t = llm('x')\nv = await t\nv.strip()",
    "f'{event.time:%H:%M} {event.sender!r} {len(event.text):>5}'",
    "event.time.date().isoformat(), (event.time.weekday() + 1) % 7",
    "match event.text.split():\n    case [word]: print(word)\n    case _: print('no')",
    "import json\njson.dumps({'a': [1]}, indent=2, ensure_ascii=False, sort_keys=True)",
    "reply({'a': 1})",
    "if (n := len(memory.names('notes/'))) > 3:\n    print(n)",
    "def walk(n):\n    if n == 0:\n        return []\n    return [n, *walk(n - 1)]\nwalk(3)",
    "total = 0\ndef bump():\n    global total\n    total += 1\nbump()\ntotal",
    "memory.append('journal', f'{event.time:%Y-%m-%d}: x', note='why')",
    "s = {1, 2} | {3}\ns.discard(1)\nsum(s)",
    "print = print\nprint('a', end='', flush=True)",
    "words = 'b a'.split()\nwords.sort(key=lambda w: w.lower())\nwords",
]


@pytest.mark.parametrize("code", GOOD)
async def test_good_programs_run(run: Steps, code: str) -> None:
    run.host.memory["notes/a"] = "text of a"
    result = await run(code)
    assert result.fault is None


async def test_a_module_that_was_rebound_is_no_longer_ours(run: Steps) -> None:
    await run("import memory\nlog = []")
    assert (await run("log.append(1)\nlog")).value == [1]
    still = await run("memory.serch('x')")
    assert still.fault is not None
    assert still.fault.kind == "refused"


async def test_names_of_earlier_steps_are_known_whatever_became_of_them(run: Steps) -> None:
    await run("a = 1\nb = {}['x']\nc = 2")
    assert (await run("a = 'now text'\na.upper()")).fault is None
    guarded = await run("try:\n    c\nexcept NameError:\n    c = 5\nc")
    assert guarded.value == 5


CAUGHT = [
    ("memory.set('a', 1)\nmemory.serch('x')", 2, "serch"),
    ("memory.search('x', n=3)", 1, "n"),
    ("memory.get()", 1, "name"),
    ("from memory import fetch", 1, "fetch"),
    ("undefined_thing + 1", 1, "undefined_thing"),
    ("memory.search('q')[0].content", 1, "content"),
    ("memory.search('q')[0]['text'].upper()\nfor x in 5: pass", 2, "iterable"),
    ("a = llm('x')\nreply(a.strip())", 2, "un-awaited"),
    ("from functools import wraps", 1, "functools.wraps"),
]


@pytest.mark.parametrize(("code", "line", "word"), CAUGHT)
async def test_mistakes_are_found_before_any_effect(run: Steps, code: str, line: int, word: str) -> None:
    result = await run(code)
    assert result.fault is not None
    assert (result.fault.kind, result.fault.line) == ("refused", line)
    assert word in result.fault.message
    assert run.host.calls == []


async def test_a_missing_await_is_found_before_it_runs(run: Steps) -> None:
    for code in ("s = llm('x')\nmemory.get(s)", "for c in rlm('x'): pass", "llm('x') + 'y'"):
        result = await run(code)
        assert result.fault is not None
        assert result.fault.kind == "refused"
        assert any("await" in hint for hint in result.fault.hints)


async def test_a_checker_that_died_is_replaced(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "CHECKS_PER_SESSION", 3)
    for _ in range(10):
        assert await sandbox.checker.check(read("memory.serch('x')"), frozenset()) != []
    await sandbox.checker.close()
    assert await sandbox.checker.check(read("memory.get('x')"), frozenset({"x"})) == []


def test_stubs_are_short_and_complete() -> None:
    text = stubs(1)
    assert len(text) < 4500
    assert all(offer.name in text for offer in OFFERS)
    assert "await rlm(" in text
    assert "rlm(" not in stubs(0)


def test_a_fault_without_findings_is_none() -> None:
    assert fault([]) is None
    assert isinstance(fault([Finding(line=1, cause="x", way="")]), Fault)
