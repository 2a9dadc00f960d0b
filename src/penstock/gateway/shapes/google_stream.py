"""Gemini streams: watched as they pass, decoded, and written for clients.

Every event is a whole reply with what is new in it, its usage a total so far; nothing but the end of the stream says that it is over. So
what says why a candidate ended is held back until then, and the client cannot know before the call is settled.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.gateway.shapes import google_reply, google_usage
from penstock.gateway.shapes.google_reply import BodyWire, CandidateWire
from penstock.gateway.shapes.google_usage import UsageWire
from penstock.gateway.shapes.sse import EventCutter, data_of, event
from penstock.gateway.shapes.tap import text_bytes
from penstock.kernel import messages as m
from penstock.kernel.call import Usage
from penstock.kernel.errors import UpstreamMalformed, UpstreamReset

_MARKS = (b'"finishReason"', b'"blockReason"', b'"error"')
_TEXT = b'"text":'


class GenerateTap:
    """A `StreamTap`. Usage is read from the last event that holds one, and only when somebody asks."""

    def __init__(self) -> None:
        self.finished = False
        self.finish_reason: str | None = None
        self.output_bytes = 0
        self._cutter = EventCutter()
        self._held = b""
        self._counted = b""
        self._usage: tuple[bytes, Usage | None] = (b"", None)

    @property
    def usage(self) -> Usage | None:
        """See `Watch`."""
        if self._usage[0] is not self._counted:
            found = self._usage[1]
            for piece in reversed(self._counted.split(b"\n\n")):
                data = data_of(piece + b"\n") if b'"usageMetadata"' in piece else None
                usage = google_usage.of_body(data) if data is not None else None
                if usage is not None:
                    found = usage
                    break
            self._usage = (self._counted, found)
        return self._usage[1]

    def feed(self, chunk: bytes) -> bytes:
        """See `StreamTap.feed`."""
        return self._pass(self._cutter.feed(chunk))

    def close(self) -> bytes:
        """See `StreamTap.close`."""
        rest = self._cutter.close()
        if rest:
            try:
                rest = self._pass(rest)
            except UpstreamMalformed as fault:
                raise UpstreamReset("The provider's stream ended inside an event.") from fault
        if self.finish_reason is None:
            raise UpstreamReset("The provider's stream ended before the reply was complete.")
        self.finished = True
        rest, self._held = rest + self._held, b""
        return rest

    def _pass(self, whole: bytes) -> bytes:
        if not whole:
            return whole
        if b'"usageMetadata"' in whole:
            self._counted = whole
        self.output_bytes += text_bytes(whole, _TEXT, whole.find(_TEXT))
        if not self._held and not any(mark in whole for mark in _MARKS):
            return whole
        out: list[bytes] = [self._held] if self._held else []
        for piece in whole.split(b"\n\n"):
            one = piece.strip(b"\n")
            data = data_of(one + b"\n") if one else None
            if data is not None:
                self._look(google_reply.read(data))
            if one:
                out.append(one + b"\n\n")
        self._held = out.pop() if self.finish_reason is not None and out else b""
        return b"".join(out)

    def _look(self, body: BodyWire) -> None:
        if not body.candidates:
            self.finish_reason = body.blocked or self.finish_reason
        for candidate in body.candidates or ():
            self.finish_reason = candidate.finish_reason or self.finish_reason


class GenerateDecoder:
    """A `StreamDecoder`. Nothing is told before there is something to tell, so that an empty failure can still be tried elsewhere."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finished = False
        self.finish_reason: str | None = None
        self.output_bytes = 0
        self._cutter = EventCutter()
        self._wire: UsageWire | None = None
        self._begun = False
        self._head = ("", "")
        self._open: dict[int, str] = {}
        self._calls: dict[int, int] = {}
        self._ends: dict[int, tuple[str, str | None]] = {}

    def feed(self, chunk: bytes) -> list[m.Delta]:
        """See `StreamDecoder.feed`."""
        deltas: list[m.Delta] = []
        for piece in self._cutter.feed(chunk).split(b"\n\n"):
            self._event(piece.strip(b"\n"), deltas)
        return deltas

    def close(self) -> list[m.Delta]:
        """See `StreamDecoder.close`."""
        deltas: list[m.Delta] = []
        try:
            self._event(self._cutter.close().strip(b"\n"), deltas)
        except UpstreamMalformed as fault:
            raise UpstreamReset("The provider's stream ended inside an event.") from fault
        if not self._ends:
            raise UpstreamReset("The provider's stream ended before the reply was complete.")
        for choice, (word, message) in sorted(self._ends.items()):
            fault = google_reply.failed(word, message)
            if fault is not None and choice not in self._open:
                raise fault
            self._part(choice, "", deltas)
            deltas.append(m.Finish(google_reply.finish_of(word, choice in self._calls), choice=choice))
        if self.usage is not None:
            deltas.append(m.UsageDelta(self.usage))
        self.finished = True
        return deltas

    def _event(self, piece: bytes, deltas: list[m.Delta]) -> None:
        data = data_of(piece + b"\n") if piece else None
        if data is None:
            return
        body = google_reply.read(data)
        self._head = (body.response_id or self._head[0], body.model_version or self._head[1])
        if body.usage_metadata is not None:
            self._wire = body.usage_metadata.over(self._wire)
            self.usage = google_usage.from_wire(self._wire)
        if not body.candidates and body.blocked is not None:
            self.finish_reason = body.blocked
            self._ends[0] = ("SAFETY", None)
        for candidate in body.candidates or ():
            self._candidate(candidate, deltas)

    def _candidate(self, candidate: CandidateWire, deltas: list[m.Delta]) -> None:
        choice = candidate.index
        for part, _ in google_reply.parts_of(candidate):
            signature = google_reply.signature_of(part)
            if part.function_call is not None:
                call = part.function_call
                index = self._calls[choice] = self._calls.get(choice, -1) + 1
                self._part(choice, f"call {index}", deltas)
                arguments = google_reply.arguments_of(call)
                deltas.append(m.ToolBegin(index, google_reply.id_of(call), call.name, choice, signature))
                deltas.append(m.ArgumentsDelta(index, arguments, choice))
                self.output_bytes += len(arguments)
            elif part.thought:
                self._part(choice, "thought", deltas)
                if part.text:
                    self.output_bytes += len(part.text)
                    deltas.append(m.ReasoningDelta(part.text, choice=choice))
                if signature is not None:
                    deltas.append(m.SealDelta(signature=signature, choice=choice))
            elif part.text:
                self._part(choice, "text", deltas)
                self.output_bytes += len(part.text)
                deltas.append(m.TextDelta(part.text, choice))
        if candidate.finish_reason:
            self.finish_reason = candidate.finish_reason
            self._ends[choice] = (candidate.finish_reason, candidate.finish_message)

    def _part(self, choice: int, now: str, deltas: list[m.Delta]) -> None:
        if not self._begun:
            self._begun = True
            deltas.append(m.Begin(*self._head, usage=self.usage))
        before = self._open.get(choice, "")
        if before and before != now:
            deltas.append(m.PartEnd(choice))
        self._open[choice] = now


