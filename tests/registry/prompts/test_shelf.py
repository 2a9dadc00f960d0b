"""Where labels point is known from memory; what a version says is read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.kernel.errors import NotFound, StorageError
from penstock.kernel.principal import Principal
from penstock.registry.prompts import store
from penstock.registry.prompts.service import Content, Prompts
from penstock.registry.prompts.shelf import Shelf
from penstock.registry.tables import CHANGES, METADATA
from penstock.storage.records import open_records


async def test_what_was_used_goes_on_while_the_database_is_away(tmp_path: Path) -> None:
    records = open_records("", tmp_path)
    try:
        with records.begin() as connection:
            METADATA.create_all(connection)
            connection.execute(CHANGES.insert().values(id=1, version=0))
        shelf = Shelf(records)

        async def look() -> None:
            shelf.apply(*(await records.read(store.known)))

        prompts = Prompts(records, look, two_people=False)
        actor = Principal(key_id="key", name="k", organisation="org")
        await prompts.create(actor, "p", "", Content.of((), "one", {}), "")
        with pytest.raises(NotFound, match="no version labelled 'production'; name one or move the label; there are 1, latest"):
            shelf.find("org", "p", None)
        await prompts.label(actor, "p", "production", "1", "")
        await prompts.add(actor, "p", Content.of((), "two", {}), "")
        used = shelf.find("org", "p", None)
        (message,) = (await shelf.template(used)).render({})
        assert (used.number, message.content) == (1, "one")

        async def failing(work: Any) -> Any:
            raise StorageError("the database does not answer")

        records.read = failing  # type: ignore[method-assign]
        (message,) = (await shelf.template(shelf.find("org", "p", "1"))).render({})
        assert message.content == "one"
        with pytest.raises(StorageError):
            await shelf.template(shelf.find("org", "p", "latest"))
        with pytest.raises(NotFound):
            shelf.find("other", "p", "1")
    finally:
        records.close()
