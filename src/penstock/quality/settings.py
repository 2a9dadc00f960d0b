"""Quality's slice of the settings."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from penstock.kernel.tasks import DetectorKind


class QualitySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Datasets, evaluations, judges and samples of live traffic. Evaluations need the extra `journal`."""

    max_items: Annotated[int, Meta(ge=1, le=1_000_000, description="Items that one dataset may have.")] = 50_000
    max_line_bytes: Annotated[int, Meta(ge=1024, description="Longest item of a dataset, in bytes.")] = 262_144
    max_in_flight: Annotated[
        int, Meta(ge=1, description="Most questions of evaluations and judges in flight at once in one process, of all together.")
    ] = 32
    beside_interactive: Annotated[
        float, Meta(gt=0, le=1, description="Share of the process's time for evaluations while interactive calls come in.")
    ] = 0.05
    at_once: Annotated[int, Meta(ge=1, description="Evaluations of one organisation that are worked on at once; the others wait.")] = 2
    per_process: Annotated[int, Meta(ge=1, description="Evaluations that one process works on at once.")] = 4
    tries: Annotated[
        int, Meta(ge=1, description="Tries of a question that fails upstream. Refusals (rate limits, overload) are waited out.")
    ] = 4
    answer_tokens: Annotated[
        int, Meta(ge=1, description="Tokens that an answer is expected to have at most where `max_tokens` is not said; for the cap.")
    ] = 1024
    keep_answers_days: Annotated[
        float, Meta(ge=0, description="Days for which an answer is used again by another evaluation that asks the same.")
    ] = 30.0
    code: Annotated[
        Literal["off", "on"],
        Meta(description="Whether tests of code may be run here. They run in a process with limits, no sandbox: docs/evaluations.md."),
    ] = "off"
    code_seconds: Annotated[float, Meta(gt=0, le=600, description="Longest time that the tests of one answer may take.")] = 10.0
    detector: Annotated[
        DetectorKind,
        Meta(
            description="Who judges groundedness where a task does not say: lexical (words alone), meaning (words and the local embedding"
            " model) or tokens (a token classifier, from `detector_folder`). Where it cannot be had, words alone judge, and that is said."
        ),
    ] = "lexical"
    detector_folder: Annotated[
        str,
        Meta(description="Folder with a token classifier's `model.onnx` and `tokenizer.json`; loaded when the registry's scan accepts it."),
    ] = ""
    detector_digest: Annotated[
        str,
        Meta(
            pattern=r"^([0-9a-f]{64})?$",
            description="Digest that this folder must have, as `penstock registry scan` prints it; any when empty.",
        ),
    ] = ""
    detector_tokens: Annotated[
        int, Meta(ge=64, le=1_000_000, description="Tokens that the classifier reads at once; longer contexts are read in pieces.")
    ] = 4096
    detector_threads: Annotated[int, Meta(ge=1, le=64, description="Cores that it may use for one reply.")] = 1
    sample_queue: Annotated[
        int, Meta(ge=1, description="Sampled answers that may wait in memory to be written down; more are dropped and counted.")
    ] = 1000
    sample_queue_bytes: Annotated[int, Meta(ge=1, description="Bytes of those; more are dropped and counted.")] = 67_108_864
    sample_max_bytes: Annotated[
        int, Meta(ge=1024, description="Longest request and longest reply that is sampled; longer ones are passed over and counted.")
    ] = 131_072
    drift_seconds: Annotated[float, Meta(ge=1, description="Seconds between two looks for drift at sampled calls.")] = 30.0
    drift_reference: Annotated[
        int, Meta(ge=100, le=3000, description="Sampled calls of a task that later ones are compared with, from its beginning on.")
    ] = 400
    drift_calls: Annotated[
        float,
        Meta(ge=100, description="A task whose calls do not change is said to drift at most once in so many sampled calls, on average."),
    ] = 10_000.0
    keep_samples_days: Annotated[float, Meta(gt=0, description="Days for which sampled answers and their scores are kept.")] = 90.0
