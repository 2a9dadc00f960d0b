"""What a file is: who may have how many, for how long, and in which order bytes and row are written and removed.

First the bytes, whole and on disk, then the row: a process that is killed between the two leaves bytes that nobody knows, which the next
start removes. To delete is the other way round.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Sequence

from penstock.files import store
from penstock.files.settings import FilesSettings
from penstock.kernel.errors import BodyTooLarge, Forbidden, NotFound, StorageError
from penstock.kernel.ids import new_id
from penstock.kernel.ports import FileInfo
from penstock.storage.blobs import Blobs, Incoming
from penstock.storage.records import Records

ID = re.compile(r"file_[0-9a-f]{32}")
"""What the id of a file looks like. Whatever does not is no file of ours, and touches neither database nor disk."""
SWEEP_AT_ONCE = 500
LONGEST_NAME = 200


class FileService:
    """The port `Files`, and what the room's own doors need beside it: lists, uploads in pieces, sweeping."""

    def __init__(self, records: Records, blobs: Blobs, settings: FilesSettings, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._blobs = blobs
        self.settings = settings
        self._clock = clock
        self.written = 0
        self.written_bytes = 0
        self.removed = 0

    async def get(self, reach: str | None, id: str) -> FileInfo:
        """One file. Raises `NotFound`."""
        now = self._clock()
        found = await self._records.read(lambda c: store.one(c, reach, id, now)) if ID.fullmatch(id) is not None else None
        if found is None:
            raise _missing(id)
        return found

    async def read(self, reach: str | None, id: str, offset: int = 0) -> AsyncIterator[bytes]:
        """The bytes from ``offset`` on. Raises `NotFound`, or `StorageError` when the row is there and the bytes are not."""
        await self.get(reach, id)
        try:
            async for piece in self._blobs.read(id, offset):
                yield piece
        except NotFound as fault:
            raise _lost(id, self._blobs.place) from fault

    def local(self, file: FileInfo) -> str | None:
        """The path of the file's bytes on this machine; None when they must be read through `read`."""
        path = self._blobs.path(file.id)
        return str(path) if path is not None else None

    async def list(
        self,
        reach: str | None,
        *,
        purpose: str | None = None,
        after: str | None = None,
        ids: Sequence[str] | None = None,
        newest_first: bool = True,
        limit: int = 100,
    ) -> list[FileInfo]:
        """Files in the order of their creation, from behind the file ``after``."""
        now = self._clock()
        return await self._records.read(
            lambda c: store.page(c, reach, now, purpose=purpose, after=after, ids=ids, newest_first=newest_first, limit=limit)
        )

    async def used(self, organisation: str) -> tuple[int, int]:
        """Files and bytes that an organisation has."""
        return await self._records.read(lambda c: store.used(c, organisation))

    async def begin(self, organisation: str) -> Draft:
        """Begin a file of ``organisation``. Raises `Forbidden` when it has no more room, `StorageFull` or `StorageError`."""
        room = self._room(*await self.used(organisation))
        id = new_id("file")
        return Draft(self, organisation, id, await self._blobs.begin(id), min(room, self.settings.max_file_bytes), room)

    async def add(
        self,
        pieces: AsyncIterator[bytes],
        *,
        organisation: str,
        name: str,
        purpose: str,
        media: str = "application/octet-stream",
        created_by: str | None = None,
        lifetime: float | None = None,
    ) -> FileInfo:
        """Store what ``pieces`` give; see `Files.add`."""
        draft = await self.begin(organisation)
        try:
            async for piece in pieces:
                await draft.write(piece)
            return await draft.keep(name=name, purpose=purpose, media=media, created_by=created_by, lifetime=lifetime)
        finally:
            await draft.drop()

    async def delete(self, reach: str | None, id: str) -> None:
        """Delete the row, then the bytes. Raises `NotFound`."""
        now = self._clock()
        if ID.fullmatch(id) is None or not await self._records.write(lambda c: store.remove(c, reach, id, now)):
            raise _missing(id)
        self.removed += 1
        await self._blobs.delete(id)

    async def expire(self) -> int:
        """Remove files whose time is over; how many."""
        gone = 0
        while True:
            now = self._clock()
            ids = await self._records.read(lambda c, now=now: store.expired(c, now, SWEEP_AT_ONCE))
            if not ids:
                return gone
            await self._records.write(lambda c, ids=ids, now=now: store.remove_expired(c, ids, now))
            for id in ids:
                await self._blobs.delete(id)
            gone += len(ids)
            self.removed += len(ids)

    async def sweep(self) -> int:
        """Remove bytes that no file knows, of some age; how many."""

        def known(names: list[str]) -> set[str]:
            mine = [name for name in names if ID.fullmatch(name) is not None]
            others = set(names) - set(mine)  # blobs of other rooms are theirs to remove
            with self._records.snapshot() as connection:
                return others | store.known(connection, mine)

        return await self._blobs.sweep(self.settings.orphan_seconds, known)

    def lifetime(self, purpose: str, asked: float | None) -> float | None:
        """Seconds that a file is kept; None for ever."""
        return asked if asked is not None else (self.settings.batch_lifetime_seconds if purpose == "batch" else None)

    async def keep(self, file: FileInfo) -> None:
        """Write the row of a file whose bytes are on disk, unless the organisation's room was taken meanwhile."""

        def work(connection: store.Connection) -> None:
            if self._room(*store.used(connection, file.organisation)) < file.size:
                raise self._full()
            store.add(connection, file)

        await self._records.write(work)
        self.written += 1
        self.written_bytes += file.size

    async def forget(self, id: str) -> None:
        """Remove bytes that got no row."""
        await self._blobs.delete(id)

    def now(self) -> float:
        """The moment, in Unix seconds."""
        return self._clock()

    def _room(self, count: int, size: int) -> int:
        if count >= self.settings.max_organisation_files:
            what = f"the organisation has {count} files, as many as files.max_organisation_files allows; delete some"
            raise Forbidden(what, code="file_quota_exceeded")
        room = self.settings.max_organisation_bytes - size
        if room <= 0:
            raise self._full()
        return room

    def _full(self) -> Forbidden:
        most = self.settings.max_organisation_bytes
        return Forbidden(f"the files of the organisation would exceed files.max_organisation_bytes ({most})", code="file_quota_exceeded")


class Draft:
    """A file that is arriving. `keep` or `drop` ends it; dropping what was kept does nothing."""

    def __init__(self, service: FileService, organisation: str, id: str, incoming: Incoming, most: int, room: int) -> None:
        self._service = service
        self._organisation = organisation
        self._id = id
        self._incoming = incoming
        self._most = most
        self._room = room

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._incoming.size

    async def write(self, data: bytes) -> None:
        """More bytes. Raises `BodyTooLarge`, `Forbidden` or `StorageFull`."""
        if self._incoming.size + len(data) > self._most:
            if self._most == self._room:
                what = f"the files of the organisation may have {self._room} more bytes (files.max_organisation_bytes)"
                raise Forbidden(what, code="file_quota_exceeded")
            raise BodyTooLarge(f"the file is longer than files.max_file_bytes ({self._most})")
        await self._incoming.write(data)

    async def keep(self, *, name: str, purpose: str, media: str, created_by: str | None, lifetime: float | None) -> FileInfo:
        """Bytes to disk, then the row. Raises as `write` does."""
        digest = await self._incoming.keep()
        now = self._service.now()
        lifetime = self._service.lifetime(purpose, lifetime)
        file = FileInfo(
            id=self._id,
            organisation=self._organisation,
            name=name[:LONGEST_NAME],
            purpose=purpose,
            media=media,
            size=self._incoming.size,
            digest=digest,
            created_at=now,
            expires_at=None if lifetime is None else now + lifetime,
            created_by=created_by,
        )
        try:
            await self._service.keep(file)
        except Forbidden:
            await self._service.forget(self._id)
            raise
        return file

    async def drop(self) -> None:
        """Forget what arrived."""
        await self._incoming.drop()


def _missing(id: str) -> NotFound:
    return NotFound(f"there is no file {id[:80]!r}", param="file_id")


def _lost(id: str, place: str) -> StorageError:
    return StorageError(f"the bytes of {id} are not in {place}: it was restored without them, or another machine has them")