class GenerateEncoder:
    """A `StreamEncoder`. Calls have no pieces in this API, so each is written when it is complete; ends and usage make the last event."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._id = ""
        self._usage: Usage | None = None
        self._calls: dict[tuple[int, int], tuple[m.ToolBegin, list[str]]] = {}
        self._ends: dict[int, str] = {}

    def encode(self, delta: m.Delta) -> bytes:
        """See `StreamEncoder.encode`."""
        match delta:
            case m.Begin():
                self._id = delta.id
                self._usage = delta.usage
                return b""
            case m.TextDelta() | m.RefusalDelta():
                return self._event(delta.choice, {"text": delta.text})
            case m.ReasoningDelta():
                return self._event(delta.choice, {"text": delta.text, "thought": True})
            case m.SealDelta():
                sealed = google_reply.thought("", delta.signature)
                return self._event(delta.choice, sealed) if sealed is not None else b""
            case m.ToolBegin():
                self._calls[(delta.choice, delta.index)] = (delta, [])
                return b""
            case m.ArgumentsDelta():
                call = self._calls.get((delta.choice, delta.index))
                if call is not None:
                    call[1].append(delta.text)
                return b""
            case m.PartEnd():
                return self._called(delta.choice)
            case m.Finish():
                self._ends[delta.choice] = google_reply.WORD[delta.reason]
                return self._called(delta.choice)
            case m.UsageDelta():
                self._usage = delta.usage
                return b""
            case m.CitationDelta():
                return b""

    def finish(self) -> bytes:
        """See `StreamEncoder.finish`."""
        out = b"".join(self._called(choice) for choice in {choice for choice, _ in self._calls})
        ends = [google_reply.candidate(choice, [{"text": ""}], word) for choice, word in sorted((self._ends or {0: "STOP"}).items())]
        return out + self._write({"candidates": ends, "usageMetadata": google_usage.to_object(self._usage or Usage())})

    def _called(self, choice: int) -> bytes:
        done = [key for key in self._calls if key[0] == choice]
        out = b""
        for key in done:
            begin, pieces = self._calls.pop(key)
            out += self._event(choice, google_reply.function_call(begin.id, begin.name, "".join(pieces), begin.signature))
        return out

    def _event(self, choice: int, part: Any) -> bytes:
        return self._write({"candidates": [google_reply.candidate(choice, [part])]})

    def _write(self, body: dict[str, Any]) -> bytes:
        return event(msgspec.json.encode({**body, "modelVersion": self._model, "responseId": self._id}))
