"""Views are kept for their owner or the organisation, and for nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from penstock.kernel.errors import Forbidden, MalformedRequest, NotFound
from penstock.kernel.principal import Principal, Scope
from penstock.observability.views import kept
from penstock.observability.views.kept import NewView, Views
from penstock.storage.migrations import migrate
from penstock.storage.records import open_records

ANN = Principal(key_id="key_1", name="a", organisation="org_a", person="ann", scopes=frozenset({Scope.READ}))
KEY = Principal(key_id="key_2", name="b", organisation="org_a", scopes=frozenset({Scope.READ}))
ADMIN = Principal(key_id="key_3", name="c", organisation="org_a", scopes=frozenset({Scope.ADMIN}))
OTHER = Principal(key_id="key_4", name="d", organisation="org_b", scopes=frozenset({Scope.ADMIN}), home=True)


@pytest.fixture
def views(database: str, tmp_path: Path) -> Iterator[Views]:
    records = open_records(database, tmp_path)
    migrate(records, ["penstock.observability.migrations"])
    yield Views(records)
    records.close()


async def test_who_sees_and_removes_what(views: Views) -> None:
    own = await views.keep(ANN, NewView(name="  Mine  ", path="/console/health", query="?model=a&task="))
    shared = await views.keep(ANN, NewView(name="all", path="/console/traces", query="status=failed&text=a+%26b", shared=True))
    assert (own.name, own.query, own.href) == ("Mine", "model=a", "/console/health?model=a")
    assert shared.href == "/console/traces?status=failed&text=a+%26b"
    assert [one.name for one in await views.all(ANN)] == ["all", "Mine"]
    assert [one.name for one in await views.all(msgspec.structs.replace(ANN, key_id="key_9"), "/console/health")] == ["Mine"]
    assert [(one.name, one.own, one.removable) for one in await views.all(KEY)] == [("all", False, False)]
    assert [one.removable for one in await views.all(ADMIN)] == [True]
    assert await views.all(OTHER) == []
    for reader, fault in ((OTHER, NotFound), (KEY, Forbidden)):
        with pytest.raises(fault):
            await views.remove(reader, shared.id)
    with pytest.raises(NotFound):
        await views.remove(ADMIN, own.id)
    await views.remove(ADMIN, shared.id)
    await views.remove(ANN, own.id)
    assert await views.all(ANN) == []


@pytest.mark.parametrize("path", ["/console//evil", "/console/../v1/keys", "/v1/keys", "https://evil/console/", "/console/a?b", "//evil"])
async def test_an_address_that_is_no_page_is_refused(views: Views, path: str) -> None:
    with pytest.raises((MalformedRequest, msgspec.ValidationError)):
        await views.keep(ANN, msgspec.convert({"name": "a", "path": path}, NewView))


async def test_a_name_of_spaces_and_too_many_are_refused(views: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 1)
    with pytest.raises(MalformedRequest, match="name"):
        await views.keep(ANN, NewView(name="  ", path="/console/health"))
    await views.keep(ANN, NewView(name="a", path="/console/health"))
    with pytest.raises(MalformedRequest, match="1 views are kept"):
        await views.keep(ANN, NewView(name="b", path="/console/health"))
    await views.keep(KEY, NewView(name="b", path="/console/health"))
