"""Malicious weights, put together by hand as inert bytes: every sample asks for a call that does harm, with arguments that do none.

Nothing here is ever unpickled. Each sample says where the attack was published; the names of imports come from the advisories, the
streams are our own.
"""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from msgspec import Struct

INERT = "penstock-inert"
STATE = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01."
"""An empty state dict, as torch writes it."""


class Sample(Struct, frozen=True):
    """A malicious file: ``group`` is the kind of evasion, ``beside`` are further files of its folder."""

    name: str
    group: str
    source: str
    file: str
    data: bytes
    beside: tuple[tuple[str, bytes], ...] = ()


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def calls(module: str, name: str, *arguments: str, protocol: int = 4) -> bytes:
    """A pickle that calls ``module.name(*arguments)``."""
    given = b"(" + b"".join(text(a) for a in arguments or (INERT,)) + b"t"
    if protocol >= 4:
        return b"\x80\x04" + text(module) + text(name) + b"\x93" + given + b"R."
    head = b"\x80" + bytes([protocol]) if protocol >= 2 else b""
    return head + b"c" + module.encode() + b"\n" + name.encode() + b"\n" + given + b"R."


CLASSICS = (
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("builtins", "getattr"),
    ("builtins", "__import__"),
    ("builtins", "compile"),
    ("builtins", "open"),
    ("builtins", "breakpoint"),
    ("os", "system"),
    ("posix", "system"),
    ("nt", "system"),
    ("subprocess", "Popen"),
    ("socket", "create_connection"),
    ("sys", "exit"),
    ("runpy", "run_path"),
    ("webbrowser", "open"),
    ("requests.api", "get"),
    ("aiohttp.client", "ClientSession"),
    ("http.client", "HTTPSConnection"),
    ("shutil", "rmtree"),
    ("pickle", "loads"),
    ("_pickle", "loads"),
    ("operator", "attrgetter"),
    ("pty", "spawn"),
    ("bdb", "Bdb.run"),
    ("pdb", "run"),
    ("asyncio.subprocess", "create_subprocess_shell"),
)

