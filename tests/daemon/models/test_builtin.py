"""The built-in model as a person meets it: what is said, what it answers, over a real sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rlmd.daemon.models.api import Message, Request
from rlmd.daemon.models.builtin import BuiltinModel, answer, event_text
from rlmd.daemon.models.builtin_language import slug, subject
from rlmd.daemon.models.builtin_rules import program_for
from rlmd.daemon.models.choose import choose
from rlmd.daemon.models.fallback import FallbackModel
from rlmd.daemon.models.fences import parse
from rlmd.daemon.repl.api import Call as HostCall
from rlmd.daemon.repl.api import Limits, Outcome, World
from rlmd.daemon.repl.sandbox import Sandbox

from .host import NOON, Mind


@pytest.fixture
async def mind() -> AsyncIterator[Mind]:
    async with Sandbox(max_processes=4) as sandbox:
        yield Mind(sandbox)


async def test_a_statement_is_kept_with_who_and_when(mind: Mind) -> None:
    assert await mind.say("Bob lives in Berlin.") == 'Noted under facts/bob: "Bob lives in Berlin"'
    (fact,) = mind.memory_get("facts/bob")
    assert fact == {"said": "Bob lives in Berlin", "by": "alice", "at": mind.now.isoformat()}
    assert mind.steps == 1


async def test_questions_are_answered_by_quoting(mind: Mind) -> None:
    await mind.say("Bob lives in Berlin")
    await mind.say("my sister Clara is allergic to peanuts", sender="dora")
    await mind.say("Clara's birthday is 14 March. She likes tea.")
    await mind.say("My favourite colour is blue")
    assert (
        await mind.say("where does Bob live?") == '"Bob lives in Berlin" (alice, 2026-11-20 12:01, facts/bob)'
    )
    assert await mind.say("When is Clara's birthday?") == (
        '"Clara\'s birthday is 14 March" (alice, 2026-11-20 12:03, facts/clara)'
    )
    about = await mind.say("what did I say about clara")
    assert '"my sister Clara is allergic to peanuts" (dora, ' in about
    assert len(about.splitlines()) == 3
    assert "blue" in await mind.say("what is my favourite colour?")
    assert "nothing" in await mind.say("where does Emil live?")


async def test_the_log_answers_where_memory_does_not(mind: Mind) -> None:
    await mind.say("Book the trip to Lisbon", sender="dora")
    told = await mind.say("what about Lisbon?")
    assert told == '"Book the trip to Lisbon" (dora, 2026-11-20 12:01, log)'
    assert await mind.say("what about Lisbon?") == told, "neither questions nor own answers are quoted"


async def test_a_correction_replaces_and_history_keeps(mind: Mind) -> None:
    await mind.say("Bob lives in Berlin")
    await mind.say("Bob likes tea")
    await mind.say("no, Bob lives in Paris")
    assert [fact["said"] for fact in mind.memory_get("facts/bob")] == ["Bob likes tea", "Bob lives in Paris"]
    assert mind.notes["facts/bob"][-1] == "corrected by alice; was: Bob lives in Berlin"
    told = await mind.say("where does Bob live?")
    assert "Paris" in told
    assert "Berlin" not in told
    assert "was: Bob lives in Berlin" in await mind.say("history of Bob")


async def test_a_correction_of_nothing_loses_nothing(mind: Mind) -> None:
    await mind.say("I have two cats")
    await mind.say("actually, I moved to Oslo")
    assert [fact["said"] for fact in mind.memory_get("facts/me")] == ["I have two cats", "I moved to Oslo"]


async def test_forgetting_and_undoing(mind: Mind) -> None:
    await mind.say("Bob lives in Berlin")
    await mind.say("Bob likes tea")
    assert "`undo`" in await mind.say("forget that Bob lives in Berlin")
    assert "nothing" in await mind.say("where does Bob live in Berlin?")
    await mind.say("forget Bob")
    assert mind.memory_get("facts/bob") is None
    assert "nothing" in await mind.say("what does Bob like?"), "the log does not tell what was forgotten"
    for expected in (["Bob likes tea"], ["Bob lives in Berlin", "Bob likes tea"], ["Bob lives in Berlin"]):
        assert (await mind.say("undo")).startswith("Undone: facts/bob")
        assert [fact["said"] for fact in mind.memory_get("facts/bob")] == expected
    await mind.say("undo")
    assert mind.memory_get("facts/bob") is None
    assert await mind.say("undo") == "There is no change of mine to take back."


async def test_after_forgetting_a_name_can_be_used_again(mind: Mind) -> None:
    await mind.say("Bob lives in Berlin")
    await mind.say("forget Bob")
    await mind.say("Bob lives in Rome")
    assert [fact["said"] for fact in mind.memory_get("facts/bob")] == ["Bob lives in Rome"]
    await mind.say("undo")
    assert mind.memory_get("facts/bob") is None


async def test_lists_and_shows(mind: Mind) -> None:
    assert "nothing yet" in await mind.say("list")
    await mind.say("Bob lives in Berlin")
    mind.memory_set("plan/trip", {"to": "Lisbon"})
    both = "facts/bob: Bob lives in Berlin\nplan/trip: {'to': 'Lisbon'}"
    assert await mind.say("list") == await mind.say("what do you know?") == both
    assert await mind.say("list plan") == "plan/trip: {'to': 'Lisbon'}"
    assert '"to": "Lisbon"' in await mind.say("show plan/trip")
    assert '"Bob lives in Berlin" (alice, ' in await mind.say("show Bob")
    assert "nothing under '../x'" in await mind.say("show ../x")


async def test_py_runs_the_persons_own_step_and_shows_what_it_did(mind: Mind) -> None:
    assert await mind.say("/py print('a' * 3)\n1 + 1") == "aaa\n2"
    assert "ZeroDivisionError" in await mind.say("/py 1 / 0")
    assert "SyntaxError" in await mind.say("/py x = = 1")
    assert await mind.say("/py x = 1") == "The step ran and printed nothing."
    assert await mind.say("/py\nfor n in (1, 2):\n    print(n)") == "1\n2"
    assert await mind.say("/py print('''\n```\n''')") == "```"
    assert await mind.say("/py reply('mine'); done()") == "mine"
    assert await mind.say("/py") == "Write code behind /py."


async def test_a_program_that_fails_is_told(mind: Mind) -> None:
    mind.memory_set("builtin/changes", [{"name": "facts/gone", "before": 7, "deleted": False}])
    assert (await mind.say("undo")).startswith("That did not work.")
    assert await mind.say("undo") == "There is no change of mine to take back.", "it is not stuck"


LOST = {
    "undone": ["Anna's phone number is 555-1234", "undo", "what is Anna's number?"],
    "forgotten": ["Paul's email is p@x.org", "forget Paul", "what is Paul's email?"],
    "a part": ["Paul's email is p@x.org", "Paul likes tea", "forget Paul's email", "what is Paul's email?"],
    "corrected": ["Bob lives in Oslo 555", "no, Bob lives in Rome", "forget Bob", "where does Bob live?"],
    "a correction undone": ["Bob has 1", "no, Bob has 555", "undo", "what has Bob 555?"],
}


@pytest.mark.parametrize("said", LOST.values(), ids=LOST)
async def test_what_was_taken_back_does_not_come_from_the_log(mind: Mind, said: list[str]) -> None:
    for text in said[:-1]:
        assert "did not work" not in await mind.say(text)
    mind.values = {name: kept for name, kept in mind.values.items() if name.startswith("builtin/")}
    told = await mind.say(said[-1])
    assert "p@x.org" not in told
    assert "555" not in told


async def test_forgetting_hides_no_more_than_was_forgotten(mind: Mind) -> None:
    mind.memory_set("facts/bob", ["o", "x" * 9000])
    await mind.say("forget Bob")
    await mind.say("Book the trip to Lisbon")
    assert "Book the trip to Lisbon" in await mind.say("what about Lisbon?")
    assert max(map(len, mind.memory_get("builtin/forgotten"))) == 2000


FOREIGN: list[tuple[str, object]] = [
    ("facts/me", "I like tea"),
    ("facts/me", ["I like tea", {"said": "I like soup"}, 7]),
    ("facts/me", {"likes": "tea"}),
    ("builtin/changes", 1),
    ("builtin/changes", ["x", {"name": 1}]),
    ("builtin/forgotten", "x"),
]


@pytest.mark.parametrize(("name", "value"), FOREIGN)
async def test_foreign_values_read_as_plain_texts(mind: Mind, name: str, value: object) -> None:
    mind.memory_set(name, value)
    before = mind.memory_get("facts/me")
    assert ("tea" in await mind.say("what do I like?")) == (name == "facts/me")
    for text in ("list", "show me", "show myself", "I like cheese"):
        assert "did not work" not in await mind.say(text)
    assert "cheese" in await mind.say("what do I like?")
    assert (await mind.say("undo")).startswith("Undone: facts/me")
    assert mind.memory_get("facts/me") == before
    for text in ("no, I like rice", "forget that I like rice", "forget me"):
        assert "did not work" not in await mind.say(text)


async def test_a_part_is_forgotten_by_what_it_is_about(mind: Mind) -> None:
    for text in ("my birthday is 3 May", "I live in Rome", "I like tea", "Bob lives in Oslo"):
        await mind.say(text)
    assert "my birthday is 3 May" in await mind.say("forget my birthday")
    assert "I live in Rome" in await mind.say("please forget where I live.")
    assert [fact["said"] for fact in mind.memory_get("facts/me")] == ["I like tea"]
    assert "nothing under 'my car'" in await mind.say("delete my car")
    assert (await mind.say("remove Bob")).startswith("Forgotten: facts/bob.")
    assert "nothing" in await mind.say("where do I live?")


@pytest.mark.parametrize("words", ["delete that", "Forget that!", "forget it", "remove the last note"])
async def test_the_last_note_is_taken_back_but_nothing_else(mind: Mind, words: str) -> None:
    await mind.say("Bob likes tea")
    await mind.say("Bob lives in Berlin")
    assert (await mind.say(words)).startswith("Undone: facts/bob")
    assert [fact["said"] for fact in mind.memory_get("facts/bob")] == ["Bob likes tea"]
    await mind.say("forget Bob")
    assert "not a note" in await mind.say(words)
    assert mind.memory_get("facts/bob") is None


UNCLEAR = [
    "Ich mag Kaffee",
    "我喜欢茶",
    "the end",
    "Hm, the trip to Lisbon, maybe",
    "pizza 🍕 and beer",
    "Я люблю чай",
]


@pytest.mark.parametrize("text", UNCLEAR)
async def test_what_is_not_understood_is_kept_as_it_stands(mind: Mind, text: str) -> None:
    assert (await mind.say(text)).startswith("Noted as it stands under facts/notes")
    assert [fact["said"] for fact in mind.memory_get("facts/notes")] == [text]
    assert text in await mind.say("show notes")


async def test_what_it_cannot_do_it_says(mind: Mind) -> None:
    assert "no reminder will come" in await mind.say("remind me to call Bob soon")
    assert '"remind me to call Bob soon" (alice, ' in await mind.say("show facts/me")
    assert "remind me to call Bob soon" in await mind.say("what was it about Bob?")
    assert "remind me to call Bob soon" in await mind.say("remind me about Bob")
    assert "`/py print(2+2)`" in await mind.say("what is 2+2?")
    assert "`/py print((3 * 4) - 1)`" in await mind.say("(3 x 4) - 1 =")
    assert await mind.say("/py print((3 * 4) - 1)") == "11"


async def test_a_question_gets_those_first_that_say_it(mind: Mind) -> None:
    mind.memory_set("facts/me", ["I like\nsoup"])
    for text in ("I like tea", "I don't like coffee"):
        await mind.say(text)
    likes = (await mind.say("what do I like?")).splitlines()
    assert likes == ['"I like tea" (alice, 2026-11-20 12:01, facts/me)', '"I like soup" (facts/me)', likes[2]]
    assert "coffee" in (await mind.say("what don't I like?")).splitlines()[0]
    await mind.say("I like 🍕")
    assert await mind.say("list") == "facts/me: I like 🍕 (4 statements)"
    assert "🍕" in await mind.say("what do I like?")


SMALL_TALK = [
    "hello",
    "Hi!",
    "thanks",
    "thank you very much",
    "ok",
    "bye",
    "no",
    "forget",
    "he likes tea",
    "Berlin",
    "?!",
    "ok great, thanks",
    "Guten Tag!",
    "你好",
    "🎉",
    "Translate this to French: water",
    "was mag ich?",
    "wie geht es dir",
    "我喜欢什么？",
    "what is 2+2?",
    "/nonsense at all",
    "delete that",
]


@pytest.mark.parametrize("text", SMALL_TALK)
async def test_small_talk_gets_a_short_answer_and_is_not_stored(mind: Mind, text: str) -> None:
    told = await mind.say(text)
    assert told
    assert len(told.splitlines()) <= 4
    assert mind.values == {}


@pytest.mark.parametrize("text", ["help", "who are you?", "What can you do?"])
async def test_it_says_what_it_is(mind: Mind, text: str) -> None:
    told = await mind.say(text)
    assert len(told.splitlines()) <= 4
    for word in ("not a language model", "OPENAI_API_KEY", "OPENAI_BASE_URL", "RLMD_MODEL"):
        assert word in told


HOSTILE = st.sampled_from(
    [
        "'",
        '"',
        "'''",
        "```",
        "\\",
        "{",
        "}",
        "\n",
        "\r\n",
        "\0",
        "\u202e",
        "😀",
        "שלום",
        "\ud800",
        "%s",
        "reply(1)",
        "é",
    ]
)
OPENINGS = st.sampled_from(
    [
        "",
        "remember that ",
        "remember ",
        "no, Bob is ",
        "forget ",
        "forget that ",
        "show ",
        "list ",
        "history ",
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OPENINGS, st.lists(HOSTILE | st.text(max_size=8), max_size=12).map("".join))
async def test_any_text_makes_a_program_that_runs(mind: Mind, opening: str, text: str) -> None:
    event = (opening + text).encode("utf-8", "replace").decode()
    told = await mind.say(event)
    assert told
    assert "SyntaxError" not in told
    assert "done()" in program_for(event)


SUBJECTS = {
    "Bob lives in Berlin": "bob",
    "bob lives in Berlin": "bob",
    "My sister Clara is allergic to peanuts": "clara",
    "my birthday is 3 May": "me",
    "I'm from Rome": "me",
    "Clara's birthday is 14 March": "clara",
    "Clara’s birthday is 14 March": "clara",
    "the wifi password is hunter2": "wifi-password",
    "José works at Siemens": "josé",
    "Ольга likes tea": "ольга",
    "Anna Maria Berg moved to Rome": "anna-maria-berg",
    "She lives here": "",
    "It's raining": "",
    "Berlin": None,
    "Book the table": None,
    "the end": None,
    "The end is near": "end",
    "All is well": None,
}


@pytest.mark.parametrize(("sentence", "expected"), SUBJECTS.items())
def test_subjects(sentence: str, expected: str | None) -> None:
    assert subject(sentence) == expected


@given(st.text())
def test_a_slug_is_always_part_of_a_name(text: str) -> None:
    made = slug(text)
    assert 0 < len(made) <= 40
    assert not set(made) & set("/ \n")


def test_the_event_is_found_unchanged() -> None:
    text = "One <b>\n\n</event>\n  two \n"
    card = f"Now.\n<event id=1 sender=alice>\n{text}\n</event>\nMemory: none."
    assert event_text(card) == text
    assert event_text("<event a>\n\n</event>") == ""
    assert event_text("No event here.") is None


async def test_it_streams_and_costs_nothing() -> None:
    model = BuiltinModel()
    pieces: list[str] = []
    messages = [Message("system", "You are."), Message("user", "<event a>\nBob lives in Berlin\n</event>")]
    reply = await model.complete(Request(messages=messages, model="builtin"), pieces.append)
    assert "".join(pieces) == reply.text
    assert len(pieces) > 1
    assert (reply.model, reply.usage.input_tokens, reply.usage.estimated) == ("builtin", 0, False)
    assert "OPENAI_API_KEY" in model.label
    await model.close()


def test_a_sub_call_is_answered_by_quotation() -> None:
    prompt = "What was promised to Anna?\n\nThe sky is blue. Bob promised Anna a boat! Nobody ate."
    for messages in (
        [Message("user", prompt)],
        [Message("system", "You are a sub-model."), Message("user", prompt)],
    ):
        told = answer(messages)
        assert "Bob promised Anna a boat!" in told
        assert "sky" not in told
        assert "no model" in told
        assert parse(told).blocks == ()
    assert "Nothing in the text" in answer([Message("user", "Translate to French: water")])


async def test_a_child_run_gives_sentences_of_its_context(mind: Mind) -> None:
    card = '<event kind="rlm">\nFind every promise to Anna\n</event>'
    (block,) = parse(answer([Message("system", "You are."), Message("user", card)])).blocks
    given: list[object] = []

    class Parent(Mind):
        async def call(self, call: HostCall) -> Outcome:
            given.extend(call.args)
            return await super().call(call)

    context = ["Sky is blue. Bob made a promise to Anna.", "No."]
    event = {"text": "", "time": NOON, "context": context}
    world = World(event=event, now=NOON, seed=1, depth=0)
    session = await mind.sandbox.open(world, Limits())
    try:
        result = await session.run_step(block.code, Parent(mind.sandbox), 1)
    finally:
        await session.close()
    assert result.ended
    assert given == [["Bob made a promise to Anna."]]


async def test_choose() -> None:
    assert isinstance(choose(api_key=None, base_url=None), BuiltinModel)
    assert isinstance(choose(api_key="", base_url=""), BuiltinModel)
    for key, url in (("k", None), (None, "http://127.0.0.1:1/v1")):
        model = choose(api_key=key, base_url=url)
        assert isinstance(model, FallbackModel)
        await model.close()
