"""Schemathesis over our own OpenAPI document: whatever it makes up, no answer is a 5xx, and each is one that the document promises.

Wants an environment of its own (``make test-compatibility``). ``PENSTOCK_EXAMPLES`` says how many requests each operation gets.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.compatibility.conftest import Rig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.filterwarnings("ignore")]


def test_no_request_that_the_document_allows_or_forbids_ends_in_a_server_error(rig: Rig, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis", reason="make test-compatibility installs it")
    # A thousandth of a second is a lawful wish, and 504 the right answer to it.
    (tmp_path / "schemathesis.toml").write_text('[parameters]\n"header.x-penstock-timeout" = "20"\n')
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{rig.url}/openapi.json", "--url", rig.url),
        *(
            "-H",
            f"Authorization: Bearer {rig.admin}",
            "--checks",
            "not_a_server_error,content_type_conformance,response_schema_conformance",
        ),
        *("--max-examples", os.environ.get("PENSTOCK_EXAMPLES", "15"), "--phases", "examples,coverage,fuzzing", "--seed", "1"),
        # Keys that are revoked or rotated may be the one that asks; client secrets are refused with 501, and that is documented.
        *(
            "--exclude-path-regex",
            "/revoke|/rotate|/client_secrets",
            "--request-timeout",
            "20",
            "--no-color",
            "--generation-database",
            "none",
        ),
    ]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    # The failures first: behind them come pages of advice.
    told = ran.stdout + ran.stderr
    assert ran.returncode == 0, told[told.find("= FAILURES =") :][:6000]
