"""The zip that `torch.save` writes, and no other: every byte has its place, and both of its tables say the same.

Scanners and loaders read zip files differently, one by the table at the end and one by the heads in front of the members; most published
evasions live in that difference. Here a difference is a refusal. Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from typing import BinaryIO, NoReturn

from penstock.registry.scan.pickles import MAX_BYTES, read_pickle
from penstock.registry.scan.report import Refused

MAGIC = b"PK\x03\x04"
_MEMBER = re.compile(
    r"(?P<top>[\w.\- ]{1,200})/(?P<rest>data\.pkl|version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id"
    r"|data/(?P<storage>\d{1,9}))",
    re.ASCII,
)
_MAX_MEMBERS = 200_000
_HEAD = struct.Struct("<4s5H3I2H")
_ENCRYPTED, _DESCRIPTOR, _UTF8 = 0x1, 0x8, 0x800
_PIECE = 1 << 20


def read_archive(file: BinaryIO, size: int) -> None:
    """Raise `Refused` unless the file is a torch archive of a state dict."""
    try:
        table = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as fault:
        raise Refused("archive_malformed", f"the archive cannot be read: {str(fault)[:120]}") from fault
    members = table.infolist()
    if table.comment or len(members) > _MAX_MEMBERS:
        _no("it has a comment, or more members than any model")
    tops: set[str] = set()
    names: set[str] = set()
    storages: set[str] = set()
    end = 0
    for member in sorted(members, key=lambda m: m.header_offset):
        found = _MEMBER.fullmatch(member.orig_filename)
        if found is None:
            raise Refused("archive_member", f"{member.orig_filename[:120]!r} does not belong into a state dict")
        tops.add(found["top"])
        if member.filename in names:
            _no(f"{member.filename!r} is there twice")
        names.add(member.filename)
        if found["storage"]:
            storages.add(found["storage"])
        if member.header_offset != end:
            _no(f"bytes before {member.filename!r} belong to no member")
        end = _same(file, member)
    if len(tops) != 1:
        _no("its members lie in more than one folder")
    _tail(file, size, end, table.start_dir, len(members))
    top = tops.pop()
    if f"{top}/data.pkl" not in names:
        raise Refused("archive_member", "it has no data.pkl")
    read_pickle(_whole(file, table.getinfo(f"{top}/data.pkl")), storages=frozenset(storages))


def _same(file: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Compare a member's head with the table, and its bytes with its checksum; where it ends."""
    file.seek(member.header_offset)
    raw = file.read(_HEAD.size)
    if len(raw) < _HEAD.size:
        _no("a member's head is cut off")
    signature, _, flags, method, _, _, crc, packed, plain, name_length, extra_length = _HEAD.unpack(raw)
    name = file.read(name_length)
    extra = file.read(extra_length)
    said = member.orig_filename.encode("utf-8" if flags & _UTF8 else "cp437", "replace")
    if signature != MAGIC or name != said or method != member.compress_type or flags != member.flag_bits:
        _no(f"{member.filename!r} is described differently in front of it and in the table")
    if flags & ~(_DESCRIPTOR | _UTF8):
        _no(f"{member.filename!r} has flags that no writer of weights sets")
    if method != zipfile.ZIP_STORED or member.compress_size != member.file_size:
        _no(f"{member.filename!r} is compressed; torch stores")
    begin = file.tell()
    if _checksum(file, member.file_size) != member.CRC:
        _no(f"the checksum of {member.filename!r} is wrong")
    after = begin + member.file_size
    deferred = bool(flags & _DESCRIPTOR)
    here = (crc, _wide(packed, extra, 1), _wide(plain, extra, 0))
    there = (member.CRC, member.compress_size, member.file_size)
    if here != there and not (deferred and (crc, packed, plain) in ((0, 0, 0), (0, 0xFFFFFFFF, 0xFFFFFFFF))):
        _no(f"{member.filename!r} has another size or checksum in front of it than in the table")
    if not deferred:
        return after
    file.seek(after)
    follows = file.read(24)
    for layout in ("<4sIII", "<4sIQQ"):
        signature, *told = struct.unpack_from(layout, follows.ljust(24, b"\0"))
        if signature == b"PK\x07\x08" and tuple(told) == there:
            return after + struct.calcsize(layout)
    return _no(f"{member.filename!r} is described differently behind it and in the table")


def _wide(value: int, extra: bytes, place: int) -> int:
    """A size of the head, from the zip64 field where the head has no room for it."""
    at = 0
    while value == 0xFFFFFFFF and at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == 1 and length >= 16:
            return struct.unpack_from("<Q", extra, at + 4 + 8 * place)[0]
        at += 4 + length
    return value


def _tail(file: BinaryIO, size: int, end: int, table: int, members: int) -> None:
    """Between the last member and the end of the file there is the table and its end record, once each."""
    if table != end:
        _no("bytes between the last member and the table belong to nothing")
    file.seek(table)
    rest = file.read(min(size - table, 512 * members + 1024))
    if table + len(rest) != size:
        _no("the table is longer than its members need")
    last = rest[-22:]
    if not last.startswith(b"PK\x05\x06") or last[20:22] != b"\0\0":
        _no("bytes follow the end of the archive")
    at = 0
    for _ in range(members):
        if rest[at : at + 4] != b"PK\x01\x02":
            _no("the table is not as long as it says")
        at += 46 + sum(struct.unpack_from("<HHH", rest, at + 28))
    if rest[at : at + 4] == b"PK\x06\x06":
        at += 12 + struct.unpack_from("<Q", rest, at + 4)[0]
        if rest[at : at + 4] != b"PK\x06\x07":
            _no("its end records do not belong together")
        at += 20
    if at != len(rest) - 22:
        _no("bytes between the table and the end of the archive belong to nothing")


def _checksum(file: BinaryIO, length: int) -> int:
    """CRC-32 of the next ``length`` bytes."""
    crc = 0
    while length > 0:
        piece = file.read(min(length, _PIECE))
        if not piece:
            _no("a member is cut off")
        crc = zlib.crc32(piece, crc)
        length -= len(piece)
    return crc


def _whole(file: BinaryIO, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > MAX_BYTES:
        raise Refused("pickle_too_large", f"data.pkl has {member.file_size} bytes; {MAX_BYTES} are the most")
    file.seek(member.header_offset + 26)
    name, extra = struct.unpack("<HH", file.read(4))
    file.seek(member.header_offset + _HEAD.size + name + extra)
    return file.read(member.file_size)


def _no(message: str) -> NoReturn:
    raise Refused("archive_malformed", message)
