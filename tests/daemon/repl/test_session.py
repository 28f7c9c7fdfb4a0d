"""Steps of a run: what lasts, what is shown, how calls are answered."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from rlmd.daemon.repl.api import Call
from rlmd.daemon.repl.sandbox import Sandbox
from rlmd.errors import Conflict

from .conftest import QUICK, Steps, world
from .host import DictHost


async def test_names_last_from_step_to_step(run: Steps) -> None:
    assert (await run("x = [1]\ndef f(n): return n + 1\nimport math")).fault is None
    result = await run("x.append(f(1))\nx = {'a': x}\nx['a'], math.floor(2.5)")
    assert result.fault is None
    assert result.value == [[1, 2], 2]
    assert result.value_repr == "([1, 2], 2)"


async def test_an_exception_keeps_what_was_before_it(run: Steps) -> None:
    result = await run("a = 1\nprint('before')\nb = {}['k']\nc = 3")
    assert result.fault is not None
    assert (result.fault.kind, result.fault.type, result.fault.line) == ("raised", "KeyError", 3)
    assert result.output == "before\n"
    assert not result.session_lost
    assert (await run("a")).value == 1
    later = await run("c")
    assert later.fault is not None
    assert later.fault.type == "NameError"


async def test_the_line_of_a_fault_is_in_this_step(run: Steps) -> None:
    await run("def g():\n    raise ValueError('deep')")
    result = await run("x = 1\n\ng()")
    assert result.fault is not None
    assert (result.fault.message, result.fault.line) == ("deep", 3)


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("1 + 1", "2"),
        ("x = 5", None),
        ("None", None),
        ("'text'  # comment", "'text'"),
        ("(1,\n 2)", "(1, 2)"),
        ("a = 1; a, 2", "(1, 2)"),
        ("class P:\n    def __repr__(self): return 'P!'\n[P()]", "[P!]"),
        ("from collections import namedtuple\nnamedtuple('Q', 'a b')(1, 'ü')", "Q(a=1, b='ü')"),
        ("'ü', len('ü')", "('ü', 1)"),
        ("print('x')", None),
        ("f'{len(\"ab\")}'", "'2'"),
        ("lambda: 1", "<function '<lambda>' at"),
        ("event.text", "'hello'"),
    ],
)
async def test_the_value_of_a_last_expression(run: Steps, code: str, shown: str | None) -> None:
    result = await run(code)
    assert result.fault is None
    if shown is None:
        assert result.value_repr is None
    else:
        assert result.value_repr is not None
        assert result.value_repr.startswith(shown)


async def test_newer_syntax_than_ours_still_runs(run: Steps) -> None:
    result = await run('d = {\'a\': 1}\nf\'{d["a"]} {f"{d["a"]}"}\'')
    assert result.fault is None
    assert result.value == "1 1"
    assert (await run("d['a']")).value == 1
    served = await run('import statistics\nf\'{statistics.mean([1, 3])} {d["a"]} {f"{1}"}\'')
    assert served.value == "2.0 1 1"


async def test_a_syntax_error_runs_nothing(run: Steps) -> None:
    result = await run("memory.set('a', 1)\nx = = 2")
    assert result.fault is not None
    assert (result.fault.kind, result.fault.type) == ("refused", "SyntaxError")
    assert run.host.calls == []


async def test_calls_are_numbered_and_have_lines(run: Steps) -> None:
    await run("memory.set('a', 1)\n\nmemory.get('a')")
    await run("def f():\n    return memory.get('a')")
    await run("f()\nmemory.names()")
    assert [(c.number, c.name, c.line) for c in run.host.calls] == [
        (1, "memory.set", 1),
        (2, "memory.get", 3),
        (3, "memory.get", 0),
        (4, "memory.names", 2),
    ]


async def test_arguments_are_bound_to_the_signature(run: Steps) -> None:
    await run(
        "memory.search('q', limit=3)\nmemory.search(query='q', k=3)\nmemory.set(name='a', value=1, note='n')"
    )
    assert [(c.args, dict(c.kwargs)) for c in run.host.calls] == [
        (("q", 3), {}),
        (("q", 3), {}),
        (("a", 1), {"note": "n"}),
    ]


async def test_wrong_arguments_raise_in_the_program(run: Steps) -> None:
    code = "args = []\ntry:\n    memory.get(*args)\nexcept TypeError as e:\n    print(e)"
    result = await run(code)
    assert "memory.get(name, default=None, *, version=None, as_of=None)" in result.output
    assert run.host.calls == []


async def test_a_missing_value_is_the_default_whatever_it_is(run: Steps) -> None:
    run.host.memory["there"] = 2
    code = "s = memory.get('gone', set())\ns.add(1)\ns, memory.get('there', 3), memory.get('gone')"
    assert (await run(code)).value_repr == "({1}, 2, None)"
    assert run.host.calls[0].args == ("gone",)


async def test_modules_are_there_with_and_without_import(run: Steps) -> None:
    code = "memory.names()\nimport memory as m\nfrom memory import get\nfrom log import recent\nget('x')\n"
    assert (await run(code + "m.names()")).fault is None
    assert run.host.names() == ["memory.names", "memory.get", "memory.names"]


async def test_an_error_of_the_host_is_its_nearest_builtin(run: Steps) -> None:
    async def conflict(_call: Call) -> Any:
        raise Conflict("is at version 4, not 3.", field="plan", remedy="Get it again.")

    run.host.answers = {"memory.set": conflict}
    caught = await run("try:\n    memory.set('plan', 1, expect=3)\nexcept RuntimeError as e:\n    print(e)")
    assert caught.output == "plan: is at version 4, not 3. Get it again.\n"
    uncaught = await run("memory.set('plan', 1)")
    assert uncaught.fault is not None
    assert uncaught.fault.type == "RuntimeError"
    assert "Get it again." in uncaught.fault.message


async def _slow(call: Call) -> Any:
    await asyncio.sleep(float(call.args[0]))
    return call.args[0]


async def test_gather_keeps_order_and_takes_as_long_as_the_slowest(run: Steps) -> None:
    run.host.answers = {"llm": _slow}
    started = time.monotonic()
    result = await run("import asyncio\nawait asyncio.gather(*[llm(s) for s in ('0.3', '0.2', '0.1')])")
    assert result.value == ["0.3", "0.2", "0.1"]
    assert time.monotonic() - started < 0.55
    assert run.host.settled == [3, 2, 1]


async def test_settling_order_decides_who_goes_on_first(run: Steps) -> None:
    run.host.answers = {"llm": _slow}
    await run(
        "import asyncio\n"
        "async def one(s):\n    await llm(s)\n    memory.set(s, 1)\n"
        "await asyncio.gather(one('0.2'), one('0.1'))"
    )
    assert [c.args for c in run.host.calls] == [("0.2",), ("0.1",), ("0.1", 1), ("0.2", 1)]


async def test_try_around_await_catches(run: Steps) -> None:
    async def fail(_call: Call) -> Any:
        raise TimeoutError("too slow")

    run.host.answers = {"llm": fail}
    result = await run("try:\n    await llm('x')\nexcept TimeoutError as e:\n    print('caught', e)")
    assert result.output == "caught too slow\n"


async def test_a_failing_sibling_leaves_no_call_open(run: Steps) -> None:
    async def answer(call: Call) -> Any:
        if call.args == ("bad",):
            raise ValueError("bad one")
        await asyncio.sleep(30)

    run.host.answers = {"llm": answer}
    result = await run("import asyncio\nawait asyncio.gather(llm('slow'), llm('bad'))")
    assert result.fault is not None
    assert result.fault.message == "bad one"
    assert run.host.abandoned == [1]
    assert result.unawaited == ()


async def test_done_cannot_be_caught(run: Steps) -> None:
    result = await run(
        "print('a')\ntry:\n    done(3)\nexcept BaseException:\n    print('b')\n"
        "finally:\n    memory.set('x', 1)"
    )
    assert result.ended
    assert result.fault is None
    assert result.output == "a\n"
    assert run.host.names() == ["done"]


@pytest.mark.parametrize(
    "code",
    [
        "await memory.get('x')",
        "await (memory.get('x'))",
        "import asyncio\n(await asyncio.gather(memory.get('x'), llm('y')))[0]",
        "import asyncio\n(await asyncio.gather(*[memory.get(n) for n in ['x']]))[0]",
        "async def f():\n    return await memory.get('x')\nawait f()",
    ],
)
async def test_a_needless_await_works(run: Steps, code: str) -> None:
    run.host.memory["x"] = 5
    result = await run(code)
    assert result.fault is None
    assert result.value == 5


async def test_a_needless_await_gets_the_default(run: Steps) -> None:
    assert (await run("await memory.get('x', {1})")).value_repr == "{1}"


async def test_the_text_of_an_unawaited_call_is_refused(run: Steps) -> None:
    result = await run("s = llm('q')\nmemory.set('x', [f'so {s}'])")
    assert result.fault is not None
    assert "await" in result.fault.message
    assert "value[0]" in result.fault.message
    assert "x" not in run.host.memory
    assert result.unawaited == ("llm",)
    assert run.host.abandoned == [1]
    again = await run("memory.set('x', f'{s}')")
    assert again.fault is not None
    assert "await" in again.fault.message


async def test_settled_calls_and_other_texts_like_it_pass(run: Steps) -> None:
    result = await run("a = await llm('q')\nmemory.set('x', 'about <coroutine external_future(7)> and ' + a)")
    assert result.fault is None


async def test_unawaited_calls_are_cancelled_and_named(run: Steps) -> None:
    cancelled = asyncio.Event()

    async def endless(_call: Call) -> Any:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    run.host.answers = {"llm": endless}
    result = await run("x = llm('a')\nmemory.names()")
    assert result.fault is None
    assert result.unawaited == ("llm",)
    assert cancelled.is_set()
    stale = await run("await x")
    assert stale.fault is not None
    assert any("step that starts it" in hint for hint in stale.fault.hints)


async def test_the_clock_comes_from_the_host(run: Steps) -> None:
    result = await run(
        "import time\nfrom datetime import datetime, date, timezone\n"
        "(datetime.now().isoformat(), datetime.now(timezone.utc).isoformat(), str(date.today()), time.time(),"
        " event.time.isoformat())"
    )
    assert result.fault is None
    assert result.value == [
        "2026-11-23T10:30:00",
        "2026-11-23T10:30:00+00:00",
        "2026-11-23",
        1_795_000_000.0,
        "2026-11-20T12:00:00+01:00",
    ]
    assert run.host.names() == ["sys.now", "sys.now", "sys.now", "sys.time"]


async def test_sleep_is_the_hosts(run: Steps) -> None:
    result = await run("import asyncio, time\ntime.sleep(2)\nawait asyncio.sleep(3)\n'up'")
    assert result.value == "up"
    assert [(c.name, c.args, c.waits) for c in run.host.calls] == [
        ("sys.sleep", (2.0,), False),
        ("sys.sleep", (3.0,), True),
    ]


async def test_randomness_follows_seed_and_step(sandbox: Sandbox) -> None:
    async def draw(seed: int) -> list[Any]:
        session = await sandbox.open(world(seed=seed), QUICK)
        steps = Steps(session)
        drawn = [(await steps("import random\nrandom.random()")).value for _ in range(2)]
        await session.close()
        return drawn

    first, again, other = await draw(1), await draw(1), await draw(2)
    assert first == again
    assert first != other
    assert first[0] != first[1]


@pytest.mark.parametrize(
    "code",
    ["open('/etc/passwd')", "import os\nos.environ['HOME']", "from pathlib import Path\nPath('/').exists()"],
)
async def test_no_files_and_no_environment(run: Steps, code: str) -> None:
    result = await run(code)
    assert result.fault is not None
    assert result.fault.type == "PermissionError"
    assert "memory" in result.fault.message


async def test_too_many_calls_raise_and_then_stop_the_step(run: Steps) -> None:
    result = await run("for i in range(500):\n    memory.get('x')")
    assert result.fault is not None
    assert (result.fault.kind, result.fault.type) == ("raised", "RuntimeError")
    assert len(run.host.calls) == QUICK.calls_per_step
    stubborn = await run(
        "while True:\n    try:\n        memory.get('x')\n    except RuntimeError:\n        pass"
    )
    assert stubborn.fault is not None
    assert (stubborn.fault.kind, stubborn.fault.type) == ("limit", "calls_per_step")


async def test_without_recursion_left_rlm_is_a_clear_error(sandbox: Sandbox) -> None:
    session = await sandbox.open(world(depth=0), QUICK)
    steps = Steps(session)
    before = await steps("await rlm('task')")
    assert before.fault is not None
    assert before.fault.kind == "refused"
    assert "rlm" in before.fault.message
    running = await steps("try:\n    await rlm('task')\nexcept RuntimeError as e:\n    print(e)")
    assert "no level of recursion" in running.output
    assert steps.host.calls == []
    await session.close()


async def test_records_arrive_as_namedtuples(run: Steps) -> None:
    run.host.memory["a"] = "text"
    result = await run(
        "h = memory.search('q')[0]\nprint(h)\nmemory.set('b', h)\nname, *rest = h\nname, h.text"
    )
    assert result.value == ["a", "text"]
    assert result.output.startswith("Hit(name='a', version=1, text='text'")
    assert run.host.memory["b"]["name"] == "a"


async def test_an_error_inside_the_host_ends_the_session_and_is_raised(run: Steps) -> None:
    class Broken(DictHost):
        async def call(self, call: Call) -> Any:
            raise ZeroDivisionError("a fault of the host")

    with pytest.raises(ZeroDivisionError):
        await run.session.run_step("memory.names()", Broken(), 1)
    assert (await run("1")).value == 1
