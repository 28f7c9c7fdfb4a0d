"""Models behind any endpoint that speaks OpenAI's chat completions, streamed.

One promise shapes this module: whatever a provider sends, a run survives it. Failures that another try may
mend are tried again, a few times and inside the request's time; those that it cannot mend are a `ModelError`
that says what to do; and every answer that came, however broken, is a `Reply` that says in `finish` and
`note` what is wrong with it. A try is repeated only as long as nothing of its answer has been shown.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import openai

from . import failures
from .answer import Answer, Unreadable
from .api import OnText, Reply, Request
from .text import mend

DEFAULT_URL = "https://api.openai.com/v1"
TRIES = 4
"""Requests for one call at most."""
PATIENCE = 5.0
"""Seconds to wait before another try of a model in whose place another can be asked."""
CONNECT_SECONDS = 10.0
MAX_WIRE_BYTES = 32 * 1024 * 1024
"""Bytes of one response that are read at most: protects the daemon's memory from a line that never ends."""

DEFAULT_MODEL = "gpt-5-mini"
"""Of OpenAI itself; another endpoint says 404, with the remedy, until RLMD_MODEL names one of its own."""


@dataclass
class _Dialect:
    """What this provider turned out to understand."""

    limit_name: str
    """How it calls the limit on output tokens. OpenAI renamed it; most others keep the old name."""
    stream_options: bool = True

    def learn(self, failure: failures.Failure, sent: dict[str, Any]) -> bool:
        """Adapt if the provider refused a parameter by name; whether it did, and a new try is worth it."""
        if failure.status not in (400, 422):
            return False
        if "stream_options" in sent and "stream_options" in failure.reason:
            self.stream_options = False
            return True
        if self.limit_name in sent and self.limit_name in failure.reason:
            old = self.limit_name == "max_tokens"
            self.limit_name = "max_completion_tokens" if old else "max_tokens"
            return True
        return False


