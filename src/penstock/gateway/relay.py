"""One attempt at one target: the same shape passes through as bytes, another shape goes through the normal form.

A streamed reply is handed back only once its first bytes are there and make sense, so that until then another target may still be tried.
"""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import msgspec

from penstock.gateway.passing import Binary
from penstock.gateway.providers.profile import Profile
from penstock.gateway.providers.provider import Declined, Provider, Upstream, for_forms, for_sessions
from penstock.gateway.quota import Quota
from penstock.gateway.realtime.session import Session
from penstock.gateway.refusal import refusal
from penstock.gateway.settings import GatewaySettings
from penstock.gateway.shapes import chat, seal, streaming
from penstock.gateway.shapes.plain import BINARY, TEXT, FormShape, Plain
from penstock.gateway.shapes.shape import ChatShape, Dialect, Shape, StreamingShape
from penstock.gateway.shapes.tap import Tap
from penstock.gateway.translation import Translation, one_call_only, translate
from penstock.gateway.uploads.upload import Form
from penstock.kernel.call import Attempt, Call, Headers, Reply, Target, Usage
from penstock.kernel.errors import PenstockError, UpstreamMalformed

DIGEST_FROM = 64 * 1024
BYTES_PER_TOKEN = 4
"""Rough size of a token in English text (OpenAI's own rule of thumb); only used where a provider reports no usage."""


