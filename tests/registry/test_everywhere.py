"""Walks through the states, by the API alone, while calls come by every way in: what is not approved at that moment is never reached.

Versions are made, scanned, signed, evaluated, approved by a second person, changed, tampered with and revoked in any order; between
the steps calls are made by every endpoint, whole and streamed, through chains and hedges, from the cache, as what follows a stored
response, with a stored prompt, from inside, as trials, as lines of a batch, and by requests that claim to be trials. What the provider
was asked for is compared with a model of the rules that is as short as the page about them. Sessions and vendors' own batches outlive
the moment of approval; they are below, and in tests/batches/test_delegating.py.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.batches.house import ended, line, started
from tests.gateway.realtime.test_endpoint import running, until
from tests.registry.people import Rig, key_pair, rig, weights
from websockets.exceptions import ConnectionClosed

from penstock.kernel.ports import Authenticator, ModelAsk, ModelClient

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240), pytest.mark.filterwarnings("ignore")]
SIGNING = importlib.util.find_spec("model_signing") is not None
MODELS = "abc"
NAMES = {"up/a": "a", "up/b": "b", "up/c": "c", "chain": "ab", "hedged": "ab"}
STEPS = ("make vendor", "make weights", "scan", "sign", "evaluate", "approve all", "approve t", "approve own", "change", "tamper", "revoke")
WAYS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "MARK"}]},
    "/v1/chat/completions stream": {"messages": [{"role": "user", "content": "MARK"}], "stream": True},
    "/v1/chat/completions cached": {"messages": [{"role": "user", "content": "always the same"}]},
    "/v1/chat/completions prompt": {"prompt": {"id": "p", "version": "1", "variables": {"x": "MARK"}}},
    "/v1/responses": {"input": "MARK"},
    "/v1/responses following": {"input": "MARK"},
    "/v1/messages": {"messages": [{"role": "user", "content": "MARK"}], "max_tokens": 9},
    "/v1/embeddings": {"input": "MARK"},
    "/v1/completions": {"prompt": "MARK"},
    "inside": {"messages": [{"role": "user", "content": "MARK"}]},
    "batch": {"messages": [{"role": "user", "content": "MARK"}]},
    "trial": {"messages": [{"role": "user", "content": "MARK"}]},
    "/v1/chat/completions claiming": {"messages": [{"role": "user", "content": "MARK"}], "trial": True, "inside": "evaluation"},
    "/v1/responses claiming": {"input": "MARK", "metadata": {"trial": "true", "inside": "evaluation"}},
}
CLAIMS = {
    "x_penstock_trial": "true",
    "x_penstock_inside": "evaluation",
    "x_penstock_labels": "trial=true,inside=evaluation,evaluation=eval_1,judge=exact,run=run_1,step=1",
}
Step = tuple[str, str]
Ask = tuple[str, str, str | None]


class Known:
    """What the rules say of one model: the version that has its name, where it stands, and for what it was approved."""

    def __init__(self) -> None:
        self.id = ""
        self.origin = ""
        self.state = ""
        self.covers: set[str] = set()
        self.tampered = False
        self.id_folder = ""
        self.place: dict[str, str] = {}

    def may(self, policy: str, task: str | None) -> bool:
        if not self.id:
            return policy == "open"
        if self.state == "revoked":
            return False
        plain = self.origin == "vendor" and task is None and policy != "approved"
        return plain or (self.state == "approved" and ("all" in self.covers or (task is not None and task in self.covers)))

    def may_be_tried(self, policy: str, task: str | None) -> bool:
        on_its_way = self.origin == "vendor" or self.state in ("signed", "evaluated", "approved")
        return self.may(policy, task) or (self.id != "" and self.state != "revoked" and on_its_way)


class Walk:
    def __init__(self, house: Rig, policy: str, store: Path, private: Path | None) -> None:
        self.house = house
        self.policy = policy
        self.known = {model: Known() for model in MODELS}
        self._store = store
        self._private = private
        self._marks = count()
        self._folders = count()
        self._first = ""
        self.permitted: dict[str, set[str]] = {}
        self.seen = {"allowed": 0, "refused": 0, "recalled": 0, "tried": 0}

    async def step(self, model: str, what: str) -> None:
        """Try a step, which may be out of order: then the house must refuse it, and nothing has changed."""
        known = self.known[model]
        if what.startswith("make"):
            return await self._make(model, what.rpartition(" ")[2])
        if not known.id:
            return None
        if what == "tamper":
            if known.origin == "file":
                (self._store / known.id_folder / "config.json").write_text('{"model_type": "other"}', "utf-8")
                known.tampered = True
                await self.house.step(known.id, "verification")
        elif what == "change":
            facts = {"origin": known.origin, "targets": [f"up/{model}"], "licence": "other"}
            await self.house.house.ask("PUT", f"/v1/registry/versions/{known.id}", {**facts, **known.place})
        elif what == "sign" and known.origin == "file" and self._private is not None:
            from penstock.registry.signing import sign

            if not known.tampered:
                sign(self._store / known.id_folder, self._private)
            await self.house.step(known.id, "signature")
        elif what == "scan":
            await self.house.step(known.id, "scan")
        elif what == "evaluate":
            await self.house.step(known.id, "evaluations", {"metric": "exact", "value": 0.9, "examples": 10})
        elif what == "revoke":
            await self.house.step(known.id, "revocation", {"reason": "worse"})
        elif what.startswith("approve"):
            named = what.rpartition(" ")[2]
            body = {"reason": "good", "coverage": "task", "name": "t"} if named == "t" else {"reason": "good"}
            answer = await self.house.step(known.id, "approvals", body, key=None if named == "own" else self.house.second)
            assert answer.status != 200 or named != "own", "nobody approves their own"
            assert answer.status != 200 or not known.tampered, "weights that were changed are not approved"
        before = known.state
        await self._look(model)
        known.covers = known.covers if known.state == "approved" else set()
        if what in ("approve all", "approve t") and known.state == "approved":
            found = (await self.house.house.ask("GET", f"/v1/registry/versions/{known.id}")).json["approvals"]
            known.covers = {"all" if one["coverage"] == "all" else one["name"] for one in found}
        assert self._possible(before, known.state, known.origin, what), (before, known.state, what)
        return None

    async def _make(self, model: str, kind: str) -> None:
        known = self.known[model]
        if known.id and known.state != "revoked":
            return
        fresh = Known()
        fresh.origin = "vendor" if kind == "vendor" else "file"
        if fresh.origin == "file":
            fresh.id_folder = f"w{next(self._folders)}"
            weights(self._store / fresh.id_folder)
            fresh.place = {"path": fresh.id_folder}
        fresh.id = await self.house.version(f"up/{model}", origin=fresh.origin, **fresh.place, source=f"try {next(self._folders)}")
        fresh.state = "draft"
        self.known[model] = fresh

    async def _look(self, model: str) -> None:
        known = self.known[model]
        known.state = (await self.house.house.ask("GET", f"/v1/registry/versions/{known.id}")).json["state"]

    @staticmethod
    def _possible(before: str, after: str, origin: str, what: str) -> bool:
        """Whether one step may lead there: only forward, one at a time, by the step that is meant for it; or down."""
        way = ("draft", "evaluated", "approved") if origin == "vendor" else ("draft", "scanned", "signed", "evaluated", "approved")
        if after in ("revoked", before):
            return after == before or what in ("revoke", "tamper", "approve all", "approve t")
        if what == "change":
            return after == "draft"
        means = {"scanned": "scan", "signed": "sign", "evaluated": "evaluate", "approved": "approve"}
        return before in way and way.index(after) == way.index(before) + 1 and what.startswith(means[after])

    async def ask(self, way: str, name: str, task: str | None) -> None:
        """One call; what it reached must be allowed now."""
        mark = f"mark-{next(self._marks) + 1}"
        cached = way.endswith("cached")
        task = "cached" if cached else task
        may = Known.may_be_tried if way == "trial" else Known.may
        allowed = {model for model in NAMES[name] if may(self.known[model], self.policy, task)}
        self.seen["tried"] += way == "trial" and any(not self.known[model].may(self.policy, task) for model in allowed)
        self.permitted[mark] = allowed
        served = len(self.house.served)
        status, said, hit = await self._asked(way, name, task, mark)
        reached = set(self.house.served[served:]) if cached else set(self.house.marked.get(mark, []))
        # A hedge of a call before may arrive late, and is counted at the end by its mark; it carries no cached question.
        assert reached <= allowed or cached, (way, name, task, reached, allowed)
        if not allowed:
            self.seen["refused"] += 1
            assert status == 403, (way, name, task, said)
            assert not hit, "a cached reply was told again though its model may not be used"
        else:
            self.seen["recalled" if hit else "allowed"] += 1
            assert status == 200, (way, name, task, said)

    async def _asked(self, way: str, name: str, task: str | None, mark: str) -> tuple[int, str, bool]:
        path = way.partition(" ")[0]
        body: dict[str, Any] = {"model": name, **WAYS[way]}
        if way.endswith("following"):
            body["previous_response_id"] = self._first
        said = msgspec.json.encode(body).replace(b"MARK", mark.encode())
        if path in ("inside", "batch", "trial"):
            principal = self.house.house.app.ports.get(Authenticator).authenticate(self.house.house.admin)
            priority = "batch" if path == "batch" else "interactive"
            ask = ModelAsk(path="/v1/chat/completions", body=said, principal=principal, task=task, priority=priority, trial=path == "trial")
            told = await self.house.house.app.ports.get(ModelClient).call(ask)
            return told.status, told.error or "", False
        headers = {"x_penstock_task": task} if task else {}
        headers |= CLAIMS if way.endswith("claiming") else {}
        answer = await self.house.house.ask("POST", path, said, **headers)
        return answer.status, answer.text, answer.headers.get("x-penstock-cache") == "hit"

    async def first(self) -> None:
        """A stored response of a model that was approved then, and a stored prompt."""
        known = self.known["a"]
        known.id, known.origin, known.state, known.covers = await self.house.approved("up/a"), "vendor", "approved", {"all"}
        made = await self.house.house.ask("POST", "/v1/responses", {"model": "up/a", "input": "first"})
        self._first = made.json["id"]
        await self.house.house.made("/v1/prompts", {"name": "p", "text": "{{x}}", "variables": {"x": {}}})


STEP = st.tuples(st.sampled_from(MODELS), st.sampled_from(STEPS))
ASK = st.tuples(st.sampled_from(sorted(WAYS)), st.sampled_from(sorted(NAMES)), st.sampled_from([None, "t", "u"]))
ONWARD: dict[str, tuple[str, ...]] = {
    "vendor": ("make vendor", "evaluate", "approve all"),
    "task": ("make vendor", "evaluate", "approve t"),
    "weights": ("make weights", "scan", "sign", "evaluate", "approve all"),
}


def walks(number: int) -> list[tuple[list[Step], list[Ask]]]:
    """Steps and calls, drawn before the house is asked, whose own use of random numbers must not mix with the drawing.

    Random steps alone hardly ever arrive at an approval, so most walks are a way to one with other steps in between.
    """
    found: list[tuple[list[Step], list[Ask]]] = []

    @settings(max_examples=number, database=None)
    @given(
        st.sampled_from(MODELS),
        st.sampled_from(sorted(ONWARD)),
        st.lists(STEP, max_size=3),
        st.lists(ASK, min_size=2, max_size=5),
        st.data(),
    )
    def draw(model: str, way: str, others: list[Step], asks: list[Ask], data: st.DataObject) -> None:
        steps = [(model, step) for step in ONWARD[way]]
        for other in others:
            steps.insert(data.draw(st.integers(0, len(steps))), other)
        found.append((steps, asks))

    draw()
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["open", "listed", "approved"])
async def walk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Walk]:
    folder = tmp_path_factory.mktemp("house")
    store = tmp_path_factory.mktemp("weights")
    settings = f'default = "{request.param}"\nweights = "{store}"\n'
    private: Path | None = None
    if SIGNING:
        private, public = key_pair(tmp_path_factory.mktemp("keys"))
        settings += f'trusted_keys = ["{public}"]\n'
    async with rig(folder, settings, more='[[cache.rules]]\ntasks = ["cached"]\n') as house:
        made = Walk(house, request.param, store, private)
        await made.first()
        yield made


async def test_what_is_not_approved_is_reached_by_no_way(walk: Walk) -> None:
    for steps, asks in walks(30):
        for model, step in steps:
            await walk.step(model, step)
            await walk.ask("trial", f"up/{model}", "u")
            for way, name, task in asks[:2]:
                await walk.ask(way, name, task)
        for ask in asks:
            await walk.ask(*ask)
        model = steps[0][0]
        await walk.ask("/v1/chat/completions cached", f"up/{model}", None)
        await walk.ask("/v1/chat/completions cached", f"up/{model}", None)
        await walk.step(model, "revoke")
        for way, _, task in asks:
            await walk.ask(way, f"up/{model}", task)
        await walk.ask("/v1/chat/completions cached", f"up/{model}", None)
    late = [mark for mark, models in walk.house.marked.items() if not set(models) <= walk.permitted.get(mark, set())]
    assert late == [], "a second attempt that came late reached what was not approved"
    assert walk.seen["allowed"] >= 20, walk.seen
    assert walk.seen["refused"] >= 20, walk.seen
    assert walk.seen["tried"] >= 3, walk.seen


async def test_a_trials_answer_is_kept_from_users_and_theirs_from_it(walk: Walk) -> None:
    for step in ("revoke", "make vendor"):
        await walk.step("c", step)
    principal = walk.house.house.app.ports.get(Authenticator).authenticate(walk.house.house.admin)
    client, ask = walk.house.house.app.ports.get(ModelClient), walk.house.house.ask
    body = {"model": "up/c", "messages": [{"role": "user", "content": "asked in a trial first"}]}
    trial = ModelAsk(
        path="/v1/chat/completions", body=msgspec.json.encode(body), principal=principal, task="cached", inside="evaluation", trial=True
    )
    served = walk.house.served
    before = len(served)
    told = await client.call(trial)
    assert (told.status, served[before:]) == (200, ["c"])
    assert "trial for evaluation" in str((await ask("GET", f"/v1/calls/{told.call}")).json["notes"])
    assert (await ask("POST", "/v1/chat/completions", body, x_penstock_task="cached", **CLAIMS)).status == 403
    for step in ("evaluate", "approve all"):
        await walk.step("c", step)
    hits = [(await ask("POST", "/v1/chat/completions", body, x_penstock_task="cached")).headers["x-penstock-cache"] for _ in range(2)]
    assert hits == ["miss", "hit"]
    assert (await client.call(msgspec.structs.replace(trial, cache="on"))).status == 200
    assert served[before:] == ["c", "c", "c"]
    await walk.step("c", "revoke")
    assert (await client.call(trial)).error == "model_revoked"


async def test_lines_of_a_batch_that_claim_to_be_trials_are_none(walk: Walk) -> None:
    for step in ("revoke", "make weights", "scan"):
        await walk.step("b", step)
    served = len(walk.house.served)
    lines = [line("1", body={"model": "up/b", "messages": [{"role": "user", "content": "x"}], "trial": True, "inside": "evaluation"})]
    batch = await ended(walk.house.house, (await started(walk.house.house, *lines, metadata={"trial": "true"}))["id"])
    assert (batch["request_counts"]["completed"], walk.house.served[served:]) == (0, [])


async def test_lines_of_a_batch_that_waits_are_judged_when_they_are_called(walk: Walk) -> None:
    for model in MODELS:
        await walk.step(model, "make vendor")
        await walk.step(model, "revoke")
    served = len(walk.house.served)
    lines = [
        line(f"{name}-{number}", body={"model": name, "messages": [{"role": "user", "content": f"line {number}"}]})
        for name in NAMES
        for number in range(2)
    ]
    batch = await ended(walk.house.house, (await started(walk.house.house, *lines))["id"])
    assert (batch["request_counts"]["completed"], batch["request_counts"]["failed"]) == (0, len(lines)), batch
    assert walk.house.served[served:] == []


@pytest.mark.slow
async def test_a_session_that_goes_on_ends_when_its_model_is_revoked(tmp_path: Path) -> None:
    async with running(tmp_path) as live:
        ask = live.house.ask
        model = await ask("POST", "/v1/registry/models", {"name": "voice"})
        facts = {"origin": "vendor", "targets": ["oai/gpt-realtime"]}
        version = await ask("POST", f"/v1/registry/models/{model['id']}/versions", facts)
        async with live.raw() as socket:
            await until(socket, "session.created")
            await ask("POST", f"/v1/registry/versions/{version['id']}/revocation", {"reason": "worse"})
            async with asyncio.timeout(10):
                assert (await until(socket, "error"))["error"]["code"] == "model_revoked"
                with pytest.raises(ConnectionClosed):
                    await until(socket, "never")
            assert socket.close_code == 1008
        status, error = await live.refused()
        assert (status, error["code"]) == (403, "model_revoked")
        assert error["message"].startswith("oai/gpt-realtime is revoked")
