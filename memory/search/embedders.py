"""Embedders: what turns texts into vectors of unit length, whose dot product says how near two texts are.

Without one, passages are found by their words and near spellings alone. One is never relied on: while it
fails, is being fetched, or has not seen all passages yet, words find what its vectors would have found.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rlmd.errors import ModelError, RlmdError

Vector = NDArray[np.float32]
Vectors = NDArray[np.float32]

UNRELATED = (
    "The cat sleeps on the warm sofa.",
    "Quarterly tax returns are filed with the revenue office.",
)
"""Two texts that have nothing to do with each other: how near they seem all the same differs by model."""


class Embedder(Protocol):
    """Gives vectors. Used from several threads at once."""

    @property
    def label(self) -> str:
        """For people."""
        ...

    @property
    def name(self) -> str:
        """Changes whenever its vectors do (model, version, dimension): all are then made anew.

        Raises:
            ModelError: it has to be asked for, and does not answer.
            Unavailable: it is being fetched.
        """
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector. Raises as `name` does."""
        ...

    @property
    def weight(self) -> float:
        """Share of the vectors in the ranking, 0 to 1; the rest is that of the words."""
        ...

    @property
    def floor(self) -> float:
        """The dot product of two texts that have nothing to do with each other. Raises as `name` does."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of unit length, shape (len(texts), dimension).

        Raises:
            ModelError: it failed, after a bounded number of tries.
            Unavailable: it is being fetched.
        """
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class Patient:
    """An embedder that is given a rest after it failed, so that searches need not wait for it in vain."""

    REST_SECONDS = 2.0
    _QUERIES = 256

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self._rest_until = 0.0
        self._error: RlmdError | None = None
        self._queries: OrderedDict[str, Vector] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def failure(self) -> RlmdError | None:
        """What it last failed with, until it works again."""
        return self._error

    def embed(self, texts: Sequence[str]) -> Vectors:
        """As the embedder does; fails at once while it rests.

        Raises:
            RlmdError: as the embedder, or a vector has another length than the embedder says.
        """
        with self._watched():
            vectors = self.embedder.embed(texts)
            if vectors.shape != (len(texts), self.embedder.dimension):
                raise wrong_dimension(self.embedder.dimension, vectors.shape[-1])
            return vectors

    def identity(self) -> tuple[str, int]:
        """Its name and dimension. Raises as they do."""
        with self._watched():
            return self.embedder.name, self.embedder.dimension

    @contextmanager
    def _watched(self) -> Iterator[None]:
        if self._error is not None and time.monotonic() < self._rest_until:
            raise self._error.with_traceback(None)
        try:
            yield
        except RlmdError as error:
            self._error, self._rest_until = error, time.monotonic() + self.REST_SECONDS
            raise
        self._error = None

    def query(self, text: str, also: Sequence[str]) -> tuple[Vector, Vectors]:
        """The vector of a query, remembered for the next time, and those of `also`."""
        with self._lock:
            known = self._queries.get(text)
        if known is not None:
            return known, self.embed(also) if also else np.zeros((0, len(known)), dtype=np.float32)
        vectors = self.embed([text, *also])
        with self._lock:
            self._queries[text] = vectors[0].copy()
            while len(self._queries) > self._QUERIES:
                self._queries.popitem(last=False)
        return vectors[0], vectors[1:]


class OpenAIEmbedder:
    """Vectors of an endpoint that speaks OpenAI's protocol. Nothing is sent before the first use."""

    weight = 0.6
    _BATCH = 64

    def __init__(self, *, url: str, model: str, key: str = "", timeout: float = 30.0) -> None:
        """`timeout` in seconds, for one request; one that fails is tried three times in all."""
        # Half a second, which only those pay who use it.
        import openai

        self._model = model
        self.label = f"{model} at {url}"
        # The endpoint may want no key, but the client refuses to be made without one.
        self._client = openai.OpenAI(base_url=url, api_key=key or "none", timeout=timeout, max_retries=2)
        self._probing = threading.Lock()
        self._probed: tuple[int, float] | None = None

    @property
    def name(self) -> str:
        return f"openai-1-{self._model}-{self.dimension}"

    @property
    def dimension(self) -> int:
        return self._probe()[0]

    @property
    def floor(self) -> float:
        return self._probe()[1]

    def embed(self, texts: Sequence[str]) -> Vectors:
        parts = [self._request(texts[at : at + self._BATCH]) for at in range(0, len(texts), self._BATCH)]
        if not parts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        for part in parts:
            if part.shape[1] != parts[0].shape[1]:
                raise wrong_dimension(parts[0].shape[1], part.shape[1])
        return np.concatenate(parts)

    def close(self) -> None:
        self._client.close()

    def _probe(self) -> tuple[int, float]:
        """Dimension and floor, which are nowhere to be read: measured once."""
        with self._probing:
            if self._probed is None:
                vectors = self._request(UNRELATED)
                self._probed = (vectors.shape[1], floor_of(vectors))
            return self._probed

    def _request(self, texts: Sequence[str]) -> Vectors:
        import openai

        try:
            # An endpoint may refuse an empty text; a blank one means the same.
            answer = self._client.embeddings.create(
                model=self._model, input=[text or " " for text in texts], encoding_format="float"
            )
        except openai.OpenAIError as error:
            raise ModelError(
                f"the embedding endpoint failed: {error}",
                field="embedder",
                remedy="Check its address, key and model, or use RLMD_EMBEDDER=builtin.",
            ) from error
        vectors = [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
        if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) > 1:
            raise ModelError(
                f"the endpoint gave {len(vectors)} vectors for {len(texts)} texts, or of several lengths",
                field="embedder",
                remedy="Check that the model is one for embeddings.",
            )
        return normalized(np.array(vectors, dtype=np.float32))


def floor_of(unrelated: Vectors) -> float:
    """The floor of an embedder, from its vectors of `UNRELATED`."""
    return min(max(float(unrelated[0] @ unrelated[1]), 0.0), 0.9)


def wrong_dimension(said: int, given: int) -> ModelError:
    """For vectors that are not as long as the embedder says, or was."""
    return ModelError(
        f"the embedder gives vectors of {given} numbers where {said} were expected; none was taken",
        field="embedder",
        remedy="If its model was changed on purpose, start the daemon again: all vectors are made anew.",
    )


def normalized(vectors: Vectors) -> Vectors:
    """Unit length; a vector of nothing points along the first axis, since none may be zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    empty = ~(lengths[:, 0] > 1e-12)  # Also what is not a number.
    vectors[empty], lengths[empty] = 0.0, 1.0
    vectors[empty, 0] = 1.0
    return np.asarray(vectors / lengths, dtype=np.float32)
