"""ClickHouse's HTTP interface: a statement goes out, lines of JSON come back. Blocking, for threads; a connection each."""

from __future__ import annotations

import base64
import http.client
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import msgspec

from penstock.kernel.errors import SettingsError, StorageError, StorageFull

TIMEOUT = 60.0
_SETTINGS = {
    "default_format": "JSONCompactEachRow",
    "output_format_json_quote_64bit_integers": "0",
    # A sum may be called like the column it is of.
    "prefer_column_name_to_alias": "1",
    "wait_end_of_query": "1",
}


class Server:
    """One database of one server."""

    def __init__(self, url: str) -> None:
        """Raises `SettingsError` for a URL without a host; the message does not repeat it."""
        split = urlsplit(url)
        if not split.hostname:
            raise SettingsError(
                "storage.telemetry: a ClickHouse URL has a host, as in clickhouse://user@host:8123/database", param="storage.telemetry"
            )
        self._secure = split.scheme == "clickhouses"
        self._host, self._port = split.hostname, split.port or (8443 if self._secure else 8123)
        self._database = split.path.strip("/") or "default"
        self.place = f"ClickHouse at {self._host}:{self._port}/{self._database}"
        user = f"{unquote(split.username or 'default')}:{unquote(split.password or '')}"
        self._headers = {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()}
        self._local = threading.local()
        self._open: set[http.client.HTTPConnection] = set()

    def rows(self, sql: str, values: dict[str, str]) -> list[tuple[Any, ...]]:
        """What a question is answered with."""
        return [tuple(row) for row in msgspec.json.Decoder(list[Any]).decode_lines(self.run(sql, values))]

    def run(self, sql: str, values: dict[str, str] | None = None, *, data: bytes = b"", into: Path | None = None, **settings: str) -> bytes:
        """Run one statement; with ``data`` for an insert, and the answer into a file where one is given.

        Raises `StorageError` and `StorageFull`; the message has the server's words and never the values.
        """
        asked = {
            "database": self._database,
            **_SETTINGS,
            **settings,
            **{f"param_{name}": _escaped(text) for name, text in (values or {}).items()},
        }
        body = sql.encode()
        if data:
            asked["query"], body = sql, data
        try:
            answer = self._answer(f"/?{urlencode(asked)}", body)
            if answer.status == 200:
                if into is None:
                    return answer.read()
                with into.open("wb") as file:
                    into.chmod(0o600)
                    while chunk := answer.read(1 << 20):
                        file.write(chunk)
                return b""
            said = answer.read(2000).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as fault:
            self._drop()
            raise StorageError(f"{self.place} does not answer: {type(fault).__name__}", retry_after=1) from fault
        if "NOT_ENOUGH_SPACE" in said:
            raise StorageFull(f"{self.place}: its disk is full", retry_after=5)
        raise StorageError(f"{self.place}: {' '.join(said.split())[:300]}", retry_after=1 if answer.status >= 500 else None)

    def _answer(self, path: str, body: bytes) -> http.client.HTTPResponse:
        for kept in (True, False):
            connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None) if kept else None
            if connection is None:
                if kept:
                    continue
                kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
                connection = self._local.connection = kind(self._host, self._port, timeout=TIMEOUT)
                self._open.add(connection)
            try:
                connection.request("POST", path, body, self._headers)
                return connection.getresponse()
            except (OSError, http.client.HTTPException):
                # A connection that was kept may have been closed meanwhile. Sending an insert twice does no harm: it carries its token.
                self._drop()
                if not kept:
                    raise
        raise AssertionError

    def _drop(self) -> None:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._open.discard(connection)
            self._local.connection = None

    def close(self) -> None:
        """Close all connections; no other thread may be in a statement."""
        while self._open:
            self._open.pop().close()


def _escaped(text: str) -> str:
    # Values of parameters are read as in a TSV field.
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
