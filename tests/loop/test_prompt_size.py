"""The prompt stays within its budget, whatever there is: memories, steps, long texts of every script."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import pytest

import rlmd
from rlmd.clients.records import Limits, RunState
from rlmd.daemon.loop.tokens import cut, line, tokens
from tests.daemon_process import DaemonProcess
from tests.model_server import Exchange, ModelServer

from .runner import py

CONFIG = {"max_steps": 100}
"""Of the daemon: what no agent may exceed."""

BUDGET = 16_000
"""The default of `prompt_tokens`."""
SYSTEM = 3_000
STEPS = 60


def size(request: Exchange) -> int:
    return sum(tokens(message["content"]) for message in request.messages)


@pytest.mark.parametrize(
    ("count", "word", "most"), [(10, "harbour", 3), (2_000, "harbour", STEPS), (10, "🦜港", 12)]
)
def test_the_prompt_does_not_grow(
    count: int, word: str, most: int, house: DaemonProcess, mind: ModelServer
) -> None:
    name = f"size-{count}-{len(word)}"
    loud = (
        f"# {word * 1_000}\nprint({word!r} * 20_000)\nx = [llm] * 50\n1 / 0 if len(event.text) < 9 else None"
    )
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent(
            name, model=name, instructions=(f"Keep {word}. " * 10_000)[:20_000], limits=Limits(steps=most)
        )
        with ThreadPoolExecutor(32) as threads:
            keep = agent.memory.set
            list(
                threads.map(lambda n: keep(f"notes/{word}-{n}", f"Lantern {n} of {word} " * 40), range(count))
            )
        for text in ("short", f"Which lantern hangs in the {word}? " * 5):
            mind.script(["I keep it in mind. " * 5_000], model=name)
            agent.chat(text)
        steps = itertools.count()
        # A step that is the same again and again would be stopped.
        mind.always(lambda _: py(f"# {next(steps)}\n{loud}"), model=name)
        run = agent.send((f"Where is the lantern of {word}?\n" * 100_000)[:1_000_000]).wait()
    requests = [request for request in mind.requests if request.model == name]
    assert run.step_count == most, run.reason
    assert run.reason == f"limit: steps ({most})"
    sizes = [size(request) for request in requests]
    assert max(sizes) <= BUDGET, sizes
    assert max(sizes[3:]) > BUDGET // 2, "the budget is hardly used: the case is too small"
    assert "Memories that may matter" in requests[-1].prompt
    assert "Said on this channel before" in requests[-1].prompt
    assert most == 3 or "[folded: steps 1 to" in requests[-1].prompt


def test_short_steps_are_all_shown(house: DaemonProcess, mind: ModelServer) -> None:
    mind.script([*(py(f"print('word-{n}')") for n in range(12)), "Done."], model="short-steps")
    with rlmd.connect(data=house.data) as client:
        assert client.create_agent("short-steps", model="short-steps").chat("Count.").text == "Done."
    last = next(r for r in reversed(mind.requests) if r.model == "short-steps")
    assert all(f"\nword-{n}" in last.prompt for n in range(12))
    assert "[folded" not in last.prompt


@pytest.mark.parametrize("depth", [0, 2])
def test_the_system_prompt_is_small(depth: int, house: DaemonProcess, mind: ModelServer) -> None:
    name = f"small-{depth}"
    mind.script(["Yes."], model=name)
    with rlmd.connect(data=house.data) as client:
        client.create_agent(name, model=name, limits=Limits(depth=depth)).chat("Hello")
    (request,) = [request for request in mind.requests if request.model == name]
    assert tokens(request.messages[0]["content"]) <= SYSTEM
    assert size(request) <= SYSTEM + 200


def test_a_child_of_much_context_has_a_small_prompt(house: DaemonProcess, mind: ModelServer) -> None:
    code = (
        "done(await rlm('Look. ' * 100_000, *['🦜' * 100_000, list(range(100_000)), {'a' * 9000: 1}] * 12))"
    )
    mind.script([py(code)], model="wide").script([py("done(len(event.context))")], model="wide-sub")
    with rlmd.connect(data=house.data) as client:
        agent = client.create_agent("wide", model="wide", sub_model="wide-sub")
        run = agent.send("Go.").wait()
    assert (run.state, run.result) == (RunState.DONE, 36), run.reason
    (child,) = [request for request in mind.requests if request.model == "wide-sub"]
    assert size(child) <= BUDGET


@pytest.mark.parametrize(
    "text", ["a" * 50_000, "🦜" * 20_000 + "a" * 50_000, "ש \n" * 9_000, "\ud800" * 30_000]
)
@pytest.mark.parametrize("limit", [60, 500, 4_999])
def test_what_is_cut_fits_and_keeps_its_ends(text: str, limit: int) -> None:
    shorter = cut(text, limit, more="log.step(7) has all")
    assert tokens(shorter) <= limit
    assert tokens(shorter) > limit * 0.7
    assert shorter[:5] == text[:5].encode(errors="replace").decode()
    assert shorter[-3:] == text[-3:].encode(errors="replace").decode()
    assert "log.step(7) has all" in shorter


def test_what_fits_is_not_cut() -> None:
    text = "a\n" * 100
    assert cut(text, tokens(text)) == text
    assert line("a \n b  c", 100) == "a b c"
    assert len(line("word " * 100, 40)) <= 40
