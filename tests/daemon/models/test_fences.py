"""Which parts of a reply run: rules 22 and 23 of the loop, as cases, and properties for the rest."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlmd.daemon.models.fences import MAX_CODE_CHARS, parse

RUNS = {
    "python": ("```python\nx = 1\n```", ["x = 1"]),
    "py": ("```py\nx = 1\n```", ["x = 1"]),
    "repl": ("```repl\nx = 1\n```", ["x = 1"]),
    "bare": ("```\nx = 1\n```", ["x = 1"]),
    "upper case": ("```PYTHON\nx = 1\n```", ["x = 1"]),
    "space before the mark": ("``` python\nx = 1\n```", ["x = 1"]),
    "attributes": ('```python title="a b" {1,3}\nx = 1\n```', ["x = 1"]),
    "pandoc attributes": ("```{.python .numberLines}\nx = 1\n```", ["x = 1"]),
    "in a list": ("1. So:\n   ```python\n   if x:\n       y()\n   ```\n2. Then.", ["if x:\n    y()"]),
    "on the item's own line": ("- ```python\n  x = 1\n  ```", ["x = 1"]),
    "in a list, code not indented": ("- So:\n  ```python\nx = 1\n  ```", ["x = 1"]),
    "deeply indented": ("          ```python\n          x = 1\n          ```", ["x = 1"]),
    "indented with tabs": ("\t```python\n\tif x:\n\t\ty()\n\t```", ["if x:\n\ty()"]),
    "code indented more than its fence": ("```python\n  x = 1\n  y = 2\n```", ["x = 1\ny = 2"]),
    "tildes": ("~~~python\nx = 1\n~~~", ["x = 1"]),
    "bare tildes": ("~~~\nx = 1\n~~~", ["x = 1"]),
    "longer closing": ("```python\nx = 1\n`````", ["x = 1"]),
    "backticks in a string": (
        "```python\ns = '''\n```\nquoted\n```\n'''\nreply(s)\n```\nbye",
        ["s = '''\n```\nquoted\n```\n'''\nreply(s)"],
    ),
    "a whole fence in a string": (
        '```python\ns = """\n```json\n{}\n```\n"""\n```',
        ['s = """\n```json\n{}\n```\n"""'],
    ),
    "backticks in a formatted string": (
        '```python\ns = f"""\n```\n{x}\n"""\n```',
        ['s = f"""\n```\n{x}\n"""'],
    ),
    "unclosed": ("So:\n```python\nx = 1", ["x = 1"]),
    "unclosed and bare": ("So:\n```\nx = 1\n", ["x = 1\n"]),
    "carriage returns": ("```python\r\nx = 1\r\ny = 2\r\n```\r\n", ["x = 1\ny = 2"]),
    "in order": ("```python\na\n```\nthen\n```py\nb\n```\n```\nc\n```", ["a", "b", "c"]),
    "top-level await": ("```\nx = await llm('a')\n```", ["x = await llm('a')"]),
    "wrong code, but marked": ("```python\nx = = 1\n```", ["x = = 1"]),
    "behind a thought": ("<think>\nhm\n</think>\n```python\nx = 1\n```", ["x = 1"]),
    "a string that never ends cuts only itself": (
        "```python\ns = '''\n```\nprose, it is\n```python\nx = 1\n```",
        ["s = '''", "x = 1"],
    ),
}  # fmt: skip

DOES_NOT_RUN = {
    "json": '```json\n{"a": 1}\n```',
    "text": "```text\nx\n```",
    "bash": "```bash\nls\n```",
    "pycon": "```pycon\n>>> 1\n```",
    "quoted in a longer fence": "````markdown\n```python\nx = 1\n```\n````",
    "quoted in tildes": "~~~text\n```python\nx = 1\n```\n~~~",
    "quoted as a block": "> ```python\n> x = 1\n> ```",
    "bare, not Python": "```\nName    Age\nBob     33\n```",
    "inline": "Use ```python x = 1``` for that.",
    "only two backticks": "``python\nx = 1\n``",
    "no fence": "x = 1",
    "empty": "",
    "empty fence": "```python\n```",
    "a stray fence at the end": "Done.\n```",
    "unclosed json": '```json\n{"a": 1}',
}