ADVISORIES = (
    ("CVE-2025-1716", "pip", "main"),
    ("CVE-2025-1716", "pip._internal.cli.main", "main"),
    ("CVE-2025-10157 (a module below a listed one)", "asyncio.unix_events", "_UnixSubprocessTransport._start"),
    ("picklescan advisories of 2025", "numpy.testing._private.utils", "runstring"),
    ("GHSA-v7x6-rv5q-mhwc", "timeit", "timeit"),
    ("GHSA-xp4f-hrf8-rxw7", "ensurepip", "_run_pip"),
    ("GHSA-vvpj-8cmc-gx39", "pkgutil", "resolve_name"),
    ("GHSA-g38g-8gr9-h9xp", "uuid", "_get_command_stdout"),
    ("GHSA-g38g-8gr9-h9xp", "_osx_support", "_read_output"),
    ("GHSA-g38g-8gr9-h9xp", "_aix_support", "_read_cmd_output"),
    ("GHSA-g38g-8gr9-h9xp", "_pyrepl.pager", "pipe_pager"),
    ("GHSA-g38g-8gr9-h9xp", "imaplib", "IMAP4_stream"),
    ("GHSA-g38g-8gr9-h9xp", "test.support.script_helper", "assert_python_ok"),
    ("picklescan's list of imports", "profile", "run"),
    ("GHSA-955r-x9j8-7rhh", "_operator", "attrgetter"),
    ("GHSA-m273-6v24-x4m4", "_operator", "methodcaller"),
    ("GHSA-m273-6v24-x4m4", "operator", "methodcaller"),
    ("GHSA-m273-6v24-x4m4", "operator", "itemgetter"),
    ("GHSA-46h3-79wf-xr6c", "cProfile", "runctx"),
    ("fickling, recent bypasses of picklescan", "numpy.f2py.crackfortran", "getlincoef"),
    ("fickling, recent bypasses of picklescan", "numpy.f2py.crackfortran", "_eval_length"),
    ("fickling, recent bypasses of picklescan", "distutils.file_util", "write_file"),
    ("picklescan's list of imports", "pydoc", "locate"),
    ("GHSA-hgrh-qx5j-jfwx", "ssl", "get_server_certificate"),
    ("picklescan pull 74", "importlib", "import_module"),
    ("picklescan pull 74", "marshal", "loads"),
    ("fickling, recent bypasses of picklescan", "functools", "partial"),
    ("fickling, recent bypasses of picklescan", "doctest", "debug_script"),
    ("fickling, recent bypasses of picklescan", "venv", "create"),
    ("picklescan advisories of 2025", "idlelib.run", "Executive.runcode"),
    ("picklescan advisories of 2025", "idlelib.pyshell", "ModifiedInterpreter.runcode"),
    ("picklescan advisories of 2025", "idlelib.pyshell", "ModifiedInterpreter.runcommand"),
    ("picklescan advisories of 2025", "idlelib.autocomplete", "AutoComplete.get_entity"),
    ("picklescan advisories of 2025", "idlelib.autocomplete", "AutoComplete.fetch_completions"),
    ("picklescan advisories of 2025", "idlelib.calltip", "get_entity"),
    ("picklescan advisories of 2025", "idlelib.calltip", "Calltip.fetch_tip"),
    ("picklescan advisories of 2025", "idlelib.debugobj", "ObjectTreeItem.SetText"),
    ("picklescan advisories of 2025", "lib2to3.pgen2.grammar", "Grammar.loads"),
    ("picklescan advisories of 2025", "lib2to3.pgen2.pgen", "ParserGenerator.make_label"),
    ("picklescan advisories of 2025", "code", "InteractiveInterpreter.runcode"),
    ("picklescan advisories of 2025", "trace", "Trace.run"),
    ("picklescan advisories of 2025", "trace", "Trace.runctx"),
    ("picklescan advisories of 2025", "cProfile", "run"),
    ("picklescan advisories of 2025", "profile", "Profile.run"),
    ("picklescan advisories of 2025", "torch.utils.bottleneck.__main__", "run_cprofile"),
    ("picklescan advisories of 2025", "torch.utils.bottleneck.__main__", "run_autograd_prof"),
    ("picklescan advisories of 2025", "torch.utils.collect_env", "run"),
    ("picklescan advisories of 2025", "torch.utils._config_module", "ConfigModule.load_config"),
    ("picklescan advisories of 2025", "torch.utils.data.datapipes.utils.decoder", "basichandlers"),
    ("picklescan advisories of 2025", "torch._dynamo.guards", "GuardBuilder.get"),
    ("picklescan advisories of 2025", "torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_guards_expression"),
    ("picklescan advisories of 2025", "torch.jit.unsupported_tensor_ops", "execWrapper"),
    ("picklescan advisories of 2025", "torch._inductor.codecache", "compile_file"),
    ("picklescan advisories of 2025", "torch.serialization", "load"),
    ("picklescan advisories of 2025", "torch", "load"),
    ("picklescan advisories of 2025", "torch.storage", "_load_from_bytes"),
    ("picklescan advisories of 2025", "cloudpickle.cloudpickle", "_make_function"),
    ("picklescan advisories of 2025", "cloudpickle.cloudpickle", "subimport"),
    ("picklescan advisories of 2025", "cloudpickle.cloudpickle", "_builtin_type"),
    ("picklescan advisories of 2025", "types", "CodeType"),
    ("picklescan advisories of 2025", "types", "FunctionType"),
    ("picklescan advisories of 2025", "_io", "FileIO"),
    ("picklescan advisories of 2025", "logging", "FileHandler"),
    ("picklescan advisories of 2025", "urllib.request", "urlopen"),
    ("picklescan advisories of 2025", "ctypes", "CDLL"),
    ("picklescan advisories of 2025", "commands", "getoutput"),
    ("fickling's list of imports", "_posixsubprocess", "fork_exec"),
    ("fickling's list of imports", "multiprocessing.util", "spawnv_passfds"),
    ("fickling's list of imports", "multiprocessing.process", "BaseProcess.run"),
    ("fickling's list of imports", "zipimport", "zipimporter.load_module"),
    ("fickling's list of imports", "site", "addsitedir"),
    ("fickling's list of imports", "unittest.mock", "_importer"),
    ("fickling's list of imports", "inspect", "getmembers"),
    ("fickling's list of imports", "gc", "get_objects"),
    ("fickling's list of imports", "smtplib", "SMTP"),
    ("fickling's list of imports", "ftplib", "FTP"),
    ("fickling's list of imports", "telnetlib", "Telnet"),
    ("fickling's list of imports", "dill", "loads"),
    ("fickling's list of imports", "joblib", "load"),
    ("fickling's list of imports", "tempfile", "mktemp"),
    ("fickling's list of imports", "socketserver", "TCPServer"),
    ("fickling's list of imports", "xmlrpc.client", "ServerProxy"),
    ("fickling's list of imports", "signal", "raise_signal"),
    ("fickling's list of imports", "atexit", "register"),
    ("fickling's list of imports", "threading", "Thread"),
    ("fickling's list of imports", "sqlite3", "connect"),
    ("fickling's list of imports", "fileinput", "input"),
    ("fickling's list of imports", "platform", "popen"),
    ("fickling's list of imports", "linecache", "getlines"),
    ("fickling's list of imports", "compileall", "compile_file"),
    ("fickling's list of imports", "py_compile", "compile"),
    ("fickling's list of imports", "mmap", "mmap"),
    ("fickling's list of imports", "tarfile", "open"),
    ("fickling's list of imports", "zipfile", "ZipFile"),
    ("fickling's list of imports", "shelve", "open"),
    ("fickling's list of imports", "imp", "load_source"),
    ("fickling's list of imports", "codeop", "compile_command"),
    ("fickling's list of imports", "pexpect", "run"),
    ("arXiv 2508.19774, gadgets of frameworks", "numpy", "load"),
    ("arXiv 2508.19774, gadgets of frameworks", "numpy.lib.npyio", "fromregex"),
    ("arXiv 2508.19774, gadgets of frameworks", "torch.hub", "load"),
    ("arXiv 2508.19774, gadgets of frameworks", "torch.jit", "load"),
    ("arXiv 2508.19774, gadgets of frameworks", "torch.package", "PackageImporter"),
    ("arXiv 2508.19774, gadgets of frameworks", "torch._utils", "_import_dotted_name"),
    ("arXiv 2508.19774, gadgets of frameworks", "torch.distributed.rpc", "remote"),
    ("arXiv 2508.19774, gadgets of frameworks", "joblib._memmapping_reducer", "load"),
    ("arXiv 2508.19774, gadgets of frameworks", "sklearn.utils._testing", "run_command"),
    ("arXiv 2508.19774, gadgets of frameworks", "pandas", "read_pickle"),
    ("arXiv 2508.19774, gadgets of frameworks", "tensorflow.python.eager.polymorphic_function", "function"),
    ("arXiv 2508.19774, gadgets of frameworks", "keras.layers", "Lambda"),
    ("no list has it", "builtins", "globals"),
    ("no list has it", "builtins", "setattr"),
    ("no list has it", "builtins", "map"),
    ("no list has it", "copyreg", "_reconstructor"),
    ("no list has it", "collections", "OrderedDict.__init__"),
    ("no list has it", "torch._utils", "_rebuild_tensor_v2.__globals__"),
)


