"""Looks at the rules from time to time, in one process of all, and writes down what that finds together with what is to be told of it.

The state is in SQL and nowhere else: an alert and its messages are written in one transaction, which fails where another process has
taken the lease. A process that is killed before it leaves nothing, one that is killed after leaves messages that the next one sends.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection

from penstock.alerts import firing, message, outbox, store
from penstock.alerts.announce import hear
from penstock.alerts.deliver import Delivering
from penstock.alerts.evaluate import Evaluation
from penstock.alerts.model import Alert, Cause, Delivery, Rule, Verdict
from penstock.alerts.settings import AlertSettings
from penstock.alerts.targets import Targets
from penstock.kernel.errors import Conflict, PenstockError
from penstock.kernel.measures import Measure
from penstock.kernel.ports import Metric
from penstock.storage.records import Records

_log = logging.getLogger("penstock.alerts")
OBJECTIVE_SECONDS = 60.0
"""Least time between two looks at an objective: its windows are long, and so are its questions."""


class Watching:
    """The rounds of the alerts. ``declared`` are the rules of the settings, ``home`` is the organisation that runs the installation."""

    def __init__(
        self,
        records: Records,
        evaluation: Evaluation,
        delivering: Delivering,
        targets: Targets,
        settings: AlertSettings,
        holder: str,
        *,
        declared: Sequence[Rule],
        home: Callable[[], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._evaluation = evaluation
        self._delivering = delivering
        self._targets = targets
        self._settings = settings
        self._holder = holder
        self._declared = tuple(declared)
        self._home = home
        self._clock = clock
        self._looked: dict[str, float] = {}
        self._failing: dict[str, str] = {}
        self._led_at = 0.0
        self.leads = False
        self.faults: Counter[str] = Counter()
        self.open: Mapping[str, int] = {}
        self.looked_at = 0.0

    async def lead(self) -> None:
        """Take or keep the lease; whoever takes it sends what the one before was sending."""
        leads = await self._records.write(lambda c: store.LEAD.take(c, self._holder, self._settings.lease_seconds))
        if leads:
            await self._delivering.take_over()
        self.leads = leads
        self._led_at = self._clock()

    async def _keeps(self) -> bool:
        """Keep the lease over a look that takes long; whether it is still ours."""
        if abs(self._clock() - self._led_at) > self._settings.lease_seconds / 3:
            await self.lead()
        return self.leads

    async def leave(self) -> None:
        """Let the next one take the lease at once."""
        if self.leads:
            self.leads = False
            await self._records.write(lambda c: store.LEAD.leave(c, self._holder))

    async def look(self) -> None:
        """Look at each rule that is due. A rule that cannot be looked at keeps none of the others from it: its fault is counted and,
        when it begins, logged."""
        if not self.leads:
            return
        live = await self.rules()
        for rule in live:
            if rule.terms.enabled and self._due(rule):
                try:
                    await self.look_at(rule)
                    self._failing.pop(rule.id, None)
                except Conflict:
                    self.leads = False  # another process has the lease: it looks at the rules
                    return
                except Exception as fault:  # whatever a source does wrong, the other rules are looked at
                    self._failed(rule, fault)
                if not await self._keeps():
                    return
        await self._end_of({rule.id for rule in live if rule.terms.enabled})
        self._looked = {id: at for id, at in self._looked.items() if any(rule.id == id for rule in live)}
        self.open = await self._records.read(store.counted)
        self.looked_at = self._clock()

    async def deliver(self) -> None:
        """Send what is due."""
        if self.leads:
            await self._delivering.round()

    async def forget(self) -> None:
        """Drop what ended long ago."""
        if self.leads:
            before = self._clock() - self._settings.keep_days * 86_400

            def work(connection: Connection) -> None:
                store.forget_alerts(connection, before)
                store.forget_silences(connection, before)
                outbox.forget(connection, before)

            await self._records.write(work)

    async def rules(self) -> list[Rule]:
        """All rules there are: those of the settings and those that were made over the API."""
        return [*self._declared, *await self._records.read(lambda c: store.rules(c, None))]

    async def look_at(self, rule: Rule) -> None:
        """Look at one rule now."""
        now = self._clock()
        held = {alert.group: alert for alert in await self._records.read(lambda c: store.open_alerts(c, rule.id))}
        measure, verdicts = await self._evaluation.look(rule, now - self._settings.lag_seconds, held)
        causes: dict[str, tuple[Cause, ...]] = {}
        for group, verdict in verdicts.items():
            if verdict.state == "bad" and (group not in held or not held[group].examples):
                causes[group] = await self._evaluation.examples(rule, group, verdict, now)
        if held or any(verdict.state == "bad" for verdict in verdicts.values()):
            await self._records.write(lambda c: self._settle(c, rule, measure, verdicts, causes, now))

    def _settle(
        self,
        connection: Connection,
        rule: Rule,
        measure: Measure,
        verdicts: Mapping[str, Verdict],
        causes: Mapping[str, tuple[Cause, ...]],
        now: float,
    ) -> None:
        store.LEAD.hold(connection, self._holder)
        everything = store.open_alerts(connection)  # read here, so that what people did meanwhile is not undone
        mine = {alert.group: alert for alert in everything if alert.rule_id == rule.id}
        silences = store.silences(connection, None, after=now)
        stale = self._settings.stale_hours * 3600
        for group in {**verdicts, **mine}:
            before = mine.get(group)
            verdict = verdicts.get(group) or Verdict(state="unclear", told="no readings")
            after = firing.settle(rule, measure, group, verdict, before, now, stale)
            if after is None:
                continue
            if not after.examples and causes.get(group):
                after = msgspec.structs.replace(after, examples=causes[group])
            after = msgspec.structs.replace(after, quiet=firing.quiet(after, silences, everything, rule.terms.unless, now))
            self._tell(connection, before, after, rule.terms.repeat_hours, now)

    async def _end_of(self, live: set[str]) -> None:
        """End the alerts of rules that watch no more."""
        gone = [alert for alert in await self._records.read(store.open_alerts) if alert.rule_id not in live]
        if not gone:
            return
        now = self._clock()

        def work(connection: Connection) -> None:
            store.LEAD.hold(connection, self._holder)
            for alert in store.open_alerts(connection):
                if alert.rule_id not in live:
                    self._tell(connection, alert, firing.end(alert, now, "its rule was removed or switched off"), 0.0, now)

        await self._records.write(work)

    def _tell(self, connection: Connection, before: Alert | None, after: Alert, repeat_hours: float, now: float) -> None:
        """Write an alert, and what is told of it, in one transaction."""
        word = firing.word(before, after, after.quiet, repeat_hours, now)
        if word is not None:
            after = msgspec.structs.replace(after, told_at=now, told=after.told + 1, told_severity=after.severity)
        store.put_alert(connection, after)
        if word is None:
            return
        key = f"{after.id}.{after.told}"
        kind, subject = message.TYPES[word], message.subject(after)
        event = message.of_alert(after, word, url=self._settings.public_url, now=now, key=key)
        places = [*self._targets.of_alert(after, self._home()), *hear(connection, self._targets, kind, after.organisation)]
        for place in places:
            outbox.add(
                connection,
                Delivery(
                    id=f"{key}.{place}",
                    organisation=after.organisation,
                    route=place,
                    kind=kind,
                    subject=after.id,
                    alert=after.id,
                    event=event,
                    state="waiting",
                    created_at=now,
                    next_at=now,
                ),
            )
        _log.info("alert", extra={"alert": after.id, "what": word, "about": subject, "places": len(places)})

    def _due(self, rule: Rule) -> bool:
        now, terms = self._clock(), rule.terms
        every = 0.0
        if terms.objective is not None:
            every = OBJECTIVE_SECONDS
        elif terms.detector is not None:
            every = terms.detector.step_seconds / 2
        if 0 <= now - self._looked.get(rule.id, -every) < every:  # a clock that was set back must not keep it waiting
            return False
        self._looked[rule.id] = now
        return True

    def _failed(self, rule: Rule, fault: Exception) -> None:
        code = fault.code if isinstance(fault, PenstockError) else "internal_error"
        self.faults[code] += 1
        self._looked.pop(rule.id, None)
        if self._failing.get(rule.id) == code:
            return
        self._failing[rule.id] = code
        said = "a rule cannot be looked at; it is tried again"
        if isinstance(fault, PenstockError):
            _log.warning(said, extra={"rule": rule.name, "fault": fault.message, "code": code})
        else:
            _log.error(f"{said}: a fault of ours", extra={"rule": rule.name, "code": code}, exc_info=fault)

    def metrics(self) -> Iterable[Metric]:
        """Alerts that are open, rules that could not be looked at, and how long ago they last were; told by the process that does it."""
        if not self.leads:
            return
        opened = tuple(({"severity": severity}, float(self.open.get(severity, 0))) for severity in ("page", "ticket", "info"))
        yield Metric(name="penstock_alerts_open", help="Open alerts by severity.", kind="gauge", samples=opened)
        faults = tuple(({"code": code}, float(count)) for code, count in sorted(self.faults.items()))
        said = "Times that a rule could not be looked at, by the code of the fault."
        yield Metric(name="penstock_alerts_rule_faults", help=said, kind="counter", samples=faults)
        if self.looked_at:
            age = "Seconds since all rules were last looked at."
            yield Metric(
                name="penstock_alerts_age_seconds", help=age, kind="gauge", samples=(({}, max(0.0, self._clock() - self.looked_at)),)
            )
