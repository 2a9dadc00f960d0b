"""One journal for the agents of a module's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.agents.scripted import Stand


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    made = Stand(tmp_path_factory.mktemp("agents"))
    await made.open()
    try:
        yield made
    finally:
        await made.close()