class Relay:
    """Sends a call to a target and turns the answer into a reply in the client's shape."""

    def __init__(self, shapes: Mapping[str, Shape], settings: GatewaySettings) -> None:
        self._shapes = shapes
        self._max_reply = settings.max_reply_bytes
        self._default_max_tokens = settings.default_max_tokens

    async def attempt(self, call: Call, target: Target, provider: Provider, wire: str, attempt: Attempt, quota: Quota) -> Reply:
        """One exchange. ``quota`` hears what the reply's head says about rate limits.

        Raises `UpstreamError` or `DeadlineExceeded` as long as nothing has been handed back, `NotExpressible` before anything is sent.
        """
        if call.session is not None:
            return await self._session(call, target, provider, wire, attempt)
        shape, spoken = self._shapes[call.shape], self._shapes[wire]
        profile = provider.profile
        if call.form is not None:
            return await self._form(call, target, provider, wire, attempt)
        translation: Translation | None = None
        # A history that moved here from another vendor's model holds signatures that this one would refuse: those must be taken out.
        if wire == call.shape and not (wire in seal.CARRIERS and seal.WRAPPED in call.body):
            body = shape.upstream_body(
                call.fields,
                model=target.model,
                stream=call.stream,
                want_usage=call.stream and profile.stream_usage,
            )
            fields: Mapping[str, bytes] = call.fields
        else:
            dialect = self._dialect(profile, target.model)
            translation = translate(shape, spoken, call.fields, model=target.model, stream=call.stream, dialect=dialect)
            body = translation.body
            for dropped in translation.dropped:
                note = f"{dropped} has no counterpart at {target.provider} and was left out"
                if note not in call.notes:
                    call.notes.append(note)
            fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        upstream = await provider.post(
            wire,
            target.model,
            body,
            fields=fields,
            stream=call.stream,
            headers=_headers(call, profile.pass_headers if wire == call.shape else ()),
            timeout=call.remaining(),
        )
        try:
            attempt.status = upstream.status
            quota.heard(upstream)
            if upstream.status != 200:
                raise await refusal(provider.name, upstream)
            if isinstance(shape, Plain):
                return await self._plain(call, target, upstream, shape, translation, attempt)
            if call.stream:
                return await self._stream(call, target, upstream, streaming(shape), streaming(spoken), translation, attempt)
            return await self._whole(call, target, upstream, shape, translation, attempt)
        except BaseException:
            upstream.close()
            raise

    async def _session(self, call: Call, target: Target, provider: Provider, wire: str, attempt: Attempt) -> Reply:
        session = call.session
        assert isinstance(session, Session)
        headers = _headers(call, provider.profile.pass_headers)
        upstream = await for_sessions(provider).dial(wire, target.model, headers=headers, limits=session.limits)
        if isinstance(upstream, Declined):
            attempt.status = upstream.status
            raise await refusal(provider.name, upstream)
        attempt.status, attempt.first_token_ms = 101, call.elapsed_ms()
        return session.opened(upstream, target, attempt)

    async def _form(self, call: Call, target: Target, provider: Provider, wire: str, attempt: Attempt) -> Reply:
        shape, profile = self._shapes[call.shape], provider.profile
        assert isinstance(shape, FormShape)
        assert isinstance(call.form, Form)
        headers = _headers(call, profile.pass_headers)
        upstream = await for_forms(provider).upload(wire, target.model, call.form, headers=headers, timeout=call.remaining())
        try:
            attempt.status = upstream.status
            if upstream.status != 200:
                raise await refusal(provider.name, upstream)
            return await self._plain(call, target, upstream, shape, None, attempt)
        except BaseException:
            upstream.close()
            raise

    def _dialect(self, profile: Profile, model: str) -> Dialect:
        return Dialect(
            max_tokens_field=profile.max_tokens_field,
            stream_usage=profile.stream_usage,
            reasoning_field=profile.reasoning_field,
            default_max_tokens=self._default_max_tokens,
            sampling=profile.sampling,
            thinking_levels=_one_of(model, profile.thinking_levels),
            unsigned_call=profile.unsigned_call if _one_of(model, profile.signing) else None,
        )

    async def _whole(
        self, call: Call, target: Target, upstream: Upstream, shape: Shape, translation: Translation | None, attempt: Attempt
    ) -> Reply:
        attempt.first_token_ms = call.elapsed_ms()
        body = await upstream.read(self._max_reply)
        if translation is None:
            usage = shape.usage(body)
            if usage is None:
                _expect_object(target.provider, body)
        else:
            body, usage = translation.reply(body, model=target.name)
        call.usage = usage or _estimate(call, len(body))
        attempt.ended_ms = call.elapsed_ms()
        return Reply(body=body, headers=[("content-type", "application/json")])

    async def _plain(
        self, call: Call, target: Target, upstream: Upstream, shape: Plain, translation: Translation | None, attempt: Attempt
    ) -> Reply:
        """A reply of a shape that is no conversation: what it is, its content type says, whatever was asked for."""
        media = upstream.header("content-type") or "application/json"
        if media.startswith("text/event-stream"):
            call.stream = True
            return await self._stream(call, target, upstream, shape, shape, None, attempt)
        call.stream = False
        if shape.answers == BINARY and not media.startswith("application/json"):
            return await self._binary(call, upstream, attempt, media)
        attempt.first_token_ms = call.elapsed_ms()
        body = await upstream.read(self._max_reply)
        if translation is None:
            usage = shape.usage(body)
        else:
            body, usage = translation.reply(body, model=target.name)
        if shape.answers != TEXT or media.startswith("application/json"):
            if usage is None:
                _expect_object(target.provider, body)
            media = "application/json"
            # In a thread: digests of megabytes of pictures take milliseconds.
            kept = await asyncio.to_thread(shape.kept, body) if len(body) > DIGEST_FROM else shape.kept(body)
            if kept is not None:
                call.keepsake = lambda: kept
        call.usage = usage or _estimate(call, len(body))
        attempt.ended_ms = call.elapsed_ms()
        return Reply(body=body, headers=[("content-type", media)])

    async def _binary(self, call: Call, upstream: Upstream, attempt: Attempt, media: str) -> Reply:
        reply = Reply(headers=[("content-type", media if media.isprintable() else "application/octet-stream")])
        call.usage = _estimate(call, 0)
        await Binary(call, reply, upstream, attempt, media).begin()
        return reply

    async def _stream(
        self,
        call: Call,
        target: Target,
        upstream: Upstream,
        shape: StreamingShape,
        spoken: StreamingShape,
        translation: Translation | None,
        attempt: Attempt,
    ) -> Reply:
        reply = Reply(headers=[("content-type", "text/event-stream"), ("cache-control", "no-cache"), ("x-accel-buffering", "no")])
        source = upstream.chunks()
        pump: _Pump
        if translation is None:
            pump = _Passthrough(call, reply, shape)
        else:
            pump = _Translation(call, reply, target, chat(shape), chat(spoken), one_call=translation.one_call)
        # Until something can be shown the attempt can still fail over: a comment or an empty event is no answer yet.
        first = b""
        while not first and not reply.finished:
            chunk = await anext(source, None)
            if chunk is None:
                first = pump.close()
                break
            first = pump.feed(chunk)
        attempt.first_token_ms = call.elapsed_ms()
        reply.chunks = self._pump(call, upstream, source, pump, first, attempt)
        return reply

    async def _pump(
        self, call: Call, upstream: Upstream, source: AsyncIterator[bytes], pump: _Pump, first: bytes, attempt: Attempt
    ) -> AsyncIterator[bytes]:
        try:
            if first:
                yield first
            async for chunk in source:
                out = pump.feed(chunk)
                if out:
                    yield out
            rest = pump.close()
            if rest:
                yield rest
        except PenstockError as fault:
            attempt.error, attempt.message = fault.code, fault.message
            raise
        finally:
            pump.settle()
            attempt.ended_ms = call.elapsed_ms()
            upstream.close()


