"""A model on this machine, run by `fastembed` on ONNX Runtime: from a folder, or by name, fetched once.

A model by name is fetched and loaded on a thread of its own, however long that takes: until then the embedder
is `Unavailable`, and searches go by words. A fetch that failed is tried again, ever more seldom.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import threading
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rlmd.errors import ModelError, RlmdError, Unavailable

from .embedders import UNRELATED, Vectors, floor_of, normalized, wrong_dimension

log = logging.getLogger(__name__)

THREADS = 1
"""Of ONNX Runtime, for one text or many: the daemon has other work."""
BATCH = 16
"""Texts that are computed together: bounds the memory that long ones take."""
RETRY_SECONDS = 60.0
LONGEST_RETRY_SECONDS = 3600.0
_MODEL_FILES = ("model.onnx", "onnx/model.onnx", "model_optimized.onnx", "model_quantized.onnx")
_NEEDED = ("tokenizer.json", "tokenizer_config.json")
_KNOWN = "sentence-transformers/all-MiniLM-L6-v2"


class _Model(Protocol):
    def embed(self, documents: list[str], batch_size: int) -> Iterable[Any]: ...


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    model: _Model
    identity: str
    dimension: int
    floor: float


class LocalEmbedder:
    """Nothing is loaded before the first use."""

    weight = 0.6

    def __init__(self, model: str, *, cache: Path) -> None:
        """`model` is an absolute path of a folder, or a name that fastembed knows; `cache` is for the latter.

        A folder holds `model.onnx` (or `onnx/model.onnx`), `tokenizer.json` and `tokenizer_config.json`, and
        `1_Pooling/config.json` if its tokens' vectors are not to be averaged.
        """
        self.label = f"{model} (on this machine)"
        self._model = model
        self._cache = cache
        self._loaded: _Loaded | None = None
        self._error: RlmdError | None = None
        self._due = 0.0
        self._delay = RETRY_SECONDS
        self._fetching: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        loaded = self._ready()
        return f"local-1-{loaded.identity}-{loaded.dimension}"

    @property
    def dimension(self) -> int:
        return self._ready().dimension

    @property
    def floor(self) -> float:
        return self._ready().floor

    def embed(self, texts: Sequence[str]) -> Vectors:
        loaded = self._ready()
        return _embed(loaded.model, texts, loaded.dimension)

    def close(self) -> None:
        self._loaded = None

    def _ready(self) -> _Loaded:
        with self._lock:
            if self._loaded is None and self._model.startswith("/"):
                self._loaded = _from_folder(Path(self._model))
            if self._loaded is not None:
                return self._loaded
            if self._fetching is None and time.monotonic() >= self._due:
                self._error = None
                self._fetching = threading.Thread(target=self._fetch, name="rlmd-fetch", daemon=True)
                self._fetching.start()
            if self._error is not None:
                raise self._error.with_traceback(None)
            raise Unavailable(f"the model {self._model} is being fetched", field="embedder")

    def _fetch(self) -> None:
        loaded, error = None, None
        try:
            loaded = _by_name(self._model, self._cache)
            log.info("the embedder %s is there", self._model)
        except RlmdError as failed:
            log.warning("%s", failed)
            error = failed
        with self._lock:
            self._loaded, self._error, self._fetching = loaded, error, None
            self._due = time.monotonic() + self._delay
            self._delay = min(2 * self._delay, LONGEST_RETRY_SECONDS)


def _by_name(name: str, cache: Path) -> _Loaded:
    fastembed = _fastembed()
    from loguru import logger

    known = {each["model"].lower(): each for each in fastembed.TextEmbedding.list_supported_models()}
    if name.lower() not in known:
        raise ModelError(
            f"fastembed knows no model {name!r}",
            field="embedder",
            remedy=f"Name one that it lists, such as {_KNOWN}, or a folder: RLMD_EMBEDDER=local:/folder.",
        )
    told: list[str] = []  # Its errors say less than its log.
    sink = logger.add(told.append, level="ERROR", format="{message}")
    try:
        model = fastembed.TextEmbedding(name, cache_dir=str(cache), threads=THREADS)
    except Exception as error:
        raise ModelError(
            f"the model {name} could not be fetched: {(told or [_sentence(error)])[0].splitlines()[0]}",
            field="embedder",
            remedy="It is tried again by itself. Without a network, fetch it elsewhere and name its folder: "
            "RLMD_EMBEDDER=local:/folder. To stop trying: RLMD_EMBEDDER=builtin.",
        ) from error
    finally:
        logger.remove(sink)
    loaded = _measured(model, name)
    said = int(known[name.lower()]["dim"])
    if loaded.dimension != said:
        raise wrong_dimension(said, loaded.dimension)
    return loaded


def _from_folder(folder: Path) -> _Loaded:
    fastembed = _fastembed()
    file = next((name for name in _MODEL_FILES if (folder / name).is_file()), None)
    absent = [name for name in _NEEDED if not (folder / name).is_file()]
    if file is None or absent:
        raise ModelError(
            f"{folder} has no {' and no '.join([*([] if file else [_MODEL_FILES[0]]), *absent])}",
            field="embedder",
            remedy="Name a folder with a model in the ONNX format and its tokenizer.",
        )
    try:
        digest = _digest(folder / file, *(folder / name for name in _NEEDED))
        model = _custom(fastembed, folder, file, digest, _pooling(folder))
        if (
            len(model.model.model.get_outputs()[0].shape) == 2
        ):  # It gives a vector for a text, not for tokens.
            model = _custom(fastembed, folder, file, digest, "DISABLED")
    except Exception as error:
        raise ModelError(
            f"the model in {folder} cannot be loaded: {_sentence(error)}",
            field="embedder",
            remedy="See that its files are whole, and those of a model for embeddings.",
        ) from error
    return _measured(model, digest)


def _custom(fastembed: Any, folder: Path, file: str, digest: str, pooling: str) -> Any:
    from fastembed.common.model_description import ModelSource, PoolingType

    # fastembed remembers models by name, for the whole process.
    name = f"rlmd/{digest}-{pooling.lower()}"
    if name not in {each["model"] for each in fastembed.TextEmbedding.list_supported_models()}:
        fastembed.TextEmbedding.add_custom_model(
            model=name,
            pooling=PoolingType[pooling],
            normalization=True,
            sources=ModelSource(hf=name),  # It wants one, and asks it for nothing if it has a path.
            dim=1,
            model_file=file,
        )
    return fastembed.TextEmbedding(name, specific_model_path=str(folder), threads=THREADS)


def _pooling(folder: Path) -> str:
    """How tokens' vectors become one, as sentence-transformers writes it; else their mean."""
    file = folder / "1_Pooling/config.json"
    said = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if said.get("pooling_mode_cls_token"):
        return "CLS"
    return "LAST_TOKEN" if said.get("pooling_mode_lasttoken") else "MEAN"


