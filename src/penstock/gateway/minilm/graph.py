"""The MiniLM encoder as an ONNX graph of standard operators (opset 20), built node by node from the weights.

The shape is BERT's (Devlin et al., 2019; 6 layers, 12 heads of 32, width 384, erf GELU, post-layer-norm), followed by the mean over
the word pieces and L2 normalisation, as the model's own ``modules.json`` and ``1_Pooling/config.json`` prescribe.

The graph takes **one text**: ``input_ids`` int64 [s] to ``vector`` float32 [384]. No batch axis, so no padding and no attention mask:
the mean over the mask is the mean. That is a choice, not a shortcut. Dynamic int8 takes one scale per activation tensor, so in a batch
the vector of a text would depend on its neighbours (measured: cosine 0.990 to 0.996 between alone and in a batch of five), and from
30 word pieces on a batch on one thread saves nothing (at 8 pieces, eight at once take about 0.6 of the time).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto, TensorProto

    Floats: TypeAlias = NDArray[np.float32]

Precision: TypeAlias = Literal["int8", "fp32"]

WIDTH: Final = 384
LAYERS: Final = 6
HEADS: Final = 12
HEAD_WIDTH: Final = WIDTH // HEADS
EPSILON: Final = 1e-12
MAX_PIECES: Final = 256  # the model was trained on no more, although it has positions for 512 (sentence_bert_config.json)

# Weights use 7 of the 8 bits. On x86 without VNNI the kernel adds pairs of u8 x s8 products in a saturating 16-bit register:
# 2 x 255 x 64 fits, 2 x 255 x 127 does not. So the same file gives the same integers on every processor, for 0.001 of cosine.
WEIGHT_LIMIT: Final = 64

# Channels whose activations dwarf all others: [CLS] drives a single FFN channel of the first four layers to 14..25 while nearly
# every other value stays below 3, and the residual stream carries that on in channels 99 and 223. One int8 scale for all of it would
# leave the rest about four bits. So these channels bypass the quantised product and are multiplied in float32 (the decomposition of
# LLM.int8(), Dettmers et al., 2022, with fixed channels). They are facts of the pinned weights, found by looking at the activations
# of 80 questions; on other text the loss (1 - cosine to fp32) falls from 0.0076 to 0.0025, for about 6 % of the time.
STREAM_OUTLIERS: Final = (99, 223)
FFN_OUTLIERS: Final = {0: (856,), 1: (607,), 2: (218, 1004), 3: (358,)}


def read_weights(path: Path) -> dict[str, Floats]:
    """The float32 tensors of a safetensors file, memory-mapped and read-only, by name. The file's digest was checked before."""
    import numpy as np  # lazy: heavy, and only the export needs it here

    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(header_size))
    content = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + header_size)
    tensors: dict[str, Floats] = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = entry["data_offsets"]
            tensors[name] = content[start:end].view(np.float32).reshape(entry["shape"])
    return tensors


def build(weights: Mapping[str, Floats], precision: Precision) -> ModelProto:
    """The whole model as one ONNX protobuf (91 MB in fp32, 23 MB in int8), without metadata."""
    return _Builder(weights, precision).model()


