"""A real token classifier in ONNX, small enough to be made in a test: it finds tokens that occur only once in the pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

onnx = pytest.importorskip("onnx")
tokenizers = pytest.importorskip("tokenizers")
pytest.importorskip("onnxruntime")

CONTEXT = ["the plant gives 88 megawatts", "it stands in obermatt"]
GROUNDED, MADE_UP = "the plant stands in obermatt", "the plant stands in obermatt for 12 billion"


def make(folder: Path, inputs: Sequence[str] = ("input_ids", "attention_mask"), labels: int = 2, length: int | str = "n") -> Path:
    """``logits[i] = (0, 12 - 8 * count of token i in the pair)``: above 0 for what occurs once."""
    folder.mkdir()
    h, ints, floats = onnx.helper, onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    nodes = [
        h.make_node("Unsqueeze", ["input_ids", "two"], ["column"]),
        h.make_node("Equal", ["column", "input_ids"], ["same"]),
        h.make_node("Cast", ["same"], ["counted"], to=floats),
        h.make_node("ReduceSum", ["counted", "two"], ["counts"], keepdims=1),
        h.make_node("Mul", ["counts", "slope"], ["scaled"]),
        h.make_node("Add", ["scaled", "level"], ["second"]),
        h.make_node("Sub", ["second", "second"], ["first"]),
        h.make_node("Concat", ["first", *["second"] * (labels - 1)], ["logits"], axis=2),
    ]
    graph = h.make_graph(
        nodes,
        "once",
        [h.make_tensor_value_info(name, ints, [1, length]) for name in inputs],
        [h.make_tensor_value_info("logits", floats, [1, length, labels])],
        [h.make_tensor("two", ints, [1], [2]), h.make_tensor("slope", floats, [1], [-8.0]), h.make_tensor("level", floats, [1], [12.0])],
    )
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / "model.onnx"))
    words = ["[UNK]", "[CLS]", "[SEP]", *(" ".join(CONTEXT) + " siemens bought for 12 billion").split()]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
