"""The OpenAI client against a real HTTP server that misbehaves as providers do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from rlmd.daemon.models.answer import MAX_BYTES
from rlmd.daemon.models.api import Message, Request, Usage
from rlmd.daemon.models.choose import choose
from rlmd.daemon.models.failures import LONGEST_WAIT
from rlmd.daemon.models.openai import OpenAIModel
from rlmd.errors import InvalidInput, ModelError
from tests.model_server import (
    CutStream,
    Empty,
    Huge,
    Item,
    Malformed,
    ModelServer,
    NoUsage,
    Null,
    Raw,
    Refusal,
    Reset,
    Slow,
    Status,
    Text,
)

SECRET = "sk-very-secret-0123456789"


@pytest.fixture
async def model(model_server: ModelServer) -> AsyncIterator[OpenAIModel]:
    model = OpenAIModel(api_key=SECRET, base_url=model_server.url, first_pause_seconds=0.01)
    yield model
    await model.close()


def ask(text: str = "Hello?", *, seconds: float = 10.0, limit: int | None = None, key: str = "") -> Request:
    messages = [Message("system", "You are."), Message("user", text)]
    return Request(messages=messages, model="root", timeout_seconds=seconds, max_output_tokens=limit, key=key)


async def test_an_answer_streams_and_is_counted(model: OpenAIModel, model_server: ModelServer) -> None:
    usage = Usage(input_tokens=11, output_tokens=7, cached_tokens=5)
    model_server.script([Text("Good day to you, all 世界 😀.", usage=usage, pieces=5)])
    pieces: list[str] = []
    reply = await model.complete(ask(key="run-1/step-2"), pieces.append)
    assert reply.text == "".join(pieces) == "Good day to you, all 世界 😀."
    assert len(pieces) == 5
    assert (reply.usage, reply.finish, reply.tries, reply.note) == (usage, "stop", 1, "")
    assert reply.model == "root"
    sent = model_server.requests[0]
    assert sent.headers["idempotency-key"] == "run-1/step-2"
    assert sent.headers["authorization"] == f"Bearer {SECRET}"
    assert sent.messages == [{"role": "system", "content": "You are."}, {"role": "user", "content": "Hello?"}]


async def test_on_text_may_be_a_coroutine_and_its_errors_are_its_own(
    model: OpenAIModel, model_server: ModelServer
) -> None:
    model_server.script(["one two three", "four"])
    seen: list[str] = []

    async def take(piece: str) -> None:
        await asyncio.sleep(0)
        seen.append(piece)

    await model.complete(ask(), take)
    assert "".join(seen) == "one two three"

    def refuse(piece: str) -> None:
        raise ValueError(piece)

    with pytest.raises(ValueError, match="fo"):
        await model.complete(ask(), refuse)


@pytest.mark.parametrize(
    "failure",
    [Status(429), Status(500), Status(502), Status(503), Status(504), Status(408), Reset(), CutStream(0)],
)
async def test_what_may_pass_is_tried_again(
    model: OpenAIModel, model_server: ModelServer, failure: Item
) -> None:
    model_server.script([failure, failure, "there"])
    reply = await model.complete(ask(key="k"))
    assert (reply.text, reply.tries, reply.finish) == ("there", 3, "stop")
    assert reply.note.startswith("try 1: ")
    assert "try 2: " in reply.note
    assert {request.headers["idempotency-key"] for request in model_server.requests} == {"k"}
    assert reply.usage == model_server.usage


async def test_tries_are_bounded_and_the_provider_is_quoted(
    model: OpenAIModel, model_server: ModelServer
) -> None:
    model_server.always(Status(503, "no capacity today"))
    with pytest.raises(ModelError, match=r"no capacity today.*after 4 tries") as caught:
        await model.complete(ask())
    assert len(model_server.requests) == 4
    assert caught.value.remedy


async def test_retry_after_is_kept(model: OpenAIModel, model_server: ModelServer) -> None:
    model_server.script([Status(429, retry_after=0.4), "there"])
    await model.complete(ask())
    first, second = model_server.requests
    assert 0.4 <= second.received - first.received < 2.0


async def test_no_wait_goes_beyond_the_time_of_the_request(
    model: OpenAIModel, model_server: ModelServer
) -> None:
    model_server.script([Status(429, "slow down", retry_after=20), "too late"])
    start = time.monotonic()
    with pytest.raises(ModelError, match="slow down"):
        await model.complete(ask(seconds=1))
    assert time.monotonic() - start < 1
    assert len(model_server.requests) == 1


@pytest.mark.parametrize(
    ("failure", "remedy"),
    [
        (Status(401, "bad key"), "OPENAI_API_KEY"),
        (Status(403, "not yours"), "RLMD_MODEL"),
        (Status(404, "no such model"), "RLMD_MODEL"),
        (Status(400, "maximum context length is 10"), "window"),
        (Status(400, "too many", error_code="context_length_exceeded"), "window"),
        (Status(400, "odd"), "RLMD_MODEL"),
        (Status(422, "odd"), "RLMD_MODEL"),
        (Status(429, "spent", error_code="insufficient_quota"), "credit"),
    ],
)
async def test_what_will_not_pass_is_told_at_once(
    model: OpenAIModel, model_server: ModelServer, failure: Status, remedy: str
) -> None:
    model_server.script([failure, "never asked for"])
    with pytest.raises(ModelError, match=failure.message) as caught:
        await model.complete(ask())
    assert remedy in caught.value.remedy
    assert caught.value.field == "model root"
    assert len(model_server.requests) == 1


@pytest.mark.parametrize(
    ("item", "text", "finish", "note"),
    [
        (Null(), "", "empty", "no text"),
        (Empty(), "", "empty", "no text"),
        (Refusal("I will not."), "I will not.", "refusal", "refused"),
        (Text("I", finish="content_filter"), "I", "refusal", "content_filter"),
        (Text("Half", finish="length"), "Half", "length", "length"),
        (CutStream(10, "0123456789abc"), "0123456789", "cut", "connection"),
        (Malformed("so far"), "so far", "cut", "malformed"),
        (Malformed(), "", "cut", "malformed"),
        (Text("calls", finish="tool_calls"), "calls", "stop", ""),
    ],
)
async def test_no_answer_kills_a_run(
    model: OpenAIModel, model_server: ModelServer, item: Item, text: str, finish: str, note: str
) -> None:
    model_server.script([item])
    reply = await model.complete(ask())
    assert (reply.text, reply.finish, reply.tries) == (text, finish, 1)
    assert note in reply.note
    assert reply.usage.input_tokens > 0
    assert reply.usage.estimated == (finish == "cut")


async def test_a_provider_that_always_breaks_off_is_a_bad_step(
    model: OpenAIModel, model_server: ModelServer
) -> None:
    model_server.always(CutStream(0))
    reply = await model.complete(ask())
    assert (reply.text, reply.finish, reply.tries) == ("", "cut", 4)


@pytest.mark.parametrize("size", [10_000_000, 60_000_000])
async def test_an_endless_answer_is_cut(model: OpenAIModel, model_server: ModelServer, size: int) -> None:
    model_server.script([Huge(size)])
    reply = await model.complete(ask())
    assert reply.finish == "oversize"
    assert len(reply.text) == MAX_BYTES
    assert "not read" in reply.note


async def test_a_provider_without_usage_is_estimated(model: OpenAIModel, model_server: ModelServer) -> None:
    model_server.script([NoUsage("x" * 400)])
    reply = await model.complete(ask("y" * 4000))
    assert reply.usage == Usage(input_tokens=1002, output_tokens=100, estimated=True)
    assert reply.finish == "stop"


async def test_a_provider_that_does_not_know_stream_options(
    model: OpenAIModel, model_server: ModelServer
) -> None:
    model_server.knows_stream_options = False
    model_server.script(["one", "two"])
    first = await model.complete(ask())
    second = await model.complete(ask())
    assert (first.text, first.tries, first.usage.estimated) == ("one", 2, True)
    assert (second.text, second.tries) == ("two", 1)


async def test_the_limit_on_output_is_sent_as_the_provider_calls_it(
    model: OpenAIModel, model_server: ModelServer
) -> None:
    renamed = Status(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
    model_server.script(["one", renamed, "two"])
    await model.complete(ask(limit=50))
    await model.complete(ask(limit=50))
    assert [request.body.get("max_tokens") for request in model_server.requests] == [50, 50, None]
    assert model_server.requests[2].body["max_completion_tokens"] == 50


CHUNK = '{"model": "m", "choices": [{"delta": {"content": "Hi."}, "finish_reason": "stop"}]}'


@pytest.mark.parametrize(
    "event",
    [
        "[" * 100_000,
        "1" * 5_000,
        "7",
        "{}",
        "null",
        '{"choices": {"1": 2}}',
        '{"choices": "no"}',
        '{"choices": [{"delta": {"content": ["a"]}}]}',
        '{"choices": [{"delta": null}]}',
        '{"choices": [{"delta": {"refusal": {"a": 1}}}]}',
        '{"model": ["m"], "choices": [{"delta": {"content": "a"}, "finish_reason": {"b": 1}}]}',
    ],
)
async def test_what_is_not_the_protocol_is_a_bad_step(
    event: str, model: OpenAIModel, model_server: ModelServer
) -> None:
    model_server.script([Raw.events(event)])
    reply = await model.complete(ask())
    assert reply.finish in ("cut", "empty")
    assert reply.model == "root"
    assert reply.note


@pytest.mark.parametrize(
    "counts",
    [
        '{"prompt_tokens": -5, "completion_tokens": 7}',
        '{"prompt_tokens": "12", "completion_tokens": 7}',
        '{"prompt_tokens": 1e400, "completion_tokens": 7}',
        '{"prompt_tokens": 12, "completion_tokens": 100000000000000000000}',
        '{"prompt_tokens": 12.5, "completion_tokens": true}',
        '{"prompt_tokens": null, "completion_tokens": null}',
        '{"prompt_tokens": 12, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": "x"}}',
        '["a"]',
    ],
)
async def test_counts_that_cannot_be_are_estimated(
    counts: str, model: OpenAIModel, model_server: ModelServer
) -> None:
    model_server.script([Raw.events(CHUNK, f'{{"model": "m", "choices": [], "usage": {counts}}}')])
    reply = await model.complete(ask())
    assert (reply.text, reply.finish) == ("Hi.", "stop")
    assert reply.usage == Usage(input_tokens=4, output_tokens=1, estimated=True)


async def test_names_that_a_provider_gives_are_bounded_and_clean(
    model: OpenAIModel, model_server: ModelServer
) -> None:
    name, finish = "m" * 5_000, "\\ud800" * 5_000
    event = f'{{"model": "{name}", "choices": [{{"delta": {{}}, "finish_reason": "{finish}"}}]}}'
    model_server.script([Raw.events(event), Status(400, "half \ud800 of it")])
    reply = await model.complete(ask())
    assert len(reply.model) <= 200
    assert len(reply.note.encode()) < 2_000
    with pytest.raises(ModelError, match="half") as caught:
        await model.complete(ask())
    str(caught.value).encode()


@pytest.mark.parametrize(
    ("page", "says"),
    [
        (Raw(b"<html>Sign in</html>", kind="text/html"), "text/html"),
        (Raw(b'{"choices": []}', kind="application/json"), "application/json"),
        (Raw(b"<html>Gone</html>", code=404, kind="text/html"), "404"),
    ],
)
async def test_another_page_in_place_of_a_stream_is_told(
    page: Raw, says: str, model: OpenAIModel, model_server: ModelServer
) -> None:
    model_server.script([page])
    with pytest.raises(ModelError, match=says) as caught:
        await model.complete(ask())
    assert "OPENAI_BASE_URL" in caught.value.remedy


@pytest.mark.parametrize(
    "failure", [Raw(b'{"error": ', code=500, missing=50), Raw(b"no", code=429, missing=50), Raw(b"")]
)
async def test_an_error_that_breaks_off_is_tried_again(
    failure: Raw, model: OpenAIModel, model_server: ModelServer
) -> None:
    model_server.script([failure, "there"])
    reply = await model.complete(ask())
    assert (reply.text, reply.tries) == ("there", 2)


async def test_a_wait_that_is_too_long_is_not_begun(model: OpenAIModel, model_server: ModelServer) -> None:
    model_server.script([Status(429, "busy", retry_after=LONGEST_WAIT + 1), "too early"])
    with pytest.raises(ModelError, match=f"wait {LONGEST_WAIT + 1:g} s"):
        await model.complete(ask(seconds=300))
    assert len(model_server.requests) == 1


@pytest.mark.parametrize("key", ["ключ", "two\nlines"])
def test_a_key_that_no_header_can_carry_is_refused_at_the_start(key: str) -> None:
    with pytest.raises(InvalidInput, match="OPENAI_API_KEY") as caught:
        choose(api_key=key, base_url=None)
    assert key not in str(caught.value)


@pytest.mark.parametrize("url", ["http://[", "http://", "http://a b/v1", "http://h:99999/v1"])
def test_an_address_that_cannot_be_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(InvalidInput, match="OPENAI_BASE_URL"):
        choose(api_key=None, base_url=url)


async def test_time_is_up(model: OpenAIModel, model_server: ModelServer) -> None:
    model_server.always(Slow(30, "never"))
    start = time.monotonic()
    with pytest.raises(ModelError, match="time"):
        await model.complete(ask(seconds=0.6))
    assert time.monotonic() - start < 1.5
    assert len(model_server.requests) == 2, "a silent provider gets a second chance"


async def test_cancelling_stops_the_request(model: OpenAIModel, model_server: ModelServer) -> None:
    model_server.script([Slow(30, "never"), "again"])
    call = asyncio.create_task(model.complete(ask()))
    await asyncio.to_thread(model_server.wait_for, 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    for _ in range(100):
        if model_server.requests[0].disconnected:
            break
        await asyncio.sleep(0.02)
    assert model_server.requests[0].disconnected
    assert (await model.complete(ask())).text == "again"


async def test_nobody_listens() -> None:
    model = OpenAIModel(base_url="http://127.0.0.1:1/v1", first_pause_seconds=0.01)
    with pytest.raises(ModelError, match="no connection") as caught:
        await model.complete(ask())
    assert "OPENAI_BASE_URL" in caught.value.remedy
    await model.close()


async def test_the_key_is_told_to_nobody(
    model: OpenAIModel, model_server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    model_server.script([Status(503, f"key {SECRET} is odd"), Status(401, f"wrong key: {SECRET}")])
    with pytest.raises(ModelError) as caught:
        await model.complete(ask())
    assert "[key]" in str(caught.value)
    shown = [str(caught.value), repr(caught.value.args), model.label, repr(model), caplog.text]
    assert not any(SECRET in text for text in shown)
    hidden = OpenAIModel(base_url="http://name:word@127.0.0.1:9/v1?token=abc")
    assert hidden.label.endswith("http://127.0.0.1:9/v1")
    await hidden.close()


async def test_half_characters_are_mended_both_ways(model: OpenAIModel, model_server: ModelServer) -> None:
    model_server.script([Text("ab\ud83d\ude00\ud800c", pieces=6)])
    pieces: list[str] = []
    reply = await model.complete(ask("half \ud800 and whole 😀"), pieces.append)
    assert reply.text == "".join(pieces) == "ab😀�c"
    assert model_server.requests[0].messages[1]["content"] == "half � and whole 😀"


async def test_many_calls_at_once(model: OpenAIModel, model_server: ModelServer) -> None:
    model_server.always(lambda body: body["messages"][-1]["content"].upper())
    replies = await asyncio.gather(*[model.complete(ask(f"call {n}")) for n in range(30)])
    assert [reply.text for reply in replies] == [f"CALL {n}" for n in range(30)]
    assert sum((reply.usage for reply in replies), Usage()) == model_server.usage
