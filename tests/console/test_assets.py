"""Static files: kept for ever under their digest, never otherwise, and nothing outside the folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from penstock.console.assets import FOR_EVER, StaticFiles, trimmed


@pytest.fixture
def files(tmp_path: Path) -> StaticFiles:
    folder = tmp_path / "static"
    (folder / "vendor").mkdir(parents=True)
    (folder / "a.css").write_text("a{}")
    (folder / "vendor" / "b.js").write_text("export {}")
    (tmp_path / "secret.txt").write_text("no")
    return StaticFiles(folder)


@pytest.fixture
def client(files: StaticFiles) -> TestClient:
    return TestClient(Starlette(routes=[Route("/console/static/{digest}/{path:path}", files.serve)]))


def test_a_file_is_kept_for_ever_under_the_present_digest(files: StaticFiles, client: TestClient) -> None:
    response = client.get(files.url("vendor/b.js"))
    assert response.text == "export {}"
    assert response.headers["cache-control"] == FOR_EVER
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"


def test_an_old_page_still_gets_its_files_but_may_not_keep_them(client: TestClient) -> None:
    response = client.get("/console/static/000000000000/a.css")
    assert (response.status_code, response.text, response.headers["cache-control"]) == (200, "a{}", "no-store")


@pytest.mark.parametrize(
    "path", ["nothing.js", "../secret.txt", "%2e%2e/secret.txt", "vendor/../../secret.txt", "/etc/passwd", "vendor", ""]
)
def test_what_is_not_a_file_of_the_tree_is_not_found(files: StaticFiles, client: TestClient, path: str) -> None:
    assert client.get(f"/console/static/{files.digest}/{path}").status_code == 404


def test_the_digest_follows_content_and_names(files: StaticFiles, tmp_path: Path) -> None:
    before = files.digest
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "c.js").write_text("1")
    files.add("room", extra)
    assert files.digest != before
    assert files.url("room/c.js") == f"/console/static/{files.digest}/room/c.js"


def test_a_name_that_is_not_there_or_there_already_is_an_error(files: StaticFiles, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match=r"no static file 'd\.css'"):
        files.url("d.css")
    with pytest.raises(ValueError, match=r"two static files are called 'a\.css'"):
        files.add("", tmp_path / "static")


SCRIPTS = sorted((Path(__file__).parents[2] / "src" / "penstock").rglob("static/**/*.js"))
OWN = [path for path in SCRIPTS if "vendor" not in path.parts]


def test_all_pages_together_have_at_most_150_kb_of_script() -> None:
    sizes = {path.name: len(path.read_bytes() if path not in OWN else trimmed(path.read_bytes())) for path in SCRIPTS}
    assert "charts.js" in sizes
    assert sum(sizes.values()) <= 150_000, sorted(sizes.items(), key=lambda one: -one[1])


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_our_scripts_can_lose_their_indentation(path: Path) -> None:
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        assert line.count("`") % 2 == 0, f"line {number}: a text over several lines"
        assert not line.rstrip().endswith("\\"), f"line {number}: goes on in the next"
        at = line.find("/*")
        assert at < 0 or (not line[:at].strip() and (line.find("*/") < 0 or line.rstrip().endswith("*/"))), f"line {number}: beside code"


def test_a_script_loses_only_what_its_readers_need() -> None:
    script = (
        b'// why\nimport "./a.js";\n\n/** Says\n * what.\n */\nfunction b() {\n  return "  // no comment"; // nor moved\n}\n/* one */\n'
    )
    assert trimmed(script) == b'import "./a.js";\nfunction b() {\nreturn "  // no comment"; // nor moved\n}\n'


def test_scripts_and_sheets_are_compressed_for_who_takes_it(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "long.js").write_text("let a = 1;\n" * 200)
    (folder / "i.svg").write_text("<svg/>")
    made = StaticFiles(folder)
    client = TestClient(Starlette(routes=[Route("/console/static/{digest}/{path:path}", made.serve)]))
    packed = client.get(made.url("long.js"))
    plain = client.get(made.url("long.js"), headers={"accept-encoding": "identity"})
    assert packed.text == plain.text
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < 200 < int(plain.headers["content-length"])
    assert packed.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in plain.headers
    assert "content-encoding" not in client.get(made.url("i.svg")).headers
    assert made.sizes(".js") == {"long.js": int(plain.headers["content-length"])}
