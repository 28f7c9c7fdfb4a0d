"""The module `channels` in the sandbox: who is there, what is called, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from rlmd.daemon.repl.api import Call, StepResult
from rlmd.daemon.repl.channels import Listing
from rlmd.daemon.repl.sandbox import Sandbox

from .conftest import QUICK, world
from .host import DictHost

THERE: Listing = {"home": ["lights", "heat"], "my-phone": [], "chat": []}


async def echo(call: Call) -> Any:
    return [*call.args]


class Steps:
    def __init__(self, session: Any) -> None:
        self._session = session
        self.host = DictHost(answers={"channels.call": echo, "channels.tell": echo, "ask": echo})

    async def __call__(self, code: str, there: Listing = THERE) -> StepResult:
        first = len(self.host.calls) + 1
        result: StepResult = await self._session.run_step(code, self.host, first, there=there)
        return result


@pytest.fixture
async def steps(sandbox: Sandbox) -> Any:
    session = await sandbox.open(world(), QUICK)
    yield Steps(session)
    await session.close()


async def test_functions_are_awaited_and_telling_is_not(steps: Steps) -> None:
    result = await steps(
        "from channels import home\nhome.tell('hi')\nx = await home.lights(1, on=True)\n[x, len(x)]"
    )
    assert result.fault is None
    assert result.value == [["home", "lights", [1], {"on": True}], 4]
    assert [(call.name, call.args, call.waits) for call in steps.host.calls] == [
        ("channels.tell", ("home", "hi"), False),
        ("channels.call", ("home", "lights", [1], {"on": True}), True),
    ]
    again = await steps("await asyncio.gather(home.heat(), home.lights(on=False))")
    assert again.fault is None
    assert [call.args[1] for call in steps.host.calls[2:]] == ["heat", "lights"]


@pytest.mark.parametrize(
    "code",
    [
        "await home.tell('hi')\n1",
        "x = await home.tell('hi')\nlen(x)",
        "async def main():\n    await home.tell(await home.heat())\nawait main()",
        "import channels\nif True:\n    await  channels.home.tell(\n        'ä'\n    ); y = 1",
        "async def main():\n    await home.tell([await home.tell('ä'), await home.heat()])\nawait main()",
        "z = [await (\n  home).tell('hi'), await home.tell(await home.heat())]",
    ],
)
async def test_telling_may_be_awaited_all_the_same(steps: Steps, code: str) -> None:
    result = await steps(f"from channels import home\n{code}")
    assert result.fault is None
    assert "channels.tell" in [call.name for call in steps.host.calls]


async def test_a_channel_is_asked_under_its_own_name(steps: Steps) -> None:
    result = await steps("import channels\nawait channels.my_phone.ask('When?', type='date', timeout='2d')")
    assert result.fault is None
    (call,) = steps.host.calls
    assert (call.name, call.args[0], call.kwargs["channel"]) == ("ask", "When?", "my-phone")


async def test_a_name_of_the_program_does_not_stand_in_the_way(steps: Steps) -> None:
    result = await steps("list = tell = 3\nfrom channels import home\nhome.tell('x')\nawait home.lights(1)")
    assert result.fault is None, result.fault
    assert [call.name for call in steps.host.calls] == ["channels.tell", "channels.call"]


@pytest.mark.parametrize(
    ("code", "type", "texts"),
    [
        ("from channels import garage", "ImportError", ["garage", "chat, home, my_phone"]),
        ("from channels import home, garage as g", "ImportError", ["no channel garage"]),
        ("import channels\nchannels.garage.tell('x')", "AttributeError", ["'channels'", "garage"]),
        ("from channels import home\nawait home.door()", "AttributeError", ["'home'", "door"]),
        ("from channels import home\nhome.tell('a', 'b', 'c')", "TypeError", ["channels.tell"]),
    ],
)
async def test_who_or_what_is_not_there_is_an_error_that_can_be_caught(
    steps: Steps, code: str, type: str, texts: list[str]
) -> None:
    result = await steps(code)
    assert result.fault is not None
    assert (result.fault.kind, result.fault.type) == ("raised", type)
    assert not [text for text in texts if text not in result.fault.message], result.fault.message
    body = code.replace("\n", "\n    ")
    caught = await steps(f"try:\n    {body}\nexcept {type} as error:\n    print('caught')")
    assert (caught.fault, caught.output) == (None, "caught\n")
    assert steps.host.calls == []


async def test_who_comes_is_there_in_the_next_step_that_imports(steps: Steps) -> None:
    assert (await steps("from channels import home")).fault is None
    gone = await steps("from channels import car", {"car": ["drive"]})
    assert gone.fault is None
    after = await steps("[await car.drive(), await home.lights()]", {})
    assert after.fault is None
    assert [call.args[0] for call in steps.host.calls] == ["car", "home"]


async def test_a_missing_await_starts_nothing_that_goes_on(steps: Steps) -> None:
    result = await steps("from channels import home\nhome.lights()")
    assert result.unawaited == ("channels.call",)
    assert steps.host.abandoned == [1]
