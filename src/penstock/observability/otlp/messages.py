"""Messages in the shapes that senders use, as one: what OpenTelemetry's GenAI conventions made of them.

A message is ``{"role": ..., "parts": [...]}``, a part ``{"type": "text", "content": ...}``, ``{"type": "tool_call", "id", "name",
"arguments"}``, ``{"type": "tool_call_response", "id", "response"}``, ``{"type": "reasoning", "content"}`` or, for what is no text,
``{"type": "image", "uri": ...}`` and the like. Read are: that shape itself, chat completions, Anthropic's blocks, Responses' items,
LangChain's serialised messages, OpenInference's nested ones, the Vercel AI SDK's and Gemini's.
"""

from __future__ import annotations

from typing import Any, TypeGuard

import msgspec

Message = dict[str, Any]

_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "function": "tool", "developer": "system"}
_DEEP = 8
"""How far messages may lie within what wraps them: ``{"messages": [[{"kwargs": ...}]]}``."""


def is_dictionary(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether JSON is an object."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether JSON is an array."""
    return isinstance(value, list)


def decoded(value: Any) -> Any:
    """JSON text as what it says, anything else as it is."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return value
    return value


def read(value: Any, role: str = "user") -> list[Message] | None:
    """The messages in ``value``, which is decoded; ``role`` is whose they are where they do not say. None where it is not messages."""
    try:
        return _messages(value, role, 0) or None
    except RecursionError:
        return None


def text(value: Any) -> str:
    """``value`` as it is stored: text as it is, all else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def ready(value: Any) -> TypeGuard[str]:
    """Whether ``value`` is JSON text in our shape already, as far as a look can tell."""
    if not isinstance(value, str) or not value.startswith('[{"role":') or '"parts":' not in value[:200] or not value.endswith("}]"):
        return False
    # Some have the arguments of a tool as text.
    return '"arguments":"' not in value and '"arguments": "' not in value


def _messages(value: Any, role: str, depth: int) -> list[Message]:
    value = decoded(value)
    if depth > _DEEP:
        return []
    if is_list(value):
        if value and all(is_dictionary(one) and _is_part(one) for one in value):
            return [{"role": role, "parts": _parts(value)}]
        found = [message for one in value for message in _messages(one, role, depth + 1)]
        return found if len(found) >= len(value) else []
    if not is_dictionary(value):
        return []
    if is_dictionary(value.get("kwargs")) and ("lc" in value or "id" in value):
        return _langchain(value)
    for key in ("message", "data"):  # what OpenInference, choices and LangChain's dumps wrap a message in
        inner = value.get(key)
        if is_dictionary(inner) and "role" not in value:
            whose = _LANGCHAIN.get(str(value.get("type", "")), role)
            return _finish(_messages(inner, whose, depth + 1), value)
    if "role" in value or (("content" in value or "parts" in value or "tool_calls" in value) and not _is_part(value)):
        return [_message(value, role)]
    for key in ("messages", "generations", "choices", "input", "contents", "output"):
        if isinstance(value.get(key), list | dict | str):
            whose = "assistant" if key in ("generations", "choices", "output") else role
            found = _messages(value[key], whose, depth + 1)
            system = value.get("system") or value.get("instructions")
            if found and system is not None:
                found = [{"role": "system", "parts": _parts(system)}, *found]
            return found
    if _is_part(value):
        part = _part(value)
        whose = "tool" if part.get("type") == "tool_call_response" else "assistant" if part.get("type") == "tool_call" else role
        return [{"role": whose, "parts": [part]}]
    return []


_LANGCHAIN = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "AIMessageChunk": "assistant"}


def _langchain(value: Message) -> list[Message]:
    kwargs = value["kwargs"]
    name = str((value.get("id") or [""])[-1]) if is_list(value.get("id")) else ""
    role = next((ours for theirs, ours in _LANGCHAIN.items() if name.lower().startswith(theirs.lower())), "user")
    inner = kwargs.get("message")
    return _messages(inner, role, 1) if is_dictionary(inner) else [_message(kwargs, role)]


def _finish(messages: list[Message], value: Message) -> list[Message]:
    reason = value.get("finish_reason") or value.get("finishReason")
    if messages and isinstance(reason, str):
        messages[-1].setdefault("finish_reason", reason)
    return messages