class _Pump(Protocol):
    """What turns a provider's chunks into the client's; one per stream."""

    def feed(self, chunk: bytes) -> bytes:
        """What to send on for ``chunk``; may be empty. Sets the reply finished before the bytes that say so are returned."""
        ...

    def close(self) -> bytes:
        """The provider's stream has ended. Raises `UpstreamReset` when it was cut short."""
        ...

    def settle(self) -> None:
        """Leave on the call what is known of the usage, whole or cut short."""
        ...


class _Passthrough:
    """The same shape on both sides: bytes go through, a tap looks for usage and the end."""

    __slots__ = ("_call", "_reply", "_tap")

    def __init__(self, call: Call, reply: Reply, shape: StreamingShape) -> None:
        self._call = call
        self._reply = reply
        self._tap = shape.tap_of(call.fields) if isinstance(shape, Plain) else shape.tap(keep_usage=call.want_usage)
        if isinstance(self._tap, Tap) and self._tap.kept is not None:
            call.keepsake = self._tap.kept

    def feed(self, chunk: bytes) -> bytes:
        out = self._tap.feed(chunk)
        if self._tap.finished and not self._reply.finished:
            self.settle()
        return out

    def close(self) -> bytes:
        out = self._tap.close()
        self.settle()
        return out

    def settle(self) -> None:
        tap, reply = self._tap, self._reply
        self._call.usage = tap.usage or _estimate(self._call, tap.output_bytes)
        reply.finish_reason = tap.finish_reason
        reply.finished = tap.finished


class _Translation:
    """Another shape upstream: decoded into deltas, encoded anew."""

    __slots__ = ("_call", "_decoder", "_encoder", "_one_call", "_reply")

    def __init__(self, call: Call, reply: Reply, target: Target, shape: ChatShape, spoken: ChatShape, *, one_call: bool) -> None:
        self._one_call = one_call
        self._call = call
        self._reply = reply
        self._decoder = spoken.stream_decoder()
        self._encoder = shape.stream_encoder(model=target.name, include_usage=call.want_usage)

    def feed(self, chunk: bytes) -> bytes:
        encode = self._encoder.encode
        deltas = self._decoder.feed(chunk)
        return b"".join([encode(delta) for delta in (one_call_only(deltas) if self._one_call else deltas)])

    def close(self) -> bytes:
        encode = self._encoder.encode
        deltas = self._decoder.close()
        out = b"".join([encode(delta) for delta in (one_call_only(deltas) if self._one_call else deltas)])
        # Settled first: the bytes that follow tell the client that the reply is complete.
        self.settle()
        self._reply.finished = True
        return out + self._encoder.finish()

    def settle(self) -> None:
        decoder = self._decoder
        self._call.usage = decoder.usage or _estimate(self._call, decoder.output_bytes)
        self._reply.finish_reason = decoder.finish_reason


def _expect_object(provider: str, body: bytes) -> None:
    # A 200 that holds no JSON object (a proxy's page, half a reply) is no reply, and the next target may have one.
    try:
        msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise UpstreamMalformed(f"{provider} answered 200 with a body that is no JSON object") from fault


def _one_of(model: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(model, pattern) for pattern in patterns)


def _estimate(call: Call, output_bytes: int) -> Usage:
    if call.expected is not None:
        return msgspec.structs.replace(call.expected, estimated=True)
    output = 0 if call.operation == "embeddings" else output_bytes // BYTES_PER_TOKEN
    return Usage(input=call.input_estimate, output=output, estimated=True)


def _headers(call: Call, passed: tuple[str, ...]) -> Headers:
    headers: Headers = [("traceparent", call.trace.header())]
    if call.trace.state:
        headers.append(("tracestate", call.trace.state))
    if passed and call.passthrough:
        headers += [pair for pair in call.passthrough if pair[0] in passed]
    return headers
