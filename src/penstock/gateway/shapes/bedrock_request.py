"""Requests for Amazon Bedrock's Converse, from the normal form.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html. What Converse has no word for and some of its models
understand goes into ``additionalModelRequestFields``, in the words of those models.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw

from penstock.gateway.shapes import bedrock_media, seal
from penstock.gateway.shapes.anthropic_request import HARMLESS, arguments_of, thinking_out
from penstock.gateway.shapes.expressible import Audit
from penstock.gateway.shapes.shape import Dialect
from penstock.kernel import messages as m

NAME = "bedrock.converse"
SIGNER = "anthropic"
"""Whose signatures thoughts carry: of Bedrock's models only Claude signs, and its signatures hold wherever it runs."""

OWN_FIELDS = (
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
)
"""Fields that a client of any shape may add, because nothing else can say them."""

_EMPTY_SCHEMA = Raw(b'{"type":"object","properties":{}}')
_TIERS = frozenset({"default", "flex", "priority", "reserved"})
_LIVES = frozenset({"5m", "1h"})
_VENDOR = re.compile(r"(?:^|[./:])(ai21|amazon|anthropic|cohere|deepseek|meta|minimax|mistral|moonshot|openai|qwen|writer)\.")
_CACHING = frozenset({"amazon", "anthropic"})
_EFFORTS = {"minimal": "low", "xhigh": "high", "max": "high"}

_MISSING = ("logprobs", "logit_bias", "frequency_penalty", "presence_penalty")
_LEFT_OUT = ("seed", "store", "metadata", "user", "safety_identifier", "prompt_cache_key", "verbosity")


def vendor_of(model: str) -> str | None:
    """Whose model it is, by its id, an inference profile's or an ARN; None where the name does not tell (an application's profile)."""
    found = _VENDOR.search(model)
    return found[1] if found is not None else None


def encode_request(request: m.Request, *, model: str, dialect: Dialect) -> bytes:
    """The request in this shape; the path says the model, and whether it streams. Raises `NotExpressible`."""
    return msgspec.json.encode(_Writer(request, vendor_of(model), dialect).body())


