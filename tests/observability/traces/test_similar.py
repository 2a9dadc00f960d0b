"""Prompts like one: by their rarest words, and by an embedding model where there is one."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio
from tests.observability.traces.rig import BAD, GOOD, Rig, trace_house

from penstock.kernel.errors import Unavailable
from penstock.kernel.ports import Holders
from penstock.kernel.principal import Scope
from penstock.observability.access.service import PayloadAccess
from penstock.observability.traces.annotations import Annotations
from penstock.observability.traces.service import Traces
from penstock.observability.traces.similar import Likeness, words_of
from penstock.storage.records import Records
from penstock.storage.telemetry.store import TelemetryStore

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

CALL = f"{3:016x}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with trace_house(tmp_path_factory.mktemp("house")) as rig:
        await rig.keep("more", *rig.conversation("b" * 32, 5, "Where has the blue kettle gone?", "Gone."))
        await rig.keep("else", *rig.conversation("c" * 32, 6, "Translate this sentence", "Done."))
        yield rig


async def test_prompts_like_it_are_shown_with_how_they_were_found(rig: Rig) -> None:
    # Whether there is an embedding model depends on what is installed.
    found = await rig.get(f"/v1/traces/{GOOD}/spans/{CALL}/similar")
    assert {one["span"]["trace_id"] for one in found["data"]} == {"b" * 32, BAD}
    assert "kettle" in found["words"]
    page = await rig.page(f"/console/traces/{GOOD}/spans/{CALL}/similar")
    assert ("By meaning" if found["method"] == "embedding" else "By words") in page
    assert "blue kettle gone" in page


async def test_a_span_without_a_prompt_has_none_alike(rig: Rig) -> None:
    await rig.get(f"/v1/traces/{GOOD}/spans/{2:016x}/similar", status=400)
    assert "Nothing to compare" in await rig.page(f"/console/traces/{GOOD}/spans/{2:016x}/similar")
    await rig.get(f"/v1/traces/{GOOD}/spans/{CALL}/similar", key=rig.outsider, status=404)


class Letters:
    """An embedding model of one dimension a letter; cannot when it is told so."""

    id = "letters"
    broken = False

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        if self.broken:
            raise Unavailable("no model")
        made: list[bytes] = []
        for text in texts:
            counts = [float(text.lower().count(chr(97 + at))) for at in range(26)]
            length = sum(one * one for one in counts) ** 0.5 or 1.0
            made.append(array("f", [one / length for one in counts]).tobytes())
        return made

    def at_hand(self, text: str) -> bytes | None:
        return None


async def test_the_most_alike_comes_first_by_words_and_by_a_model(rig: Rig) -> None:
    ports = rig.house.app.ports
    (admin,) = [one["id"] for one in (await rig.get("/v1/keys"))["data"] if one["organisation"] == rig.home]
    reader = ports.get(Holders).holder_of(admin)
    access = PayloadAccess(ports.get(Records), Scope.READ)
    traces = Traces(lambda: ports.get(TelemetryStore), Annotations(ports.get(Records), str).traces, access)
    by_words = await Likeness(traces, lambda: None).like(reader, GOOD, CALL)
    assert (by_words.method, by_words.model) == ("words", "")
    assert [one.span.trace_id for one in by_words.data] == ["b" * 32, BAD]
    assert 1 > by_words.data[0].likeness > by_words.data[1].likeness > 0
    model = Letters()
    by_model = await Likeness(traces, lambda: model).like(reader, GOOD, CALL)
    assert (by_model.method, by_model.model) == ("embedding", "letters")
    assert by_model.data[0].likeness >= by_model.data[1].likeness > 0.5
    model.broken = True
    assert await Likeness(traces, lambda: model).like(reader, GOOD, CALL) == by_words


async def test_words_are_those_that_tell_texts_apart() -> None:
    assert words_of("The order no. 4711 is at ÅRHUS, is it?") == {"the", "order", "4711", "århus"}