def torch_zip(pickled: bytes, *, extra: tuple[tuple[str, bytes], ...] = (), method: int = zipfile.ZIP_STORED) -> bytes:
    """What `torch.save` writes, of this data.pkl."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, data in (("data.pkl", pickled), *extra, ("version", b"3\n")):
            made.writestr(zipfile.ZipInfo(f"archive/{name}"), data, method)
    return out.getvalue()


def _central(raw: bytes) -> int:
    return struct.unpack_from("<I", raw, raw.rindex(b"PK\x05\x06") + 16)[0]


def patched(raw: bytes, at: int, value: bytes) -> bytes:
    return raw[:at] + value + raw[at + len(value) :]


EVIL = calls("posix", "system")


def _streams() -> Iterator[Sample]:
    def one(name: str, data: bytes, source: str, file: str = "model.pkl") -> Sample:
        return Sample(name, "stream", source, file, data)

    eop = "arXiv 2508.19774, exception-oriented programming"
    nullifai = "ReversingLabs, nullifAI, 2025"
    yield one("breaks after its payload", b"\x80\x04" + EVIL[2:-1] + b"X\xff\xff\xff\x7f", nullifai)
    yield one("breaks at an unknown opcode", EVIL[:-1] + b"\xff", nullifai)
    yield one("is cut off before the end", EVIL[:-1], nullifai)
    yield one("breaks inside a number", EVIL[:-1] + b"L99999x\n.", eop)
    yield one("breaks at an empty stack", EVIL[:-1] + b"00.", eop)
    yield one("a second stream behind a harmless one", STATE + EVIL, "picklescan test data, malicious6")
    yield one("a second stream behind padding", STATE + b"\0" * 64 + EVIL, eop)
    yield one("protocol named again", b"\x80\x02\x80\x04" + EVIL[2:], eop)
    yield one("protocol of the future", b"\x80\x09" + EVIL[2:], eop)
    yield one("no protocol at all", EVIL[2:], "protocols 0 and 1 name none")
    yield one("INST", b"(S'penstock-inert'\niposix\nsystem\n.", "picklescan test data, malicious10")
    yield one("OBJ", b"(cposix\nsystem\nS'penstock-inert'\no.", "picklescan, opcodes")
    yield one("EXT1", b"\x80\x02\x82\x01(X\x01\x00\x00\x00atR.", "PEP 307, the extension registry")
    yield one("EXT4", b"\x80\x02\x84\x01\x00\x00\x00)R.", "PEP 307, the extension registry")
    yield one("NEWOBJ_EX", b"\x80\x04" + text("subprocess") + text("Popen") + b"\x93)}\x92.", "PEP 3154")
    yield one("NEWOBJ", b"\x80\x02csubprocess\nPopen\n)\x81.", "PEP 307")
    swapped = b"Vos\np2\n0Vsystem\np3\n0Vtorch\np0\n0VLongStorage\np1\n0g2\ng3\n\x93(Vpenstock-inert\ntR."
    yield one("names through the memo", swapped, "picklescan, the Safe Pickle challenge")
    twice = b"\x80\x04" + text("collections") + b"q\x00" + text("posix") + b"q\x00" + b"0" + text("system") + b"\x93."
    yield one("memo written twice", twice, "picklescan, the Safe Pickle challenge")
    yield one("name made by a call", b"\x80\x04" + text("posix") + calls("builtins", "str")[2:-1] + b"\x93.", "GHSA-vvpj-8cmc-gx39")
    yield one("a name of bytes", b"\x80\x04C\x05posixC\x06system\x93)R.", "GHSA-9gvj-pp9x-gcfr")
    yield one("memo never written", b"\x80\x02h\x07h\x08\x93.", "GHSA-9gvj-pp9x-gcfr")
    yield one("module with a space", b"ccollections OrderedDict\nsystem\n)R.", "pickletools joins module and name with a space")
    yield one(
        "allowed module, nested name", b"\x80\x04" + text("torch") + text("Size.__init__.__globals__") + b"\x93.", "GHSA-vvpj-8cmc-gx39"
    )
    state = b"\x80\x02ccollections\nOrderedDict\n)R}" + text("__setstate__") + b"cposix\nsystem\nsbX\x01\x00\x00\x00ab."
    yield one("BUILD with __setstate__", state, "pickle.py, load_build")
    yield one("BUILD of attributes", b"\x80\x02ccollections\nOrderedDict\n)R}" + text("__class__") + b"K\x01sb.", "pickle.py, load_build")
    yield one("BUILD of slots", b"\x80\x02ccollections\nOrderedDict\n)RN}" + text("x") + b"K\x01s\x86b.", "pickle.py, load_build")
    yield one("APPENDS on an object", b"\x80\x02ccollections\nOrderedDict\n)R(K\x01e.", "pickle.py, load_appends")
    yield one("SETITEM on a module", b"\x80\x02csys\nmodules\n" + text("os") + b"Ns.", "picklescan test data, sys_module_override")
    yield one(
        "a codec that unpacks",
        b"\x80\x02c_codecs\nencode\n" + text("a") + text("zip") + b"\x86R.",
        "codecs besides latin1 run code of the codec",
    )
    yield one("PERSID", b"Pposix.system\n.", "torch, persistent references")
    yield one("BINPERSID", b"\x80\x02" + text("x") + b"Q.", "torch, persistent references")
    yield one("calls what a call made", calls("collections", "OrderedDict", protocol=2)[:-1] + b")R.", "attribute chains")
    yield one("an array of objects", _object_array(), "numpy, allow_pickle")
    yield one("dtype of objects", b"\x80\x02cnumpy\ndtype\n" + text("O8") + b"\x85R.", "numpy, allow_pickle")
    yield one("a result thrown away", EVIL[:-1] + b"0N.", "fickling, POP hides calls")
    yield one("a call kept in a dict", b"\x80\x02}" + text("a") + EVIL[2:-1] + b"s.", "fickling, cycles and fills")
    yield one("sour pickles", b"c__builtin__\nglobals\n(tRp100\n0c__builtin__\neval\n(S'0'\ng100\ntR.", "Slaviero, Sour Pickles, 2011")
    yield one("attribute chain", b"c__builtin__\ngetattr\n(cos\npath\nS'join'\ntR.", "picklescan test data, malicious12")


def _object_array() -> bytes:
    shape = b"K\x00\x85c_codecs\nencode\n" + text("b") + text("latin1") + b"\x86R\x87R"
    dtype = b"cnumpy\ndtype\n" + text("f8") + b"\x85R"
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        + shape
        + b"(K\x01K\x01\x85"
        + dtype
        + b"\x89]"
        + EVIL[2:-1]
        + b"atb."
    )


def _names() -> Iterator[Sample]:
    for file in (
        "model.safetensors",
        "model.gguf",
        "model.onnx",
        "vocab.txt",
        "config.json",
        "weights.npy",
        "weights.dat",
        "model",
        "model.jpg",
    ):
        yield Sample(f"as {file}", "wrong name", "CVE-2025-1889, CVE-2025-10155", file, calls("posix", "system", protocol=0))
    yield Sample("protocol 4 as config.yaml", "wrong name", "CVE-2025-1889", "config.yaml", EVIL)
    yield Sample("a picture that is a pickle", "wrong name", "picklescan test data, bad_pytorch", "model.pt", b"\x89PNG\r\n\x1a\n" + EVIL)
    yield Sample("code beside the weights", "wrong name", "transformers, trust_remote_code", "modeling_x.py", b"print()\n")


def _archives() -> Iterator[Sample]:
    def one(name: str, data: bytes, source: str, file: str = "pytorch_model.bin") -> Sample:
        return Sample(name, "archive", source, file, data)

    plain = torch_zip(EVIL)
    table = _central(plain)
    yield one("torch archive", plain, "ykilcher/totally-harmless-model, 2022")
    good = torch_zip(STATE)
    good_table = _central(good)
    for bit in (0x1, 0x20, 0x40):
        flags = struct.pack("<H", bit)
        yield one(f"flag {bit:#x} in front", patched(plain, 6, flags), "CVE-2025-1945")
        yield one(f"flag {bit:#x} in the table", patched(plain, table + 8, flags), "CVE-2025-1945")
    yield one("another name in the table", patched(plain, table + 46, b"archive/data.txt"), "CVE-2025-1944")
    yield one("another name in front", patched(plain, 30, b"archive/data.txt"), "CVE-2025-1944")
    yield one("a wrong checksum", patched(patched(plain, 14, b"\0\0\0\0"), table + 16, b"\0\0\0\0"), "CVE-2025-10156")
    yield one("a wrong checksum in front only", patched(plain, 14, b"abcd"), "CVE-2025-10156")
    yield one("harmless in the table, another in front", _doubled(good, plain), "zip confusion")
    yield one("bytes before the archive", EVIL + plain, "polyglots, Trail of Bits 2024")
    yield one("a pickle before a harmless archive", EVIL + good, "polyglots, Trail of Bits 2024")
    yield one("a pickle behind a harmless archive", good + EVIL, "polyglots, Trail of Bits 2024")
    comment = patched(good, len(good) - 2, struct.pack("<H", len(EVIL))) + EVIL
    yield one("a pickle in the comment", comment, "polyglots, Trail of Bits 2024")
    yield one("bytes between members and table", _gap(good, good_table), "polyglots, Trail of Bits 2024")
    yield one("compressed", torch_zip(EVIL, method=zipfile.ZIP_DEFLATED), "picklescan, compressed members")
    yield one("data.pkl twice", _twice(), "zip confusion")
    yield one("a nested zip", torch_zip(STATE, extra=(("inner.zip", plain),)), "nested archives")
    yield one("a second pickle", torch_zip(STATE, extra=(("payload.pkl", EVIL),)), "members that scanners pass over by their names")
    yield one(
        "TorchScript", torch_zip(STATE, extra=(("code/__torch__.py", b"pass\n"), ("constants.pkl", b"\x80\x02)."))), "TorchScript runs code"
    )
    yield one("a torch package", torch_zip(STATE, extra=((".data/extern_modules", b"os\n"),)), "torch.package")
    yield one("a storage that is not there", torch_zip(_storage("7")), "references outside the archive")
    yield one("a reference to a file", torch_zip(_storage("../../x")), "references outside the archive")
    yield one("a path that climbs", torch_zip(STATE, extra=(("../../x", b"x"),)), "zip slip")
    yield one("a plain zip", _plain_zip(), "picklescan test data, malicious1", "model.zip")
    yield one("npz of objects", _plain_zip("a.npy"), "numpy, allow_pickle", "weights.npz")
    yield one("7z", b"7z\xbc\xaf\x27\x1c\x00\x04" + b"\0" * 24, "nullifAI: 7z in place of zip")
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as made:
        info = tarfile.TarInfo("pickle")
        info.size = len(EVIL)
        made.addfile(info, io.BytesIO(EVIL))
    yield one("tar of old torch", tar.getvalue(), "CVE-2025-32434")
    yield one("zlib, as joblib packs", zlib.compress(EVIL), "joblib, compressed pickles", "model.joblib")
    yield one("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + EVIL, "joblib, compressed pickles", "model.pkl.gz")
    yield one("joblib", EVIL, "joblib", "model.joblib")
    magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00."
    yield one("old torch stream", magic + EVIL, "torch before 1.6", "model.pt")
    yield one("old torch, wrong magic", magic[:6] + b"\0" + magic[7:] + EVIL, "picklescan test data, pytorch_magic_bypass", "model.pt")
    yield one("Keras HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 64, "CVE-2024-3660", "model.h5")
    yield one("Keras zip", _plain_zip("config.json"), "CVE-2025-1550", "model.keras")
    yield one("TensorFlow graph", b"\x08\x01\x12\x04test", "ReadFile and WriteFile in a SavedModel", "saved_model.pb")


def _doubled(good: bytes, evil: bytes) -> bytes:
    """The evil members first, where a reader of heads finds them; a table that names only the good ones."""
    begin = evil[: _central(evil)]
    table = good[_central(good) :]
    moved = io.BytesIO()
    moved.write(begin + good[: _central(good)])
    at = 0
    while table[at : at + 4] == b"PK\x01\x02":
        table = patched(table, at + 42, struct.pack("<I", struct.unpack_from("<I", table, at + 42)[0] + len(begin)))
        at += 46 + sum(struct.unpack_from("<HHH", table, at + 28))
    return moved.getvalue() + patched(table, at + 16, struct.pack("<I", moved.tell()))


def _gap(raw: bytes, table: int) -> bytes:
    end = raw.rindex(b"PK\x05\x06")
    tail = patched(raw[table:], end - table + 16, struct.pack("<I", table + len(EVIL)))
    return raw[:table] + EVIL + tail


def _twice() -> bytes:
    raw = torch_zip(STATE, extra=(("data.pkX", EVIL),))
    return raw.replace(b"data.pkX", b"data.pkl")


def _storage(key: str) -> bytes:
    reference = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + b"K\x01tQ"
    return b"\x80\x02" + reference + b"."


def _plain_zip(name: str = "data.pkl") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr(name, EVIL)
    return out.getvalue()


def safetensors(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def npy(kind: str, data: bytes, shape: str = "(1,)") -> bytes:
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def gguf_text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(pairs: dict[str, str], *, tensors: int = 0, entries: int | None = None, rest: bytes = b"") -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, tensors, len(pairs) if entries is None else entries)
    return head + b"".join(gguf_text(k) + struct.pack("<I", 8) + gguf_text(v) for k, v in pairs.items()) + rest


def field(number: int, value: bytes | int) -> bytes:
    """One field of a protocol buffer."""

    def varint(n: int) -> bytes:
        out = bytearray()
        while n > 127:
            out.append(n & 127 | 128)
            n >>= 7
        out.append(n)
        return bytes(out)

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def onnx(*, operator: str = "Add", domain: str = "", location: str | None = None) -> bytes:
    graph = field(1, field(4, operator.encode()) + (field(7, domain.encode()) if domain else b""))
    if location is not None:
        graph += field(5, field(13, field(1, b"location") + field(2, location.encode())) + field(14, 1))
    return field(1, 10) + field(7, graph) + field(8, field(2, 21))


def _formats() -> Iterator[Sample]:
    def one(name: str, file: str, data: bytes, source: str) -> Sample:
        return Sample(name, "format", source, file, data)

    spec = "safetensors, audit by Trail of Bits 2023"
    tensor = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    yield one("header longer than the file", "a.safetensors", struct.pack("<Q", 2**40) + tensor, spec)
    yield one(
        "tensor outside the file", "a.safetensors", safetensors(tensor.replace(b"[1]", b"[9]").replace(b"0,4", b"0,36"), b"\0" * 4), spec
    )
    two = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}'
    yield one("overlapping tensors", "a.safetensors", safetensors(two, b"\0" * 6), spec)
    double = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    yield one("a name twice", "a.safetensors", safetensors(double, b"\0" * 4), spec)
    yield one("a pickle behind the tensors", "a.safetensors", safetensors(tensor, b"\0" * 4 + EVIL), spec)
    yield one("array of objects", "a.npy", npy("|O", EVIL), "numpy, allow_pickle")
    yield one("array header that calls", "a.npy", npy("<f4", b"\0" * 4).replace(b"False", b"exit("), "numpy, header is a literal")
    reach = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    talos = "Databricks 2024, CVE-2024-25664 to 25668"
    yield one("template reaches for classes", "a.gguf", gguf({"tokenizer.chat_template": reach}), "CVE-2024-34359")
    yield one("counts too much", "a.gguf", gguf({}, entries=2**60), talos)
    yield one("text longer than the file", "a.gguf", gguf({}, entries=1, rest=struct.pack("<Q", 2**62)), talos)
    yield one("tensor outside", "a.gguf", gguf({}, tensors=1, rest=gguf_text("w") + struct.pack("<IQIQ", 1, 2**40, 0, 0)), talos)
    for name, template in {
        "attr filter": "{{ x|attr('_' ~ '_class_' ~ '_') }}",
        "joined item": "{{ x['_' ~ '_class__'] }}",
        "format": "{{ '{0._x}'.format(x) }}",
        "lipsum": "{{ lipsum.func_globals }}",
        "cycler": "{{ cycler.next }}",
        "map": "{{ [x]|map(attribute='_x')|list }}",
        "escapes": "{{ x['\\x5f\\x5fclass'] }}",
        "import": "{% import 'x' as y %}",
    }.items():
        yield one(f"template, {name}", "tokenizer_config.json", json.dumps({"chat_template": template}).encode(), "CVE-2024-34359")
    cve = "CVE-2022-25882, CVE-2024-27318"
    for place in ("../../../x", "/x", "a/../../x", "..\\x", "C:x", "missing.data"):
        yield one(f"external data at {place}", "a.onnx", onnx(location=place), cve)
    yield one("operator of Python", "a.onnx", onnx(operator="PyOp", domain="ai.onnx.contrib"), "onnxruntime-extensions, PyOp")
    yield one("PythonOp", "a.onnx", onnx(operator="PythonOp", domain="com.microsoft"), "onnxruntime-training, PythonOp")
    yield one("operator of a library", "a.onnx", onnx(operator="Evil", domain="my.lib"), "custom operator libraries")
    yield one("no protocol buffer", "a.onnx", b"\x08" + b"\xff" * 12, "truncated messages")
    for key, value in {
        "auto_map": {"AutoModel": "modeling_x.X"},
        "trust_remote_code": True,
        "custom_pipelines": {"x": {"impl": "x.X"}},
        "_target_": "os.system",
        "py/object": "os.system",
    }.items():
        yield one(f"config, {key}", "config.json", json.dumps({"model": {key: value}}).encode(), "code beside the weights")
    yield one("config, Lambda", "config.json", json.dumps({"layers": [{"class_name": "Lambda"}]}).encode(), "CVE-2024-3660")
    yield one("config, twice", "config.json", b'{"auto_map":null,"auto_map":{"a":"b"}}', "parsers differ")
    yield one("YAML object", "config.yaml", b"a: !!python/object/apply:os.system [penstock-inert]\n", "PyYAML, unsafe loaders")
    yield one("YAML target", "config.yaml", b"model:\n  _target_: os.system\n", "Hydra, as NeMo uses it")


def samples() -> list[Sample]:
    """All of them; names are unique within a group."""
    found: list[Sample] = []
    for module, name in CLASSICS:
        for protocol in (0, 2, 4):
            old = "__builtin__" if module == "builtins" and protocol < 3 else module
            said = f"{old}.{name}, protocol {protocol}"
            found.append(Sample(said, "classic", "picklescan test data", "model.pkl", calls(old, name, protocol=protocol)))
    for source, module, name in ADVISORIES:
        found.append(Sample(f"{module}.{name}", "import", source, "model.pkl", calls(module, name)))
    return [*found, *_streams(), *_names(), *_archives(), *_formats()]
