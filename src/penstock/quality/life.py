"""Quality as a service: what it holds, what it tells the journal, and what it does by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from functools import cached_property

from penstock.kernel.approvals import VersionEvaluations
from penstock.kernel.candidates import Candidates
from penstock.kernel.capability import House
from penstock.kernel.evidence import CallRecords
from penstock.kernel.journal import Journal, Queue
from penstock.kernel.opening import Opening
from penstock.kernel.pace import Pace
from penstock.kernel.ports import Files, Holders, Metric, ModelClient, Traffic
from penstock.kernel.principal import Principal
from penstock.kernel.recall import Embedder, Prices
from penstock.kernel.recall import Replies as Shapes
from penstock.kernel.rounds import Rounds, Step
from penstock.kernel.seat import Seat
from penstock.kernel.tasks import DetectorKind, Tasks
from penstock.kernel.weights import WeightScan
from penstock.quality import samples, store
from penstock.quality.asking import Asking
from penstock.quality.datasets import Datasets
from penstock.quality.drift.keeper import Keeper
from penstock.quality.evaluations import Evaluations
from penstock.quality.evidence import BY_MODEL, Gathered
from penstock.quality.exchange import Exchange
from penstock.quality.feedback import Told
from penstock.quality.grounded.choice import Detectors
from penstock.quality.judgement import Judgement
from penstock.quality.judges import Judges
from penstock.quality.judging import Judging
from penstock.quality.limits.calibrations import Calibrations
from penstock.quality.model import LIVE, Evaluation
from penstock.quality.replies import Replies
from penstock.quality.results import Results
from penstock.quality.runs import NAME, QUEUE, Runs
from penstock.quality.sampling import Sampling
from penstock.quality.settings import QualitySettings
from penstock.quality.versions import told_of
from penstock.quality.writing import Writer
from penstock.storage.records import Records

CLEAN_SECONDS = 3600.0
REFRESH_SECONDS = 10.0
TAKE_UP_SECONDS = 5.0
"""Between two looks for what a worker that died has left."""


class QualityLife:
    """Holds the parts; defines the runs, takes up what a dead process left, and forgets answers that were kept long enough."""

    name = "quality"

    def __init__(self, house: House) -> None:
        self._house = house
        self.settings = settings = house.settings(QualitySettings)
        ports = house.ports
        self._records = records = ports.get(Records)
        self._writer = Writer(records)
        self.detectors = Detectors(settings, lambda: ports.find(Embedder), lambda: ports.find(WeightScan))
        self.calibrations = Calibrations(records, self.detectors, lambda: ports.find(Tasks))
        self.judging = Judging(settings, lambda: self.asking, self.detectors, self.calibrations.limits)
        self.runs = Runs(records, settings, self._writer, self.judging, lambda: self.asking, lambda: ports.find(Prices), self._finished)
        self.datasets = Datasets(records, lambda: ports.find(Files), settings)
        self.evaluations = Evaluations(
            records,
            self.datasets,
            self.runs,
            self.judging,
            lambda: ports.get(Journal),
            lambda: ports.find(Tasks),
        )
        events = house.events
        self.judges = Judges(records)
        self.judgement = Judgement(
            records, self.judging, events, lambda: ports.get(Journal), lambda: ports.find(Tasks), self.judges.trusted
        )
        self.sampling = Sampling(
            records,
            settings,
            lambda: ports.find(Tasks),
            lambda: ports.find(Shapes),
            lambda: ports.find(CallRecords),
            self.judgement.wake,
            candidates=lambda: ports.find(Candidates),
        )
        self.exchange = Exchange(records, self.datasets, self.evaluations, self.runs, lambda: ports.find(Files))
        self.evidence = Gathered(records, self.sampling, lambda: ports.find(Tasks), self.judges.trusted)
        self.told = Told(records, events, lambda: ports.find(Tasks), lambda: ports.find(CallRecords))
        self.drift = Keeper(records, settings, lambda: ports.find(Embedder))
        self.opening = Opening.of(ports)
        self.replies = Replies(records, self.detectors, self.calibrations.limits, lambda: ports.find(Tasks), self.opening)
        self._alone = ports.find(Seat) is None
        self._taken_up = False
        self.rounds = Rounds(
            self.name,
            (
                Step("evaluations", self._take_up),
                Step("samples", self.judgement.take_up, REFRESH_SECONDS),
                Step("results", lambda: self.runs.retell(None), REFRESH_SECONDS),
                Step("judges", self.judges.refresh, REFRESH_SECONDS),
                Step("calibrations", self.calibrations.refresh, REFRESH_SECONDS),
                Step("forget", self._forget, CLEAN_SECONDS),
            ),
            seconds=TAKE_UP_SECONDS,
            alone=self._alone,
        )
        # By themselves, since embeddings of many prompts take seconds, for which nothing else is to wait.
        looks = (Step("drift", self.drift.look), Step("embeddings", self.drift.forget, CLEAN_SECONDS))
        self.looks = Rounds("drift", looks, seconds=settings.drift_seconds)
        self._loading: asyncio.Task[None] | None = None

    @cached_property
    def pace(self) -> Pace:
        """How many questions of this process are in flight."""
        return Pace(self.settings.max_in_flight, self.settings.beside_interactive, self._house.ports.find(Traffic))

    @cached_property
    def asking(self) -> Asking:
        """Who asks them."""
        ports = self._house.ports
        return Asking(
            self._records, ports.get(ModelClient), ports.get(Holders), self.pace, self._writer, self.settings.tries, ports.find(Candidates)
        )

    async def _finished(self, evaluation: Evaluation, results: Results) -> None:
        """Results have come in: what do they say of a judge that is a model, and of the versions behind the candidates?"""
        if evaluation.terms.judge.kind in BY_MODEL:
            await self.judges.measure(evaluation)
        versions = self._house.ports.find(VersionEvaluations)
        trusted = self.judges.trusted(evaluation.organisation, evaluation.terms.judge)
        if versions is None or not trusted or evaluation.terms.origin != "run":
            return
        who = Principal(key_id=evaluation.key_id, name="evaluation", organisation=evaluation.organisation)
        for target, found in told_of(evaluation, results):
            await versions.record(who, target, found)

    async def start(self) -> None:
        """Tell the journal what an evaluation is."""
        journal, settings = self._house.ports.get(Journal), self.settings
        journal.define(NAME, self.runs.execute)
        journal.declare(Queue(name=QUEUE, tenant_concurrency=settings.at_once, per_process=settings.per_process))
        await self.judges.refresh()
        await self.calibrations.refresh()
        # Beside the start, which need not wait until large files are read; who is judged before waits for it.
        self._loading = asyncio.create_task(self._load_detectors(), name="detectors")
        self.judgement.open(journal)
        self.sampling.open()
        self.rounds.begin()
        self.looks.begin()

    async def stop(self) -> None:
        """What the journal executes it has stopped by now."""
        await self.rounds.stop()
        await self.looks.stop()
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])
        await self.sampling.close()
        await self.judging.close()

    def metrics(self) -> Iterable[Metric]:
        """Answers by state, those that were there already, questions in flight and their refusals."""
        pace = self.pace
        answers = tuple(({"state": state}, float(count)) for state, count in self.runs.answers.items())
        refused = tuple(({"code": code}, float(count)) for code, count in sorted(pace.refused.items()))
        yield Metric(name="penstock_evaluation_answers", help="Answers of evaluations, by state.", kind="counter", samples=answers)
        yield Metric(
            name="penstock_evaluation_answers_cached",
            help="Answers of evaluations that were kept from before.",
            kind="counter",
            samples=(({}, float(self.runs.cached)),),
        )
        counted = tuple(({"what": what}, float(count)) for what, count in sorted(self.sampling.counts.items()))
        yield Metric(name="penstock_samples", help="Calls drawn as samples: taken, or why not.", kind="counter", samples=counted)
        settled = tuple(({"state": state}, float(count)) for state, count in sorted(self.judgement.counts.items()))
        yield Metric(name="penstock_samples_settled", help="Samples by what came of judging them.", kind="counter", samples=settled)
        yield Metric(
            name="penstock_samples_unwritten",
            help="Samples in memory.",
            kind="gauge",
            samples=(({}, float(self.sampling.waiting)),),
        )
        heard = tuple(({"kind": kind}, float(count)) for kind, count in self.told.counts.items())
        yield Metric(name="penstock_feedback", help="Feedback taken in.", kind="counter", samples=heard)
        instead = tuple(({"wanted": wanted}, float(count)) for wanted, count in sorted(self.detectors.instead.items()))
        yield Metric(
            name="penstock_groundedness_instead",
            help="Replies that words alone judged, since the detector that was wanted could not.",
            kind="counter",
            samples=instead,
        )
        yield from self.rounds.metrics()
        yield from self.looks.metrics()
        yield from self.drift.metrics()
        yield Metric(name="penstock_quality_refused", help="Refusals that questions waited out.", kind="counter", samples=refused)
        yield Metric(
            name="penstock_quality_in_flight",
            help="Questions of evaluations and judges in flight.",
            kind="gauge",
            samples=(({}, float(pace.in_flight)),),
        )
        yield Metric(
            name="penstock_quality_patterns_too_slow",
            help="Patterns of judges that were stopped.",
            kind="counter",
            samples=(({}, float(self.judging.matcher.slow)),),
        )

    async def _load_detectors(self) -> None:
        """Load what the settings and the tasks name, so that a missing file is told now and not when somebody looks at scores."""
        tasks = self._house.ports.find(Tasks)
        judges = [task.judge for task in tasks.all()] if tasks is not None else []
        wanted: set[DetectorKind] = {self.settings.detector}
        wanted |= {one.detector or self.settings.detector for one in judges if one is not None and one.kind == "groundedness"}
        for kind in wanted:
            await self.detectors.choose(kind)

    async def _take_up(self) -> None:
        # With other workers here this one may have to take up theirs at any time, from when the journal is its own.
        if not self._taken_up:
            live = bool(await self._records.read(lambda c: store.listed(c, None, among=LIVE, limit=1)))
            if live:
                await self.evaluations.take_up()
            self._taken_up = self._alone or live

    async def _forget(self) -> None:
        before = time.time() - self.settings.keep_answers_days * 86_400
        gone = 1
        while gone:  # in small pieces, so that nothing else waits long for the database
            gone = await self._records.write(lambda c: store.forget_answers(c, before))
        before, gone = time.time() - self.settings.keep_samples_days * 86_400, 1
        while gone:
            gone = await self._records.write(lambda c: samples.forget(c, before))
