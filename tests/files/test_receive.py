"""Everything that can be wrong with an upload, over a real socket, told in the words of the API that was called; and nothing is kept."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.house import Answer, House, open_house

from penstock.kernel import vendor

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

SETTINGS = "[gateway]\ndiscover = false\nlocal_embeddings = false\n[files]\nmax_file_bytes = 100000\nmax_organisation_bytes = 400000\n"
FORM = "multipart/form-data; boundary=XX"
FILES = "/v1/files"


def part(name: str, value: bytes | str, filename: str | None = None, more: str = "") -> bytes:
    named = f'; filename="{filename}"' if filename is not None else ""
    value = value if isinstance(value, bytes) else value.encode()
    return (
        f'--XX\r\nContent-Disposition: form-data; name="{name}"{named}\r\n{more}\r\n'.encode("utf-8", "surrogateescape") + value + b"\r\n"
    )


END = b"--XX--\r\n"
PURPOSE = part("purpose", "user_data")
FILE = part("file", b"hello", "a.txt", "Content-Type: text/plain\r\n")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("house"), SETTINGS) as house:
        yield house


async def upload(house: House, body: bytes, *, content_type: str = FORM, **headers: str) -> Answer:
    return await house.ask("POST", FILES, io.BytesIO(body), content_type=content_type, **headers)


def head(house: House, length: int) -> bytes:
    """The head of an upload that is ``length`` long by its own account."""
    lines = (
        f"POST {FILES} HTTP/1.1",
        "host: x",
        f"authorization: Bearer {house.admin}",
        f"content-type: {FORM}",
        f"content-length: {length}",
    )
    return "\r\n".join((*lines, "", "")).encode()


def left(house: House) -> list[Path]:
    return [path for path in (house.app.data_dir / "blobs").rglob("*") if path.is_file()]


EXPIRES = "expires_after[seconds]"
WRONG: dict[str, tuple[bytes, str | None]] = {
    "nothing at all": (b"", None),
    "no form": (b'{"file": "x"}', None),
    "cut inside the file": (PURPOSE + FILE[:-3], None),
    "cut before the end": (PURPOSE + FILE, None),
    "another boundary": ((PURPOSE + FILE + END).replace(b"--XX", b"--YY"), None),
    "no purpose": (FILE + END, "purpose"),
    "an unknown purpose": (FILE + part("purpose", "mischief") + END, "purpose"),
    "a purpose of ours alone": (part("purpose", "batch_output") + FILE + END, "purpose"),
    "two purposes": (PURPOSE + PURPOSE + FILE + END, "purpose"),
    "a purpose that is no UTF-8": (part("purpose", b"\xff\xfe") + FILE + END, "purpose"),
    "a huge field": (part("purpose", "x" * 4_200_000) + FILE + END, "purpose"),
    "a name of 5 KB": (PURPOSE + part("file", "x", "n" * 5000) + END, None),
    "no file": (PURPOSE + END, "file"),
    "a file that is a value": (PURPOSE + part("file", "hello") + END, "file"),
    "two files": (PURPOSE + FILE + FILE + END, "file"),
    "a file by another name": (PURPOSE + part("picture", b"x", "a.png") + END, "picture"),
    "an unknown field": (PURPOSE + part("colour", "red") + FILE + END, "colour"),
    "seconds without an anchor": (PURPOSE + part(EXPIRES, "3600") + FILE + END, "expires_after"),
    "another anchor": (PURPOSE + part("expires_after[anchor]", "now") + part(EXPIRES, "3600") + FILE + END, "expires_after"),
    "an anchor without seconds": (PURPOSE + part("expires_after[anchor]", "created_at") + FILE + END, "expires_after"),
    "too short a life": (PURPOSE + part("expires_after[anchor]", "created_at") + part(EXPIRES, "3599") + FILE + END, EXPIRES),
    "too long a life": (PURPOSE + part("expires_after[anchor]", "created_at") + part(EXPIRES, "9" * 9) + FILE + END, EXPIRES),
    "a life of letters": (PURPOSE + part("expires_in_seconds", "\u0663\u0666\u0660\u0660") + FILE + END, "expires_in_seconds"),
    "too many parts": (b"".join(part("purpose", "x") for _ in range(300)), None),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
async def test_a_wrong_form_is_refused_in_the_callers_words(house: House, what: str, vendor: str) -> None:
    if vendor == "anthropic" and what == "no purpose":
        return  # that API has no such word
    body, param = WRONG[what]
    answer = await upload(house, body, **({"anthropic_version": "2023-06-01"} if vendor == "anthropic" else {}))
    assert answer.status == 400, answer.text
    error = answer.json["error"]
    if vendor == "openai":
        assert (error["type"], error["code"]) == ("invalid_request_error", "malformed_request")
        assert param is None or error["param"] == param
    else:
        assert (answer.json["type"], error["type"]) == ("error", "invalid_request_error")
    assert len(answer.text) < 1000
    assert left(house) == []


@pytest.mark.parametrize(
    "kind", ["application/json", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=XX"]
)
async def test_another_type_is_refused(house: House, kind: str) -> None:
    answer = await upload(house, PURPOSE + FILE + END, content_type=kind)
    assert (answer.status, answer.json["error"]["code"]) == (400, "malformed_request")
    assert left(house) == []


async def test_a_file_that_is_too_large_is_refused_before_and_while_it_comes(house: House) -> None:
    large = PURPOSE + part("file", b"x" * 100_001, "a") + END
    answer = await upload(house, large)
    assert (answer.status, answer.json["error"]["code"]) == (413, "body_too_large")
    theirs = await upload(house, large, anthropic_beta="files-api-2025-04-14")
    assert (theirs.status, theirs.json["error"]["type"]) == (413, "request_too_large")
    port = int(house.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head(house, 999_999_999))
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()
    assert left(house) == []


async def test_an_organisation_without_room_is_told(house: House) -> None:
    secret, _ = await house.outsider()
    ids: list[str] = []
    for _ in range(4):
        made = await upload(house, PURPOSE + part("file", b"x" * 100_000, "a") + END, authorization=f"Bearer {secret}")
        ids.append(made.json["id"])
    full = await upload(house, PURPOSE + FILE + END, authorization=f"Bearer {secret}")
    assert (full.status, full.json["error"]["code"]) == (403, "file_quota_exceeded")
    for id in ids:
        assert (await house.ask("DELETE", f"{FILES}/{id}", key=secret)).status == 200
    assert left(house) == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\b.txt", "b.txt"),
        ("a\x00b.txt", "a_b.txt"),
        ("\u00fcber \u6c34.txt", "\u00fcber \u6c34.txt"),
        ("..", "file"),
        ("n" * 3000, "n" * 200),
        ("<img src=x onerror=alert(1)>.html", "_img src=x onerror=alert(1)_.html"),
    ],
)
async def test_names_are_only_names(house: House, given: str, kept: str) -> None:
    made = await upload(house, PURPOSE + part("file", b"hello", given) + END)
    assert (made.status, made.json["filename"]) == (200, kept), made.text
    got = await house.ask("GET", f"{FILES}/{made.json['id']}/content")
    assert got.text == "hello"
    assert got.headers["content-disposition"].startswith("attachment; ")
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert (await house.ask("DELETE", f"{FILES}/{made.json['id']}")).status == 200
    assert left(house) == []


@pytest.mark.parametrize(
    "id", ["x", "file_", "file_" + "0" * 32, "..%2f..%2fpenstock.db", "%00", "file_" + "0" * 31 + "%0a", "a" * 6000, "file_/../x", "%ff%fe"]
)
@pytest.mark.parametrize("method", ["GET", "DELETE", "CONTENT"])
async def test_a_wrong_id_is_not_found(house: House, id: str, method: str) -> None:
    path = f"{FILES}/{id}/content" if method == "CONTENT" else f"{FILES}/{id}"
    answer = await house.ask("GET" if method == "CONTENT" else method, path)
    assert answer.status == 404, answer.text
    assert answer.json["error"]["code"] == "not_found"
    assert len(answer.text) < 1000


WRONG_QUERIES = ["limit=0", "limit=10001", "limit=x", "limit=-1", "limit=1&limit=2", "order=up", "purpose=mischief", "after=x", "a&" * 400]


@pytest.mark.parametrize("query", WRONG_QUERIES)
async def test_a_wrong_list_is_refused(house: House, query: str) -> None:
    answer = await house.ask("GET", f"{FILES}?{query}")
    assert answer.status in (400, 404), answer.text


@pytest.mark.parametrize(
    "query", ["limit=1001", "before_id=x", "after_id=x", "page=x", "page=page_x", "&".join(f"ids=file_{n}" for n in range(101))]
)
async def test_a_wrong_list_of_anthropics_is_refused(house: House, query: str) -> None:
    answer = await house.ask("GET", f"{FILES}?{query}", anthropic_version="2023-06-01")
    assert answer.status in (400, 404), answer.text
    assert answer.json["type"] == "error"


async def test_only_keys_that_may_call_come_in(house: House) -> None:
    reader, _ = await house.key(scopes=["read"])
    for key, status in (("", 401), ("psk_nonsense", 401), (reader, 403)):
        for method, path in (
            ("GET", FILES),
            ("POST", FILES),
            ("GET", f"{FILES}/x"),
            ("DELETE", f"{FILES}/x"),
            ("GET", f"{FILES}/x/content"),
        ):
            answer = await house.ask(method, path, key=key)
            assert answer.status == status, (method, path, answer.text)
            theirs = await house.ask(method, path, key=key, anthropic_version="2023-06-01")
            assert (theirs.status, theirs.json["type"]) == (status, "error")
            assert "psk_" not in answer.text + theirs.text


async def test_an_upload_that_stops_ends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendor, "PIECE_SECONDS", 0.2)
    port = int(house.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head(house, 9999) + PURPOSE + FILE[:-4])
    assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()
    # And one whose sender goes away: nothing is left of it either.
    _, gone = await asyncio.open_connection("127.0.0.1", port)
    gone.write(head(house, 9999) + PURPOSE + FILE[:-4])
    await gone.drain()
    gone.transport.abort()
    async with asyncio.timeout(10):
        while left(house):
            await asyncio.sleep(0.01)


async def test_the_documented_shapes_hold(house: House) -> None:
    from tests.edge.contract import Contract

    contract = await Contract.of(house)
    for headers in ({}, {"anthropic_version": "2023-06-01"}):
        made = await upload(house, PURPOSE + FILE + END, **headers)
        operation = contract.operation("POST", FILES)
        assert list(operation["requestBody"]["content"]) == ["multipart/form-data"]
        contract.valid(made.json, operation["responses"]["200"]["content"]["application/json"]["schema"])
        one = f"{FILES}/{made.json['id']}"
        for method, path in (("GET", FILES), ("GET", one), ("DELETE", one), ("GET", one)):
            contract.check(method, path, None, await house.ask(method, path, **headers))
    assert json.dumps(contract.operation("GET", f"{FILES}/x/content")["responses"]["200"]).count("octet-stream") == 1
