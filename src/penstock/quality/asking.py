"""One question: answered from what was asked before, or by one call on the line, waited for and kept."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from penstock.kernel.call import Target
from penstock.kernel.candidates import Candidates
from penstock.kernel.completion import completed, told_why
from penstock.kernel.errors import PenstockError
from penstock.kernel.pace import LONGEST_PAUSE, Pace, again, rest
from penstock.kernel.ports import Holders, ModelAnswer, ModelAsk, ModelClient
from penstock.kernel.principal import Principal, Scope
from penstock.quality import store
from penstock.quality.model import Answer
from penstock.quality.purse import Purse
from penstock.quality.writing import Writer
from penstock.storage.records import Records

PATH = "/v1/chat/completions"
FIRST_PAUSE = 0.5
OUT_OF_MONEY = "insufficient_quota"


class OutOfMoney(Exception):
    """A budget of the key or above it is spent: no further question of this evaluation would be answered."""


class Asked(Struct, frozen=True, kw_only=True):
    """Who asks what for what: ``key`` pays (or ``principal``, where no key stands behind it), ``task`` and ``labels`` are put on the call.
    ``since`` is how old a kept answer may be. ``inside`` says what the calls are for. ``trial``: what is asked may be on its way to an
    approval; so it is where an administrator's key stands behind it, since an evaluation would else be anybody's way around approvals."""

    organisation: str
    key: str
    purse: Purse
    labels: Mapping[str, str]
    task: str | None = None
    since: float = 0.0
    principal: Principal | None = None
    inside: str = "evaluation"
    trial: bool = False


class Said(Struct, frozen=True, kw_only=True):
    """What came back. ``error`` is a code where no answer did; ``paid`` is what was not paid before. ``answered_by`` is the model
    that said it (``provider/model``), and ``version`` the registered version behind it then, empty where nobody knows."""

    text: str = ""
    finish: str = ""
    call: str = ""
    error: str | None = None
    message: str = ""
    cached: bool = False
    cost: int = 0
    paid: int = 0
    latency_ms: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    answered_by: str = ""
    version: str = ""


class Asking:
    """Asks for all evaluations of one process."""

    def __init__(
        self,
        records: Records,
        client: ModelClient,
        holders: Holders,
        pace: Pace,
        writer: Writer,
        tries: int,
        candidates: Candidates | None = None,
    ) -> None:
        self._records = records
        self._client = client
        self._holders = holders
        self._pace = pace
        self._writer = writer
        self._tries = tries
        self._candidates = candidates

    async def ask(self, asked: Asked, model: str, messages: list[dict[str, Any]], params: Mapping[str, Any]) -> Said:
        """The answer. Raises `CapReached`, `OutOfMoney`, and `Unauthenticated` when the key behind it is gone."""
        body = msgspec.json.encode({**params, "model": model, "messages": messages}, order="deterministic")
        id = hashlib.sha256(b"\0".join((asked.organisation.encode(), PATH.encode(), body))).hexdigest()
        kept = await self._records.read(lambda c: store.answer(c, id, asked.since))
        leads = self._leads(model, asked.organisation)
        # What another model, or another version, has said under this name is no answer of the one that stands behind it now.
        if kept is not None and (leads is None or (kept.answered_by or model, kept.version) == leads):
            return Said(
                text=kept.text,
                finish=kept.finish,
                call=kept.call,
                cached=True,
                cost=kept.cost,
                latency_ms=kept.latency_ms,
                input_tokens=kept.input_tokens,
                output_tokens=kept.output_tokens,
                answered_by=kept.answered_by,
                version=kept.version,
            )
        return await self._call(asked, id, model, body, params)

    def _leads(self, name: str, organisation: str) -> tuple[str, str] | None:
        """Model and registered version behind a name at this moment; None where that is not one model, or nobody knows."""
        if self._candidates is None:
            return None
        try:
            target = self._candidates.resolve(name)
        except PenstockError:
            return None
        return f"{target.provider}/{target.model}", self._candidates.traits(target, organisation).version

    def _version_of(self, answered_by: str, organisation: str) -> str:
        provider, _, model = answered_by.partition("/")
        if self._candidates is None or not model:
            return ""
        return self._candidates.traits(Target(provider, model, answered_by), organisation).version

    async def _call(self, asked: Asked, id: str, model: str, body: bytes, params: Mapping[str, Any]) -> Said:
        limit = params.get("max_completion_tokens", params.get("max_tokens"))
        failures = refusals = paid = 0
        while True:
            held = await asked.purse.hold(model, body, limit if isinstance(limit, int) else None)
            try:
                await self._pace.enter(asked.organisation, model, len(body))
            except BaseException:
                await asked.purse.settle(model, held, 0)
                raise
            strained: str | None = None
            pause, cost = 0.0, 0
            try:
                asked.purse.check()
                # Looked up each time, so that a key that is revoked asks no more.
                principal = asked.principal or self._holders.holder_of(asked.key)
                began = time.perf_counter()
                told = await self._client.call(
                    ModelAsk(
                        path=PATH,
                        body=body,
                        principal=principal,
                        priority="batch",
                        task=asked.task,
                        labels=asked.labels,
                        inside=asked.inside,
                        cache="off",  # a reply that was kept for users has neither the cost nor the latency of the model
                        trial=asked.trial and Scope.ADMIN in principal.scopes,
                    )
                )
                took = (time.perf_counter() - began) * 1e3
                cost = told.cost or 0
                paid += cost
                retry, refused = again(told)
                failures += retry and not refused
                refusals += refused
                if not retry or failures >= self._tries:
                    version = self._version_of(told.answered_by, asked.organisation)
                    return await self._kept(asked, id, model, _said(told, took, paid, version))
                pause = max(told.retry_after or 0.0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures + refusals - 1, 10)))
                strained = told.error or str(told.status) if refused or told.status == 504 else None
            finally:
                self._pace.leave(asked.organisation, model, len(body), strained=strained, pause=rest(strained, pause))
                await asked.purse.settle(model, held, cost)
            # Spread, so that what was refused together does not come back together.
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))

    async def _kept(self, asked: Asked, id: str, model: str, said: Said) -> Said:
        """The answer, on disk before its place is given to the next: so a kill costs what is in flight and not more."""
        if said.error == OUT_OF_MONEY:
            raise OutOfMoney(said.message or "a budget is spent")
        if said.error is None:
            await self._writer.answer(
                Answer(
                    id=id,
                    organisation=asked.organisation,
                    model=model,
                    text=said.text,
                    finish=said.finish,
                    call=said.call,
                    cost=said.cost,
                    latency_ms=said.latency_ms,
                    input_tokens=said.input_tokens,
                    output_tokens=said.output_tokens,
                    created_at=time.time(),
                    answered_by=said.answered_by,
                    version=said.version,
                )
            )
        return said


def _said(told: ModelAnswer, took: float, paid: int, version: str) -> Said:
    used = told.usage
    said = Said(
        call=told.call,
        cost=told.cost or 0,
        paid=paid,
        latency_ms=took,
        input_tokens=used.input if used is not None else 0,
        output_tokens=used.output if used is not None else 0,
        answered_by=told.answered_by,
        version=version,
    )
    if told.error is not None or not 200 <= told.status < 300:
        code = told.error or f"http_{told.status}"
        return msgspec.structs.replace(said, error=code, message=told_why(told.body))
    answer = completed(told.body)
    if answer is None:
        return msgspec.structs.replace(said, error="unreadable_answer", message="the provider's answer is no chat completion")
    text = answer.text
    if not text and answer.calls:
        text = msgspec.json.encode({"tool_calls": [call.told() for call in answer.calls]}).decode()
    return msgspec.structs.replace(said, text=text, finish=answer.finish)


__all__ = ["Asked", "Asking", "OutOfMoney", "Said"]
