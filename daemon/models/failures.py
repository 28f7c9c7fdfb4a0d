"""What a provider's failure means: whether to try again, how long to wait first, and what to tell the person.

The one place where errors of the `openai` package become `ModelError`.
"""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx2
import openai

from rlmd.errors import ModelError

from .answer import numbered
from .text import mend

LONGEST_WAIT = 60.0
"""Seconds between two tries at most. Who asks for more is believed, and not tried again."""

_SENTENCE_CHARS = 400

_REMEDIES: Mapping[int, str] = {
    400: "The provider does not accept the request: check that the model (RLMD_MODEL) is one for chat.",
    401: "Set OPENAI_API_KEY to a valid key of this provider.",
    402: "The account has no credit left: add some, or choose another provider (OPENAI_BASE_URL).",
    403: "The key may not use this model: choose another (RLMD_MODEL), or another key (OPENAI_API_KEY).",
    404: "Check the model's name (RLMD_MODEL) and the address (OPENAI_BASE_URL, which usually ends in /v1).",
    413: "The prompt is larger than the provider accepts: choose a model with a larger window (RLMD_MODEL).",
    429: "The provider limits your rate: wait, or raise the limit with it.",
}
_CONTEXT = "The prompt is larger than the model's window: choose a model with a larger one (RLMD_MODEL)."
_QUOTA = "The account's quota is used up: add credit with the provider, or set another OPENAI_API_KEY."
_UNREACHABLE = "Check OPENAI_BASE_URL and the network; `rlmd doctor` tests the connection."
_NO_STREAM = "Check OPENAI_BASE_URL, which usually ends in /v1: what answers there is no provider of models."
_PROVIDER_DOWN = "The provider has trouble: try again later, or set another OPENAI_BASE_URL."


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A try that gave no answer."""

    reason: str
    """One sentence, with the provider's own words."""
    remedy: str
    again: bool
    """Whether another try may help and does no harm."""
    wait_seconds: float | None = None
    """How long the provider asks to wait; None if it does not say."""
    status: int | None = None
    silent: bool = False
    """Whether nothing came in time: another try may wait as long."""

    @property
    def about_request(self) -> bool:
        """Whether another request may well pass: too long a prompt says nothing of the model."""
        return self.status in (400, 413, 422)

    def error(self, model: str, tries: int) -> ModelError:
        after = f" (after {tries} tries)" if tries > 1 else ""
        return ModelError(f"{self.reason}{after}", field=f"model {model}", remedy=self.remedy)


@dataclass(frozen=True, kw_only=True)
class Failed:
    """All tries of a call gave no answer."""

    failure: Failure
    """Of the last try."""
    history: Sequence[str]
    """What went wrong with those before, a sentence each."""

    @property
    def tries(self) -> int:
        return len(self.history) + 1

    @property
    def told(self) -> str:
        """All of it, in one line."""
        return numbered([*self.history, self.failure.reason])


def read(error: openai.OpenAIError, secret: str) -> Failure:
    """Judge an error of the client. `secret` is cut from whatever the provider said."""
    if isinstance(error, openai.APIStatusError):
        return _read_status(error, secret)
    if isinstance(error, openai.APITimeoutError):
        reason = "the provider did not answer in time"
        return Failure(reason=reason, remedy=_PROVIDER_DOWN, again=True, silent=True)
    if isinstance(error, openai.APIConnectionError):
        cause = str(error.__cause__ or "").strip() or type(error.__cause__ or error).__name__
        reason = f"no connection to the provider: {_tidy(cause, secret)}"
        return Failure(reason=reason, remedy=_UNREACHABLE, again=True)
    # What remains is an error that came inside a stream (`overloaded` and the like), or the client's own.
    return Failure(
        reason=f"the provider said: {_tidy(_sentence(error), secret)}",
        remedy=_PROVIDER_DOWN,
        again=isinstance(error, openai.APIError),
    )


def broken(error: httpx2.HTTPError, secret: str) -> Failure:
    """The connection broke while the provider was telling why it refuses; the client lets that through."""
    reason = f"the provider's refusal broke off: {_tidy(str(error) or type(error).__name__, secret)}"
    return Failure(reason=reason, remedy=_PROVIDER_DOWN, again=True)


def malformed(problem: str) -> Failure:
    """An answer of which nothing can be read."""
    return Failure(reason=problem, remedy=_PROVIDER_DOWN, again=False)


def no_stream(kind: str) -> Failure:
    """An answer without a single event in it. `kind` is its content type."""
    if kind.startswith("text/event-stream"):
        return Failure(reason="the provider's answer was empty", remedy=_PROVIDER_DOWN, again=True)
    reason = f"the provider answered with {_tidy(kind, '') or 'nothing'} in place of a stream"
    return Failure(reason=reason, remedy=_NO_STREAM, again=False)


def _read_status(error: openai.APIStatusError, secret: str) -> Failure:
    status, sentence = error.status_code, _sentence(error)
    spent = error.code == "insufficient_quota"
    wait = retry_after(error.response.headers)
    again = (status in (408, 429) or status >= 500) and not spent
    asks = f" (and asks to wait {wait:g} s)" if again and wait is not None and wait > LONGEST_WAIT else ""
    if spent:
        remedy = _QUOTA
    elif status == 400 and _about_context(error.code, sentence):
        remedy = _CONTEXT
    else:
        remedy = _REMEDIES.get(status, _PROVIDER_DOWN if again else _REMEDIES[400])
    return Failure(
        reason=f"the provider answered {status}: {_tidy(sentence, secret)}{asks}",
        remedy=remedy,
        again=again and not asks,
        wait_seconds=wait,
        status=status,
    )


def _about_context(code: str | None, sentence: str) -> bool:
    words = sentence.lower()
    return code == "context_length_exceeded" or "context length" in words or "context window" in words


def _sentence(error: openai.OpenAIError) -> str:
    """The provider's own words. They differ in where they put them: OpenAI, FastAPI, plain text."""
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        for key in ("message", "detail", "error"):
            if isinstance(body.get(key), str):
                return str(body[key])
    return body if isinstance(body, str) and body.strip() else str(error)


def _tidy(text: str, secret: str) -> str:
    if secret:
        text = text.replace(secret, "[key]")
    text = " ".join(mend(text).split())
    return text if len(text) <= _SENTENCE_CHARS else text[:_SENTENCE_CHARS] + "..."


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the headers ask to wait (RFC 9110, 10.2.3: seconds or a date; OpenAI: milliseconds)."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        if value.replace(".", "", 1).isdigit():
            return float(value)
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def pause(failure: Failure, tries: int, first: float) -> float:
    """Seconds to wait after the given number of tries: what the provider asks, else doubling with jitter."""
    if failure.wait_seconds is not None:
        return failure.wait_seconds
    return float(min(first * 2 ** (tries - 1), LONGEST_WAIT) * random.uniform(0.5, 1.0))
