"""Traces of plain functions, sent to a Penstock or any other collector.

Stands on OpenTelemetry's API alone and imports nothing of the server.

::

    from penstock.trace import conversation, setup, trace

    setup("http://127.0.0.1:8080", key="psk_...", service="support-bot")

    @trace(kind="tool")
    def weather(city: str) -> str: ...

    @trace(kind="agent")
    async def answer(question: str) -> str: ...

    with conversation(session="s-17", user="ann"):
        await answer("What is it like in Delft?")

Where a program has set OpenTelemetry up itself, `setup` is not needed: the decorator uses what is there, and costs next to nothing where
nothing is.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, cast, overload

from opentelemetry import trace as otel

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

Kind = Literal["run", "step", "agent", "chain", "retrieval", "tool", "embedding", "rerank", "guard", "evaluation"]

LONGEST = 32_768
"""Characters that are kept of what goes in or comes out."""

_ELSEWHERE = {
    "retrieval": "RETRIEVER",
    "rerank": "RERANKER",
    "guard": "GUARDRAIL",
    "evaluation": "EVALUATOR",
    "step": "CHAIN",
    "run": "CHAIN",
}
"""Kinds as OpenInference calls them, so that other collectors understand them."""

_said: ContextVar[dict[str, str]] = ContextVar("penstock.trace", default={})  # noqa: B039 - never changed, only replaced


def setup(url: str, *, key: str = "", service: str = "", headers: dict[str, str] | None = None) -> TracerProvider:
    """Send the traces of this process to the Penstock at ``url``, in the background. ``key`` needs the scope ``call``.

    Needs the extra ``otel``. Call ``shutdown()`` on what is returned to send the last spans before the process ends by a signal; an
    ordinary end does that by itself.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service} if service else {}))
    given = {**({"authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces", headers=given)))
    otel.set_tracer_provider(provider)
    return provider


@contextmanager
def conversation(*, session: str = "", user: str = "") -> Generator[None]:
    """Every span that begins within belongs to this session and user."""
    told = {"session.id": session, "user.id": user}
    token = _said.set({**_said.get(), **{name: value for name, value in told.items() if value}})
    try:
        yield
    finally:
        _said.reset(token)


@overload
def trace(function: F, /) -> F: ...


@overload
def trace(*, kind: Kind = "step", name: str = "", content: bool = True) -> Callable[[F], F]: ...


def trace(function: Any = None, /, *, kind: Kind = "step", name: str = "", content: bool = True) -> Any:
    """A span for each call of a function, with its arguments and what it returns or yields; ``content`` False keeps both out.

    Takes functions, coroutine functions and generators of both sorts; a generator's span lasts until it is exhausted or closed. An
    exception marks the span as failed and goes on.
    """
    if function is None:
        return functools.partial(_traced, kind=kind, name=name, content=content)
    return _traced(function, kind=kind, name=name, content=content)


def _traced(function: Callable[..., Any], *, kind: str, name: str, content: bool) -> Callable[..., Any]:
    shown = name or function.__name__
    signature = inspect.signature(function)
    tracer = otel.get_tracer("penstock.trace")

    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        span = tracer.start_span(shown)
        if span.is_recording():
            span.set_attributes({"penstock.kind": kind, "openinference.span.kind": _ELSEWHERE.get(kind, kind.upper()), **_said.get()})
            if kind in ("tool", "agent"):
                span.set_attribute(f"{kind}.name", shown)
            if content:
                span.set_attribute("input.value", _told(dict(signature.bind(*args, **kwargs).arguments)))
        return span

    def end(span: Any, result: Any) -> None:
        if content and span.is_recording():
            span.set_attribute("output.value", _told(result))

    def within(span: Any) -> Any:
        return otel.use_span(span, end_on_exit=True)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def waits(*args: Any, **kwargs: Any) -> Any:
            with within(span := begin(args, kwargs)):
                result = await function(*args, **kwargs)
                end(span, result)
                return result

        return waits
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def streams(*args: Any, **kwargs: Any) -> AsyncGenerator[Any]:
            span, parts, source = begin(args, kwargs), list[Any](), function(*args, **kwargs)
            try:
                while True:
                    with otel.use_span(span):  # not while the reader works, whose spans are its own
                        try:
                            part = await anext(source)
                        except StopAsyncIteration:
                            break
                    _keep(parts, part)
                    yield part
            finally:
                end(span, _joined(parts))
                span.end()
                await source.aclose()

        return streams
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def yields(*args: Any, **kwargs: Any) -> Generator[Any]:
            span, parts, source = begin(args, kwargs), list[Any](), function(*args, **kwargs)
            try:
                while True:
                    with otel.use_span(span):
                        try:
                            part = next(source)
                        except StopIteration:
                            break
                    _keep(parts, part)
                    yield part
            finally:
                end(span, _joined(parts))
                span.end()
                source.close()

        return yields

    @functools.wraps(function)
    def calls(*args: Any, **kwargs: Any) -> Any:
        with within(span := begin(args, kwargs)):
            result = function(*args, **kwargs)
            end(span, result)
            return result

    return calls


def _keep(parts: list[Any], part: Any) -> None:
    if len(parts) < 1000:
        parts.append(part)


def _joined(parts: list[Any]) -> Any:
    return "".join(cast("list[str]", parts)) if all(isinstance(part, str) for part in parts) else parts


def _told(value: Any) -> str:
    if isinstance(value, str):
        return value[:LONGEST]
    try:
        return json.dumps(value, default=repr, ensure_ascii=False)[:LONGEST]
    except (TypeError, ValueError, RecursionError):  # keys that are no text, or a value that holds itself
        return repr(value)[:LONGEST]