def _message(value: Message, role: str) -> Message:
    whose = str(value.get("role") or role)
    whose = _ROLES.get(whose, whose)
    content = value.get("parts", value.get("content", value.get("contents")))
    parts = [] if content is None else _parts(content)
    if isinstance(value.get("reasoning_content"), str):
        parts.insert(0, {"type": "reasoning", "content": value["reasoning_content"]})
    calls = value.get("tool_calls", value.get("toolCalls"))
    known = {part.get("id") for part in parts if part.get("type") == "tool_call"}
    for call in _listed(decoded(calls)):
        made = _call(call)
        if made["id"] == "" or made["id"] not in known:
            parts.append(made)
    if is_dictionary(value.get("function_call")):
        parts.append(_call(value["function_call"]))
    if (id := value.get("tool_call_id")) is not None and whose == "tool":
        parts = [{"type": "tool_call_response", "id": str(id), "response": _plain(parts)}]
    message: Message = {"role": whose, "parts": parts}
    if isinstance(value.get("name"), str) and value["name"]:
        message["name"] = value["name"]
    return _finish([message], value)[0]


def _plain(parts: list[Message]) -> Any:
    if len(parts) == 1:
        only = parts[0]
        return only.get("content", only.get("response", only))
    return parts


def _listed(value: Any) -> list[Message]:
    if is_dictionary(value):
        value = [value]
    return [one for one in value if is_dictionary(one)] if is_list(value) else []


def _call(value: Message) -> Message:
    """A call of a tool, in whatever shape."""
    inner = value.get("tool_call")
    if is_dictionary(inner):
        value = inner
    function = value.get("function")
    told: Message = function if is_dictionary(function) else value
    arguments = next((told[key] for key in ("arguments", "args", "input") if key in told), None)
    id = value.get("id") or value.get("call_id") or value.get("toolCallId") or ""
    name = told.get("name") or value.get("toolName") or ""
    return {"type": "tool_call", "id": str(id), "name": str(name), "arguments": decoded(arguments)}


_CALLS = frozenset({"tool_call", "tool_use", "function_call", "tool-call", "toolCall"})
_ANSWERS = frozenset({"tool_call_response", "tool_result", "function_call_output", "tool-result"})
_TEXTS = frozenset({"text", "input_text", "output_text"})
_THOUGHTS = frozenset({"reasoning", "thinking"})
_OTHERS = frozenset(
    {"image", "image_url", "input_image", "audio", "input_audio", "video", "file", "input_file", "document", "blob", "uri", "refusal"}
)
_TYPES = _CALLS | _ANSWERS | _TEXTS | _THOUGHTS | _OTHERS


def _kind(value: Message) -> str:
    kind = value.get("type")
    return kind if isinstance(kind, str) else ""


def _is_part(value: Message) -> bool:
    if "message_content" in value or ("text" in value and "role" not in value):
        return True
    if "functionCall" in value or "functionResponse" in value or "tool_call" in value:
        return True
    return "role" not in value and _kind(value) in _TYPES


def _parts(content: Any) -> list[Message]:
    content = decoded(content) if isinstance(content, str) and content.startswith('[{"') else content
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    if is_dictionary(content):
        content = [content]
    if not is_list(content):
        return [{"type": "text", "content": text(content)}]
    return [_part(one) for one in content]


def _part(value: Any) -> Message:
    if not is_dictionary(value):
        return {"type": "text", "content": text(value)}
    inner = value.get("message_content")
    if is_dictionary(inner):
        value = inner
    kind = _kind(value)
    if kind in _CALLS or "tool_call" in value:
        return _call(value)
    if is_dictionary(value.get("functionCall")):
        return _call(value["functionCall"])
    if kind in _ANSWERS or is_dictionary(value.get("functionResponse")):
        told: Message = value["functionResponse"] if is_dictionary(value.get("functionResponse")) else value
        id = next((told[key] for key in ("id", "tool_use_id", "call_id", "toolCallId") if told.get(key)), "")
        answer = next((told[key] for key in ("response", "result", "content", "output") if key in told), None)
        return {"type": "tool_call_response", "id": str(id), "response": answer}
    if kind in _THOUGHTS:
        return {
            "type": "reasoning",
            "content": text(value.get("content") or value.get("thinking") or value.get("text") or value.get("summary")),
        }
    if kind in _TEXTS or not kind:
        said = value.get("text", value.get("content"))
        if said is not None:
            return {"type": "text", "content": text(said)}
    image = value.get("image")
    if is_dictionary(image) and is_dictionary(image.get("image")):  # OpenInference
        return {"type": "image", "uri": text(image["image"].get("url"))}
    url = value.get("image_url")
    if url is not None:
        return {"type": "image", "uri": text(url.get("url") if is_dictionary(url) else url)}
    return value
