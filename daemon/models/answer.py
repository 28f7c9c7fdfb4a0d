"""An answer while it comes in: its text, what was counted, and what was wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

from openai.types.chat import ChatCompletionChunk

from .api import Reply, Request, Usage
from .text import mend

MAX_BYTES = 2 * 1024 * 1024
"""Bytes of UTF-8 of an answer; what is beyond is not read."""
MAX_NAME = 200
"""Characters of a model's name, or of a reason to finish, as a provider gives it."""
MAX_TOKENS = 1_000_000_000
"""Of one call; a count beyond it is no count."""

_FINISHES = {"length": "length", "content_filter": "refusal"}


class Unreadable(Exception):
    """Something in a stream that is not the protocol."""


class Answer:
    """Collects one try's stream. `reply` tells what it amounts to."""

    def __init__(self, request: Request) -> None:
        self.model = request.model
        self.began = False
        """Whether anything of an answer came."""
        self.broken = False
        """Whether it ended in something that cannot be read."""
        self.full = False
        """Whether it has reached the limit."""
        self.finish: str | None = None
        """As the provider says it."""
        self.refusal = ""
        self.problem = ""
        self._request = request
        self._usage: Usage | None = None
        self._pieces: list[str] = []
        self._bytes = 0
        self._half = ""

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def take(self, chunk: object) -> str:
        """Take in one object of the stream, and give the text to show for it.

        Raises:
            Unreadable: it is not what the protocol says; the client does not check.
        """
        try:
            if not isinstance(chunk, ChatCompletionChunk):
                raise TypeError(f"{type(chunk).__name__} in place of a chunk")
            piece = self._take(chunk)
        except (AttributeError, LookupError, TypeError) as exc:
            raise Unreadable(str(exc)) from exc
        self.began = True
        return piece

    def _take(self, chunk: ChatCompletionChunk) -> str:
        self.model = _name(chunk.model) or self.model
        if chunk.usage:
            self._usage = _counted(chunk.usage)
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        self.finish = _name(choice.finish_reason) or self.finish
        self.refusal = (self.refusal + (choice.delta.refusal or ""))[:MAX_BYTES]
        return self._add(choice.delta.content or "")

    def _add(self, piece: str) -> str:
        """Take a piece in, and give what may be shown of it: whole characters, not beyond the limit."""
        piece, self._half = self._half + piece, ""
        if piece and "\ud800" <= piece[-1] <= "\udbff":
            piece, self._half = piece[:-1], piece[-1]
        raw = mend(piece).encode()
        room = MAX_BYTES - self._bytes
        if len(raw) > room:
            self.full, raw = True, raw[:room]
        self._bytes += len(raw)
        piece = raw.decode("utf-8", "ignore")
        if piece:
            self._pieces.append(piece)
        return piece

    def reply(self, *, tries: int, history: Sequence[str], cut: bool) -> Reply:
        """What came, with one line on everything that went wrong on the way."""
        finish, remark = self._judge(cut or self.broken)
        text = self.text or mend(self.refusal)
        return Reply(
            text=text,
            usage=self._usage or self._estimate(text),
            model=self.model,
            finish=finish,
            tries=tries,
            note="; ".join(filter(None, [numbered(history), remark])),
        )

    def _judge(self, cut: bool) -> tuple[str, str]:
        if self.full:
            return "oversize", f"the answer is over {MAX_BYTES} bytes; the rest was not read"
        if cut:
            return "cut", self.problem
        if self.refusal:
            return "refusal", "the model refused"
        finish = _FINISHES.get(self.finish or "", "stop")
        if finish != "stop":
            return finish, f"the provider ended the answer: {self.finish}"
        if not self.text:
            return "empty", "the model gave no text"
        if self.finish is None:
            return "cut", "the stream ended without saying that the answer is whole"
        return "stop", ""

    def _estimate(self, text: str) -> Usage:
        return Usage(
            input_tokens=sum(estimate_tokens(message.text) for message in self._request.messages),
            output_tokens=estimate_tokens(text),
            estimated=True,
        )


def _name(given: object) -> str:
    """A name as the provider gives it: of bounded length, in whole characters; empty if it is none."""
    return mend(given[:MAX_NAME]) if isinstance(given, str) else ""


def _counted(usage: object) -> Usage | None:
    """What the provider counted; None if that cannot be, for some say null, or less than nothing."""
    details = getattr(usage, "prompt_tokens_details", None)
    given: list[object] = [
        getattr(usage, "prompt_tokens", None),
        getattr(usage, "completion_tokens", None),
        getattr(details, "cached_tokens", None) or 0,
    ]
    counts = [count for count in given if type(count) is int and 0 <= count <= MAX_TOKENS]
    if len(counts) < len(given):
        return None
    return Usage(input_tokens=counts[0], output_tokens=counts[1], cached_tokens=counts[2])


def estimate_tokens(text: str) -> int:
    """About how many tokens a text is: a quarter of its bytes in UTF-8, right within a factor of two."""
    return (len(text.encode("utf-8", "surrogatepass")) + 3) // 4


def numbered(reasons: Sequence[str]) -> str:
    """Why tries failed, in one line."""
    return "; ".join(f"try {number}: {reason}" for number, reason in enumerate(reasons, 1))