class _Builder:
    """Appends nodes and constants in the order of the computation; every method returns the name of the tensor that it made."""

    def __init__(self, weights: Mapping[str, Floats], precision: Precision) -> None:
        self._weights = weights
        self._precision = precision
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def model(self) -> ModelProto:
        from onnx import TensorProto, helper  # lazy: heavy, and only the export needs it

        tokens = self._embed()
        for layer in range(LAYERS):
            tokens = self._layer(tokens, f"encoder.layer.{layer}", FFN_OUTLIERS.get(layer, ()))
        mean = self._node("ReduceMean", [tokens, self._integers("pool.axes", [0])], keepdims=0)
        self._node("LpNormalization", [mean], outputs=["vector"], axis=0, p=2)
        graph = helper.make_graph(
            self._nodes,
            "minilm",
            [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["s"])],
            [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [WIDTH])],
            self._constants,
        )
        # IR version 9 is the one that opset 20 came with: ONNX Runtime has read it since 1.17, whatever onnx writes by default.
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9, producer_name="penstock")

    def _embed(self) -> str:
        """Word, position and (always the first) segment embeddings, normalised: [s, 384]."""
        words = self._words(self._weights["embeddings.word_embeddings.weight"])
        segment = self._weights["embeddings.token_type_embeddings.weight"][0]
        positions = self._weights["embeddings.position_embeddings.weight"][:MAX_PIECES] + segment
        zero = self._integers("zero", [0])
        length = self._node("Shape", ["input_ids"])
        placed = self._node("Slice", [self._constant("positions", positions), zero, length, zero])
        return self._normalise(self._node("Add", [words, placed]), "embeddings.LayerNorm")

    def _words(self, table: Floats) -> str:
        """Rows of the vocabulary. In int8 each row has its own scale, which halves the file and costs a cosine below 0.0001."""
        if self._precision == "fp32":
            return self._node("Gather", [self._constant("words", table), "input_ids"])
        from onnx import TensorProto  # lazy: see above

        rows, scales = quantise(table, limit=127)
        picked = self._node("Gather", [self._constant("words", rows), "input_ids"])
        scale = self._node("Gather", [self._constant("words.scale", scales[:, None]), "input_ids"])
        return self._node("Mul", [self._node("Cast", [picked], to=TensorProto.FLOAT), scale])

    def _layer(self, tokens: str, name: str, outliers: tuple[int, ...]) -> str:
        attended = self._linear(self._attend(tokens, f"{name}.attention.self"), f"{name}.attention.output.dense")
        middle = self._normalise(self._node("Add", [attended, tokens]), f"{name}.attention.output.LayerNorm")
        wide = self._node("Gelu", [self._linear(middle, f"{name}.intermediate.dense", STREAM_OUTLIERS)])
        narrow = self._linear(wide, f"{name}.output.dense", outliers)
        return self._normalise(self._node("Add", [narrow, middle]), f"{name}.output.LayerNorm")

    def _attend(self, tokens: str, name: str) -> str:
        """Softmax(Q K^T / sqrt(32)) V for each head; the three projections are one product, and the root is folded into Q's."""
        import numpy as np  # lazy: see above

        root = np.float32(HEAD_WIDTH**-0.5)
        parts = [(f"{name}.query", root), (f"{name}.key", np.float32(1)), (f"{name}.value", np.float32(1))]
        weight = np.concatenate([self._weights[f"{part}.weight"] * factor for part, factor in parts])
        bias = np.concatenate([self._weights[f"{part}.bias"] * factor for part, factor in parts])
        projected = self._product(tokens, weight, bias, f"{name}.projection", STREAM_OUTLIERS)
        split = self._node("Reshape", [projected, self._integers("heads.shape", [0, 3, HEADS, HEAD_WIDTH])])
        by_head = self._node("Transpose", [split], perm=[1, 2, 0, 3])  # [3, heads, s, head width]
        query, key, value = (f"{name}.{part}.heads" for part in ("query", "key", "value"))
        self._node("Split", [by_head], outputs=[query, key, value], axis=0, num_outputs=3)
        scores = self._node("MatMul", [query, self._node("Transpose", [key], perm=[0, 1, 3, 2])])
        mixed = self._node("MatMul", [self._node("Softmax", [scores], axis=-1), value])  # [1, heads, s, head width]
        joined = self._node("Transpose", [mixed], perm=[0, 2, 1, 3])
        return self._node("Reshape", [joined, self._integers("joined.shape", [-1, WIDTH])])

    def _linear(self, tokens: str, name: str, outliers: tuple[int, ...] = ()) -> str:
        return self._product(tokens, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], name, outliers)

    def _product(self, tokens: str, weight: Floats, bias: Floats, name: str, outliers: tuple[int, ...]) -> str:
        """``tokens @ weight.T + bias``; ``weight`` is [outputs, inputs], as PyTorch keeps it. ``outliers`` are inputs."""
        if self._precision == "fp32":
            product = self._node("MatMul", [tokens, self._constant(f"{name}.weight", weight.T)])
            return self._node("Add", [product, self._constant(f"{name}.bias", bias)])
        if not outliers:
            return self._quantised_product(tokens, weight, bias, name)
        import numpy as np  # lazy: see above

        keep = np.ones(weight.shape[1], dtype=np.float32)
        keep[list(outliers)] = 0
        suffix = "-".join(str(channel) for channel in outliers)
        tame = self._node("Mul", [tokens, self._constant(f"keep.{len(keep)}.{suffix}", keep)])
        wild = self._node("Gather", [tokens, self._integers(f"outliers.{suffix}", list(outliers))], axis=1)
        beside = self._node("MatMul", [wild, self._constant(f"{name}.outliers", weight[:, list(outliers)].T)])
        return self._node("Add", [self._quantised_product(tame, weight, bias, name), beside])

    def _quantised_product(self, tokens: str, weight: Floats, bias: Floats, name: str) -> str:
        """As `_product`: activations with one scale and zero point found on the fly, weights with one scale per output.

        ONNX Runtime fuses this chain, the one that its own quantiser writes, into a single kernel when it loads the model.
        """
        from onnx import TensorProto  # lazy: see above

        integers, scales = quantise(weight, limit=WEIGHT_LIMIT)
        quantised, scale, zero = (f"{name}.input{part}" for part in ("", ".scale", ".zero"))
        self._node("DynamicQuantizeLinear", [tokens], outputs=[quantised, scale, zero])
        summed = self._node("MatMulInteger", [quantised, self._constant(f"{name}.weight", integers.T), zero])
        both = self._node("Mul", [scale, self._constant(f"{name}.scale", scales)])
        product = self._node("Mul", [self._node("Cast", [summed], to=TensorProto.FLOAT), both])
        return self._node("Add", [product, self._constant(f"{name}.bias", bias)])

    def _normalise(self, tokens: str, name: str) -> str:
        gain = self._constant(f"{name}.weight", self._weights[f"{name}.weight"])
        shift = self._constant(f"{name}.bias", self._weights[f"{name}.bias"])
        return self._node("LayerNormalization", [tokens, gain, shift], axis=-1, epsilon=EPSILON)

    def _node(self, operator: str, inputs: list[str], outputs: list[str] | None = None, **attributes: Any) -> str:
        from onnx import helper  # lazy: see above

        name = f"{len(self._nodes):03d}.{operator}"
        outputs = outputs or [name]
        self._nodes.append(helper.make_node(operator, inputs, outputs, name=name, **attributes))
        return outputs[0]

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        import numpy as np  # lazy: see above
        from onnx import numpy_helper

        if all(known.name != name for known in self._constants):
            self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _integers(self, name: str, values: list[int]) -> str:
        import numpy as np  # lazy: see above

        return self._constant(name, np.array(values, dtype=np.int64))


def quantise(rows: Floats, limit: int) -> tuple[NDArray[np.int8], Floats]:
    """Symmetric int8 with one scale per row: ``rows ~ integers * scales[:, None]``, integers within ``[-limit, limit]``.

    A row of zeros keeps scale 1, so that nothing divides by zero.
    """
    import numpy as np  # lazy: see above

    largest = np.abs(rows).max(axis=1)
    scales = np.where(largest > 0, largest / np.float32(limit), np.float32(1)).astype(np.float32)
    return np.rint(rows / scales[:, None]).astype(np.int8), scales
