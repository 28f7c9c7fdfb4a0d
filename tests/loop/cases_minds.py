"""Rules 12 to 21: sub-calls and children, what they see and cost, and providers that fail."""

from __future__ import annotations

from typing import Any

from tests.daemon_process import SECRET
from tests.model_server import CutStream, Empty, Item, Malformed, Null, Reset, Slow, Status

from .runner import (
    Case,
    Outcome,
    done,
    ended_well,
    failed,
    no_prompt,
    py,
    requests,
    says,
    shows,
    steps,
    within,
)


def a_subtree(outcome: Outcome) -> None:
    children = outcome.children()
    assert len(children) == 3
    top = {child.id for child in children if child.parent == outcome.run.id}
    assert len(top) == 2
    assert [child.depth for child in children if child.parent in top] == [2]


def by_content(answers: dict[str, Item]) -> Any:
    """A model that answers by what the question contains."""

    def answer(body: dict[str, Any]) -> Item:
        asked = body["messages"][-1]["content"]
        return next((item for word, item in answers.items() if word in asked), "no such question")

    return answer


def only_its_slot(outcome: Outcome) -> None:
    first, failure, last = outcome.run.result
    assert (first, last) == ("1", "2")
    assert failure.startswith("no: ")


def child_saw_nothing(outcome: Outcome) -> None:
    for request in outcome.sub_requests:
        assert "kept from the child" not in request.prompt
    seen = [step.observation for child in outcome.children() for step in child.steps]
    assert any("NameError" in text or "not defined" in text for text in seen), seen


def child_usage(outcome: Outcome) -> None:
    (child,) = outcome.children()
    assert child.usage.model_calls == 1
    assert outcome.run.usage.model_calls == 3


def retried_inside_one_step(outcome: Outcome) -> None:
    assert len(outcome.requests) == 4
    assert "429" in outcome.run.steps[0].note, outcome.run.steps[0].note


def no_secret(outcome: Outcome) -> None:
    seen = [repr(outcome.run), repr(outcome.updates), repr(outcome.agent.log.recent(100))]
    seen += [request.prompt for request in outcome.requests]
    assert SECRET not in "\n".join(seen)


MINDS: tuple[Case, ...] = (
    # 12 to 16: sub-calls and children.
    Case(
        rule=12,
        name="a sub-call's text is not in the prompt unless printed",
        script=[
            py("a = await llm('One?')\nb = await rlm('Two?')\nprint(len(a), len(b))"),
            py("print(b)"),
            py("done()"),
        ],
        sub=["quartz-granite", py("done('basalt-gneiss')")],
        expect=[done(), no_prompt("quartz-granite"), shows(1, "14 13"), shows(2, "basalt-gneiss")],
    ),
    Case(
        rule=13,
        name="a gathered batch keeps the order of its requests",
        script=[py("done(await asyncio.gather(*[llm('question', c) for c in 'abcd']))")],
        sub=[by_content({"a": Slow(1.2, "A"), "b": Slow(0.8, "B"), "c": Slow(0.4, "C"), "d": Slow(0, "D")})]
        * 4,
        expect=[done(["A", "B", "C", "D"]), within(4)],
    ),
    Case(
        rule=14,
        name="a failing child fills only its own slot",
        script=[
            py("""
                async def safely(word):
                    try:
                        return await llm(word)
                    except RuntimeError as error:
                        return f'no: {error}'[:24]
                done(await asyncio.gather(*[safely(w) for w in ['one', 'bad', 'two']]))
            """)
        ],
        sub=[by_content({"bad": Status(400, "bad question"), "one": Slow(0.3, "1"), "two": Slow(0.2, "2")})]
        * 3,
        expect=[ended_well, only_its_slot],
    ),
    Case(
        rule=14,
        name="a failing child's error can be caught around the gather",
        script=[
            py("""
                try:
                    await asyncio.gather(llm('one'), llm('bad'))
                except RuntimeError as error:
                    x = str(error)
                done(x[:0] + 'caught')
            """)
        ],
        sub=[by_content({"bad": Status(400, "bad question"), "one": Slow(0.3, "1")})] * 2,
        expect=[done("caught")],
    ),
    Case(
        rule=15,
        name="a child sees neither names nor messages of its parent",
        says="This is kept from the child.",
        script=[py("word = 'kept from the child, too'\ndone(await rlm('Look around.', 'passed'))")],
        sub=[py("print(word)"), py("done([event.context, event.text])")],
        expect=[done([["passed"], "Look around."]), child_saw_nothing],
    ),
    Case(
        rule=15,
        name="parallel children do not see each other",
        script=[py("done(await asyncio.gather(*[rlm('Number', n) for n in range(3)]))")],
        sub=[py("mine = event.context[0]\nawait asyncio.sleep(0.1)")] * 3 + [py("done(mine)")] * 3,
        expect=[done([0, 1, 2])],
    ),
    Case(
        rule=16,
        name="a child may use another model and its usage counts above",
        script=[py("x = await rlm('Think.')"), py("done(x)")],
        sub=[py("done('thought')")],
        expect=[done("thought"), child_usage],
    ),
    Case(
        rule=18,
        name="children form a subtree",
        script=[py("done(await asyncio.gather(rlm('left'), rlm('right')))")],
        sub=[
            by_content(
                {"left": py("done(await rlm('below'))"), "right": py("done('R')"), "below": py("done('L')")}
            )
        ]
        * 3,
        expect=[done(["L", "R"]), a_subtree],
    ),
    # 20, 21: failures of the provider.
    Case(
        rule=20,
        name="429 and 5xx are tried again inside one step",
        script=[
            Status(429, retry_after=0.05),
            Status(500, retry_after=0.05),
            Status(503, retry_after=0.05),
            "Yes.",
        ],
        expect=[done(), says("Yes."), steps(1), retried_inside_one_step],
    ),
    Case(
        rule=20,
        name="another 4xx is not tried again and its reason is told",
        script=[Status(404, "no such model here")],
        expect=[failed("model", "no such model here"), requests(1), says()],
    ),
    Case(
        rule=20,
        name="null, no choices and a cut stream do not end the run",
        script=[Null(), Empty(), CutStream(6, "Hello there"), Malformed("Half"), Null(), "Whole."],
        expect=[done(), says("Whole."), shows(3, "error", "broke off"), shows(4, "error", "broke off")],
    ),
    Case(
        rule=20,
        name="a reset connection is tried again",
        script=[Reset(), "Back."],
        expect=[done(), says("Back."), steps(1)],
    ),
    Case(
        rule=20,
        name="a program can catch what a provider does not give",
        script=[
            py("""
                try:
                    await llm('anything')
                except RuntimeError as error:
                    reply(str(error))
            """)
        ],
        sub=[Status(401, f"wrong key {SECRET}")],
        expect=[done(), requests(1, sub=1), no_secret],
    ),
    Case(
        rule=21,
        name="usage is exact over retries and children and gathers",
        script=[
            Status(500, retry_after=0.05),
            py("done(len(await asyncio.gather(*[rlm(str(n)) for n in range(4)])))"),
        ],
        sub=[py("x = await llm('aside')")] * 4 + [Status(429, retry_after=0.05)],
        always=by_content({"This is": "aside", "aside": "Aside."}),
        expect=[done(4)],
    ),
)
