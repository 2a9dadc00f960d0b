from __future__ import annotations

import base64
from typing import Any

import pytest

from penstock.gateway.shapes.bedrock_media import document, medium
from penstock.gateway.shapes.expressible import Audit
from penstock.kernel import messages as m
from penstock.kernel.errors import NotExpressible

AUDIT = Audit(m.Request(shape="openai.chat", messages=()), "bedrock.converse", {})


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (m.Image(m.Inline("image/jpeg", "a_-b")), {"image": {"format": "jpeg", "source": {"bytes": "a/+b"}}}),
        (m.Video(m.Inline("video/quicktime", "YQ==")), {"video": {"format": "mov", "source": {"bytes": "YQ=="}}}),
        (m.Video(m.Link("s3://b/a.mp4")), {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://b/a.mp4"}}}}),
        (m.Audio(m.Inline("audio/mpeg; x=1", "YQ==")), {"audio": {"format": "mp3", "source": {"bytes": "YQ=="}}}),
    ],
)
def test_media(part: Any, block: dict[str, Any]) -> None:
    assert medium(part, AUDIT) == block


@pytest.mark.parametrize("part", [m.Image(m.Link("https://h/a.png")), m.Image(m.Stored("file_1")), m.Image(m.Inline("image/tiff", "YQ=="))])
def test_media_that_cannot_be_sent(part: Any) -> None:
    with pytest.raises(NotExpressible, match=r"Converse|uploaded"):
        medium(part, AUDIT)


def test_documents_have_a_name_of_few_characters() -> None:
    written = document(m.File(m.Written("héllo"), name="a__b (final)  v1.txt"), 3, AUDIT)["document"]
    assert written == {"name": "a-b (final) v1-txt", "format": "txt", "source": {"bytes": base64.b64encode("héllo".encode()).decode()}}
    assert document(m.File(m.Link("s3://b/terms.docx")), 3, AUDIT)["document"] == {
        "name": "document-3",
        "format": "docx",
        "source": {"s3Location": {"uri": "s3://b/terms.docx"}},
    }
    composed = document(m.File(m.Composed((m.Text("a"), m.Text("b")))), 1, AUDIT)["document"]
    assert composed["source"] == {"content": [{"text": "a"}, {"text": "b"}]}


def test_documents_that_cannot_be_sent() -> None:
    picture = m.Image(m.Inline("image/png", "YQ=="))
    for source in (m.Stored("file_1"), m.Composed((picture,)), m.Inline("application/zip", "YQ==")):
        with pytest.raises(NotExpressible):
            document(m.File(source), 1, AUDIT)
