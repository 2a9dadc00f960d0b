"""Everything that can be wrong with a form, over a real socket: OpenAI's own errors, and nothing of it at a provider."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.gateway.test_bad_input import Rig
from tests.gateway.upstream import serving
from tests.house import SETTINGS, Answer, open_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
EDITS = "/v1/images/edits"
VARIATIONS = "/v1/images/variations"
PATHS = (TRANSCRIPTIONS, TRANSLATIONS, EDITS, VARIATIONS)
TYPE = "multipart/form-data; boundary=XX"


def part(name: str, value: bytes | str, filename: str | None = None, more: str = "") -> bytes:
    named = f'; filename="{filename}"' if filename is not None else ""
    value = value if isinstance(value, bytes) else value.encode()
    return (
        f'--XX\r\nContent-Disposition: form-data; name="{name}"{named}\r\n{more}\r\n'.encode("utf-8", "surrogateescape") + value + b"\r\n"
    )


END = b"--XX--\r\n"
MODEL = part("model", "m")
FILE = part("file", b"sound", "a.wav")
GOOD = MODEL + FILE + END
IMAGE = part("image", b"picture", "a.png")
PROMPT = part("prompt", "a gate")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    rig = Rig()
    rig.bodies = []  # type: ignore[attr-defined]

    async def provider(peer: Any) -> None:
        while True:
            head, body = await peer.request()
            rig.heads.append(head)
            rig.bodies.append(body)  # type: ignore[attr-defined]
            await peer.json(b'{"text":"hi"}')

    async with serving(provider) as upstream:
        settings = (
            f"{SETTINGS}max_body_bytes = 2000000\nmax_upload_bytes = 5000000\nbody_seconds = 1.0\n"
            f'[gateway.providers.chat]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["m"]\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as rig.house:
            rig.caller, _ = await rig.house.key(scopes=["call"])
            yield rig


async def ask(rig: Rig, body: bytes, path: str = TRANSCRIPTIONS, kind: str = TYPE, key: str | None = None) -> Answer:
    return await rig.house.ask("POST", path, io.BytesIO(body), key=rig.caller if key is None else key, content_type=kind)


def refused(answer: Answer, status: int, code: str, param: str | None = None) -> None:
    assert answer.status == status, answer.text
    fault = answer.json["error"]
    assert (fault["code"], fault["param"]) == (code, param), fault
    assert "Traceback" not in answer.text
    assert "penstock/" not in answer.text


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_right_passes(rig: Rig, path: str) -> None:
    answer = await ask(rig, GOOD if "audio" in path else MODEL + PROMPT + IMAGE + END, path)
    assert (answer.status, answer.json) == (200, {"text": "hi"})
    assert answer.headers["content-type"] == "application/json"


BROKEN = {
    "nothing": b"",
    "no boundary in it": b"hello",
    "another boundary": GOOD.replace(b"XX", b"YY"),
    "no end": MODEL + FILE,
    "cut inside a file": (MODEL + FILE)[:-5],
    "cut inside a head": MODEL + b'--XX\r\nContent-Disposition: form-data; name="file"; filena',
    "cut inside the boundary": MODEL + FILE + b"--X",
    "no head": b"--XX\r\n\r\nvalue\r\n" + END,
    "no name": b"--XX\r\nContent-Disposition: form-data\r\n\r\nvalue\r\n" + END,
    "an attachment": b'--XX\r\nContent-Disposition: attachment; name="model"\r\n\r\nm\r\n' + END,
    "a head without a colon": b"--XX\r\nnonsense\r\n\r\nvalue\r\n" + END,
    "a line feed alone": GOOD.replace(b"\r\n", b"\n"),
    "two dispositions": MODEL.replace(b"\r\n\r\n", b'\r\nContent-Disposition: form-data; name="x"\r\n\r\n') + FILE + END,
    "a name of many signs": part("mo\\del\x01<>", "m") + END,
    "an empty name": part("", "m") + END,
    "a name too long": part("n" * 500, "m") + END,
    "a head too long": part("model", "m", more="X-Long: " + "a" * 100_000 + "\r\n") + END,
    "too many heads": part("model", "m", more="".join(f"X-{n}: a\r\n" for n in range(100))) + END,
    "too many parts": MODEL + part("include[]", "x") * 1000 + END,
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
async def test_forms_that_are_none(rig: Rig, path: str, body: bytes) -> None:
    before = len(rig.heads)
    refused(await ask(rig, body, path), 400, "malformed_request")
    assert len(rig.heads) == before


FAULTY = {
    "no model": (FILE + END, "model"),
    "an empty model": (part("model", "") + FILE + END, "model"),
    "two models": (MODEL + part("model", "other") + FILE + END, "model"),
    "a model that is a file": (part("model", "m", "m.txt") + FILE + END, "model"),
    "a model too long": (part("model", "m" * 600) + FILE + END, "model"),
    "a model that is no text": (part("model", b"\xff\xfe") + FILE + END, "model"),
    "no file": (MODEL + END, "file"),
    "a file that is a value": (MODEL + part("file", "sound") + END, "file"),
    "a stream that is neither": (MODEL + part("stream", "perhaps") + FILE + END, "stream"),
    "a file in base64": (MODEL + part("file", "c291bmQ=", "a.wav", "Content-Transfer-Encoding: base64\r\n") + END, "file"),
    "a value too long": (MODEL + part("prompt", "x" * 4_300_000) + FILE + END, "prompt"),
}


FAULTY_IMAGES = {
    "no model": (PROMPT + IMAGE + END, "model"),
    "no prompt": (MODEL + IMAGE + END, "prompt"),
    "no image": (MODEL + PROMPT + END, "image"),
    "an image that is a value": (MODEL + PROMPT + part("image", "picture") + END, "image"),
    "a mask alone": (MODEL + PROMPT + part("mask", b"picture", "m.png") + END, "image"),
    "a prompt that is a file": (MODEL + part("prompt", "a gate", "p.txt") + IMAGE + END, "prompt"),
    "two prompts": (MODEL + PROMPT + PROMPT + IMAGE + END, "prompt"),
    "a stream that is neither": (MODEL + PROMPT + part("stream", "1") + IMAGE + END, "stream"),
    **{f"{n!r} images": (MODEL + PROMPT + part("n", n) + IMAGE + END, "n") for n in ("0", "-1", "1.5", "many", "9" * 5000, "\u0664", "")},
}


@pytest.mark.parametrize(("body", "param"), FAULTY_IMAGES.values(), ids=FAULTY_IMAGES)
async def test_fields_of_images_that_are_wrong_are_named(rig: Rig, body: bytes, param: str) -> None:
    before = len(rig.heads)
    refused(await ask(rig, body, EDITS), 400, "malformed_request", param)
    assert len(rig.heads) == before


@pytest.mark.parametrize(("body", "param"), FAULTY.values(), ids=FAULTY)
async def test_fields_that_are_wrong_are_named(rig: Rig, body: bytes, param: str) -> None:
    before = len(rig.heads)
    refused(await ask(rig, body), 400, "malformed_request", param)
    assert len(rig.heads) == before


FORM = "multipart/form-data"
NO_FORMS = ["application/json", "text/plain", FORM, f"{FORM}; boundary=", f"{FORM}; boundary={'x' * 200}", "multipart/mixed; boundary=XX"]
NO_FORMS += [f'{FORM}; boundary="X X "', f"{FORM}; boundary=a\tb", f"{FORM}X; boundary=XX"]


@pytest.mark.parametrize("kind", NO_FORMS)
async def test_content_types_that_are_no_form(rig: Rig, kind: str) -> None:
    refused(await ask(rig, GOOD, kind=kind), 400, "malformed_request")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\win.ini", "win.ini"),
        ("/", "file"),
        ("..", "file"),
        ("", "file"),
        ("a\x00b\x1f.wav", "a_b_.wav"),
        ("C:\\sound.wav", "sound.wav"),
        ("\u202egnp.exe", "_gnp.exe"),
        ("a" * 3000, "a" * 200),
        ("a;b=c.wav", "a;b=c.wav"),
        ("ü.wav", "ü.wav"),
    ],
)
async def test_names_of_files_lead_nowhere(rig: Rig, given: str, sent: str) -> None:
    answer = await ask(rig, MODEL + part("file", b"sound", given) + END)
    assert answer.status == 200, answer.text
    assert f'filename="{sent}"'.encode() in rig.bodies[-1]  # type: ignore[attr-defined]


async def test_a_part_cannot_smuggle_another_one(rig: Rig) -> None:
    # Whatever the client's boundary was, the provider sees one of ours, so bytes that look like a part stay bytes.
    inside = b'\r\n--YY\r\nContent-Disposition: form-data; name="model"\r\n\r\nexpensive\r\n'
    answer = await ask(rig, MODEL + part("file", inside, "a.wav", "Content-Type: audio/wav; boundary=YY\r\nX-Evil: 1\r\n") + END)
    assert answer.status == 200
    body: bytes = rig.bodies[-1]  # type: ignore[attr-defined]
    assert b"--XX" not in body
    assert b"X-Evil" not in body
    assert b"boundary=YY\r\n" not in body.split(inside)[0].split(b'name="file"')[0]
    assert inside in body


def head_of(rig: Rig) -> bytes:
    head = f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {rig.caller}\r\ncontent-type: {TYPE}\r\n"
    return head.encode() + b"content-length: 4000000\r\n\r\n"


LARGE = part("file", bytes(1_500_000), "a.wav")


async def test_a_second_model_behind_a_large_file_ends_the_call(rig: Rig) -> None:
    before = len(rig.heads)
    refused(await ask(rig, MODEL + LARGE + part("model", "expensive") + END), 400, "malformed_request", "model")
    assert len(rig.heads) == before  # the provider saw a request that never ended


async def test_a_large_form_that_breaks_off_or_is_none_ends_the_call(rig: Rig) -> None:
    before = len(rig.heads)
    refused(await ask(rig, MODEL + LARGE), 400, "malformed_request")
    refused(await ask(rig, MODEL + LARGE + b"--XX\r\nnonsense\r\n\r\n" + END), 400, "malformed_request")
    assert len(rig.heads) == before
    assert (await ask(rig, MODEL + LARGE + END)).status == 200


async def test_a_model_may_come_behind_the_file_as_far_as_it_can_be_held(rig: Rig) -> None:
    assert (await ask(rig, LARGE + MODEL + END)).status == 200
    refused(await ask(rig, LARGE + LARGE + MODEL + END), 413, "body_too_large", "model")


async def test_a_form_that_is_too_large_is_refused(rig: Rig) -> None:
    head = f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {rig.caller}\r\ncontent-type: {TYPE}\r\n"
    status, body = await rig.raw(f"{head}content-length: 50000000\r\n\r\n".encode() + MODEL)
    assert (status, json.loads(body)["error"]["code"]) == (413, "body_too_large")
    before = len(rig.heads)
    piece = b"10000\r\n" + bytes(65_536) + b"\r\n"
    begin = MODEL + b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    chunked = f"{head}transfer-encoding: chunked\r\n\r\n{len(begin):x}\r\n".encode() + begin + b"\r\n"
    status, _ = await rig.raw(chunked + piece * 90)
    assert status in (0, 413)  # the reply may be lost when the connection is closed on a client that still sends
    assert len(rig.heads) == before


async def test_a_strangers_form_is_not_read(rig: Rig) -> None:
    head = f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nhost: x\r\ncontent-type: {TYPE}\r\ncontent-length: 4000000\r\n\r\n"
    status, body = await rig.raw(head.encode())
    assert (status, json.loads(body)["error"]["code"]) == (401, "missing_api_key")
    refused(await ask(rig, GOOD, key="psk_" + "x" * 49), 401, "invalid_api_key")
    narrow, _ = await rig.house.key(scopes=["call"], models=["other"])
    refused(await ask(rig, GOOD, key=narrow), 403, "permission_denied", "model")
    refused(await ask(rig, GOOD.replace(b"\r\nm\r\n", b"\r\nmm\r\n")), 404, "model_not_found", "model")


@pytest.mark.parametrize("begin", [MODEL, MODEL + LARGE[:-100]], ids=["small", "large"])
async def test_a_form_that_does_not_go_on_is_given_up(rig: Rig, begin: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(rig.house.url.rsplit(":", 1)[1]))
    writer.write(head_of(rig) + begin)
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_client_that_leaves_inside_a_form_leaves_nothing_behind(rig: Rig) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(rig.house.url.rsplit(":", 1)[1]))
    writer.write(head_of(rig) + MODEL + LARGE[:-100])
    await writer.drain()
    writer.transport.abort()
    while any(m["value"] for m in await in_flight(rig)):
        pass


async def in_flight(rig: Rig) -> list[dict[str, Any]]:
    text = (await rig.house.ask("GET", "/metrics")).text
    return [{"value": float(line.rsplit(" ", 1)[1])} for line in text.splitlines() if line.startswith("penstock_calls_in_flight")]
