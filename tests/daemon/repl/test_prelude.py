"""Pure modules served inside the sandbox, held against the library's own where the results must agree."""

from __future__ import annotations

import difflib
import heapq
import io
import operator
import statistics
import string
import textwrap
from typing import Any

import pytest

from rlmd.daemon.repl import prelude

from .conftest import Steps

_SCOPE: dict[str, Any] = {
    "difflib": difflib,
    "heapq": heapq,
    "io": io,
    "operator": operator,
    "statistics": statistics,
    "string": string,
    "textwrap": textwrap,
}
_TEXT = "The quick brown fox jumps over the lazy dog, and then goes home to sleep until the morning."

SAME = [
    "statistics.median([3, 1, 2, 10]), statistics.mean([1, 2, 3, 4]), statistics.mode(['a', 'b', 'b'])",
    "round(statistics.stdev([1, 2, 4]), 9), round(statistics.pvariance([1, 2, 4]), 9)",
    "[round(q, 9) for q in statistics.quantiles([1, 5, 2, 8, 3], n=4)]",
    f"textwrap.wrap({_TEXT!r}, 20)",
    f"textwrap.fill({_TEXT!r}, width=30, initial_indent='* ', subsequent_indent='  ')",
    f"textwrap.shorten({_TEXT!r}, 30), textwrap.shorten('short', 30)",
    "textwrap.wrap('abcdefghijklmnop xy', 5)",
    "textwrap.dedent('  a\\n    b\\n\\n  c\\n'), textwrap.indent('a\\n\\nb\\n', '> ')",
    "string.ascii_letters, string.punctuation, string.digits, string.capwords('a bc d')",
    "heapq.nlargest(2, [1, 5, 3]), heapq.nsmallest(2, ['bb', 'a'], key=len)",
    "sorted([{'a': 2}, {'a': 1}], key=operator.itemgetter('a')), operator.itemgetter(0, 2)('abc')",
    "difflib.get_close_matches('appel', ['ape', 'apple', 'peach', 'puppy'])",
    "round(difflib.SequenceMatcher(None, 'jon smith', 'john smith').ratio(), 6)",
    "[tuple(c) for c in difflib.SequenceMatcher(None, 'qabxcd', 'abycdf').get_opcodes()]",
    "io.StringIO('a\\nb').read(), list(io.StringIO('a\\nb\\n'))",
]


@pytest.mark.parametrize("code", SAME)
async def test_agrees_with_the_library(run: Steps, code: str) -> None:
    module = next(name for name in _SCOPE if f"{name}." in code)
    result = await run(f"import {module}\n{code}")
    assert result.fault is None
    assert result.value_repr == repr(eval(code, dict(_SCOPE)))


async def test_every_module_can_be_imported_in_each_way_and_stays(run: Steps) -> None:
    for name in sorted(prelude.MODULES):
        assert (await run(f"import {name}")).fault is None
        assert (await run(f"import {name} as other\n{name} is not None")).value is True
    result = await run(
        "from statistics import median as m\nfrom string import digits\nm([1, 2, 9]), digits[:2]"
    )
    assert result.value == [2, "01"]


async def test_csv_reads_and_writes_texts(run: Steps) -> None:
    result = await run(
        "import csv, io\nout = io.StringIO()\ncsv.writer(out).writerow(['a', 1])\n"
        "list(csv.reader(io.StringIO('x,y\\n1,2\\n'))), out.getvalue()"
    )
    assert result.fault is None
    assert result.value == [[["x", "y"], ["1", "2"]], "a,1\r\n"]


async def test_heap_keeps_the_least_first(run: Steps) -> None:
    code = "from heapq import heappush, heappop\nh = []\nfor x in (3, 1, 2):\n    heappush(h, x)\n"
    assert (await run(code + "[heappop(h) for _ in range(3)]")).value == [1, 2, 3]


async def test_uuids_are_valid_and_follow_the_seed(run: Steps) -> None:
    import uuid

    result = await run("import uuid\nstr(uuid.uuid4()), uuid.uuid4().hex")
    assert uuid.UUID(result.value[0]).version == 4
    assert uuid.UUID(result.value[1]).version == 4


async def test_a_missing_module_names_those_that_exist(run: Steps) -> None:
    result = await run("try:\n    import sqlite3\nexcept ImportError as e:\n    print(e)")
    assert "statistics" in result.output
