"""``python chdb_server.py``: ClickHouse's engine, from chDB, behind as much of its HTTP interface as Penstock uses; says its port.

ClickHouse itself comes from no Python package. The engine and its SQL are the real ones; the server around them is this.
"""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb.session import Session

LOCK = threading.Lock()
OURS = {"database", "query", "default_format", "wait_end_of_query"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    session: Session

    def do_POST(self) -> None:
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers["Content-Length"])).decode("utf-8")
        sql = f"{asked['query']}\n{body}" if "query" in asked else body
        values = {name[6:]: value for name, value in asked.items() if name.startswith("param_")}
        settings = {name: value for name, value in asked.items() if name not in OURS and not name.startswith("param_")}
        with LOCK:
            try:
                self.session.query(f"CREATE DATABASE IF NOT EXISTS {asked['database']} ENGINE = Atomic")
                self.session.query(f"USE {asked['database']}")
                for name, value in settings.items():
                    self.session.query(f"SET {name} = '{value}'")
                shape = "Parquet" if sql.endswith("FORMAT Parquet") else asked["default_format"]
                answer, status = self.session.query(sql, shape, params=values).bytes() or b"", 200
            except Exception as fault:  # whatever the engine says is the answer
                answer, status = str(fault).encode(), 400
            if "insert_deduplication_token" in settings:
                self.session.query("SET insert_deduplication_token = ''")
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    Handler.session = Session()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
