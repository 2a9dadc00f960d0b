"""Ways past scanners that were published from 2024 to 2026, as inert bytes like those of `tests.registry.corpus`, which they join."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterator

from tests.registry.corpus import EVIL, STATE, Sample, calls, field, gguf, gguf_text, npy, safetensors, text, torch_zip

_TENSOR = b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'

IMPORTS = (
    ("CVE-2026-22606", "runpy", "run_module"),
    ("CVE-2026-22607", "cProfile", "runcall"),
    ("CVE-2026-22608", "ctypes", "_dlopen"),
    ("CVE-2026-22608", "pydoc", "pipepager"),
    ("CVE-2026-22609", "code", "interact"),
    ("CVE-2026-22609", "multiprocessing.pool", "Pool"),
    ("CVE-2026-22612", "builtins", "__loader__.load_module"),
    ("CVE-2025-67748", "pty", "openpty"),
    ("CVE-2025-67747", "marshal", "load"),
    ("GHSA-g38g-8gr9-h9xp", "_pyrepl.pager", "tempfile_pager"),
    ("fickling, recent bypasses of picklescan", "numpy.f2py.crackfortran", "myeval"),
    ("fickling, recent bypasses of picklescan", "numpy.f2py.crackfortran", "param_eval"),
    ("picklescan issue of 2026, names made at run time", "importlib.util", "module_from_spec"),
    ("picklescan issue of 2026, names made at run time", "importlib.util", "find_spec"),
    ("picklescan issue of 2026, names made at run time", "importlib.machinery", "SourceFileLoader"),
    ("fickling 2026, tampering with scanners", "picklescan.scanner", "_safe_globals"),
    ("fickling 2026, tampering with scanners", "fickling.hook", "remove_hook"),
    ("fickling 2026, tampering with scanners", "modelscan.settings", "DEFAULT_SETTINGS"),
    ("modelaudit 2026, calls through harmless names", "collections", "defaultdict"),
    ("modelaudit 2026, calls through harmless names", "itertools", "starmap"),
    ("modelaudit 2026, calls through harmless names", "re", "sub"),
    ("modelaudit 2026, calls through harmless names", "weakref", "finalize"),
    ("modelaudit 2026, calls through harmless names", "concurrent.futures", "Future"),
    ("modelaudit 2026, calls through harmless names", "string", "Template"),
    ("modelaudit 2026, calls through harmless names", "functools", "reduce"),
    ("modelaudit 2026, calls through harmless names", "operator", "call"),
    ("modelaudit 2026, calls through harmless names", "contextlib", "ExitStack"),
    ("modelaudit 2026, calls through harmless names", "types", "DynamicClassAttribute"),
    ("modelaudit 2026, writing what a start runs", "pathlib", "Path.write_text"),
    ("modelaudit 2026, writing what a start runs", "shutil", "copyfile"),
    ("modelaudit 2026, writing what a start runs", "distutils.file_util", "copy_file"),
    ("keras, get_file", "keras.utils", "get_file"),
    ("keras, get_file", "keras.src.utils.file_utils", "get_file"),
    ("CVE-2025-9906", "keras.config", "enable_unsafe_deserialization"),
    ("joblib", "joblib.numpy_pickle", "NumpyArrayWrapper"),
    ("joblib", "joblib.parallel", "Parallel"),
    ("skops, CVE-2025-54412", "operator", "methodcaller"),
    ("torch, weights_only before 2.6", "torch.jit._script", "RecursiveScriptModule"),
    ("torch, weights_only before 2.6", "torch._C", "_import_ir_module_from_package"),
)


def _keras(module: str, name: str, **config: object) -> bytes:
    layer = {"module": module, "class_name": name, "config": config, "registered_name": None}
    return json.dumps({"module": "keras", "class_name": "Sequential", "config": {"layers": [layer]}}).encode()


def _configs() -> Iterator[Sample]:
    def one(name: str, data: object, source: str, file: str = "config.json") -> Sample:
        return Sample(name, "config", source, file, data if isinstance(data, bytes) else json.dumps(data).encode())

    yield one("Keras calls a function", _keras("keras.utils", "get_file", origin="http://x"), "CVE-2025-8747")
    yield one("Keras function by name", _keras("builtins", "function", config="exec"), "CVE-2025-1550")
    yield one("Keras class of a library", _keras("os", "system"), "CVE-2025-1550")
    yield one("Keras turns its safe mode off", _keras("keras.config", "enable_unsafe_deserialization"), "CVE-2025-9906")
    yield one("Keras lambda by its mark", {"config": {"class_name": "__lambda__", "config": {"value": "4wEA"}}}, "CVE-2025-49655")
    yield one("PEFT imports a library", {"auto_mapping": {"base_model_class": "system", "parent_library": "os"}}, "peft, auto_mapping")
    listed = [{"idx": 0, "name": "0", "path": "", "type": "os.system"}]
    yield one("modules of another library", listed, "sentence-transformers, modules.json", "modules.json")
    index = {"_class_name": "StableDiffusionPipeline", "unet": ["subprocess", "Popen"]}
    yield one("parts of another library", index, "diffusers, model_index.json", "model_index.json")
    yield one("target in a list", {"callbacks": [{"_target_": "builtins.exec"}]}, "CVE-2025-23304, CVE-2026-22584")
    yield one("target, escaped", b'{"a": {"\\u005ftarget_": "os.system"}}', "CVE-2025-23304")
    yield one("YAML target in quotes", b'a:\n  "_target_": os.system\n', "CVE-2025-23304", "hparams.yaml")
    yield one("YAML target, escaped", b'a:\n  "\\x5ftarget_": os.system\n', "CVE-2025-23304", "hparams.yaml")
    yield one("YAML target in braces", b"a: {b: 1, _target_: os.system}\n", "CVE-2025-23304", "hparams.yaml")
    yield one("YAML target as a complex key", b"? _target_\n: os.system\n", "CVE-2025-23304", "hparams.yaml")
    yield one("TOML target", b'[model]\n_target_ = "os.system"\n', "Hydra", "config.toml")
    ml = "flavors:\n  python_function:\n    loader_module: {}\n    model_path: m\nmlflow_version: 3.17.2\n"
    yield one("MLflow loads by another module", ml.format("os").encode(), "mlflow, loader_module", "MLmodel")
    yield one("MLflow loads by a quoted module", ml.format("'os'").encode(), "mlflow, loader_module", "MLmodel")
    yield one("MLflow loader in braces", b"flavors: {python_function: {loader_module: os}}\n", "mlflow, loader_module", "MLmodel")
    escaped = b'flavors:\n  python_function:\n    "loader\\x5fmodule": os\n'
    yield one("MLflow loader, escaped", escaped, "mlflow, loader_module", "MLmodel")
    coded = ml.format("mlflow.sklearn").replace("    model_path", "    code: code\n    model_path")
    yield one("MLflow brings code", coded.encode(), "mlflow, code paths", "MLmodel")
    coded = ml.format("mlflow.pyfunc.model").replace("    model_path: m", "    model_code_path: agent.py")
    yield one("MLflow, models from code", coded.encode(), "mlflow, models from code", "MLmodel")
    yield one("template of its own file", b"{{ ''['__cla' ~ 'ss__'] }}", "CVE-2024-34359", "chat_template.jinja")
    named = {"chat_template": [{"name": "tool_use", "template": "{{ x.__class__ }}"}]}
    yield one("one template of many", named, "CVE-2024-34359", "tokenizer_config.json")
    yield one("template of a processor", {"chat_template": "{{ x.__init__.__globals__ }}"}, "CVE-2024-34359", "processor_config.json")


def _heads() -> Iterator[Sample]:
    def one(name: str, file: str, data: bytes, source: str) -> Sample:
        return Sample(name, "head", source, file, data)

    meta = json.dumps({"__config__": "{'_target_': 'builtins.exec'}"}).encode()
    told = b'{"__metadata__":' + meta + b"," + _TENSOR + b"}"
    yield one("a target in the metadata", "a.safetensors", safetensors(told, b"\0" * 4), "Unit 42, 2026: metadata given to Hydra")
    yield one(
        "metadata that is no text", "a.safetensors", safetensors(b'{"__metadata__":{"a":{}},' + _TENSOR + b"}", b"\0" * 4), "safetensors"
    )
    spaces = b" {" + _TENSOR + b"}"
    yield one("header that begins elsewhere", "a.safetensors", safetensors(spaces, b"\0" * 4), "safetensors, polyglots")
    many = b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'
    yield one("a shape that wraps around", "a.safetensors", safetensors(many), "integer overflow of sizes")
    yield one("an array of pickled records", "a.npy", npy("[('a','|O')]", b"\0" * 8), "numpy, structured object arrays")
    yield one("an array longer than its file", "a.npy", npy("<f4", b"\0" * 4, "(4611686018427387904,)"), "npz shape bombs, 2026")
    wraps = gguf({}, tensors=1, rest=gguf_text("w") + struct.pack("<IQQIQ", 2, 2**33, 2**33, 0, 0))
    yield one("a tensor whose size wraps around", "a.gguf", wraps, "CVE-2025-53630")
    yield one("the template for tools", "a.gguf", gguf({"tokenizer.chat_template.tool_use": "{{ x.__class__ }}"}), "CVE-2024-34359")
    listed = struct.pack("<IIQ", 9, 8, 1) + gguf_text("{{ x.__class__ }}")
    yield one("templates in a list", "a.gguf", gguf({}, entries=1, rest=gguf_text("tokenizer.chat_templates") + listed), "CVE-2024-34359")
    extra = ((b"basepath", b"/"), (b"__class__", b"x"), (b"length", b"9223372036854775807"), (b"offset", b"-1"))
    for key, value in extra:
        entry = field(13, field(1, b"location") + field(2, b"a.onnx")) + field(13, field(1, key) + field(2, value))
        graph = field(1, field(4, b"Add")) + field(5, entry + field(14, 1))
        model = field(1, 10) + field(7, graph) + field(8, field(2, 21))
        yield one(f"external data with {key.decode()}", "a.onnx", model, "CVE-2026-34445")
    inner = field(5, field(13, field(1, b"location") + field(2, b"/etc/passwd")) + field(14, 1))
    nested = field(1, field(4, b"If") + field(5, field(1, b"then_branch") + field(6, inner)))
    yield one("external data in a branch", "a.onnx", field(1, 10) + field(7, nested), "CVE-2024-27318")
    function = field(25, field(1, b"f") + field(10, b"d") + field(7, field(4, b"Constant") + field(5, field(5, inner[2:]))))
    yield one("external data in a function", "a.onnx", field(1, 10) + field(7, field(1, field(4, b"Add"))) + function, "CVE-2024-27318")


def _archives() -> Iterator[Sample]:
    def one(name: str, data: bytes, source: str, file: str = "model.pt") -> Sample:
        return Sample(name, "packed", source, file, data)

    yield one("7z by another ending", b"7z\xbc\xaf\x27\x1c\x00\x04" + b"\0" * 24, "ReversingLabs, nullifAI, 2025", "pytorch_model.bin")
    for name, magic in {
        "zstd": b"\x28\xb5\x2f\xfd",
        "lz4": b"\x04\x22\x4d\x18",
        "xz": b"\xfd7zXZ\x00",
        "bzip2": b"BZh9",
        "rar": b"Rar!\x1a\x07",
    }.items():
        yield one(name, magic + EVIL, "nullifAI: packed otherwise than expected")
    torchscript = torch_zip(STATE, extra=(("code/__torch__/m.py", b"def f(): pass\n"),))
    yield one("TorchScript under weights_only", torchscript, "CVE-2025-32434")
    yield one("legacy tar under weights_only", b"\0" * 257 + b"ustar\0" + b"\0" * 249, "CVE-2025-32434")
    yield one("a byte order of its own", torch_zip(EVIL, extra=(("byteorder", b"big"),)), "torch, archives")
    yield one(
        "a pickle under the name of a storage", torch_zip(EVIL, extra=(("data/0", EVIL),)), "members that scanners pass over by their names"
    )
    yield one("Keras weights in HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 64, "CVE-2025-9905", "model.weights.h5")
    yield one("a model of skops", _zip({"schema.json": b'{"__module__": "os"}'}), "CVE-2025-54412", "model.skops")
    yield one("a model of NeMo", _zip({"model_config.yaml": b"_target_: os.system"}), "CVE-2025-23304", "model.nemo")
    yield one("a LLaMAfile", b"MZqFpD='\n" + b"\0" * 64, "programs under the name of weights", "model.gguf")
    yield one("a script", b"#!/bin/sh\ntrue\n", "programs under the name of weights", "model")
    yield one("a pickle of protocol 0 as a licence", calls("posix", "system", protocol=0), "CVE-2025-1889", "LICENSE")
    yield one("a pickle of protocol 1 as YAML", b"(" + calls("posix", "system", protocol=0) + b"", "CVE-2025-1889", "hparams.yaml")
    late = b"\x80\x04" + b"".join(text(f"{n}") + b"0" for n in range(2000)) + EVIL[2:]
    yield one("a call behind thousands of harmless steps", late, "scanners that stop early", "model.pkl")
    frame = b"\x80\x04\x95" + struct.pack("<Q", len(EVIL) - 2 + 5) + EVIL[2:]
    yield one("a frame longer than its bytes", frame, "fickling, frames", "model.pkl")


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, data in members.items():
            made.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def bypasses() -> list[Sample]:
    """All of them; names are unique within a group."""
    found = [Sample(f"{module}.{name} again", "import", source, "model.pkl", calls(module, name)) for source, module, name in IMPORTS]
    return [*found, *_configs(), *_heads(), *_archives()]
