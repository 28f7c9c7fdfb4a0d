"""Embedders: what turns texts into vectors of unit length, whose dot product says how near two texts are.

The built-in one needs no download and no key. It knows no synonyms, but it sees through inflections and
typing errors, which full text does not. Any endpoint that speaks OpenAI's protocol can take its place.
"""

from __future__ import annotations

import threading
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from math import log
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rlmd.errors import ModelError

from .words import STOP_WORDS, raw_words, stem

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Gives vectors. Used from several threads at once."""

    @property
    def name(self) -> str:
        """Changes whenever its vectors do (model, version, dimension): the index is then rebuilt.

        Raises:
            ModelError: it has to be asked for, and the endpoint does not answer.
        """
        ...

    @property
    def label(self) -> str:
        """For people."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a vector. Raises `ModelError` as `name` does."""
        ...

    @property
    def weight(self) -> float:
        """Share of the vectors in the ranking, 0 to 1; the rest is that of the words."""
        ...

    @property
    def floor(self) -> float:
        """The dot product of two texts that have nothing to do with each other."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of unit length, shape (len(texts), dimension).

        Raises:
            ModelError: the endpoint failed, after a bounded number of tries.
        """
        ...


class LexicalEmbedder:
    """Stems and runs of letters, hashed with a sign (Weinberger et al., 2009)."""

    name = "lexical-1-512"
    label = "built in (words and their parts; no model)"
    dimension = 512
    weight = 0.15
    floor = 0.25

    def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            counts = Counter(raw_words(text))
            telling = {word: count for word, count in counts.items() if word not in STOP_WORDS} or counts
            for word, count in telling.items():
                places, values = _features(word, self.dimension)
                vectors[row, places] += values * (1 + log(count))
        return _normalized(vectors)


@lru_cache(maxsize=1 << 16)
def _features(word: str, dimension: int) -> tuple[NDArray[np.intp], Vectors]:
    """Places and values of a word: its stem weighs as much as all its runs of letters together."""
    framed = f"<{word}>"
    parts = [framed[at : at + size] for size in (3, 4) for at in range(len(framed) - size + 1)]
    features = [(f"w{stem(word)}", 1.0)] + [(f"p{part}", len(parts) ** -0.5) for part in parts]
    values: dict[int, float] = defaultdict(float)
    for feature, weight in features:
        digest = zlib.crc32(feature.encode())
        values[digest % dimension] += weight if digest >> 31 else -weight
    return np.array(list(values), dtype=np.intp), np.array(list(values.values()), dtype=np.float32)


class OpenAIEmbedder:
    """Vectors of an endpoint that speaks OpenAI's protocol. Nothing is sent before the first use."""

    weight = 0.6
    _BATCH = 64
    _UNRELATED = (
        "The cat sleeps on the warm sofa.",
        "Quarterly tax returns are filed with the revenue office.",
    )

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
        return np.concatenate(parts)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _probe(self) -> tuple[int, float]:
        """Dimension and floor, which differ from model to model and are nowhere to be read: measured once."""
        with self._probing:
            if self._probed is None:
                one, other = self._request(self._UNRELATED)
                self._probed = (len(one), min(max(float(one @ other), 0.0), 0.9))
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
                remedy="Check its address, key and model, or use the built-in embedder.",
            ) from error
        vectors = [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
        if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) > 1:
            raise ModelError(
                f"the endpoint gave {len(vectors)} vectors for {len(texts)} texts, or of several lengths",
                field="embedder",
                remedy="Check that the model is one for embeddings.",
            )
        return _normalized(np.array(vectors, dtype=np.float32))


def _normalized(vectors: Vectors) -> Vectors:
    """Unit length; a vector of nothing points along the first axis, since none may be zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    empty = lengths[:, 0] < 1e-12
    vectors[empty, 0], lengths[empty] = 1.0, 1.0
    return np.asarray(vectors / lengths, dtype=np.float32)
