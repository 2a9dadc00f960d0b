"""A span as somebody sent it becomes a span as we know it, whatever convention it was written in."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import msgspec

from penstock.kernel.call import Usage
from penstock.observability.otlp import messages
from penstock.observability.otlp.contents import Contents
from penstock.observability.otlp.messages import Message, decoded, text
from penstock.observability.otlp.sent import Attributes, Origin, Sent, SentEvent, Tally
from penstock.observability.otlp.table import (
    CONTENT,
    COST,
    COUNT,
    DETAILS,
    KIND,
    LONGEST,
    MOMENT,
    MOST_COUNT,
    NOISE,
    NUMBERED,
    PLAIN,
    PROVIDERS,
    SECONDS,
    TEXT,
    Rule,
    Table,
)
from penstock.storage.telemetry.span import Payload, Span

COUNTING = frozenset({"call", "embedding", "rerank", "guard", "evaluation"})
"""Kinds whose tokens and costs count. Others tell the sums of those within them again; they keep them as attributes."""

ESTIMATED = "penstock.cost_estimated"
"""Attribute of a span whose cost is ours, from the list of prices, since its sender told none."""

COUNTED_WITHIN = "penstock.counted_within"
"""Attribute of a call whose tokens and cost are those of a call within it, which was recorded as well."""

_COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
_encode = msgspec.json.encode

Price = Callable[[str, str, Usage], int | None]


class Owner(msgspec.Struct, frozen=True):
    """Whose key sent the spans."""

    organisation: str
    team: str = ""
    project: str = ""
    person: str = ""
    key: str = ""


class Normaliser:
    """Makes spans for one request. ``price`` estimates a cost in micro-dollars; ``clean`` replaces secrets in text that is stored, and
    ``payloads`` False keeps no prompts and replies. ``payload_bytes`` are kept of each side."""

    def __init__(
        self, table: Table, owner: Owner, tally: Tally, price: Price | None, *, payloads: bool = True, payload_bytes: int = 131_072
    ) -> None:
        self._rules = table.rules
        self._table = table
        self._owner = owner
        self._tally = tally
        self._price = price
        self._payloads = payloads
        self._payload_bytes = payload_bytes
        self._sources: dict[int, tuple[Origin, dict[str, Any]]] = {}
        self._contents = Contents(tally.repaired)

    def span(self, sent: Sent) -> Span:
        """The span in our words."""
        held = self._sources.get(id(sent.origin))
        if held is None:
            held = self._sources[id(sent.origin)] = (sent.origin, _source(sent.origin, self._owner))
        found = held[1].copy()
        ranks: dict[str, int] = {}
        left: Attributes = {}
        contents = self._contents
        layout = self._table.layout(sent.attributes) if not sent.events else None
        if layout is None or not layout.read(sent.attributes, found, left, contents):
            self._attributes(sent.attributes, found, ranks, left, contents, sent.start)
        if sent.events:
            found["events"] = self._events(sent, found, ranks, left, contents)
        if sent.links:
            found["links"] = _encode([{"trace": one.trace, "span": one.span, "attributes": one.attributes} for one in sent.links]).decode()
        kind = found.get("kind") or _guess(found)
        if kind == "call?":
            kind = "call" if "output_tokens" in found or "input_tokens" in found or contents.talks else "step"
        found["kind"] = kind
        provider = found.get("provider")
        if provider is not None:
            found["provider"] = _PROVIDERS.get(provider) or _provider(provider)
        if "prompt_version" in found:
            number = found.pop("prompt_version")
            if "prompt" in found:
                found["prompt"] = f"{found['prompt']}@{number}"
        self._money(kind, found, left)
        if sent.status == 2 or "error_code" in found:
            found["status"] = "failed"
            if sent.message or "message" not in found:
                found["message"] = sent.message
        if self._owner.person:
            found["person"] = self._owner.person
        if contents:
            if self._payloads:
                found["payload"] = self._payload(contents, kind, left)
            self._contents = Contents(self._tally.repaired)
        if left:
            found["attributes"] = _encode(left).decode()
        found["trace_id"] = sent.trace
        found["span_id"] = sent.span
        found["parent_id"] = sent.parent
        found["start_ns"] = sent.start
        found["end_ns"] = sent.end
        found["name"] = sent.name[:LONGEST]
        return Span(**found)

    def _attributes(
        self, attributes: Attributes, found: dict[str, Any], ranks: dict[str, int], left: Attributes, contents: Contents, start: int
    ) -> None:
        get = self._rules.get
        for name, value in attributes.items():
            rule = get(name)
            if rule is None:
                rule = self._table.find(name)
            does = rule.does
            if does == PLAIN:
                left[name] = value
            elif does == TEXT:
                rank = rule.rank
                if rule.kinds:
                    kind = rule.kinds.get(str(value).lower()) or rule.kinds.get("")
                    if kind is not None and ("kind" not in ranks or rule.kind_rank < ranks["kind"]):
                        found["kind"], ranks["kind"] = kind, rule.kind_rank
                target = rule.target
                if target not in ranks or rank < ranks[target]:
                    if value:
                        found[target] = value if isinstance(value, str) and len(value) < LONGEST else text(value)[:LONGEST]
                        ranks[target] = rank
                elif found[target] != value:
                    left[name] = value
            elif does == COUNT:
                self._count(rule.target, rule.rank, value, found, ranks)
            elif does == CONTENT:
                contents.put(rule.target, rule.rank, value)
            elif does == NUMBERED:
                contents.number(rule.target, rule.rank, rule.wrap, rule.path, value)
            elif does != NOISE:
                self._rarely(rule, name, value, found, ranks, left, start)

    def _count(self, target: str, rank: int, value: Any, found: dict[str, Any], ranks: dict[str, int]) -> None:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < MOST_COUNT:
            self._tally.repaired["token_count"] += 1
        elif target not in ranks or rank < ranks[target]:
            found[target], ranks[target] = value, rank

    def _rarely(
        self, rule: Rule, name: str, value: Any, found: dict[str, Any], ranks: dict[str, int], left: Attributes, start: int
    ) -> None:
        does, target = rule.does, rule.target
        if does == KIND:
            kind = rule.values.get(str(value).lower()) or rule.values.get("")
            if kind is None:
                left[name] = value
            elif "kind" not in ranks or rule.rank < ranks["kind"]:
                found["kind"], ranks["kind"] = kind, rule.rank
            if kind is not None and ("" in rule.values or found["kind"] != kind):
                left[name] = value
        elif does == DETAILS:
            told = decoded(value)
            for entry, field in rule.values.items():
                if messages.is_dictionary(told) and entry in told:
                    if field == "cost":
                        _cost(told[entry], rule.rank, found, ranks)
                    elif ranks.get(field) != rule.rank:
                        self._count(field, rule.rank, told[entry], found, ranks)
            left[name] = value
        elif does == COST:
            if not _cost(value, rule.rank, found, ranks):
                left[name] = value
        elif does == SECONDS:
            if isinstance(value, int | float) and 0 <= value * rule.scale < 1e18:
                found.setdefault(target, int(value * rule.scale))
            else:
                left[name] = value
        elif does == MOMENT:
            moment = _moment(value)
            if moment is not None and moment >= start:
                found.setdefault(target, moment - start)
            else:
                left[name] = value

    def _events(self, sent: Sent, found: dict[str, Any], ranks: dict[str, int], left: Attributes, contents: Contents) -> str:
        kept: list[dict[str, Any]] = []
        for event in sent.events:
            role = self._table.event_roles.get(event.name)
            if role is not None:
                _event_message(role, event, contents)
            elif event.name in self._table.event_contents:
                self._attributes(event.attributes, found, ranks, {}, contents, sent.start)
            else:
                if event.name == "exception":
                    self._exception(event, found, sent)
                kept.append({"name": event.name, "at_ns": event.at, "attributes": event.attributes})
        return _encode(kept).decode() if kept else ""

    @staticmethod
    def _exception(event: SentEvent, found: dict[str, Any], sent: Sent) -> None:
        if sent.status == 2:
            kind = event.attributes.get("exception.type")
            if isinstance(kind, str) and kind:
                found.setdefault("error_code", kind[:LONGEST])
            said = event.attributes.get("exception.message")
            if isinstance(said, str) and not sent.message:
                found["message"] = said

    def _money(self, kind: str, found: dict[str, Any], left: Attributes) -> None:
        if kind not in COUNTING:
            for name in (*_COUNTS, "cost_micros"):
                if name in found:
                    left[f"sum.{name}"] = found.pop(name)
            return
        if "cost_micros" in found:
            found["currency"] = "USD"
        elif self._price is not None and ("input_tokens" in found or "output_tokens" in found):
            model = found.get("answered") or found.get("model")
            if model:
                get = found.get
                usage = Usage(input=get("input_tokens", 0), output=get("output_tokens", 0))
                usage.cached, usage.reasoning = get("cached_tokens", 0), get("reasoning_tokens", 0)
                cost = self._price(get("provider", ""), model, usage)
                if cost is not None:
                    found["cost_micros"], found["currency"] = cost, "USD"
                    left[ESTIMATED] = True

    def _payload(self, contents: Contents, kind: str, left: Attributes) -> Payload | None:
        came, went = contents.side("input", kind), contents.side("output", kind)
        if not came and not went:
            return None
        most = self._payload_bytes
        if len(came) > most or len(went) > most:
            self._tally.repaired["text_cut"] += (len(came) > most) + (len(went) > most)
            left["penstock.payload_cut"] = True
            came, went = came[:most], went[:most]
        return Payload(input=came, output=went)


def _source(origin: Origin, owner: Owner) -> dict[str, Any]:
    """What all spans of an origin have in common, by field; nothing that is empty."""
    resource = dict(origin.resource)
    service = resource.pop("service.name", "")
    release = resource.pop("service.version", "")
    environment = resource.pop("deployment.environment.name", resource.pop("deployment.environment", ""))
    if origin.attributes:
        resource["scope"] = origin.attributes
    common = {
        "organisation": owner.organisation,
        "team": owner.team,
        "project": owner.project,
        "key": owner.key,
        "service": text(service)[:LONGEST],
        "release": text(release)[:LONGEST],
        "environment": text(environment)[:LONGEST],
        "resource": _encode(resource).decode() if resource else "",
        "source": _library(origin)[:LONGEST],
    }
    return {field: told for field, told in common.items() if told}


def _library(origin: Origin) -> str:
    named = f"{origin.scope}@{origin.version}" if origin.version else origin.scope
    # Only what this house recorded itself bears these names.
    return f"other {named}" if named.startswith(("penstock.gateway", "penstock.journal")) else named


def _guess(found: dict[str, Any]) -> str:
    if "model" in found and "output_tokens" in found:
        return "call"
    if "tool" in found and "model" not in found:
        return "tool"
    return "span"


_PROVIDERS: dict[str, str] = {}
"""Names that were seen, with ours."""


def _provider(name: str) -> str:
    lower = name.lower()
    # The Vercel AI SDK names the API as well: openai.chat, anthropic.messages.
    first = lower.partition(".")[0]
    ours = PROVIDERS.get(lower) or PROVIDERS.get(first, first)
    if len(_PROVIDERS) < 1000:
        _PROVIDERS[name] = ours
    return ours


def _cost(value: Any, rank: int, found: dict[str, Any], ranks: dict[str, int]) -> bool:
    try:
        dollars = float(value)
    except (TypeError, ValueError):
        return False
    if not 0 <= dollars < 1e9:
        return False
    if "cost_micros" not in ranks or rank < ranks["cost_micros"]:
        found["cost_micros"], ranks["cost_micros"] = round(dollars * 1e6), rank
    return True


def _moment(value: Any) -> int | None:
    """ISO 8601 (in quotation marks, as some senders have it) as Unix nanoseconds."""
    try:
        moment = datetime.datetime.fromisoformat(str(value).strip('"'))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp() * 1e6) * 1000


def _event_message(role: str, event: SentEvent, contents: Contents) -> None:
    told: Message = dict(event.attributes)
    body = decoded(told.pop("gen_ai.event.content", None))
    if messages.is_dictionary(body):
        told |= body
    inner = decoded(told.get("message"))
    if role == "choice":
        message = messages.read({**told, **(inner if messages.is_dictionary(inner) else {}), "role": "assistant"}, "assistant")
        side = "output"
    else:
        if role == "tool" and "id" in told:
            told.setdefault("tool_call_id", told["id"])
        message = messages.read({"content": "", **told, "role": role}, role)
        side = "input"
    for one in message or []:
        contents.say(side, one)