class _Writer:
    def __init__(self, request: m.Request, vendor: str | None, dialect: Dialect) -> None:
        self._request = request
        self._vendor = vendor
        self._dialect = dialect
        self._audit = Audit(request, NAME, HARMLESS)
        self._documents = 0

    def body(self) -> dict[str, Any]:
        request, audit = self._request, self._audit
        self._refuse()
        system: list[Any] = []
        turns: list[dict[str, Any]] = []
        for message in request.messages:
            audit.extra(message.extra, "messages")
            if message.name is not None:
                audit.drop("messages.name")
            blocks = [block for part in message.parts for block in self._blocks(part)]
            if message.role in ("system", "developer"):
                system += blocks
                continue
            role = "assistant" if message.role == "assistant" else "user"
            # Turns of one side in a row are one turn here, and a turn must hold something.
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"] += blocks
            elif blocks:
                turns.append({"role": role, "content": blocks})
        if request.cache is not None and turns:
            turns[-1]["content"] += self._cached(request.cache)
        own = {name: request.extra[name] for name in OWN_FIELDS if name in request.extra}
        audit.extra({name: raw for name, raw in request.extra.items() if name not in own})
        out: dict[str, Any] = {"messages": turns, **own}
        more = self._model_fields()
        if more:
            given: dict[str, Any] = msgspec.json.decode(own.get("additionalModelRequestFields", b"{}"))
            more = {**more, **given}
        optional: dict[str, Any] = {
            "system": system,
            "inferenceConfig": self._inference(),
            "toolConfig": self._tools(),
            "additionalModelRequestFields": more,
            "outputConfig": self._format(),
            "serviceTier": self._tier(),
        }
        return out | {name: value for name, value in optional.items() if value}

    def _refuse(self) -> None:
        request, audit = self._request, self._audit
        s = request.sampling
        if request.n is not None and request.n > 1:
            raise audit.refuse("n", "Converse gives one reply")
        audit.refuse_all(request, _MISSING, "Converse has nothing like it")
        if isinstance(request.format, m.JsonFormat):
            raise audit.refuse("response_format", "Converse takes a JSON schema, not a bare JSON mode")
        if s.temperature is not None and s.temperature > 1:
            raise audit.refuse("temperature", "it goes from 0 to 1 there")
        if (s.temperature is not None or s.top_p is not None or s.top_k is not None) and not self._dialect.sampling:
            raise audit.refuse("temperature", "this model takes no sampling parameters")
        if request.max_output == 0:
            raise audit.refuse("max_tokens", "it is at least 1 there")
        audit.drop_all(request, _LEFT_OUT)

    def _inference(self) -> dict[str, Any]:
        s = self._request.sampling
        values = {
            "maxTokens": self._request.max_output,
            "temperature": s.temperature,
            "topP": s.top_p,
            "stopSequences": list(s.stop) or None,
        }
        return {name: value for name, value in values.items() if value is not None}

    def _model_fields(self) -> dict[str, Any]:
        """What only the model itself understands."""
        vendor, top_k, wish = self._vendor, self._request.sampling.top_k, self._request.reasoning
        out: dict[str, Any] = {}
        if top_k is not None:
            if vendor in ("anthropic", "mistral", None):
                out["top_k"] = top_k
            elif vendor == "amazon":
                out["inferenceConfig"] = {"topK": top_k}
            else:
                raise self._audit.refuse("top_k", f"models of {vendor} take none there")
        if wish is None:
            return out
        effort = wish.effort or "medium"
        off = wish.on is False or wish.effort == "none"
        if vendor == "anthropic":
            thinking = thinking_out(wish, self._request.max_output or self._dialect.default_max_tokens)
            if thinking is not None and not off:
                out["thinking"] = thinking
        elif vendor == "openai" and not off:
            out["reasoning_effort"] = _EFFORTS.get(effort, effort)
        elif vendor == "amazon" and not off:
            # https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html
            out["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": _EFFORTS.get(effort, effort)}
        elif not off:
            self._audit.drop("reasoning")
        return out

    def _tier(self) -> dict[str, Any] | None:
        tier = self._request.service_tier
        if tier is None or tier in _TIERS:
            return {"type": tier} if tier is not None else None
        self._audit.drop("service_tier")
        return None

    def _format(self) -> dict[str, Any] | None:
        wanted = self._request.format
        if not isinstance(wanted, m.SchemaFormat):
            return None
        schema: dict[str, Any] = {"schema": bytes(wanted.schema).decode()}
        schema |= {k: v for k, v in (("name", wanted.name), ("description", wanted.description)) if v is not None}
        return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}

    def _tools(self) -> dict[str, Any] | None:
        request = self._request
        if not request.tools:
            return None
        if isinstance(request.tool_choice, m.ChooseNone):
            if any(isinstance(part, m.ToolCall) for message in request.messages for part in message.parts):
                raise self._audit.refuse("tool_choice", "tools that were used cannot be forbidden")
            return None
        tools = [entry for tool in request.tools for entry in self._tool(tool)]
        choice = self._choice()
        return {"tools": tools} if choice is None else {"tools": tools, "toolChoice": choice}

    def _tool(self, tool: m.Tool | m.OpaqueTool) -> list[Any]:
        if isinstance(tool, m.OpaqueTool):
            raise self._audit.refuse("tools", f"only {tool.shape} knows what '{tool.kind}' is")
        self._audit.extra(tool.extra, "tools")
        spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": tool.schema or _EMPTY_SCHEMA}}
        if tool.description:
            spec["description"] = tool.description
        if tool.strict:
            spec["strict"] = True
        return [{"toolSpec": spec}, *self._cached(tool.cache)]

    def _choice(self) -> dict[str, Any] | None:
        match self._request.tool_choice:
            case None | m.ChooseNone():
                return None
            case m.ChooseAuto():
                return {"auto": {}}
            case m.ChooseAny():
                return {"any": {}}
            case m.ChooseTool(name=name):
                return {"tool": {"name": name}}
            case m.ChooseAmong() | m.OpaqueChoice():
                raise self._audit.refuse("tool_choice", "Converse chooses one tool, any or none")

    def _cached(self, cache: m.Cache | None) -> list[Any]:
        if cache is None:
            return []
        if self._vendor is not None and self._vendor not in _CACHING:
            self._audit.drop("cache_control")
            return []
        return [{"cachePoint": {"type": "default", **({"ttl": cache.ttl} if cache.ttl in _LIVES else {})}}]

    def _blocks(self, part: m.Part) -> list[Any]:
        block = self._block(part)
        cache = None if isinstance(part, m.Reasoning | m.Refusal | m.Opaque) else part.cache
        return ([block] if block is not None else []) + self._cached(cache)

    def _block(self, part: m.Part) -> Any:
        audit = self._audit
        match part:
            case m.Text() | m.Refusal():
                if isinstance(part, m.Text):
                    audit.extra(part.extra, "content")
                return {"text": part.text} if part.text.strip() else None  # a blank text is refused
            case m.Image() | m.Audio() | m.Video():
                if isinstance(part, m.Image) and part.detail not in (None, "auto"):
                    audit.drop("image_url.detail")
                return bedrock_media.medium(part, audit)
            case m.File():
                self._documents += 1
                return bedrock_media.document(part, self._documents, audit)
            case m.ToolCall():
                return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": arguments_of(part)}}
            case m.ToolResult():
                content = [block for inner in part.parts if (block := self._block(inner)) is not None]
                result: dict[str, Any] = {"toolUseId": part.call_id, "content": content or [{"text": "(nothing)"}]}
                return {"toolResult": {**result, "status": "error"} if part.failed else result}
            case m.Reasoning():
                return self._thought(part)
            case m.Opaque():
                raise audit.refuse("content", f"only {part.shape} knows what '{part.kind}' is")

    def _thought(self, part: m.Reasoning) -> Any:
        signature = seal.to_provider(part.signature, SIGNER) if part.signature is not None else None
        if signature is not None:
            return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": signature}}}
        if part.encrypted is not None and self._vendor == "anthropic" and self._audit.shape == "anthropic.messages":
            return {"reasoningContent": {"redactedContent": part.encrypted}}
        self._audit.drop("messages.reasoning")
        return None
