"""Static files: kept for ever under their digest, never otherwise, and nothing outside the folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from penstock.console.assets import FOR_EVER, StaticFiles


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
