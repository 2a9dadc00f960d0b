"""When keys were last used: noted in memory at every use, written down in batches."""

from __future__ import annotations

from collections.abc import MutableMapping

from penstock.identity import store
from penstock.storage.records import Records

BATCH = 1000
"""Keys written in one transaction, so that others who write wait a few milliseconds at most."""


class Uses:
    """Writes down what the keyring notes in ``noted``: the id of each key that was used since, with the moment in Unix seconds.

    What was written leaves ``noted``. A crash loses what was noted since the last `flush`, never what was written. A moment that is
    stored is only ever replaced by a later one, so several processes may write about the same key.
    """

    def __init__(self, records: Records, noted: MutableMapping[str, float]) -> None:
        self._records = records
        self._noted = noted

    async def flush(self) -> None:
        """Write down what was noted up to now. Raises `StorageError` when the database does not answer; nothing is forgotten then."""
        noted = list(self._noted.items())
        for start in range(0, len(noted), BATCH):
            batch = noted[start : start + BATCH]
            await self._records.write(lambda connection, batch=batch: store.put_uses(connection, batch))
            for key, at in batch:
                # Used again while it was written: then there is more to write.
                if self._noted[key] == at:
                    del self._noted[key]
