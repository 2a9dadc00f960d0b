"""What one process revokes, another refuses within a second: two on PostgreSQL, and a real one whose database somebody else writes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import fresh_database
from tests.crew import Crew, upstream
from tests.gateway.upstream import Conversation, serving
from tests.registry.people import REPLY, rig
from tests.registry.test_standing import version
from tests.system.process import Penstock

from penstock.kernel.errors import StorageError
from penstock.kernel.events import Events
from penstock.kernel.principal import Principal, Scope
from penstock.registry import store
from penstock.registry.prompts.shelf import Shelf
from penstock.registry.refresh import Refresh
from penstock.registry.service import Registry
from penstock.registry.standing import Standing
from penstock.registry.tables import CHANGES, METADATA
from penstock.registry.weights import Weights
from penstock.storage.records import open_records


async def until(look: Callable[[], Awaitable[bool]]) -> float:
    """Seconds until ``look`` says yes."""
    began = time.monotonic()
    async with asyncio.timeout(20):
        while not await look():
            await asyncio.sleep(0.01)
    return time.monotonic() - began


@pytest.mark.timeout(90)
async def test_two_processes_on_one_database(tmp_path: Path, postgres_server: str) -> None:
    url = fresh_database(postgres_server)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    async with rig(tmp_path / "one", database=url) as one:
        id = await one.approved("up/a")
        async with rig(tmp_path / "two", database=url, admin=one.house.admin) as two:
            assert (await two.call("up/a")).status == 200
            assert (await one.step(id, "revocation", {"reason": "worse"})).status == 200
            assert (await one.call("up/a")).status == 403, "the process that did it acts at once"

            async def refused() -> bool:
                answer = await two.call("up/a")
                return answer.status == 403 and answer.json["error"]["code"] == "model_revoked"

            assert await until(refused) < 5, "its setting is half a second; the rest is patience with a busy machine"


@pytest.mark.timeout(90)
async def test_a_real_process_hears_of_what_another_commits(tmp_path: Path) -> None:
    async def provider(peer: Conversation) -> None:
        while True:
            await peer.request()
            await peer.json(REPLY)

    async with serving(provider) as upstream:
        settings = (
            "[gateway]\ndiscover = false\nlocal_embeddings = false\n"
            f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["a"]\n'
        )
        live = Penstock(tmp_path, settings)
        await live.start()
        try:
            said = {"model": "up/a", "messages": [{"role": "user", "content": "hi"}]}

            async def ask(path: str, body: Any) -> Any:
                return await live.ask("POST", path, body, key=live.admin)

            model = await ask("/v1/registry/models", {"name": "a"})
            made = await ask(f"/v1/registry/models/{model['id']}/versions", {"origin": "vendor", "targets": ["up/a"]})
            assert "choices" in await ask("/v1/chat/completions", said), "registered, and the policy is open"
            records = open_records("", live.data)
            try:

                async def nothing() -> None: ...

                actor = Principal(
                    key_id="key_other", name="other", organisation=made["organisation"], scopes=frozenset({Scope.ADMIN}), home=True
                )
                await Registry(records, Weights(tmp_path, ()), nothing).revoke(actor, made["id"], "found wanting")
            finally:
                records.close()

            async def refused() -> bool:
                try:
                    await ask("/v1/chat/completions", said)
                except AssertionError as fault:
                    return "403" in str(fault) and "model_revoked" in str(fault)
                return False

            assert await until(refused) < 5, "its setting is half a second; the rest is patience with a busy machine"
        finally:
            await live.terminate()


async def test_a_database_that_does_not_answer_leaves_what_is_known(tmp_path: Path) -> None:
    records = open_records("", tmp_path)
    try:
        with records.begin() as connection:
            METADATA.create_all(connection)
            connection.execute(CHANGES.insert().values(id=1, version=1))
            store.add_model(connection, _model())
            store.add_version(connection, version("revoked"))
        standing = Standing("open")
        refresh = Refresh(records, standing, Shelf(records), 0.01, Events())
        await refresh.start()
        real = records.read
        down = asyncio.Event()

        async def failing(work: Any) -> Any:
            down.set()
            raise StorageError("the database does not answer")

        records.read = failing  # type: ignore[method-assign]
        await asyncio.wait_for(down.wait(), 10)
        assert standing.refusal("p", "m", organisation="org") is not None
        age = next(m for m in refresh.metrics() if m.name == "penstock_registry_age_seconds").samples[0][1]
        assert age >= 0
        records.read = real  # type: ignore[method-assign]
        with records.begin() as connection:
            store.put_version(connection, version("draft"))
            store.bump(connection)

        async def allowed() -> bool:
            return standing.refusal("p", "m", organisation="org") is None

        assert await until(allowed) < 10
        await refresh.stop()
    finally:
        records.close()


def _model() -> Any:
    from penstock.registry.model import Model

    return Model(id="mdl", organisation="org", name="m", description="", created_at=1.0, created_by="key")


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_all_workers_of_a_live_system_refuse_what_one_of_them_revoked(tmp_path: Path) -> None:
    async with upstream() as provider:
        crew = Crew(tmp_path, provider.url)
        await crew.start()
        try:
            await crew.all_up()
            await crew.known(crew.admin)
            model = await crew.ask("POST", "/v1/registry/models", {"name": "m"})
            facts = {"origin": "vendor", "targets": ["up/m"]}
            made = await crew.ask("POST", f"/v1/registry/models/{model['id']}/versions", facts)
            assert [(await crew.call(crew.admin))[0] for _ in range(10)] == [200] * 10
            await crew.ask("POST", f"/v1/registry/versions/{made['id']}/revocation", {"reason": "worse"})
            revoked = time.monotonic()
            last, refused = 0.0, 0
            async with asyncio.timeout(20):
                while refused < 40:  # on connections of their own, so that each meets any of the workers
                    began = time.monotonic()
                    status, body, _ = await crew.call(crew.admin)
                    last, refused = (began - revoked, 0) if status == 200 else (last, refused + 1)
                    assert status == 200 or body["error"]["code"] == "model_revoked"
            assert last < 3, "the setting is half a second; the rest is patience with a busy machine"
            assert provider.seen
        finally:
            await crew.terminate()
