"""Limits of a task: from what people said of its replies, kept across a restart, used by whoever judges."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio
from tests.edge.contract import Contract
from tests.house import House
from tests.quality.grounded.classifier import CONTEXT, GROUNDED, MADE_UP, make
from tests.quality.house import dataset, evaluation, item, quality_house
from typer.testing import CliRunner

from penstock.app import App, capabilities, load_settings, open_store
from penstock.quality import samples
from penstock.quality.commands import app as commands
from penstock.quality.grounded.calibrate import labels_wanted
from penstock.quality.grounded.judgement import Limits
from penstock.quality.life import QualityLife
from penstock.quality.samples import Feedback, Kept
from penstock.storage.records import Records

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]
PATH = "/v1/groundedness/calibrations"
OWN = (PATH, PATH + "/{id}")
"""Routes that are held against the document here."""
EACH = labels_wanted(0.1, 0.95) + 4
JUDGES = {"tokens": "tokens", "words": "lexical", "any": None}
"""The detectors that tasks name."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[House, Path]]:
    folder = tmp_path_factory.mktemp("house")
    more = f'[quality]\ndetector_folder = "{make(folder / "once")}"\n'
    for name, kind in JUDGES.items():
        judge = 'kind = "groundedness"' + (f', detector = "{kind}"' if kind else "")
        more += f'[tasks."rag.{name}"]\nowner = "ada"\ncandidates = ["up/m"]\njudge = {{ {judge} }}\n'
    more += '[tasks.exact]\nowner = "ada"\ncandidates = ["up/m"]\njudge = { kind = "exact" }\n'
    async with quality_house(folder, more) as (house, provider):
        provider.say = lambda model, messages: MADE_UP if "add" in messages[-1]["content"] else GROUNDED
        yield house, folder


async def label(house: House, task: str, *, each: int = EACH) -> None:
    """Replies of the task that were drawn and labelled: ``each`` grounded ones, and as many that are not."""
    organisation = await house.home()
    now = time.time()
    kept: list[Kept] = []
    said: list[Feedback] = []
    for number in range(2 * each):
        call = f"call_{task}_{number:04}"
        known: dict[str, Any] = {"organisation": organisation, "task": task, "candidate": "up/m"}
        answer = MADE_UP if number % 2 else GROUNDED
        texts: dict[str, Any] = {"prompt": "?", "context": "\n".join(CONTEXT), "answer": answer, "groups": {}, "cost": 1, "latency_ms": 1.0}
        drawn: dict[str, Any] = {
            "id": call,
            "item": call,
            "source": "live",
            "propensity": 1.0,
            "input_tokens": 1,
            "output_tokens": 1,
            "at": now,
        }
        kept.append(Kept(**known, **texts, **drawn, state="judged", score=1.0, judge="groundedness"))
        told: dict[str, Any] = {"kind": "label", "name": "", "call": call, "evaluation": None, "item": None, "by": "ada", "comment": ""}
        said.append(Feedback(**known, **told, id=f"fb_00_{call}", score=float(number % 2 == 0), created_at=now))
    records = house.app.ports.get(Records)

    def write(connection: samples.Connection) -> None:
        samples.put(connection, kept)
        for one in said:
            samples.say(connection, one)

    await records.write(write)


async def test_the_document_is_true_and_limits_are_used_from_then_on(place: tuple[House, Path]) -> None:
    house, folder = place
    contract = await Contract.of(house)

    async def ask(method: str, path: str, body: Any = None, *, status: int = 200, key: str | None = None) -> Any:
        answer = await house.ask(method, path, body, key=key)
        contract.check(method, path, body, answer)
        assert answer.status == status, answer.text
        return answer.json

    few = await ask("POST", PATH, {"task": "rag.tokens"}, status=409)
    assert few["error"]["code"] == "too_few_labels"
    assert "36 more grounded and 36 more ungrounded" in few["error"]["message"]
    await label(house, "rag.tokens")
    made = await ask("POST", PATH, {"task": "rag.tokens"}, status=201)
    assert (made["found"]["grounded"], made["found"]["ungrounded"], made["in_use"]) == (EACH, EACH, True)
    assert made["detector"].startswith("once/tokens/")
    assert {(round(one["score"], 2), one["ungrounded"]) for one in made["sample"]} == {(0.02, False), (0.98, True)}
    low, high = made["found"]["limits"]["low"], made["found"]["limits"]["high"]
    assert 0.02 < low <= high < 0.98
    assert made["found"]["method"].startswith("distribution-free")
    assert (made["found"]["error"], made["found"]["confidence"]) == (0.1, 0.95)
    assert await ask("GET", f"{PATH}/{made['id']}") == made
    (listed,) = (await ask("GET", f"{PATH}?task=rag.tokens"))["data"]
    assert listed == {name: value for name, value in made.items() if name != "sample"}

    # Whoever judges the task uses them: here an evaluation.
    held = await dataset(house, [item("a", "tell", context=" ".join(CONTEXT)), item("b", "add to it", context=" ".join(CONTEXT))], "rag")
    run = await evaluation(house, dataset=held["id"], task="rag.tokens")
    answers = (await house.ask("GET", f"/v1/evaluations/{run['id']}/answers")).json["data"]
    assert {(one["item"], one["score"], one["judge"]) for one in answers} == {
        ("a", 1.0, "groundedness:tokens"),
        ("b", 0.0, "groundedness:tokens"),
    }
    assert all(one["detail"]["limits"] == [low, high] for one in answers)

    # The database keeps them: whoever opens the house anew has them.
    again = App(capabilities(), load_settings(capabilities(), folder / "penstock.toml"), open_store(house.app.tree))
    known = cast("QualityLife", again.offers["quality"].services[0]).calibrations
    await known.refresh()
    organisation = made["organisation"]
    assert known.limits(organisation, "rag.tokens", made["detector"]) == Limits(low=low, high=high)
    assert known.limits(organisation, "rag.tokens", "another") is None
    again.store.close()

    # The last one is in use, and the one before it when that is deleted.
    other = await ask("POST", PATH, {"task": "rag.tokens", "error": 0.2}, status=201)
    assert [one["in_use"] for one in (await ask("GET", f"{PATH}?task=rag.tokens"))["data"]] == [True, False]
    await ask("DELETE", f"{PATH}/{other['id']}", status=204)
    assert [(one["id"], one["in_use"]) for one in (await ask("GET", f"{PATH}?task=rag.tokens"))["data"]] == [(made["id"], True)]

    stranger, _ = await house.outsider()
    reader, _ = await house.key(scopes=["read"])
    for method, path, body in (("GET", f"{PATH}/{made['id']}", None), ("DELETE", f"{PATH}/{made['id']}", None)):
        await ask(method, path, body, status=404, key=stranger)
        await ask(method, f"{PATH}/gc_none", body, status=404)
    assert (await ask("GET", PATH, key=stranger))["data"] == []
    for method, path, body in (("POST", PATH, {"task": "rag.tokens"}), ("DELETE", f"{PATH}/{made['id']}", None)):
        await ask(method, path, body, status=403, key=reader)
    await ask("POST", PATH, {"task": "nobody"}, status=404)
    assert "judged by exact" in (await ask("POST", PATH, {"task": "exact"}, status=400))["error"]["message"]
    mine = {operation["operationId"] for _, path, operation in contract.operations() if path in OWN}
    assert mine
    assert mine - contract.succeeded == set()


