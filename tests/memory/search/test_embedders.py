"""The embedders: unit vectors, the same every time, and errors that say what to do."""

from __future__ import annotations

import numpy as np
import pytest

from rlmd.errors import ModelError
from rlmd.memory.search import OpenAIEmbedder
from tests.model_server import ModelServer, Status


def test_an_endpoint_is_asked_in_batches_and_measured_once(model_server: ModelServer) -> None:
    embedder = OpenAIEmbedder(url=model_server.url, model="embed-small")
    assert not model_server.embedding_requests
    vectors = embedder.embed([f"text {at}" for at in range(150)])
    assert len(model_server.embedding_requests) == 3
    assert embedder.dimension == model_server.dimension == vectors.shape[1]
    assert str(model_server.dimension) in embedder.name
    assert "embed-small" in embedder.name
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert len(model_server.embedding_requests) == 4
    assert (embedder.embed(["text 7"])[0] == vectors[7]).all()
    embedder.close()


def test_an_endpoint_that_fails_is_a_model_error(model_server: ModelServer) -> None:
    embedder = OpenAIEmbedder(url=model_server.url, model="embed-small")
    model_server.embeddings_fail = Status(400)
    with pytest.raises(ModelError) as caught:
        embedder.embed(["hello"])
    assert caught.value.remedy
    embedder.close()
