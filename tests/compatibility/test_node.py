"""OpenAI's SDK for Node. Needs node and npm: without them it is skipped, but not where tests must be complete (CI)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.compatibility.conftest import Rig
from tests.compatibility.provider import PNG

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

HERE = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the SDK installed in it."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        if os.environ.get("CI"):
            pytest.fail("node and npm are missing; tests must be complete here")
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("node")
    shutil.copy(HERE / "package.json", folder)
    command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr
    return folder


def test_openai_for_node(rig: Rig, packages: Path) -> None:
    environment = {**os.environ, "PENSTOCK_URL": rig.url, "PENSTOCK_KEY": rig.key}
    command = ["node", str(HERE / "main.mjs"), str(packages), PNG]
    ran = subprocess.run(command, cwd=packages, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.strip() == "all well"