async def test_a_reply_counts_once_and_what_is_of_no_use_is_counted(place: tuple[House, Path]) -> None:
    house, _ = place
    task = "rag.any"
    await label(house, task)
    call = f"call_{task}_0000"
    await house.made("/v1/feedback", {"call": call, "score": 0, "by": "ada"})  # she was wrong before
    await house.made("/v1/feedback", {"call": call, "score": 1, "by": "bob"})  # and he says otherwise: undecided
    await house.made("/v1/feedback", {"call": f"call_{task}_0002", "score": 1, "by": "bob"})
    answer = await house.ask("POST", "/v1/chat/completions", {"model": f"task:{task}", "messages": [{"role": "user", "content": "hi"}]})
    await house.made("/v1/feedback", {"call": answer.headers["x-request-id"], "score": 1})  # never drawn
    # An answer of an evaluation that people labelled is one of the task's too; without a context it is of no use.
    held = await dataset(house, [item("c", "tell", context=" ".join(CONTEXT)), item("d", "tell")], "labelled")
    run = await evaluation(house, dataset=held["id"], task=task)
    for name in "cd":
        await house.made("/v1/feedback", {"evaluation": run["id"], "item": name, "candidate": "up/m", "score": 1})
    made = await house.made(PATH, {"task": task})
    assert made["left_out"] == {"undecided": 1, "not_kept": 1, "no_context": 1}
    assert made["found"]["grounded"] == EACH - 1 + 1
    assert f"{run['id']}/c/up/m" in {one["answer"] for one in made["sample"]}
    assert made["detector"].endswith("/words")
    assert (await house.made(PATH, {"task": task, "most": 2 * EACH - 4}))["left_out"]["beyond_the_limit"] == 4


async def test_the_check_says_who_judges_and_with_which_limits(place: tuple[House, Path]) -> None:
    house, _ = place

    async def findings(task: str) -> dict[str, Any]:
        found = (await house.ask("GET", f"/v1/tasks/{task}/check")).json["findings"]
        return {one["name"]: one for one in found if one["name"].startswith("groundedness")}

    words = await findings("rag.words")
    assert (words["groundedness detector"]["status"], words["groundedness limits"]["status"]) == ("ok", "warn")
    assert words["groundedness limits"]["mend"].endswith("penstock quality calibrate rag.words")
    await label(house, "rag.words")
    runner = CliRunner(env={"PENSTOCK_KEY": house.admin, "PENSTOCK_URL": house.url})
    told = await asyncio.to_thread(runner.invoke, commands, ["calibrate", "rag.words"])
    assert told.exit_code == 0, told.output
    assert f"{EACH} grounded and {EACH} ungrounded" in told.output
    limits = (await findings("rag.words"))["groundedness limits"]
    assert (limits["status"], f"from {EACH} grounded and {EACH} ungrounded replies" in limits["what"]) == ("ok", True)
    shown = await asyncio.to_thread(runner.invoke, commands, ["calibrations", "rag.words"])
    assert "in use: grounded up to" in shown.output
    id = shown.output.split()[0]
    assert (await asyncio.to_thread(runner.invoke, commands, ["uncalibrate", id])).output == f"{id} deleted\n"
    assert (await findings("rag.words"))["groundedness limits"]["status"] == "warn"
    assert await findings("exact") == {}


async def test_the_doctor_says_so_too(place: tuple[House, Path]) -> None:
    house, _ = place
    (check,) = house.app.offers["quality"].checks
    assert [(one.status, one.what.split(":")[0]) for one in await check()] == [("ok", "lexical"), ("ok", "tokens")]
