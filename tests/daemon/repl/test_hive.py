"""The module `hive` in the sandbox: members by their names, and hives where a name is not enough."""

from __future__ import annotations

from typing import Any

from rlmd.daemon.repl.api import Call
from rlmd.daemon.repl.channels import Listing
from rlmd.daemon.repl.sandbox import Sandbox
from rlmd.daemon.repl.session import Session

from .conftest import QUICK, world
from .host import DictHost

ONE: Listing = {"phone": ["ring"], "@team": ["researcher", "my-critic", "class"]}
TWO: Listing = {**ONE, "@lab": ["researcher", "boss", "lab"]}
CALLS = ("hive.ask", "hive.tell", "hive.ask_all", "hive.vote", "hive.tell_all", "hive.log")


async def echo(call: Call) -> list[Any]:
    return [*call.args, dict(call.kwargs)]


async def run(sandbox: Sandbox, there: Listing, *steps: str) -> tuple[list[str], DictHost]:
    """What each step comes to: its value, or its fault."""
    host = DictHost(answers=dict.fromkeys(CALLS, echo))
    session: Session = await sandbox.open(world(), QUICK)
    try:
        came = []
        for code in steps:
            result = await session.run_step(code, host, len(host.calls) + 1, there=there)
            came.append(str(result.fault.message if result.fault else result.value))
        return came, host
    finally:
        await session.close()


async def test_members_are_asked_and_told_by_their_names(sandbox: Sandbox) -> None:
    came, host = await run(
        sandbox,
        ONE,
        "from hive import researcher\nawait researcher.ask('Well?', timeout='2d')",
        "import hive\nhive.my_critic.tell({'a': 1})",
        "await asyncio.gather(researcher.ask('a'), hive.my_critic.ask('b'))",
        "from hive import ask_all\nawait ask_all('All?', quorum=2)",
    )
    assert came[0] == "['team', 'researcher', 'Well?', {'timeout': '2d'}]"
    assert came[1] == "['team', 'my-critic', {'a': 1}, {}]"
    assert came[3] == "['', 'All?', {'quorum': 2}]"
    assert [call.waits for call in host.calls] == [True, False, True, True, True]


async def test_a_name_that_is_in_two_hives_needs_the_hive(sandbox: Sandbox) -> None:
    came, _ = await run(
        sandbox,
        TWO,
        "from hive import researcher",
        "from hive import lab\nawait lab.researcher.ask('Well?')",
        "await lab.vote('Which?', ['a', 'b'])",
        "from hive import boss, nobody",
        "import hive\n[hasattr(hive, name) for name in ('boss', 'researcher', 'lab', 'team')]",
    )
    assert "import the hive, and call team.researcher or lab.researcher" in came[0]
    assert came[1] == "['lab', 'researcher', 'Well?', {}]"
    assert came[2] == "['lab', 'Which?', ['a', 'b'], {}]"
    assert came[3] == "there is no member nobody. There are: boss, class_, lab, my_critic, team"
    assert came[4] == "[True, False, True, True]"


async def test_what_is_called_wrongly_is_refused_with_what_is_right(sandbox: Sandbox) -> None:
    came, host = await run(
        sandbox,
        ONE,
        "from hive import researcher\nresearcher.ask()",
        "hive.tell_all('x')",
        "from hive import other\nother.ask('x')",
    )
    assert "missing a required argument: 'question'" in came[0]
    assert "hive does not exist here" in came[1]
    assert "there is no member other" in came[2]
    assert host.calls == []


async def test_who_has_just_joined_is_there_in_the_next_step(sandbox: Sandbox) -> None:
    host = DictHost(answers={"hive.ask": echo})
    session = await sandbox.open(world(), QUICK)
    first = await session.run_step("from hive import boss", host, 1, there=ONE)
    assert first.fault is not None
    second = await session.run_step("from hive import boss\nawait boss.ask('x')", host, 1, there=TWO)
    assert second.value == ["lab", "boss", "x", {}]
    await session.close()


async def test_a_name_that_python_keeps_for_itself_gets_a_line_behind(sandbox: Sandbox) -> None:
    came, _ = await run(sandbox, ONE, "from hive import class_, team\nawait team.class_.ask('x')")
    assert came == ["['team', 'class', 'x', {}]"]
