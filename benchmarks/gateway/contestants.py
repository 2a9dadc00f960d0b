"""Who runs: how each gateway is installed, configured and started, and how it wants to be asked.

Peers are installed into ``.bench/<name>`` from their public packages and run as one process with the flags that their own documentation
gives for production; ``README.md`` lists them. Each forwards to the mock as to an OpenAI-compatible endpoint.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.gateway.load import Request

MODEL = "gpt-4o-mini"
KEY = "sk-bench-0123456789abcdef"


class CannotRun(RuntimeError):
    """The contestant could not be installed or configured; the message says which step failed, and how."""


@dataclass(frozen=True)
class Launch:
    """How to start a contestant that listens on a port that it was given (or names in its log, see ``port_pattern``).

    ``port_pattern``: for a gateway that picks its own port: a regular expression whose first group, found in its log, is the port.
    """

    command: list[str]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: Path | None = None
    port_pattern: str | None = None


class Contestant(Protocol):
    name: str

    def install(self, home: Path) -> str:
        """Make ``home`` ready (nothing to do when it is) and return the version. Raises CannotRun."""
        ...

    def prepare(self, home: Path, work: Path, mock_port: int, port: int) -> Launch:
        """Write what the process reads into ``work`` (empty and fresh) and say how to start it on ``port``."""
        ...

    def request(self, port: int, size: int, *, stream: bool) -> Request:
        """The chat request of ``size`` body bytes in the way that this gateway wants to be asked."""
        ...


def _run(command: list[str], *, cwd: Path | None = None, log: Path) -> str:
    log.parent.mkdir(parents=True, exist_ok=True)
    answer = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    log.write_text(f"$ {' '.join(command)}\n{answer.stdout}\n{answer.stderr}")
    if answer.returncode:
        raise CannotRun(f"`{' '.join(command)}` ended with {answer.returncode}: {answer.stderr.strip()[-400:]} (see {log})")
    return answer.stdout


def _python_home(home: Path, requirement: str, package: str) -> str:
    """A virtual environment with ``requirement``, made once; returns the installed version of ``package``."""
    python = home / "bin" / "python"
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(home)], log=home.parent / f"{package}-venv.log")
    asked = [str(python), "-c", f"import importlib.metadata as m; print(m.version({package!r}))"]
    if subprocess.run(asked, capture_output=True, check=False).returncode:
        _run([str(python), "-m", "pip", "install", "--quiet", requirement], log=home.parent / f"{package}-install.log")
    return _run(asked, log=home.parent / f"{package}-version.log").strip()


class Mock:
    """The upstream itself, asked directly: the limit."""

    name = "mock"

    def install(self, home: Path) -> str:
        return "-"

    def prepare(self, home: Path, work: Path, mock_port: int, port: int) -> Launch:
        return Launch([sys.executable, "-m", "benchmarks.gateway.mock", "--port", str(port)])

    def request(self, port: int, size: int, *, stream: bool) -> Request:
        return Request(port, "/v1/chat/completions", MODEL, size, stream, {"Authorization": f"Bearer {KEY}"})


class TensorZero:
    """TensorZero's embedded gateway: the Rust gateway, served over HTTP from a Python process that does nothing else."""

    name = "tensorzero"

    def install(self, home: Path) -> str:
        return _python_home(home, "tensorzero", "tensorzero")

    def prepare(self, home: Path, work: Path, mock_port: int, port: int) -> Launch:
        config = work / "tensorzero.toml"
        config.write_text(
            "[gateway]\nobservability.enabled = false\n\n"
            f'[models.{MODEL}]\nrouting = ["mock"]\n\n[models.{MODEL}.providers.mock]\ntype = "openai"\n'
            f'api_base = "http://127.0.0.1:{mock_port}/v1/"\nmodel_name = "{MODEL}"\napi_key_location = "none"\n'
        )
        script = Path(__file__).with_name("tensorzero_server.py")
        return Launch([str(home / "bin" / "python"), str(script), str(config)], port_pattern=r"ready (\d+)")

    def request(self, port: int, size: int, *, stream: bool) -> Request:
        return Request(
            port, "/openai/v1/chat/completions", f"tensorzero::model_name::{MODEL}", size, stream, {"Authorization": f"Bearer {KEY}"}
        )


class Portkey:
    """Portkey's gateway on Node, without its console page. The provider and its address come with each request, as it wants them.

    Its declared range admits @hono/node-server 1.14 and later, with which version 1.15.2 answers every stream with 500 ("immutable"
    headers); 1.13.8 is the newest with which it streams.
    """

    name = "portkey"
    overrides = {"@hono/node-server": "1.13.8"}

    def install(self, home: Path) -> str:
        npm = shutil.which("npm")
        if npm is None or shutil.which("node") is None:
            raise CannotRun("node and npm are not installed.")
        package = home / "node_modules" / "@portkey-ai" / "gateway" / "package.json"
        if not package.exists():
            home.mkdir(parents=True, exist_ok=True)
            (home / "package.json").write_text(json.dumps({"private": True, "overrides": self.overrides}))
            _run([npm, "install", "--no-audit", "--no-fund", "@portkey-ai/gateway"], cwd=home, log=home.parent / "portkey-install.log")
        return str(json.loads(package.read_text())["version"])

    def prepare(self, home: Path, work: Path, mock_port: int, port: int) -> Launch:
        self._upstream = f"http://127.0.0.1:{mock_port}/v1"
        server = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
        return Launch(["node", str(server), "--headless", f"--port={port}"], env={"NODE_ENV": "production"}, cwd=home)

    def request(self, port: int, size: int, *, stream: bool) -> Request:
        headers = {"Authorization": f"Bearer {KEY}", "x-portkey-provider": "openai", "x-portkey-custom-host": self._upstream}
        return Request(port, "/v1/chat/completions", MODEL, size, stream, headers)


class LiteLLM:
    """LiteLLM's proxy, one worker, with its master key as the only key: limits and budgets would need a PostgreSQL."""

    name = "litellm"

    def install(self, home: Path) -> str:
        return _python_home(home, "litellm[proxy]", "litellm")

    def prepare(self, home: Path, work: Path, mock_port: int, port: int) -> Launch:
        config = work / "config.yaml"
        config.write_text(
            f"model_list:\n  - model_name: {MODEL}\n    litellm_params:\n      model: openai/{MODEL}\n      api_key: sk-upstream\n"
            f"      api_base: http://127.0.0.1:{mock_port}/v1\n"
            f"general_settings:\n  master_key: {KEY}\nlitellm_settings:\n  set_verbose: false\n  request_timeout: 600\n"
        )
        env = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        command = [str(home / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        return Launch(command, env=env, cwd=work)

    def request(self, port: int, size: int, *, stream: bool) -> Request:
        return Request(port, "/v1/chat/completions", MODEL, size, stream, {"Authorization": f"Bearer {KEY}"})


def environment_note() -> dict[str, str]:
    """What of the surroundings every contestant shares."""
    return {name: os.environ[name] for name in ("PYTHONOPTIMIZE", "MALLOC_ARENA_MAX", "LD_PRELOAD") if name in os.environ}
