"""Ordinary weights, written by the libraries that people use: torch, safetensors, numpy, onnx, gguf. Run in the benchmark's environment."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}{{ message['content'] | trim }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def torch_files() -> Iterator[tuple[str, Callable[[Path], object]]]:
    import torch
    from torch import nn

    def model() -> Any:
        torch.manual_seed(1)
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 4), nn.TransformerEncoderLayer(16, 2))

    def save(value: Any, **terms: Any) -> Callable[[Path], object]:
        return lambda path: torch.save(value, path, **terms)

    state = model().state_dict()
    yield "pytorch_model.bin", save(state)
    yield "half.pt", save({k: v.half() if v.is_floating_point() else v for k, v in state.items()})
    yield "bfloat16.pth", save({k: v.bfloat16() if v.is_floating_point() else v for k, v in state.items()})
    yield "float8.pt", save({"w": torch.zeros(4, 4).to(torch.float8_e4m3fn)})
    yield "complex.pt", save({"w": torch.zeros(4, dtype=torch.complex64)})
    yield "integers.pt", save({"a": torch.arange(9), "b": torch.ones(3, dtype=torch.bool), "c": torch.zeros(2, dtype=torch.uint8)})
    yield "shared.pt", save({"a": (w := torch.ones(4, 4)), "b": w.t(), "c": w[1:]})
    yield "parameters.pt", save({"w": nn.Parameter(torch.ones(3))})
    yield "lora.bin", save({f"layers.{n}.lora_{x}.weight": torch.zeros(4, 8) for n in range(20) for x in "AB"})
    yield "checkpoint.ckpt", save({"epoch": 3, "loss": 0.25, "state_dict": state, "lr": [1e-3, 1e-4], "name": "run", "done": False})
    optimiser = torch.optim.AdamW(model().parameters())
    sum(p.sum() for group in optimiser.param_groups for p in group["params"]).backward()
    optimiser.step()
    yield "optimizer.pt", save({"optimizer": optimiser.state_dict(), "step": 1})
    yield "sizes.pt", save({"shape": torch.ones(2, 3).shape, "device": torch.device("cpu"), "dtype": torch.float16})
    yield "quantised.pt", save({"w": torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)})
    yield "sparse.pt", save({"w": torch.eye(3).to_sparse()})
    yield "protocol4.pt", save(state, pickle_protocol=4)
    yield "empty.pt", save({})
    yield "tensor.pt", save(torch.ones(3))


def numpy_files() -> Iterator[tuple[str, Callable[[Path], object]]]:
    import numpy as np

    def dumped(value: Any, protocol: int) -> Callable[[Path], object]:
        return lambda path: path.write_bytes(pickle.dumps(value, protocol=protocol))

    arrays = {"w": np.ones((3, 4), np.float32), "b": np.arange(4), "scale": np.float64(0.5)}
    for protocol in (0, 1, 2, 3, 4, 5):
        yield f"arrays{protocol}.pkl", dumped(arrays, protocol)
        yield f"plain{protocol}.pkl", dumped({"a": [1, 2.5, "x", None, True, b"y", (1, 2)], "s": {1, 2}, "n": 10**40}, protocol)
    yield "floats.npy", lambda path: np.save(path, np.ones((3, 4), np.float32))
    yield "fortran.npy", lambda path: np.save(path, np.asfortranarray(np.ones((3, 4), np.float16)))
    yield "texts.npy", lambda path: np.save(path, np.array(["a", "bcd"]))


def other_files() -> Iterator[tuple[str, Callable[[Path], object]]]:
    import gguf
    import numpy as np
    import onnx
    from onnx import TensorProto, helper
    from safetensors.numpy import save_file

    tensors = {"a": np.ones((3, 4), np.float32), "b": np.zeros(5, np.int64), "c": np.zeros((0, 3), np.float16)}
    yield "model.safetensors", lambda path: save_file(tensors, path, metadata={"format": "pt"})
    yield "single.safetensors", lambda path: save_file({"x": np.float32([1])}, path)

    def graph(outside: bool) -> Callable[[Path], object]:
        def write(path: Path) -> None:
            weights = helper.make_tensor("w", TensorProto.FLOAT, [64, 64], np.ones(4096, np.float32).tobytes(), raw=True)
            taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])
            given = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])
            node = helper.make_node("MatMul", ["x", "w"], ["y"])
            made = helper.make_model(helper.make_graph([node], "g", [taken], [given], [weights]))
            onnx.save(made, path, save_as_external_data=outside, location=path.name + ".data" if outside else None)

        return write

    yield "inside.onnx", graph(False)
    yield "outside.onnx", graph(True)

    def write_gguf(path: Path) -> None:
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_context_length(4096)
        writer.add_token_list(["<s>", "a", "b"])
        writer.add_token_scores([0.0, 1.0, 2.0])
        writer.add_chat_template(TEMPLATE)
        writer.add_tensor("token_embd.weight", np.ones((4, 32), np.float32))
        quantised = gguf.quants.quantize(np.ones((4, 64), np.float32), gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor("blk.0.weight", quantised, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    yield "model.gguf", write_gguf
    yield "config.json", lambda path: path.write_text(json.dumps({"model_type": "llama", "hidden_size": 64, "auto_map": None}))
    yield "tokenizer_config.json", lambda path: path.write_text(json.dumps({"chat_template": TEMPLATE, "bos_token": "<s>"}))
    yield "merges.txt", lambda path: path.write_text("#version: 0.2\nc o\nco m\n(t he\n")


def main() -> None:
    folder = Path(sys.argv[1])
    for name, write in (*torch_files(), *numpy_files(), *other_files()):
        write(folder / name)


if __name__ == "__main__":
    main()
