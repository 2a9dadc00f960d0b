from __future__ import annotations

import base64
import hashlib
import json

from penstock.kernel.digest import told


def test_long_base64_is_told_by_size_and_digest() -> None:
    content = bytes(range(256)) * 20
    run = base64.b64encode(content).decode()
    body = json.dumps({"a": run, "b": f"data:image/png;base64,{run}", "c": "short", "d": "QUJD"}).encode()
    read = json.loads(told(body))
    digest = hashlib.sha256(run.encode()).hexdigest()
    assert read["a"] == f"[5120 bytes in base64, SHA-256 of them: {digest}]"
    assert read["b"] == f"data:image/png;base64,[5120 bytes in base64, SHA-256 of them: {digest}]"
    assert (read["c"], read["d"]) == ("short", "QUJD")


def test_texts_stay() -> None:
    body = json.dumps({"text": "word " * 1000, "escaped": "a\\nb" * 500}).encode()
    assert told(body) == body
