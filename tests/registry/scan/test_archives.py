"""The archive of `torch.save` is accepted as it is written, with and without deferred sizes, and in no other form."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.registry.corpus import STATE, text, torch_zip

from penstock.registry.scan.archives import read_archive
from penstock.registry.scan.report import Refused

STORED = b"\x80\x02(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x01tQ."


def read(raw: bytes) -> None:
    read_archive(io.BytesIO(raw), len(raw))


def deferred() -> bytes:
    """An archive with sizes and checksum behind each member, as torch's own writer leaves them."""

    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

        def seek(self, *_: object) -> int:
            raise OSError

    out = Unseekable()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("archive/data.pkl", STORED)
        made.writestr("archive/data/0", bytes(4))
    return out.getvalue()


def test_a_state_dict_is_accepted() -> None:
    read(torch_zip(STATE))
    read(torch_zip(STORED, extra=(("data/0", bytes(4)), ("byteorder", b"little"), (".data/serialization_id", b"1"))))


def test_sizes_behind_the_members_are_compared() -> None:
    raw = deferred()
    read(raw)
    wrong = raw.index(b"PK\x07\x08") + 4
    with pytest.raises(Refused, match="differently behind it"):
        read(raw[:wrong] + b"\0\0\0\0" + raw[wrong + 4 :])


@given(st.data())
def test_whatever_byte_is_changed_is_noticed_or_means_nothing(data: st.DataObject) -> None:
    good = torch_zip(STORED, extra=(("data/0", bytes(64)),))
    at = data.draw(st.integers(0, len(good) - 1))
    bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    try:
        read(bad)
    except Refused:
        return
    with zipfile.ZipFile(io.BytesIO(bad)) as archive:  # versions, dates and rights of members may differ; what is loaded may not
        assert archive.read("archive/data.pkl") == STORED
        assert zlib.crc32(archive.read("archive/data/0")) == zlib.crc32(bytes(64))


def test_a_folder_in_folders_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("a/data.pkl", STATE)
        made.writestr("b/version", b"3")
    with pytest.raises(Refused, match="more than one folder"):
        read(out.getvalue())


def test_a_comment_is_refused() -> None:
    raw = torch_zip(STATE)
    with pytest.raises(Refused):
        read(raw[:-2] + struct.pack("<H", 3) + b"abc")
