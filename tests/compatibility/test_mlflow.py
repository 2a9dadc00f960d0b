"""A real MLflow server and its own client: what it holds is adopted, and what is exported here is taken in by its own migration.

Wants an environment of its own (``make test-compatibility``).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.compatibility.conftest import Rig

mlflow: Any = pytest.importorskip("mlflow", reason="make test-compatibility installs it")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    words = ["server", "--backend-store-uri", f"sqlite:///{folder}/m.db", "--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, **QUIET}, cwd=folder,
        )  # fmt: skip
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + 120
    try:
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except OSError:  # nobody listens yet, or nobody answers in time
                assert time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.2)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def command(rig: Rig, *words: str) -> str:
    env = {**os.environ, "PENSTOCK_KEY": rig.admin, "PENSTOCK_URL": rig.url}
    done = subprocess.run([sys.executable, "-m", "penstock", "registry", *words], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def get(rig: Rig, path: str) -> Any:
    asked = urllib.request.Request(rig.url + path, headers={"authorization": f"Bearer {rig.admin}"})
    with urllib.request.urlopen(asked, timeout=30) as reply:
        return json.load(reply)


def filled(url: str) -> None:
    """Make in MLflow what people make there."""
    client = mlflow.MlflowClient(url)
    mlflow.set_tracking_uri(url)
    client.create_registered_model("churn", tags={"team": "growth"}, description="who leaves")
    client.create_model_version("churn", source="s3://bucket/churn/1", tags={"licence": "mit"}, description="first")
    client.create_model_version("churn", source="s3://bucket/churn/2")
    client.set_registered_model_alias("churn", "champion", "1")
    client.transition_model_version_stage("churn", "1", "Production")
    mlflow.genai.register_prompt("greet", "Hello {{ name }}", commit_message="first")
    mlflow.genai.register_prompt("greet", [{"role": "system", "content": "S"}, {"role": "user", "content": "{{q}}"}], commit_message="chat")
    mlflow.genai.set_prompt_alias("greet", "production", 2)


def test_what_a_server_holds_is_adopted_as_drafts(rig: Rig, server: str) -> None:
    filled(server)
    said = command(rig, "import", "mlflow", "--from", server)
    assert "5 adopted" in said, said
    (churn,) = [one for one in get(rig, "/v1/registry/models")["data"] if one["name"] == "churn"]
    two, one = get(rig, f"/v1/registry/models/{churn['id']}")["versions"]
    assert (one["state"], two["state"]) == ("draft", "draft")
    notes = one["facts"]["notes"]
    assert (notes["mlflow.stage"], notes["mlflow.aliases"], notes["tag.team"]) == ("Production", "champion", "growth")
    assert one["facts"]["licence"] == "mit"
    greet = get(rig, "/v1/prompts/greet")
    assert greet["prompt"]["labels"] == {"mlflow-production": 2}
    assert [version["kind"] for version in greet["versions"]] == ["messages", "text"]
    assert "5 there already" in command(rig, "import", "mlflow", "--from", server)


def test_what_is_exported_is_read_by_mlflow_itself(rig: Rig, tmp_path: Path) -> None:
    out, database = tmp_path / "out", f"sqlite:///{tmp_path}/moved.db"
    command(rig, "export", "mlflow", "--to", str(out))
    env = {**os.environ, **QUIET, "MLFLOW_ALLOW_FILE_STORE": "true"}
    read = (
        "import json, sys, mlflow\n"
        "client = mlflow.MlflowClient(registry_uri=sys.argv[1], tracking_uri=sys.argv[1])\n"
        "model = client.get_registered_model('churn')\n"
        "one = client.get_model_version('churn', '1')\n"
        "mlflow.set_registry_uri(sys.argv[1]); mlflow.set_tracking_uri(sys.argv[1])\n"
        "prompt = mlflow.genai.load_prompt('prompts:/greet/2')\n"
        "text = mlflow.genai.load_prompt('prompts:/greet/1')\n"
        "label = client.get_prompt_version_by_alias('greet', 'mlflow-production').version\n"
        "state = one.tags['penstock.state']\n"
        "told = [model.description, one.source, state, one.current_stage, prompt.template, text.format(name='A'), label]\n"
        "print(json.dumps(told))\n"
    )
    moved = subprocess.run(
        [sys.executable, "-m", "mlflow", "migrate-filestore", "--source", str(out), "--target", database],
        env=env, capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert moved.returncode == 0, moved.stdout + moved.stderr
    for store in (str(out), database):
        done = subprocess.run([sys.executable, "-c", read, store], env=env, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        chat = [{"role": "system", "content": "S"}, {"role": "user", "content": "{{q}}"}]
        assert found == ["who leaves", "s3://bucket/churn/1", "draft", "None", chat, "Hello A", 2], store
