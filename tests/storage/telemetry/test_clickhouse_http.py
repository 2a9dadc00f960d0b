from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from penstock.kernel.errors import SettingsError, StorageError, StorageFull
from penstock.storage.telemetry.clickhouse_http import Server


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: list[tuple[dict[str, list[str]], bytes, str | None]] = []
    answers: list[tuple[int, bytes]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((parse_qs(urlsplit(self.path).query), body, self.headers["Authorization"]))
        status, answer = self.answers.pop(0)
        if status == 0:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    Handler.asked, Handler.answers = [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def server(port: int) -> Iterator[Server]:
    opened = Server(f"clickhouse://me:p%40ss@127.0.0.1:{port}/spans")
    yield opened
    opened.close()


def test_values_go_beside_the_statement(server: Server) -> None:
    Handler.answers = [(200, b'["a",1]\n["b",null]\n')]
    assert server.rows("SELECT {p0:String}", {"p0": "it's\\a\tb\n"}) == [("a", 1), ("b", None)]
    ((asked, body, who),) = Handler.asked
    assert body == b"SELECT {p0:String}"
    assert asked["param_p0"] == ["it's\\\\a\\tb\\n"]
    assert asked["database"] == ["spans"]
    assert who == "Basic bWU6cEBzcw=="


def test_an_insert_carries_its_token_and_is_sent_again_when_a_kept_connection_was_closed(server: Server) -> None:
    Handler.answers = [(200, b""), (0, b""), (200, b"")]
    server.run("SELECT 1")
    server.run("INSERT INTO spans FORMAT JSONEachRow", data=b"{}\n", insert_deduplication_token="batch")
    assert [asked["insert_deduplication_token"] for asked, _, _ in Handler.asked[1:]] == [["batch"], ["batch"]]
    assert [body for _, body, _ in Handler.asked[1:]] == [b"{}\n", b"{}\n"]


def test_faults_say_where_and_what_and_nothing_secret(server: Server) -> None:
    Handler.answers = [(404, b"Code: 60. Unknown table"), (500, b"Code: 243. NOT_ENOUGH_SPACE")]
    with pytest.raises(StorageError, match="Unknown table") as caught:
        server.run("SELECT {p0:String}", {"p0": "hidden"})
    assert "hidden" not in caught.value.message
    assert "p@ss" not in caught.value.message
    with pytest.raises(StorageFull):
        server.run("INSERT")


def test_nobody_there_is_worth_another_try(port: int) -> None:
    server = Server("clickhouse://127.0.0.1:9")
    with pytest.raises(StorageError, match="does not answer") as caught:
        server.run("SELECT 1")
    assert caught.value.retry_after == 1
    server.close()


def test_an_answer_goes_into_a_file_that_only_its_owner_reads(server: Server, tmp_path: Path) -> None:
    Handler.answers = [(200, b"PAR1" * 500_000)]
    path = tmp_path / "out"
    assert server.run("SELECT 1 FORMAT Parquet", into=path) == b""
    assert path.stat().st_size == 2_000_000
    assert path.stat().st_mode & 0o077 == 0


def test_a_url_needs_a_host() -> None:
    with pytest.raises(SettingsError, match="has a host"):
        Server("clickhouse:///db")