def _measured(model: _Model, identity: str) -> _Loaded:
    vectors = _embed(model, UNRELATED, None)
    return _Loaded(model=model, identity=identity, dimension=vectors.shape[1], floor=floor_of(vectors))


def _embed(model: _Model, texts: Sequence[str], dimension: int | None) -> Vectors:
    if not texts:
        return np.zeros((0, dimension or 0), dtype=np.float32)
    try:
        vectors = np.stack([np.asarray(vector) for vector in model.embed(list(texts), batch_size=BATCH)])
    except Exception as error:
        raise ModelError(
            f"the local model failed: {_sentence(error)}",
            field="embedder",
            remedy="See that it is a model for embeddings, or use RLMD_EMBEDDER=builtin.",
        ) from error
    if vectors.ndim != 2:
        raise ModelError(
            f"the local model gives {vectors.ndim - 1}-dimensional arrays in place of vectors",
            field="embedder",
            remedy="See that it is a model for embeddings.",
        )
    return normalized(vectors.astype(np.float32))


def _fastembed() -> Any:
    # Its bars would be drawn into the daemon's log, and nobody is to be told what is used here.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    warnings.filterwarnings("ignore", message="Cannot enable progress bars")
    try:
        import fastembed
        from loguru import logger
    except ImportError as error:
        raise ModelError(
            "local models need the package fastembed, which is not installed",
            field="embedder",
            remedy="pip install 'rlmd[local]', or use RLMD_EMBEDDER=builtin.",
        ) from error
    with contextlib.suppress(ValueError):
        logger.remove(0)  # It would tell on stderr again what our errors tell.
    return fastembed


def _digest(*files: Path) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for file in files:
        with file.open("rb") as opened:
            while part := opened.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()


def _sentence(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
