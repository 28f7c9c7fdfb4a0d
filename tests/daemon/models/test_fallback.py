"""Several models for one call: who is asked, in which order, for how long not, and what is told of it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from rlmd.daemon.models.api import Message, Request
from rlmd.daemon.models.fallback import LONGEST_REST, REST_SECONDS, FallbackModel
from rlmd.daemon.models.openai import PATIENCE, OpenAIModel
from rlmd.errors import ModelError
from tests.model_server import CutStream, Item, Malformed, ModelServer, Null, Refusal, Reset, Slow, Status


class Hands:
    """A clock that a test moves."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
async def model(model_server: ModelServer, hands: Hands) -> AsyncIterator[FallbackModel]:
    provider = OpenAIModel(base_url=model_server.url, first_pause_seconds=0.01)
    yield FallbackModel(provider, monotonic=hands)
    await provider.close()


def ask(models: str = "first, second", *, seconds: float = 10.0) -> Request:
    messages = [Message("system", "You are."), Message("user", "Hello?")]
    return Request(messages=messages, model=models, timeout_seconds=seconds, key="k")


def asked(server: ModelServer) -> list[str]:
    """The models of all requests since the last look."""
    names = [exchange.model for exchange in server.requests]
    server.requests.clear()
    return names


@pytest.mark.parametrize(
    ("failure", "tries", "says"),
    [
        (Status(404, "no such model"), 1, "no such model"),
        (Status(401, "bad key"), 1, "bad key"),
        (Status(403, "not yours"), 1, "not yours"),
        (Status(400, "maximum context length is 10"), 1, "context length"),
        (Status(429, "spent", error_code="insufficient_quota"), 1, "spent"),
        (Status(429, "slow down", retry_after=PATIENCE + 1), 1, "slow down"),
        (Status(503, "overloaded"), 4, "overloaded"),
        (Reset(), 4, "no connection"),
        (CutStream(0), 4, "connection"),
        (Malformed(), 1, "malformed"),
    ],
)
async def test_the_next_answers_where_the_first_fails_for_good(
    model: FallbackModel, model_server: ModelServer, failure: Item, tries: int, says: str
) -> None:
    model_server.always(failure, model="first").script(["Here."], model="second")
    began = time.monotonic()
    pieces: list[str] = []
    reply = await model.complete(ask(), pieces.append)
    assert time.monotonic() - began < 2
    assert (reply.text, reply.model, "".join(pieces)) == ("Here.", "second", "Here.")
    assert reply.tries == tries + 1
    keys = [exchange.headers["idempotency-key"] for exchange in model_server.requests]
    assert len(set(keys[:-1])) == 1
    assert keys[-1] != keys[0]
    assert asked(model_server) == ["first"] * tries + ["second"]
    assert reply.note.startswith("first: try 1: ")
    assert reply.note.endswith("second answered")
    assert says in reply.note
    assert reply.note.count("waited") == tries - 1
    assert reply.usage == model_server.usage or reply.usage.input_tokens > 0


@pytest.mark.parametrize("answer", [Refusal("No."), Null(), CutStream(4, "Half of it")])
async def test_an_answer_is_an_answer(model: FallbackModel, model_server: ModelServer, answer: Item) -> None:
    model_server.script([answer], model="first")
    reply = await model.complete(ask())
    assert (reply.model, reply.tries) == ("first", 1)
    assert asked(model_server) == ["first"]


async def test_who_failed_is_not_asked_first_for_a_while(
    model: FallbackModel, model_server: ModelServer, hands: Hands
) -> None:
    model_server.script([Status(404, "loading"), "first again"], model="first")
    model_server.always("second", model="second")
    assert (await model.complete(ask())).text == "second"
    hands.now += REST_SECONDS - 1
    reply = await model.complete(ask())
    assert (reply.text, reply.tries) == ("second", 1)
    assert "loading" in reply.note
    assert "not asked first" in reply.note
    assert asked(model_server) == ["first", "second", "second"]
    hands.now += 2
    reply = await model.complete(ask())
    assert (reply.text, reply.note) == ("first again", "")


async def test_who_rests_is_asked_if_no_other_answers(
    model: FallbackModel, model_server: ModelServer
) -> None:
    model_server.script([Status(404, "loading"), "awake"], model="first")
    model_server.script(["second", Status(403, "closed")], model="second")
    await model.complete(ask())
    reply = await model.complete(ask())
    assert (reply.text, reply.model) == ("awake", "first")
    assert asked(model_server) == ["first", "second", "second", "first"]
    # It answered, so it does not rest any more; the other does.
    model_server.script(["again"], model="first")
    assert (await model.complete(ask())).note == ""


@pytest.mark.parametrize(("seconds", "rest"), [(90.0, 90.0), (100_000.0, LONGEST_REST), (1.0, REST_SECONDS)])
async def test_a_provider_says_how_long(
    model: FallbackModel, model_server: ModelServer, hands: Hands, seconds: float, rest: float
) -> None:
    model_server.script([Status(403, "later", retry_after=seconds), "back"], model="first")
    model_server.always("second", model="second")
    await model.complete(ask())
    hands.now += rest - 0.5
    assert (await model.complete(ask())).text == "second"
    hands.now += 1
    assert (await model.complete(ask())).text == "back"


async def test_a_request_that_does_not_fit_is_not_the_models_fault(
    model: FallbackModel, model_server: ModelServer
) -> None:
    model_server.script([Status(400, "context length"), "fits"], model="first")
    model_server.script(["large enough"], model="second")
    assert (await model.complete(ask())).text == "large enough"
    assert (await model.complete(ask())).text == "fits"


async def test_a_silent_model_leaves_time_for_the_next(
    model: FallbackModel, model_server: ModelServer
) -> None:
    model_server.script([Slow(30, "never")], model="first").script(["Quick."], model="second")
    began = time.monotonic()
    reply = await model.complete(ask(seconds=1))
    assert (reply.text, reply.tries) == ("Quick.", 2)
    assert 0.4 < time.monotonic() - began < 0.9
    assert asked(model_server) == ["first", "second"]


async def test_if_none_answers_each_says_why(model: FallbackModel, model_server: ModelServer) -> None:
    model_server.always(Status(404, "never heard of"), model="first")
    model_server.always(Status(503, "full"), model="second")
    with pytest.raises(
        ModelError, match=r"first: .*never heard of.*second: .*full \(after 4 tries\)"
    ) as caught:
        await model.complete(ask())
    assert caught.value.field == "models first, second"
    assert "RLMD_MODEL" in caught.value.remedy


async def test_one_model_is_as_it_was(model: FallbackModel, model_server: ModelServer) -> None:
    model_server.always(CutStream(0), model="only")
    reply = await model.complete(ask("only"))
    assert (reply.text, reply.finish, reply.tries) == ("", "cut", 4)
    model_server.always(Status(404, "gone"), model="none")
    with pytest.raises(ModelError, match="gone") as caught:
        await model.complete(ask(" none ,"))
    assert caught.value.field == "model none"


async def test_names_are_bounded(model: FallbackModel, model_server: ModelServer) -> None:
    with pytest.raises(ModelError, match="6 models"):
        await model.complete(ask("a,b,c,d,e,f"))
    assert not model_server.requests
