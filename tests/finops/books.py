"""A house with ledger rows, looked at and written to as a browser does."""

from __future__ import annotations

import html
import re
import time
from urllib.parse import urlencode

from tests.finops.samples import ledger_row
from tests.house import Answer, House

from penstock.finops import store
from penstock.finops.rows import LedgerRow
from penstock.storage.records import Records


class Books:
    """A house whose home organisation has ledger rows."""

    def __init__(self, house: House, organisation: str) -> None:
        self.house = house
        self.organisation = organisation
        self.now = int(time.time() * 1000)

    @classmethod
    async def of(cls, house: House) -> Books:
        """With the house's own organisation."""
        return cls(house, await house.home())

    async def enter(self, *rows: LedgerRow) -> None:
        await self.house.app.ports.get(Records).write(lambda connection: store.add_rows(connection, rows))

    async def row(self, id: str, amount: int, **terms: object) -> None:
        await self.enter(ledger_row(id, at=self.now, organisation=self.organisation, amount=amount, **terms))

    async def look(self, path: str, *, key: str | None = None) -> Answer:
        return await self.house.ask("GET", path, key=key, accept="text/html")

    async def send(self, path: str, *, key: str | None = None, **form: str) -> Answer:
        return await self.house.ask(
            "POST", path, urlencode(form), key=key, accept="text/html", content_type="application/x-www-form-urlencoded"
        )


def words(answer: Answer) -> str:
    """The text of a page, without markup."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", answer.text)))
