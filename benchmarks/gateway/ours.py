"""Our own contestants: Penstock with everything on that a call can go through, and the bare proxy that shows what its line costs."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gateway.contestants import KEY, MODEL, CannotRun, Launch
from benchmarks.gateway.load import Request
from benchmarks.gateway.processes import Running, free_port

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 60.0
PROVIDER = "bench"
# Far above any load here, so that they are counted and never refuse.
LIMITS = {"requests_per_minute": 100_000_000, "tokens_per_minute": 1_000_000_000_000, "concurrency": 100_000}
BUDGET_MICROS = 10**14


class Bare:
    """Penstock's server and client with nothing between them; see ``bare.py``."""

    name = "bare"

    def install(self, home: Path) -> str:
        return "-"

    def prepare(self, home: Path, work: Path, mock_port: int, port: int) -> Launch:
        return Launch([sys.executable, "-m", "benchmarks.gateway.bare", str(port), str(mock_port)], cwd=ROOT)

    def request(self, port: int, size: int, *, stream: bool) -> Request:
        return Request(port, "/v1/chat/completions", MODEL, size, stream, {"Authorization": f"Bearer {KEY}"})


class Penstock:
    """``penstock up`` from the environment that runs the benchmark.

    Once, a first start makes the data folder: a team, a project, a key with limits, and a hard budget each for team, project and
    key. Every measured start begins with a copy of that folder: keys checked, limits counted, budgets reserved and settled, prices
    known, every call journalled in the ledger and recorded with its prompt and reply, which are the defaults.
    """

    name = "penstock"

    def __init__(self) -> None:
        self._secret = ""
        self._founded: Path | None = None

    def install(self, home: Path) -> str:
        try:
            from penstock import __version__
        except ImportError as error:
            raise CannotRun(f"{error}; install Penstock into this environment (`make setup`).") from error
        return __version__

    def prepare(self, home: Path, work: Path, mock_port: int, port: int) -> Launch:
        if self._founded is None:
            self._founded = self._found(work.parent / "founded", mock_port)
        work.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self._founded / "data", work / "data", dirs_exist_ok=True)
        config = _config(work, mock_port, port)
        return Launch([sys.executable, "-m", "penstock", "up", "--config", str(config)], cwd=work)

    def request(self, port: int, size: int, *, stream: bool) -> Request:
        return Request(port, "/v1/chat/completions", MODEL, size, stream, {"Authorization": f"Bearer {self._secret}"})

    def _found(self, folder: Path, mock_port: int) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        config = _config(folder, mock_port, port)
        process = Running([sys.executable, "-m", "penstock", "up", "--config", str(config)], log=folder / "output.log", cwd=folder)
        try:
            admin = _admin_key(process)
            team = _post(port, admin, "/v1/teams", {"name": "Benchmark"})["id"]
            project = _post(port, admin, "/v1/projects", {"name": "Gateway", "team": team})["id"]
            made = _post(port, admin, "/v1/keys", {"name": "load", "project": project, "scopes": ["call"], "limits": LIMITS})
            self._secret = made["secret"]
            for kind, subject in (("team", team), ("project", project), ("key", made["key"]["id"])):
                budget = {"name": kind, "limit": BUDGET_MICROS, "period": "month", "subject_kind": kind, "subject": subject, "hard": True}
                _post(port, admin, "/v1/budgets", budget)
        finally:
            process.stop()
        return folder


def _config(folder: Path, mock_port: int, port: int) -> Path:
    config = folder / "penstock.toml"
    config.write_text(
        f"[server]\nport = {port}\ndata_dir = {json.dumps(str(folder / 'data'))}\n\n[gateway]\ndiscover = false\n\n"
        f'[gateway.providers.{PROVIDER}]\nprofile = "openai-compatible"\nbase_url = "http://127.0.0.1:{mock_port}/v1"\n'
        f'api_key = "sk-upstream"\nmodels = ["{MODEL}"]\n\n[finops.prices."{PROVIDER}/{MODEL}"]\ninput = 0.15\noutput = 0.6\n'
    )
    return config


def _admin_key(process: Running) -> str:
    """The key that a first start prints once. Raises CannotRun when it ends or does not print it in time."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        found = re.search(r"Admin key[^:]*: (\S+)", process.log.read_text(errors="replace"))
        if found:
            return found.group(1)
        if not process.alive:
            break
        time.sleep(0.05)
    raise CannotRun(f"Penstock's first start printed no admin key:\n{process.last_lines()}")


def _post(port: int, key: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, json.dumps(body), {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    if answer.status >= 300:
        raise CannotRun(f"Penstock answered POST {path} with {answer.status}: {data[:300]!r}")
    return dict(json.loads(data))
