"""Gemini's contents, their counting and the list of models, as the OpenAPI document describes them.

Fields are listed by the names of Google's documentation; the same names with underscores are taken as well.
"""

from __future__ import annotations

from penstock.gateway.schemas.failures import FAILURES, GOOGLE_ERROR
from penstock.gateway.schemas.notation import Schema, flag, free, many, maybe, number, obj, one, ref, text, whole, word
from penstock.kernel.web import Description

KEY: dict[str, Schema] = {"key": text("The key, where it stands in no header.")}
_BLOB = obj(mimeType=text(), data=text("Base64."))
_PART = obj(
    "One of these, with a signature where a model has signed it; other kinds go to Gemini itself.",
    text=maybe(text()),
    thought=maybe(flag("The text is what was thought.")),
    thoughtSignature=maybe(text("Base64; goes back as it came.")),
    inlineData=maybe(_BLOB),
    fileData=maybe(obj(fileUri=text(), mimeType=maybe(text()))),
    functionCall=maybe(obj(need=("name",), id=maybe(text()), name=text(), args=maybe(free()))),
    functionResponse=maybe(obj(need=("name",), id=maybe(text()), name=text(), response=maybe(free()))),
)
_PARTS = one(many(ref("GooglePart")), ref("GooglePart"))
_CONTENT = obj(role=maybe(text("user or model.")), parts=_PARTS)
_TOOL = obj(
    "Functions, or a tool that Google runs.",
    functionDeclarations=maybe(
        many(
            obj(
                need=("name",),
                name=text(),
                description=maybe(text()),
                parameters=maybe(free("In Google's subset of OpenAPI's schema.")),
                parametersJsonSchema=maybe(free("A JSON Schema.")),
            )
        )
    ),
)
_CONFIG = obj(
    maxOutputTokens=maybe(whole(minimum=0, maximum=2**31 - 1)),
    candidateCount=maybe(whole(minimum=1, maximum=128)),
    temperature=maybe(number()),
    topP=maybe(number()),
    topK=maybe(number()),
    seed=maybe(whole()),
    stopSequences=maybe(many(text())),
    presencePenalty=maybe(number()),
    frequencyPenalty=maybe(number()),
    responseLogprobs=maybe(flag()),
    logprobs=maybe(whole()),
    responseMimeType=maybe(text()),
    responseSchema=maybe(free()),
    responseJsonSchema=maybe(free()),
    thinkingConfig=maybe(obj(includeThoughts=maybe(flag()), thinkingBudget=maybe(whole()), thinkingLevel=maybe(text()))),
)
_REQUEST = obj(
    need=("contents",),
    contents=one(many(ref("GoogleContent")), ref("GoogleContent")),
    systemInstruction=maybe(ref("GoogleContent")),
    tools=maybe(many(_TOOL)),
    toolConfig=maybe(obj(functionCallingConfig=maybe(obj(mode=maybe(text()), allowedFunctionNames=maybe(many(text())))))),
    safetySettings=maybe(many(obj(category=text(), threshold=text()))),
    generationConfig=maybe(_CONFIG),
)
_USAGE = obj(
    "Counts so far. The prompt's hold what the cache's hold; thoughts stand beside the candidates.",
    promptTokenCount=maybe(whole()),
    candidatesTokenCount=maybe(whole()),
    totalTokenCount=maybe(whole()),
    cachedContentTokenCount=maybe(whole()),
    thoughtsTokenCount=maybe(whole()),
)
_REPLY = obj(
    "A whole reply, or what one event of a stream adds to it.",
    candidates=many(
        obj(
            content=obj(role=maybe(text()), parts=many(ref("GooglePart"))),
            finishReason=maybe(text("STOP, MAX_TOKENS, SAFETY, or another word of Google's.")),
            index=maybe(whole()),
            logprobsResult=maybe(free()),
        )
    ),
    promptFeedback=maybe(obj(blockReason=maybe(text()))),
    usageMetadata=maybe(_USAGE),
    modelVersion=maybe(text()),
    responseId=maybe(text()),
)
_SPOKEN = {"GoogleError": GOOGLE_ERROR, "GooglePart": _PART, "GoogleContent": _CONTENT, "GoogleRequest": _REQUEST}
_MODEL = obj(
    need=("name", "displayName", "supportedGenerationMethods"),
    name=text("`models/` and the name by which it is called."),
    version=text(),
    displayName=text(),
    supportedGenerationMethods=many(text()),
)


def describe() -> Description:
    """The description of the route that answers at once."""
    return Description(
        request=ref("GoogleRequest"),
        reply=ref("GoogleReply"),
        query=KEY,
        error=ref("GoogleError"),
        failures=FAILURES,
        schemas={**_SPOKEN, "GoogleReply": _REPLY},
    )


def describe_stream() -> Description:
    """The description of the route that answers in a stream."""
    return Description(
        request=ref("GoogleRequest"),
        reply=None,
        event=one(ref("GoogleReply"), ref("GoogleError")),
        ending="The last event says why each candidate ended; a failure is an event with `error`.",
        query={"alt": {**word("sse"), "description": "Streams are served as events only."}, **KEY},
        error=ref("GoogleError"),
        failures=FAILURES,
        schemas={**_SPOKEN, "GoogleReply": _REPLY},
    )


def describe_count() -> Description:
    """The description of the route that only counts."""
    return Description(
        request=obj(contents=maybe(many(ref("GoogleContent"))), generateContentRequest=maybe(ref("GoogleRequest"))),
        reply=ref("GoogleCount"),
        query=KEY,
        error=ref("GoogleError"),
        failures=FAILURES,
        schemas={**_SPOKEN, "GoogleCount": obj(need=("totalTokens",), totalTokens=whole(minimum=0))},
    )


def describe_models(*, single: bool) -> Description:
    """The description of the list of models, or of a single one."""
    paging: dict[str, Schema] = {} if single else {"pageSize": text("The list is short and comes whole."), "pageToken": text()}
    failures = {status: FAILURES[status] for status in ("400", "401", "403", "404", "500")}
    return Description(
        request=None,
        reply=ref("GoogleModel") if single else obj(need=("models",), models=many(ref("GoogleModel"))),
        query={**paging, **KEY},
        error=ref("GoogleError"),
        failures=failures,
        schemas={"GoogleError": GOOGLE_ERROR, "GoogleModel": _MODEL},
    )
