"""OpenAI's APIs beside conversation (completions, moderations, audio, images), as the OpenAPI document describes them."""

from __future__ import annotations

from penstock.gateway.schemas.failures import OPENAI_ERROR, OPENAI_FAILURES
from penstock.gateway.schemas.notation import Schema, flag, free, many, maybe, number, obj, one, ref, text, whole, word
from penstock.kernel.web import Description

FORM = "multipart/form-data"
_MODEL = text("A model of `/v1/models`, `provider/model`, or `task:name`.", minLength=1, maxLength=512)
_TOO_LARGE = {**OPENAI_FAILURES, "413": "The body is larger than `gateway.max_upload_bytes`, or its model stands behind too much of it."}
_FLAG_WORD = word("true", "false")
_FILE: Schema = {"type": "string", "contentMediaType": "application/octet-stream", "description": "The file, with a file name."}


def _described(
    request: Schema,
    reply: Schema | None,
    *,
    event: Schema | None = None,
    ending: str = "",
    form: bool = False,
    others: tuple[str, ...] = (),
) -> Description:
    return Description(
        request=request,
        reply=reply,
        error=ref("OpenAIError"),
        failures=_TOO_LARGE if form else OPENAI_FAILURES,
        schemas={"OpenAIError": OPENAI_ERROR},
        event=one(event, ref("OpenAIError")) if event is not None else None,
        ending=ending,
        takes=FORM if form else "application/json",
        others=others,
    )


_CHOICE = obj(need=("text", "index"), text=text(), index=whole(minimum=0), finish_reason=maybe(text()), logprobs=maybe(free()))
_COMPLETION = obj(need=("id", "object", "model", "choices"), id=text(), object={"const": "text_completion"}, choices=many(_CHOICE))


def describe_completions() -> Description:
    """Of ``/v1/completions``."""
    request = obj(
        need=("model", "prompt"),
        model=_MODEL,
        prompt=one(text(), many(text()), many(whole()), many(many(whole())), what="A model of conversation takes one text."),
        max_tokens=maybe(whole("16 when absent.", minimum=0, maximum=2**31 - 1)),
        n=maybe(whole(minimum=1, maximum=128)),
        stream=maybe(flag()),
        stream_options=maybe(obj(include_usage=maybe(flag()))),
    )
    return _described(request, free("A text completion."), event=_COMPLETION, ending="`data: [DONE]` follows the last piece.")


def describe_moderations() -> Description:
    """Of ``/v1/moderations``."""
    request = obj(
        need=("input",),
        model=maybe(text("`omni-moderation-latest` when absent.", minLength=1, maxLength=512)),
        input=one(text(), many(text()), many(free()), what="A text, texts, or parts of text and images."),
    )
    return _described(request, free("Categories and scores of each input, as the provider says them."))


def _hearing(stream: bool) -> Schema:
    fields = {
        "prompt": text(),
        "response_format": text("json, text, srt, vtt, verbose_json, as the model allows."),
        "temperature": number(),
    }
    if stream:
        fields |= {"language": text(), "stream": _FLAG_WORD}
    return obj(
        "Name the model before the file: then a large file is sent on while it arrives.",
        need=("model", "file"),
        model=_MODEL,
        file=_FILE,
        **fields,
    )


def describe_transcriptions() -> Description:
    """Of ``/v1/audio/transcriptions``."""
    event = obj("`transcript.text.delta` and its kin.", type=text(), delta=text(), text=text())
    ending = "It ends with `transcript.text.done`."
    return _described(_hearing(True), free("The text."), event=event, ending=ending, form=True, others=("text/plain",))


def describe_translations() -> Description:
    """Of ``/v1/audio/translations``."""
    return _described(_hearing(False), free("The text."), form=True, others=("text/plain",))


def describe_speech() -> Description:
    """Of ``/v1/audio/speech``."""
    request = obj(
        need=("model", "input"),
        model=_MODEL,
        input=text(),
        voice=one(text(), free()),
        response_format=text("mp3, opus, aac, flac, wav, pcm, as the model allows."),
        stream_format=word("audio", "sse"),
    )
    event = obj("`speech.audio.delta` and its kin.", type=text(), audio=text("Base64."))
    sounds = ("audio/mpeg", "audio/wav", "audio/aac", "audio/flac", "audio/opus", "audio/pcm", "application/octet-stream")
    return _described(request, None, event=event, ending="It ends with `speech.audio.done`.", others=sounds)


_PICTURES = obj(created=number(), data=maybe(many(obj(b64_json=text(), url=text()))), usage=free())
_PICTURE_EVENT = obj("A picture, partial or whole, in base64.", type=text(), b64_json=text())
_PICTURE_END = "Each picture ends with an event whose type ends in `.completed`."


def describe_images() -> Description:
    """Of ``/v1/images/generations``."""
    request = obj(need=("model", "prompt"), model=_MODEL, prompt=text(), n=maybe(whole(minimum=1, maximum=128)), stream=maybe(flag()))
    return _described(request, _PICTURES, event=_PICTURE_EVENT, ending=_PICTURE_END)


def describe_edits() -> Description:
    """Of ``/v1/images/edits``."""
    request = obj(
        "Also as JSON, with `images` by address or file id.",
        need=("model", "prompt", "image"),
        model=_MODEL,
        prompt=text(),
        image=_FILE,
        mask=_FILE,
        n=text("A number from 1 to 128."),
        stream=_FLAG_WORD,
    )
    return _described(request, _PICTURES, event=_PICTURE_EVENT, ending=_PICTURE_END, form=True)


def describe_variations() -> Description:
    """Of ``/v1/images/variations``."""
    return _described(obj(need=("model", "image"), model=_MODEL, image=_FILE, n=text("A number from 1 to 128.")), _PICTURES, form=True)
