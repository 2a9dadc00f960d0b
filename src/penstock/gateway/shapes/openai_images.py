"""OpenAI's image APIs, passed through (https://platform.openai.com/docs/api-reference/images).

Models of the GPT kind report tokens; the older ones are sold by the picture, and so are counted pictures.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from penstock.gateway.shapes import openai_error
from penstock.gateway.shapes.body import COUNT, FLAG, expect, head, model_of, top_level
from penstock.gateway.shapes.openai_usage import Count, count
from penstock.gateway.shapes.plain import FormShape, Plain
from penstock.gateway.shapes.shape import Fields, Head, StreamTap
from penstock.gateway.shapes.tap import Tap
from penstock.gateway.uploads.upload import Form
from penstock.kernel.call import Usage
from penstock.kernel.digest import told
from penstock.kernel.errors import MalformedRequest, UpstreamMalformed

TOKENS_MADE = 6_240
"""Tokens of the dearest picture (gpt-image-1, 1024x1536, high; https://platform.openai.com/docs/guides/image-generation#cost-and-latency)."""
TOKENS_SEEN = 1_600
"""Tokens of a picture that is read, about; what a call is reserved with."""
MOST_IMAGES = 128

_NUMBER = msgspec.json.Decoder(int | str | None)


class _InputDetails(Struct):
    image_tokens: Count = None
    text_tokens: Count = None


class _ImageUsage(Struct):
    input_tokens: Count = None
    output_tokens: Count = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _InputDetails | None = None


class _Body(Struct):
    data: list[Raw] | None = None
    usage: _ImageUsage | None = None


class _Event(Struct):
    type: str = ""
    usage: _ImageUsage | None = None
    error: Raw = Raw(b"")


_BODY = msgspec.json.Decoder(_Body)
_EVENT = msgspec.json.Decoder(_Event)


def _usage(wire: _ImageUsage, images: int) -> Usage:
    seen, made = wire.input_tokens_details, wire.output_tokens_details
    output = count(wire.output_tokens)
    return Usage(
        input=count(wire.input_tokens),
        image_input=count(seen.image_tokens) if seen is not None else 0,
        output=output,
        # Where the parts are not told, all of it is picture.
        image_output=count(made.image_tokens) if made is not None else output,
        images=images,
    )


def _added(one: Usage | None, other: Usage) -> Usage:
    if one is None:
        return other
    counts = {name: getattr(one, name) + getattr(other, name) for name in Usage.__struct_fields__ if name != "estimated"}
    return Usage(**counts)


class _Images(Plain):
    operation = "images"

    def usage(self, body: bytes) -> Usage | None:
        """See `Shape.usage`."""
        try:
            read = _BODY.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        images = len(read.data or ())
        if read.usage is not None:
            return _usage(read.usage, images)
        return Usage(images=images) if images else None

    def kept(self, body: bytes) -> bytes | None:
        """See `Plain.kept`."""
        return told(body)

    def tap_of(self, fields: Fields) -> StreamTap:
        """See `Plain.tap_of`."""
        eye = _Eye(_wanted(fields))
        return Tap(eye, (), eye.kept)


class OpenAIImages(_Images):
    """The shape ``openai.images``: pictures from a text."""

    name = "openai.images"

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`."""
        fields = top_level(body)
        model = model_of(fields)
        expect(fields, "prompt", b'"')
        stream = head(fields, "stream", FLAG) or False
        return fields, Head(model=model, stream=stream, n=head(fields, "n", COUNT) or 1, expected=_expected(_wanted(fields)))


class _ImageForms(_Images, FormShape):
    prompted = True

    def read_form(self, form: Form) -> Head:
        """See `FormShape.read_form`."""
        model = form.model()
        if form.complete:
            if not any(file.name in ("image", "image[]") for file in form.files):
                wrong = "must be a file with a file name" if form.values.get("image") or form.values.get("image[]") else "is missing"
                raise MalformedRequest(f"'image' {wrong}.", param="image")
            if self.prompted and not form.value("prompt"):
                raise MalformedRequest("'prompt' is missing.", param="prompt")
        n = form.value("n")
        if n is not None and (not n.isascii() or not n.isdigit() or not 1 <= int(n[:9]) <= MOST_IMAGES):
            raise MalformedRequest(f"'n' must be a number of images from 1 to {MOST_IMAGES}.", param="n")
        return Head(model=model, stream=form.flag("stream"), n=int(n or 1), expected=self.expected(form))

    def expected(self, form: Form) -> Usage:
        """See `FormShape.expected`."""
        n = form.values.get("n", ["1"])[0]
        expected = _expected(int(n) if n.isascii() and n.isdigit() and len(n) < 4 else 1)
        seen = TOKENS_SEEN * max(1, len(form.files))
        expected.input = seen + len(form.values.get("prompt", [""])[0]) // 4
        expected.image_input = seen
        return expected


class OpenAIImageEdits(_ImageForms):
    """The shape ``openai.image_edits``: pictures from pictures and a text. A form, or JSON that names pictures by address or file id."""

    name = "openai.image_edits"

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`."""
        fields, found = OpenAIImages.read(OpenAIImages(), body)
        expect(fields, "images", b"[")
        return fields, found


class OpenAIImageVariations(_ImageForms):
    """The shape ``openai.image_variations``: pictures like another one."""

    name = "openai.image_variations"
    prompted = False


def _wanted(fields: Fields) -> int:
    """How many pictures; a form says it in letters, and what is no number is the provider's to refuse."""
    raw = fields.get("n")
    try:
        return min(MOST_IMAGES, max(1, int(_NUMBER.decode(raw) or 1))) if raw is not None else 1
    except (msgspec.DecodeError, ValueError):
        return 1


def _expected(images: int) -> Usage:
    return Usage(images=images, output=images * TOKENS_MADE, image_output=images * TOKENS_MADE)


class _Eye:
    """Counts the pictures that are complete and adds up their usage; keeps of each event what is not picture."""

    def __init__(self, wanted: int) -> None:
        self.usage: Usage | None = None
        self.finished = False
        self.finish_reason: str | None = None
        self._wanted = wanted
        self._kept: list[bytes] = []

    def quiet(self, chunk: bytes) -> bool:
        """See `Eye.quiet`: events are few and large, and each is looked at."""
        return False

    def see(self, data: bytes) -> bool:
        """See `Eye.see`."""
        try:
            event = _EVENT.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            if data.strip() == b"[DONE]":
                self.finished = True
                return True
            raise UpstreamMalformed("The provider's stream holds an event that is none of an image stream.") from fault
        openai_error.check(event.error)
        self._kept.append(told(data))
        if event.type.endswith(".completed"):
            self.usage = _added(self.usage, _usage(event.usage, 1) if event.usage is not None else Usage(images=1))
            self.finished = self.usage.images >= self._wanted
        return True

    def kept(self) -> bytes:
        """The events as a JSON array, pictures told by size and digest."""
        return b"[" + b",".join(self._kept) + b"]"