class OpenAIModel:
    """A provider that speaks OpenAI's protocol. One object serves any number of calls at once."""

    def __init__(
        self, *, api_key: str | None = None, base_url: str | None = None, first_pause_seconds: float = 0.5
    ) -> None:
        self._url = base_url or DEFAULT_URL
        self._secret = api_key or ""
        self._first_pause = first_pause_seconds
        self._dialect = _Dialect("max_tokens" if base_url else "max_completion_tokens")
        self._client = openai.AsyncOpenAI(
            # Local servers want no key, but the client insists on one.
            api_key=api_key or "none",
            base_url=self._url,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(event_hooks={"response": [_cap]}),
            # Compressed answers would slip past the cap on bytes.
            default_headers={"Accept-Encoding": "identity"},
        )

    @property
    def default(self) -> str:
        return DEFAULT_MODEL

    @property
    def label(self) -> str:
        url = httpx2.URL(self._url)
        return f"OpenAI-compatible endpoint at {url.copy_with(userinfo=b'', query=None, fragment=None)}"

    async def close(self) -> None:
        await self._client.close()

    async def complete(self, request: Request, on_text: OnText | None = None) -> Reply:
        """Answer the request; see `Model.complete`."""
        reply = await self.attempt(request, on_text)
        if isinstance(reply, failures.Failed):
            raise reply.failure.error(request.model, reply.tries)
        return reply

    async def attempt(
        self, request: Request, on_text: OnText | None = None, *, others: int = 0
    ) -> Reply | failures.Failed:
        """Answer the request, or say why not; see `Provider.attempt`."""
        deadline = time.monotonic() + request.timeout_seconds
        history: list[str] = []
        for tries in range(1, TRIES + 1):
            answer = Answer(request)
            failure, learnt = await self._try(request, answer, on_text, deadline, others)
            if failure is None or answer.text:
                if answer.broken and not answer.text and others:
                    return failures.Failed(failure=failures.malformed(answer.problem), history=history)
                answer.problem = answer.problem or (failure.reason if failure else "")
                return answer.reply(tries=tries, history=history, cut=failure is not None)
            wait = 0.0 if learnt else failures.pause(failure, tries, self._first_pause)
            in_time = time.monotonic() + wait < deadline
            better = others and (failure.silent or wait > PATIENCE)
            if not (failure.again or learnt) or tries == TRIES or not in_time or better:
                if answer.began and not others:
                    # The provider took the question, and broke off each time: a bad step, no dead provider.
                    answer.problem = failure.reason
                    return answer.reply(tries=tries, history=history, cut=True)
                return failures.Failed(failure=failure, history=history)
            history.append(f"{failure.reason} (waited {wait:.1f} s)")
            await asyncio.sleep(wait)
        raise AssertionError("the last try returns or raises")

    async def _try(
        self, request: Request, answer: Answer, on_text: OnText | None, deadline: float, others: int
    ) -> tuple[failures.Failure | None, bool]:
        """One request. Gives why it failed, and whether the next try will be put in other words."""
        left = max(0.0, deadline - time.monotonic())
        sent = self._parameters(request)
        try:
            async with asyncio.timeout(left):
                # A part of the time for a silence, so that a provider that hangs gets a second chance,
                # or who is asked in its place.
                silence = max(request.timeout_seconds / max(others + 1, 2), 0.001)
                timeout = httpx2.Timeout(silence, connect=min(CONNECT_SECONDS, silence))
                stream = await self._client.chat.completions.create(**sent, timeout=timeout)
                async with stream:
                    await _read(stream, answer, on_text)
                if not answer.began:
                    return failures.no_stream(stream.response.headers.get("content-type", "")), False
        except openai.OpenAIError as exc:
            failure = failures.read(exc, self._secret)
            return failure, self._dialect.learn(failure, sent)
        except TimeoutError:
            reason = f"the provider gave no whole answer within {request.timeout_seconds:.3g} s"
            return failures.Failure(
                reason=reason, remedy="Try again, or allow more time.", again=False
            ), False
        except httpx2.HTTPError as exc:
            return failures.broken(exc, self._secret), False
        except Unreadable as exc:
            answer.began = True
            answer.problem = f"the provider sent a malformed line ({type(exc.__cause__ or exc).__name__})"
            answer.broken = True
        return None, False

    def _parameters(self, request: Request) -> dict[str, Any]:
        sent: dict[str, Any] = {
            "model": mend(request.model),
            "messages": [],
            # The library takes typed messages apart, one by one, which takes longer than all the rest of a
            # request; what is given here goes into the body as it is, in their place.
            "extra_body": {"messages": [{"role": m.role, "content": mend(m.text)} for m in request.messages]},
            "stream": True,
        }
        if self._dialect.stream_options:
            sent["stream_options"] = {"include_usage": True}
        if request.max_output_tokens is not None:
            sent[self._dialect.limit_name] = request.max_output_tokens
        if request.key:
            sent["extra_headers"] = {"Idempotency-Key": request.key}
        return sent


async def _read(stream: AsyncIterator[object], answer: Answer, on_text: OnText | None) -> None:
    """Take the stream into the answer, and hand each piece on."""
    events = aiter(stream)
    while True:
        try:
            chunk = await anext(events)
        except StopAsyncIteration:
            return
        except (ValueError, RecursionError) as exc:
            # The client lets through what is wrong with a line: no JSON, no UTF-8, too deep.
            raise Unreadable(str(exc)) from exc
        piece = answer.take(chunk)
        if piece and on_text is not None:
            handed = on_text(piece)
            if inspect.isawaitable(handed):
                await handed
        if answer.full:
            return


async def _cap(response: httpx2.Response) -> None:
    stream = response.stream
    if isinstance(stream, httpx2.AsyncByteStream):
        response.stream = _CappedStream(stream)


class _CappedStream(httpx2.AsyncByteStream):
    """A response's body that breaks when it has given too much."""

    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        async for data in self._inner:
            total += len(data)
            if total > MAX_WIRE_BYTES:
                raise httpx2.ReadError(f"the answer is over {MAX_WIRE_BYTES} bytes")
            yield data

    async def aclose(self) -> None:
        await self._inner.aclose()
