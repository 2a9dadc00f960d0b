"""What a session comes to: responses, turns, sound and what is kept of its events for the record. Sound itself never is."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from penstock.gateway.realtime import events
from penstock.gateway.realtime.events import Event
from penstock.kernel.call import Usage
from penstock.kernel.digest import told

PCM_BYTES_PER_MS = 48
"""24 kHz, 16 bits, one channel."""
G711_BYTES_PER_MS = 8
TOKENS_PER_SECOND = 20
"""Of sound that a model speaks, at OpenAI: one for 50 ms (https://platform.openai.com/docs/guides/realtime-costs)."""
LEAST_CONTEXT = 512

KEPT = frozenset(
    {
        "session.update",
        "session.created",
        "session.updated",
        "conversation.item.create",
        "response.create",
        "response.cancel",
        "response.done",
        "conversation.item.input_audio_transcription.failed",
        events.TRANSCRIBED,
        "error",
    }
)
"""Events that the record keeps as they are; the others are parts of these, or signs on the way."""
MOST_UNDER_WAY = 1024
"""Responses that are remembered as begun; a provider has one or a few at a time."""


class Sound:
    """Base64 audio that goes by: counted and digested, one stretch after another."""

    def __init__(self) -> None:
        self.bytes_per_ms = PCM_BYTES_PER_MS
        self.size = 0
        self.ms = 0.0
        self._sha = hashlib.sha256()

    def add(self, base64: str) -> None:
        """One more piece."""
        size = len(base64.rstrip("=")) * 3 // 4
        self.size += size
        self.ms += size / self.bytes_per_ms
        self._sha.update(base64.encode("utf-8", "surrogatepass"))

    def take(self) -> dict[str, Any]:
        """What the record keeps of the stretch that ends here; the next one begins."""
        found = {"bytes": self.size, "sha256_of_base64": self._sha.hexdigest()}
        self.size, self._sha = 0, hashlib.sha256()
        return found


class Tally:
    """Counts one session. ``client`` and ``server`` are told every event that could be read, before it is passed on."""

    def __init__(self, assumed_output: int, room: int) -> None:
        self.responses = 0
        self.turns = 0
        self.unreadable = 0
        self.frames = [0, 0]
        self.heard, self.spoken = Sound(), Sound()
        self.transcriber = ""
        self.under_way: dict[str, None] = {}
        self._most = assumed_output
        self._context = LEAST_CONTEXT
        self._text_bytes = 0
        self._spoken_before = 0.0
        self._room = room
        self._kept: list[bytes] = []
        self._left_out = 0

    def expected(self, most: int | None = None) -> Usage:
        """What the next response may use at most: all that was said so far, and sound as long as is allowed."""
        output = most or self._most
        return Usage(input=self._context, output=output, audio_output=output)

    def client(self, event: Event) -> None:
        """An event of the client's."""
        kind = event.type
        if kind == "input_audio_buffer.append":
            self.heard.add(event.text("audio"))
        elif kind in ("input_audio_buffer.commit", "input_audio_buffer.clear"):
            self._sound("client", kind, self.heard)
        elif kind in KEPT:
            self._keep("client", event)
        if kind == "conversation.item.create":
            self.turns += 1

    def server(self, event: Event) -> None:
        """An event of the provider's."""
        kind = event.type
        if kind in events.AUDIO_DELTAS:
            self.spoken.add(event.text("delta"))
        elif kind in events.TEXT_DELTAS:
            self._text_bytes += len(event.fields.get("delta", b""))
        elif kind in events.AUDIO_DONE:
            self._sound("server", kind, self.spoken)
        elif kind == "input_audio_buffer.committed":
            self.turns += 1
            if self.heard.size:
                self._sound("client", kind, self.heard)
        elif kind in KEPT:
            self._keep("server", event)
        if kind in ("session.created", "session.updated"):
            self._heed(event)

    def begun(self, response: str) -> None:
        """A response has begun."""
        if len(self.under_way) < MOST_UNDER_WAY:
            self.under_way[response] = None
        self._text_bytes, self._spoken_before = 0, self.spoken.ms

    def done(self, response: str, usage: Usage | None) -> None:
        """A response is done, with what it used if it said so."""
        self.responses += 1
        self.under_way.pop(response, None)
        if usage is not None:
            self._context = max(LEAST_CONTEXT, usage.total)

    def unfinished(self) -> Usage | None:
        """An estimate of what was used by the responses that have begun and will not end; None when there are none."""
        if not self.under_way:
            return None
        spoken = int((self.spoken.ms - self._spoken_before) * TOKENS_PER_SECOND / 1000)
        return Usage(input=self._context, output=spoken + self._text_bytes // 4, audio_output=spoken, estimated=True)

    def summary(self) -> str:
        """The session in one line."""
        heard, spoken = self.heard.ms / 1000, self.spoken.ms / 1000
        parts = [f"{self.responses} responses", f"{self.turns} turns", f"{heard:.1f} s heard", f"{spoken:.1f} s spoken"]
        parts.append(f"{self.frames[0]} messages from the client, {self.frames[1]} from the provider")
        if self.unreadable:
            parts.append(f"{self.unreadable} of them unreadable")
        return ", ".join(parts)

    def kept(self) -> bytes:
        """What the record keeps: the summary and the events."""
        facts = {
            "responses": self.responses,
            "turns": self.turns,
            "heard_ms": int(self.heard.ms),
            "spoken_ms": int(self.spoken.ms),
            "messages": self.frames,
            "unreadable": self.unreadable,
            "events_left_out": self._left_out,
        }
        return b'{"session":%s,"events":[%s]}' % (msgspec.json.encode(facts), b",".join(self._kept))

    def _heed(self, event: Event) -> None:
        found = events.terms(event)
        if found is None:
            return
        self.transcriber = found.transcriber or self.transcriber
        self._most = found.most or self._most
        for sound, form in zip((self.heard, self.spoken), found.formats, strict=True):
            if form:
                sound.bytes_per_ms = G711_BYTES_PER_MS if any(name in form for name in (b"pcmu", b"pcma", b"g711")) else PCM_BYTES_PER_MS

    def _keep(self, side: str, event: Event) -> None:
        self._put(msgspec.json.encode({"from": side, "event": event.fields}))

    def _sound(self, side: str, kind: str, sound: Sound) -> None:
        self._put(msgspec.json.encode({"from": side, "event": {"type": kind}, "audio": sound.take()}))

    def _put(self, entry: bytes) -> None:
        if self._room <= 0:
            self._left_out += 1
            return
        entry = told(entry)
        if len(entry) > self._room:
            self._left_out += 1
            return
        self._room -= len(entry)
        self._kept.append(entry)
