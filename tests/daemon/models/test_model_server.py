"""The scripted server itself, asked by the client that everybody uses: what other tests rely on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest

from tests.model_server import ModelServer, Null, Slow, Status, Text


@pytest.fixture
async def client(model_server: ModelServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key="k", base_url=model_server.url, max_retries=0) as client:
        yield client


async def ask(client: openai.AsyncOpenAI, model: str = "root") -> str | None:
    answer = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Hello?"}]
    )
    return answer.choices[0].message.content


async def test_scripts_go_by_model(client: openai.AsyncOpenAI, model_server: ModelServer) -> None:
    model_server.script(["one", lambda body: f"two for {body['model']}"]).script(["small"], model="child")
    assert await ask(client) == "one"
    assert await ask(client, "child") == "small"
    assert await ask(client) == "two for root"
    with pytest.raises(openai.BadRequestError, match="no more answers for model 'child'"):
        await ask(client, "child")
    assert [exchange.model for exchange in model_server.requests] == ["root", "child", "root", "child"]


async def test_answers_that_are_not_streamed(client: openai.AsyncOpenAI, model_server: ModelServer) -> None:
    model_server.script([Text("one", finish="length"), Null(), Status(503, retry_after=1.5)])
    answer = await client.chat.completions.create(
        model="root", messages=[{"role": "user", "content": "Hello?"}]
    )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == model_server.usage.input_tokens
    assert await ask(client) is None
    with pytest.raises(openai.InternalServerError) as caught:
        await ask(client)
    assert caught.value.response.headers["retry-after"] == "1.5"


async def test_models_are_listed(client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["scripted", "child"]


async def test_embeddings_are_small_stable_and_near_for_like_texts(
    client: openai.AsyncOpenAI, model_server: ModelServer
) -> None:
    model_server.dimension = 64
    texts = ["Bob lives in Berlin", "where does Bob live in Berlin?", "the sky is grey today"]
    answer = await client.embeddings.create(model="small", input=texts)
    bob, asked, sky = [item.embedding for item in answer.data]
    assert len(bob) == 64
    assert sum(a * b for a, b in zip(bob, asked, strict=True)) > sum(
        a * b for a, b in zip(bob, sky, strict=True)
    )
    again = await client.embeddings.create(model="small", input=texts[0], encoding_format="float")
    assert again.data[0].embedding == pytest.approx(bob, abs=1e-6)
    model_server.embeddings_fail = Status(500)
    with pytest.raises(openai.InternalServerError):
        await client.embeddings.create(model="small", input="x")


async def test_waiting_for_requests_and_closing_while_one_is_answered() -> None:
    with ModelServer() as server:
        server.script([Slow(60, "never")])
        async with openai.AsyncOpenAI(api_key="k", base_url=server.url, max_retries=0) as client:
            call = asyncio.create_task(ask(client))
            (exchange,) = await asyncio.to_thread(server.wait_for, 1)
            assert exchange.prompt == "Hello?"
            assert exchange.answered is None
            server.closing.set()
            with pytest.raises(openai.APIConnectionError):
                await call
