"""A model for embeddings, as small as one can be, made here: words of one meaning have one vector."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

SAME = [["car", "automobile"], ["doctor", "physician"], ["happy", "glad"], ["the", "a", "my", "is", "was"]]
"""Words of one meaning. All others are unknown to it, and mean the same to each other."""


def make(folder: Path, *, dimension: int = 16, pooled: bool = False, seed: int = 1) -> Path:
    """Write the model's files; with `pooled` it gives one vector for a text, else one for each token."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {"[PAD]": 0, "[UNK]": 1}
    for word in (word for words in SAME for word in words):
        vocabulary[word] = len(vocabulary)
    chance = np.random.default_rng(seed)
    table = chance.normal(size=(len(vocabulary), dimension)).astype(np.float32)
    for words in SAME:
        for word in words[1:]:
            table[vocabulary[word]] = table[vocabulary[words[0]]]
    table[[0, 1]] *= 0.1
    table[[vocabulary[word] for word in SAME[-1]]] *= 0.1
    onnx.save(_graph(table, pooled), folder / "model.onnx")
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    said = {"pad_token": "[PAD]", "model_max_length": 128}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    (folder / "config.json").write_text(json.dumps({"pad_token_id": 0}))
    return folder


def _graph(table: np.ndarray[tuple[int, int], np.dtype[np.float32]], pooled: bool) -> onnx.ModelProto:
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["tokens"])]
    shape: list[str | int | None] = ["texts", "length", table.shape[1]]
    if pooled:
        nodes.append(helper.make_node("ReduceMean", ["tokens", "axes"], ["out"], keepdims=0))
        shape.remove("length")
    else:
        nodes.append(helper.make_node("Identity", ["tokens"], ["out"]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "length"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(table, "table"),
            *([numpy_helper.from_array(np.array([1], dtype=np.int64), "axes")] if pooled else []),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.checker.check_model(model)
    return model
