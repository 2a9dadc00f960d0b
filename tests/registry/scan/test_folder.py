"""Folders as people publish them are accepted whole, and one bad file refuses the folder."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.registry.corpus import STATE, gguf, npy, onnx, safetensors, torch_zip

from penstock.registry.scan import gguf as gguf_format
from penstock.registry.scan import onnx as onnx_format
from penstock.registry.scan import safetensors as safetensors_format
from penstock.registry.scan import scan
from penstock.registry.scan.report import Refused

TENSOR = safetensors(b'{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"\0" * 4)
TEMPLATE = "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m.content | trim }}{% endfor %}{% generation %}{{ x }}{% endgeneration %}"
ORDINARY: dict[str, bytes] = {
    "model.safetensors": TENSOR,
    "config.json": json.dumps({"model_type": "llama", "auto_map": None, "trust_remote_code": False}).encode(),
    "tokenizer_config.json": json.dumps({"chat_template": [{"name": "default", "template": TEMPLATE}]}).encode(),
    "tokenizer.json": json.dumps({"model": {"vocab": {"a": 0, "__a": 1}}}).encode(),
    "merges.txt": "#version: 0.2\nĠ t\nc o\nsystem posix\n".encode(),
    "README.md": b"---\nlicense: mit\n---\n# A model!\n\nc: see.\n",
    "LICENSE": b"MIT",
    ".gitattributes": b"*.safetensors filter=lfs\n",
    "training.yaml": b"model:\n  layers: 2\n  note: a! b\n",
    "chat_template.jinja": TEMPLATE.encode(),
    "pytorch_model.bin": torch_zip(STATE),
    "embeddings.npy": npy("<f4", b"\0" * 4),
    "small.gguf": gguf({"general.name": "x", "tokenizer.chat_template": TEMPLATE}),
    "model.onnx": onnx(),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in ORDINARY.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_an_ordinary_folder_is_accepted(folder: Path) -> None:
    report = scan(folder)
    assert report.findings == ()
    assert report.accepted
    assert report.formats == ("gguf", "npy", "onnx", "safetensors", "torch")
    assert len(report.files) == len(ORDINARY)
    assert report.size == sum(len(data) for data in ORDINARY.values())


def test_ordinary_parts_of_models_are_accepted(folder: Path) -> None:
    layer = {"module": "keras.layers", "class_name": "Dense", "config": {"kernel_initializer": {"module": "keras.initializers",
             "class_name": "GlorotUniform", "config": {}}, "dtype": {"module": "keras", "class_name": "DTypePolicy"}}}  # fmt: skip
    beside = {
        "keras.json": {"module": "keras.src.models.functional", "class_name": "Functional", "config": {"layers": [layer]}},
        "adapter_config.json": {
            "auto_mapping": {"base_model_class": "BertModel", "parent_library": "transformers.models.bert.modeling_bert"}
        },
        "modules.json": [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}],
        "model_index.json": {
            "_class_name": "P",
            "unet": ["diffusers", "UNet2DConditionModel"],
            "checker": ["stable_diffusion", "S"],
            "x": [None, None],
        },
    }
    for name, told in beside.items():
        (folder / name).write_text(json.dumps(told), "utf-8")
    told = "flavors:\n  python_function:\n    loader_module: mlflow.transformers\n    code: null\n  transformers:\n    code: null\n"
    (folder / "MLmodel").write_text(told + 'signature:\n  inputs: \'[{"type": "string", "name": "code"}]\'\n', "utf-8")
    (folder / "pyproject.toml").write_text('[tool.x]\nauto_map = false\nlines = ["a"]\n', "utf-8")
    assert scan(folder).findings == ()


def test_external_data_behind_a_link_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "w.data").write_bytes(b"\0" * 8)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "m.onnx").write_bytes(onnx(location="w.data"))
    (folder / "w.data").write_bytes(b"\0" * 8)
    assert scan(folder).accepted
    (folder / "w.data").unlink()
    (folder / "w.data").hardlink_to(outside / "w.data")
    assert [found.code for found in scan(folder / "m.onnx").findings] == ["onnx_external"]
    (folder / "sub").symlink_to(outside)
    (folder / "m.onnx").write_bytes(onnx(location="sub/w.data"))
    assert [found.code for found in scan(folder / "m.onnx").findings] == ["onnx_external"]
    assert not scan(folder).accepted


def test_one_bad_file_refuses_the_folder_and_names_itself(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "run.py").write_text("print()", "utf-8")
    report = scan(folder)
    assert not report.accepted
    assert [(f.path, f.code) for f in report.findings] == [("sub/run.py", "format")]


def test_the_digest_knows_names_and_bytes_and_not_the_signature(folder: Path) -> None:
    first = scan(folder).digest
    (folder / "model.sig").write_text("{}", "utf-8")
    assert scan(folder).digest == first
    (folder / "LICENSE").rename(folder / "NOTICE")
    assert scan(folder).digest != first
    (folder / "NOTICE").rename(folder / "LICENSE")
    assert scan(folder).digest == first
    (folder / "LICENSE").write_bytes(b"MIX")
    assert scan(folder).digest != first


def test_links_and_what_is_not_there(folder: Path) -> None:
    (folder / "link.txt").symlink_to("/etc/hostname")
    assert [f.code for f in scan(folder).findings] == ["not_a_file"]
    with pytest.raises(FileNotFoundError):
        scan(folder / "missing")
    (folder / "empty").mkdir()
    assert [f.code for f in scan(folder / "empty").findings] == ["no_weights"]


def test_external_data_belongs_to_a_model(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(onnx(location="m.onnx.data"))
    (tmp_path / "m.onnx.data").write_bytes(b"\0" * 8)
    assert scan(tmp_path).accepted
    (tmp_path / "other.data").write_bytes(b"\0" * 8)
    assert [f.path for f in scan(tmp_path).findings] == ["other.data"]


@given(st.sampled_from(["a.safetensors", "a.gguf", "a.onnx"]), st.data())
def test_noise_in_any_format_is_refused_and_never_anything_else(name: str, data: st.DataObject) -> None:
    import io
    import tempfile

    raw = bytearray({"a.safetensors": TENSOR, "a.gguf": ORDINARY["small.gguf"], "a.onnx": onnx(operator="Mul", domain="x")}[name])
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    stream = io.BytesIO(bytes(raw))
    try:
        if name.endswith("s"):
            safetensors_format.read_safetensors(stream, len(raw))
        elif name.endswith("f"):
            gguf_format.read_gguf(stream, len(raw))
        else:
            with tempfile.TemporaryFile() as file:
                file.write(raw)
                file.flush()
                onnx_format.read_onnx(file, len(raw), Path("/nonexistent"))
    except Refused:
        return  # anything else that it raises fails the test


def test_a_gguf_tensor_fits_its_file(tmp_path: Path) -> None:
    from tests.registry.corpus import gguf_text

    info = gguf_text("w") + struct.pack("<IQIQ", 1, 8, 0, 0)
    head = gguf({}, tensors=1, rest=info)
    padded = head + b"\0" * (-len(head) % 32)
    (tmp_path / "a.gguf").write_bytes(padded + b"\0" * 32)
    assert scan(tmp_path).accepted
    (tmp_path / "a.gguf").write_bytes(padded + b"\0" * 31)
    assert not scan(tmp_path).accepted
