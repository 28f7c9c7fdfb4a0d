"""Every command, snippet and example of the pages is run, against a real daemon, as a reader would.

A page is read from top to bottom with one daemon, on a data directory of its own. What a fence says:

    console          lines at `$ ` are typed into bash; what follows is their output, stdout and stderr
    python           a program beside the daemon; a following `output` block is what it prints
    python program   a step of the agent itself, sent by `/py`; the same
    toml             a settings file: it must load
    text             a picture
    console (not run)   shown only; those are counted below

In outputs `...` stands for anything. A command must end with status 0, unless the page shows its status.
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rlmd
from rlmd import errors
from rlmd.daemon.repl.surface import OFFERS
from rlmd.settings import Settings

from .markdown import PAGES, Block, blocks, commands, fits, links
from .tree import ROOT

SECONDS = 120
SERVING = {"computer", "home_bot", "person", "watcher"}
"""Examples that end with Ctrl-C; see test_serving_examples.py."""
EXAMPLES = [path for path in sorted((ROOT / "examples").glob("*.py")) if path.stem not in SERVING]
NOT_RUN = {
    "README.md": 4,
    "CONTRIBUTING.md": 2,
    "how-do-i-connect-a-bot.md": 1,
    "how-do-i-connect-a-model.md": 2,
    "how-do-i-talk-on-a-messenger.md": 3,
}
"""Blocks that are shown only: they install, need somebody's key, or run the suite that runs this."""
PICTURES = {"README.md": 1, "what-can-text-from-outside-do.md": 1}
RUN = [
    page
    for page in PAGES
    if any(block.info in ("console", "python", "python program") for block in blocks(page))
]


class Reader:
    """Somebody at a shell beside the clone, with a daemon on a data directory of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "data"
        self.env = {
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "RLMD_DATA": str(self.data),
            "TZ": "UTC",
        }
        (home / "examples").symlink_to(ROOT / "examples")

    def types(self, command: str) -> tuple[int, str]:
        """Status and output of a command."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.home,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return done.returncode, done.stdout

    def writes(self, program: str) -> str:
        """What a Python program beside the daemon prints."""
        (self.home / "snippet.py").write_text(program)
        status, output = self.types("python snippet.py")
        assert status == 0, f"the snippet failed:\n{program}\n{output}"
        return output

    def programs(self, step: str) -> str:
        """What a step of the agent prints."""
        with rlmd.connect(data=self.data) as client:
            return str(client.agent("main").chat(f"/py\n{step}"))


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path)
    status, output = made.types("rlmd up --detach")
    assert status == 0, output
    yield made
    status, output = made.types("rlmd down --force")
    assert status == 0, output


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_a_page_does_what_it_says(page: Path, reader: Reader) -> None:
    output: str | None = None
    for block in blocks(page):
        match block.info:
            case "console":
                _type(block, reader)
            case "python":
                output = reader.writes(block.body)
                continue
            case "python program":
                output = reader.programs(block.body)
                continue
            case "output":
                assert output is not None, f"{block}: nothing in front of it was run"
                assert fits(block.body, output), f"{block} shows\n{block.body}\nbut this came\n{output}"
            case "toml":
                (reader.home / "settings").mkdir(exist_ok=True)
                (reader.home / "settings/config.toml").write_text(block.body)
                Settings.load({"data": str(reader.home / "settings")}, {"HOME": str(reader.home)})
            case "console (not run)" | "text":
                pass
            case other:
                pytest.fail(f"{block}: {other!r} is no kind of block")
        output = None


def _type(block: Block, reader: Reader) -> None:
    for command in commands(block):
        status, output = reader.types(command.text)
        assert status == 0, f"{block}: {command.text} ended with {status}:\n{output}"
        assert fits(command.shown, output), (
            f"{block}: {command.text} shows\n{command.shown}\nbut this came\n{output}"
        )


def test_the_conversation_in_the_readme_is_real(reader: Reader) -> None:
    (shown,) = [block.body for block in blocks(ROOT / "README.md") if "main> " in block.body]
    lines = shown[shown.index("main> ") :].splitlines()
    (reader.home / "said").write_text("".join(f"{line[6:]}\n" for line in lines if line.startswith("main> ")))
    status, output = reader.types("rlmd chat < said 2>/dev/null")
    assert status == 0
    expected = "\n".join(line for line in lines if not line.startswith("main> "))
    assert _dateless(output) == _dateless(expected)


def _dateless(text: str) -> list[str]:
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE", text).splitlines()


def test_few_blocks_are_only_shown() -> None:
    found = {page.name: [block.info for block in blocks(page)] for page in PAGES}
    assert {name: n for name, infos in found.items() if (n := infos.count("console (not run)"))} == NOT_RUN
    assert {name: n for name, infos in found.items() if (n := infos.count("text"))} == PICTURES


def test_the_examples_are_all_here() -> None:
    assert [path.stem for path in EXAMPLES] == sorted(SHOWN)


SHOWN = {
    "count_together": """\
20 writers, ... tries
counted: 20
""",
    "follow": """\
step 1: ... lines of code
  call 1: memory.get
...
it says: Noted under facts/bob: "Bob lives in Berlin"
...
run ... is done
""",
    "remember": """\
version 1: first idea
version 2: Bob comes along
...
now: {'days': 2, 'with': ['Ann']}
before that: {'days': 3, 'with': ['Ann', 'Bob']}
found in journal: Ann wants to see the bears in Bern.
""",
    "work_together": """\
the planner has heard: "Ann lives in Bern" ...
planner: You turn wishes into steps. ...
researcher: You find things out. ...
""",
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_runs_as_it_stands_twice(example: Path, reader: Reader) -> None:
    expected = SHOWN[example.stem]
    status, output = reader.types(f"python examples/{example.name}")
    assert status == 0, output
    assert fits(expected, output), output
    status, output = reader.types(f"python examples/{example.name}")
    assert status == 0, output


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    missing = [
        target
        for target in links(page)
        if not target.startswith("#") and not (page.parent / target.partition("#")[0]).exists()
    ]
    assert missing == []


def test_every_page_is_linked_from_the_readme() -> None:
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")} <= set(
        links(ROOT / "README.md")
    )


@pytest.mark.parametrize(
    ("shown", "real", "expected"),
    [
        ("a\n...\nz", "a\nb\nc\nz\n", True),
        ("a\n...\nz", "a\nz\n", True),
        ("v...", "v3\n", True),
        ("v...", "v3\nv4\n", False),
        ("", "something\n", False),
        ("a.c", "abc", False),
    ],
)
def test_the_comparison_of_outputs(shown: str, real: str, expected: bool) -> None:
    assert fits(shown, real) is expected


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_the_page_of_programs_has_all_that_can_be_called() -> None:
    page = _page("what-can-a-program-do.md")
    rows = [
        f"| `{'await ' if offer.waits else ''}{offer.name}{offer.shown}` | {offer.doc} |" for offer in OFFERS
    ]
    assert [row for row in rows if row not in page] == []


def test_the_page_of_errors_has_them_all() -> None:
    page = _page("errors.md")
    rows = [
        f"| `{kind.__name__}` | `{kind.__bases__[1].__name__}` | `{kind.code}` | {kind.__doc__} |"
        for kind in errors.ALL
    ]
    assert [row for row in rows if row not in page] == []


def test_the_page_of_settings_has_them_all() -> None:
    page = _page("what-can-i-set.md")
    rows = [
        f"| `{item.name}` | {'`' + item.metadata['env'] + '`' if 'env' in item.metadata else ''}"
        for item in dataclasses.fields(Settings)
    ]
    assert [row for row in rows if row not in page] == []