@pytest.mark.parametrize(("text", "codes"), RUNS.values(), ids=RUNS)
def test_runs(text: str, codes: list[str]) -> None:
    parsed = parse(text)
    assert [block.code for block in parsed.blocks] == codes
    assert parsed.problem is None


@pytest.mark.parametrize("text", DOES_NOT_RUN.values(), ids=DOES_NOT_RUN)
def test_does_not_run_and_stays_prose(text: str) -> None:
    parsed = parse(text)
    assert parsed.blocks == ()
    assert parsed.prose == text.strip()
    assert parsed.problem is None


def test_unclosed_code_that_does_not_parse_is_told() -> None:
    parsed = parse("First.\n```python\nx = 1\nfor y in\n")
    assert parsed.blocks == ()
    assert parsed.problem is not None
    assert "line 2" in parsed.problem
    assert "```" in parsed.problem


def test_closed_blocks_before_an_unclosed_one_run() -> None:
    parsed = parse("```python\na = 1\n```\n```python\nfor y in")
    assert [block.code for block in parsed.blocks] == ["a = 1"]
    assert parsed.problem is not None


def test_prose_is_all_the_rest_and_lines_are_named() -> None:
    parsed = parse("One.\n\n```python\nx = 1\n```\nTwo.\n```json\n{}\n```")
    assert parsed.prose == "One.\n\nTwo.\n```json\n{}\n```"
    assert parsed.blocks[0].line == 4


def test_a_block_too_large_to_be_a_step_is_refused() -> None:
    parsed = parse("```python\n" + "x = 1\n" * MAX_CODE_CHARS + "```")
    assert parsed.blocks == ()
    assert parsed.problem is not None


HARD = ["(" * 100_000, "-" * 100_000 + "1", "'''\n" + "```\n" * 20_000, "\0", "\ud800", "x = '\\d'", "1 is 1"]


@pytest.mark.parametrize("code", HARD, ids=range(len(HARD)))
def test_code_that_is_hard_to_parse_does_no_harm(code: str) -> None:
    parse(f"```python\n{code}\n```")
    parse(f"```\n{code}")


PIECES = st.sampled_from(
    [
        "```",
        "````",
        "~~~",
        "python",
        "json",
        "\n",
        "\r\n",
        " ",
        "  ",
        "- ",
        "> ",
        "'''",
        '"""',
        "x = 1",
        "(",
        "é",
        "\t",
    ]
)


@given(st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=200))
def test_nothing_raises_and_nothing_is_invented(text: str) -> None:
    parsed = parse(text)
    plain = {line.strip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")}
    for block in parsed.blocks:
        assert {line.strip() for line in block.code.split("\n")} <= plain
        assert block.code.strip()
    assert {line.strip() for line in parsed.prose.split("\n")} <= plain | {""}


def _is_python(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return True


@given(
    st.text(max_size=100), st.text(max_size=100), st.integers(0, 8), st.sampled_from(["```", "~~~~", "`````"])
)
def test_a_program_with_any_text_in_its_strings_comes_out_whole(
    text: str, other: str, indent: int, fence: str
) -> None:
    code = f"x = {text!r}\nif x:\n    y = {other!r}\nreply(x)"
    margin = " " * indent
    reply = "\n".join(margin + line for line in [f"{fence}python", *code.split("\n"), fence])
    assert _is_python(code)
    assert [block.code for block in parse(reply).blocks] == [code]


QUOTED = st.lists(st.sampled_from(["```", "````", "```python", "~~~", "word", ""]), max_size=8).map("\n".join)


@given(QUOTED, st.sampled_from(["```", "~~~"]))
def test_fences_in_string_literals_never_cut_the_code(quoted: str, fence: str) -> None:
    code = f"s = '''\n{quoted}\n'''\nreply(s)"
    assert [block.code for block in parse(f"Look:\n{fence}python\n{code}\n{fence}\nDone.").blocks] == [code]
