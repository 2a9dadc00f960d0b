"""What may be done with rules, alerts and silences, by whom."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import msgspec
from sqlalchemy import Connection

from penstock.alerts import check, outbox, store
from penstock.alerts.evaluate import Evaluation
from penstock.alerts.message import health, subject
from penstock.alerts.model import Alert, Delivery, Rule, Silence, Terms, Verdict
from penstock.alerts.settings import AlertSettings
from penstock.alerts.targets import Targets
from penstock.kernel.errors import Conflict, Forbidden, NotFound, PenstockError, RequestError
from penstock.kernel.ids import new_id
from penstock.kernel.measures import Mark, MeasureSources, Reading
from penstock.kernel.principal import Principal, Scope
from penstock.storage.records import Records

T = TypeVar("T")
SETTINGS = "settings:"
RECENT = 7 * 86_400.0


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as it is shown. ``fault`` says why it cannot be looked at, empty where it can. ``open`` counts its open alerts."""

    rule: Rule
    fault: str
    open: int


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule would find now, by group, and what is left of an objective's error budget."""

    verdicts: dict[str, Verdict]
    budget: dict[str, float]


class Alerting:
    """The alerts, for routes and pages."""

    def __init__(
        self,
        records: Records,
        evaluation: Evaluation,
        targets: Targets,
        settings: AlertSettings,
        *,
        declared: Sequence[Rule],
        sources: Callable[[], MeasureSources],
        home: Callable[[], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._evaluation = evaluation
        self.targets = targets
        self.settings = settings
        self._declared = tuple(declared)
        self.sources = sources
        self.home = home
        self.clock = clock

    # ---- rules

    async def rules(self, actor: Principal) -> list[RuleView]:
        """The rules within reach; those of the settings watch all organisations together, so only operators see them."""
        stored, opened = await self._records.read(lambda c: (store.rules(c, actor.reach), store.open_alerts(c)))
        found = [*(self._declared if actor.reach is None else ()), *stored]
        return [self._view(rule, sum(1 for one in opened if one.rule_id == rule.id)) for rule in found]

    async def rule(self, actor: Principal, id: str) -> RuleView:
        """One rule. Raises `NotFound`."""
        rule = await self._rule(actor, id)
        opened = await self._records.read(lambda c: store.open_alerts(c, rule.id))
        return self._view(rule, len(opened))

    async def create(self, actor: Principal, name: str, terms: Terms, *, everywhere: bool = False) -> RuleView:
        """Make a rule. Raises `RequestError`, `NotFound` for an unknown measure, `Conflict` for a name that is taken."""
        now, organisation = self.clock(), check.everywhere(actor, everywhere)
        rule = Rule(
            id=new_id("rule"),
            organisation=organisation,
            name=_name(name),
            terms=terms,
            created_at=now,
            created_by=actor.key_id,
            changed_at=now,
        )
        self._check(rule)

        def work(connection: Connection) -> None:
            mine = [one for one in store.rules(connection, None) if one.organisation == organisation]
            if any(one.name == rule.name for one in mine):
                raise Conflict(f"there is a rule called {rule.name!r} already", param="name")
            if len(mine) >= self.settings.max_rules:
                raise RequestError(f"there are {len(mine)} rules already (alerts.max_rules)", param="name")
            store.put_rule(connection, rule)

        await self._records.write(work)
        return self._view(rule, 0)

    async def replace(self, actor: Principal, id: str, name: str, terms: Terms) -> RuleView:
        """Give a rule other terms; its open alerts go on under them."""
        rule = msgspec.structs.replace(await self._own(actor, id), name=_name(name), terms=terms, changed_at=self.clock())
        self._check(rule)

        def work(connection: Connection) -> None:
            others = [one for one in store.rules(connection, None) if one.organisation == rule.organisation and one.id != id]
            if any(one.name == rule.name for one in others):
                raise Conflict(f"there is a rule called {rule.name!r} already", param="name")
            store.put_rule(connection, rule)

        await self._records.write(work)
        return await self.rule(actor, id)

    async def delete(self, actor: Principal, id: str) -> None:
        """Remove a rule; its open alerts end with the next round."""
        rule = await self._own(actor, id)
        await self._records.write(lambda c: store.drop_rule(c, rule.id))

    async def trial(self, actor: Principal, terms: Terms, *, everywhere: bool = False) -> Trial:
        """What a rule with these terms would find now; nothing is kept."""
        rule = Rule(id="trial", organisation=check.everywhere(actor, everywhere), name="trial", terms=terms)
        self._check(rule)
        now = self.clock() - self.settings.lag_seconds
        _, verdicts = await self._evaluation.look(rule, now)
        return Trial(verdicts=verdicts, budget=await self._evaluation.budget(rule, now))

    # ---- alerts

    async def alerts(self, actor: Principal, state: str = "", since: float | None = None, limit: int = 200) -> list[Alert]:
        """Alerts within reach that were open since a moment, of the last week where none is given, the latest first."""
        after = since if since is not None else self.clock() - RECENT
        return await self._records.read(lambda c: store.alerts(c, actor.reach, state=state, since=after, limit=limit))

    async def alert(self, actor: Principal, id: str) -> Alert:
        """One alert. Raises `NotFound`."""
        return await self._records.read(lambda c: _there(store.alert(c, id), actor, "alert", id))

    async def history(self, alert: Alert) -> list[Reading]:
        """The readings of an alert's measure and group around it, for its chart; none where they cannot be had."""
        terms = Terms(measure=alert.measure, where=alert.where, by=alert.by)
        rule = Rule(id=alert.rule_id, organisation=alert.organisation, name=alert.rule, terms=terms)
        until = min(self.clock(), (alert.resolved_at or self.clock()) + 3600)
        begin = min(alert.since, alert.opened_at) - 3 * 3600
        step = max(60.0, (until - begin) // 120 // 60 * 60)
        try:
            found = await self._evaluation.readings(rule, begin // step * step, until, step)
        except PenstockError:
            return []
        return found.get(alert.group, [])

    async def change(self, actor: Principal, id: str, what: Literal["acknowledge", "snooze", "wake"], until: float | None = None) -> Alert:
        """Acknowledge an alert, keep it quiet until a moment, or wake it. Raises `Conflict` for one that has ended."""
        now = self.clock()
        if what == "snooze" and (until is None or not now < until <= now + 30 * 86_400):
            raise RequestError("until: a moment to come, within 30 days", param="until")

        def work(connection: Connection) -> Alert:
            before = _there(store.alert(connection, id), actor, "alert", id)
            if before.state != "open":
                raise Conflict("this alert has ended")
            if what == "acknowledge":
                after = msgspec.structs.replace(before, acknowledged_at=now, acknowledged_by=actor.name)
            elif what == "snooze":
                after = msgspec.structs.replace(before, snoozed_until=until, snoozed_by=actor.name, quiet=f"snoozed by {actor.name}")
            else:
                after = msgspec.structs.replace(before, snoozed_until=None, snoozed_by="", quiet="")
            store.put_alert(connection, after)
            return after

        return await self._records.write(work)

    # ---- silences

    async def silences(self, actor: Principal) -> list[Silence]:
        """Silences within reach: those that hold, and those of the last week."""
        after = self.clock() - RECENT
        return await self._records.read(lambda c: store.silences(c, actor.reach, after=after))

    async def silence(
        self, actor: Principal, match: dict[str, str], until: float, why: str, *, starts_at: float | None = None, everywhere: bool = False
    ) -> Silence:
        """Have nobody told of alerts that match."""
        now = self.clock()
        one = Silence(
            id=new_id("silence"),
            organisation=check.everywhere(actor, everywhere),
            match=match,
            starts_at=starts_at if starts_at is not None else now,
            until=until,
            why=why.strip(),
            created_by=actor.name,
            created_at=now,
        )
        check.silence(one, now)
        await self._records.write(lambda c: store.put_silence(c, one))
        return one

    async def unsilence(self, actor: Principal, id: str) -> None:
        """End a silence now; alerts that it kept quiet and that are still open are told with the next round."""
        now = self.clock()

        def work(connection: Connection) -> None:
            one = _there(store.silence(connection, id), actor, "silence", id)
            store.put_silence(connection, msgspec.structs.replace(one, until=min(one.until, now)))

        await self._records.write(work)

    # ---- deliveries

    async def deliveries(self, actor: Principal, *, alert: str = "", route: str = "", state: str = "", limit: int = 100) -> list[Delivery]:
        """Deliveries within reach, the latest first."""
        return await self._records.read(lambda c: outbox.listed(c, actor.reach, alert=alert, route=route, state=state, limit=limit))

    async def again(self, actor: Principal, id: str) -> None:
        """Try a delivery once more that was given up. Raises `Conflict` where it was not."""
        now = self.clock()

        def work(connection: Connection) -> None:
            _there(outbox.one(connection, id), actor, "delivery", id)
            if not outbox.again(connection, id, now):
                raise Conflict("only a delivery that was given up is tried again")

        await self._records.write(work)

    async def standing(self) -> dict[tuple[str, str], tuple[int, float, str]]:
        """How deliveries stand, by route and state."""
        return await self._records.read(outbox.standing)

    # ---- for other rooms

    async def marks(self, organisation: str | None, since: float, until: float) -> list[Mark]:
        """Alerts on the axis of time of other pages."""
        found = await self._records.read(lambda c: store.alerts(c, organisation, since=since, until=until, limit=500))
        marks: list[Mark] = []
        for one in reversed(found):
            tasks = one.where.get("task", ())
            task = one.group if one.by == "task" else tasks[0] if len(tasks) == 1 else ""
            until_at = one.resolved_at
            marks.append(Mark(at=one.since, kind="alert", title=subject(one), href=f"/console/alerts/{one.id}", until=until_at, task=task))
        return marks

    def faulty(self) -> list[tuple[Rule, str]]:
        """Rules of the settings that cannot be looked at, with the reason."""
        return [(rule, fault) for rule in self._declared if (fault := self._fault(rule))]

    def health(self, alert: Alert) -> str:
        """The address of the Health page at the time of an alert."""
        return health(alert, self.clock())

    # ---- how

    def _view(self, rule: Rule, opened: int) -> RuleView:
        return RuleView(rule=rule, fault=self._fault(rule), open=opened)

    def _fault(self, rule: Rule) -> str:
        return check.fault(rule, self.sources())

    def _check(self, rule: Rule) -> None:
        check.sense(rule.terms, self.sources())
        check.routes(rule.terms, self.targets.routes(rule.organisation, self.home()))

    async def _rule(self, actor: Principal, id: str) -> Rule:
        for one in self._declared if actor.reach is None else ():
            if one.id == id:
                return one
        return await self._records.read(lambda c: _there(store.rule(c, id), actor, "rule", id))

    async def _own(self, actor: Principal, id: str) -> Rule:
        rule = await self._rule(actor, id)
        if rule.origin == "settings":
            raise Conflict(f"the settings declare this rule: change it there, in [alerts.rules.{msgspec.json.encode(rule.name).decode()}]")
        if not actor.may(Scope.ADMIN):
            raise Forbidden("changing rules takes the scope admin")
        return rule


def declared(settings: AlertSettings) -> list[Rule]:
    """The rules of the settings."""
    return [Rule(id=SETTINGS + name, organisation="", name=name, terms=terms, origin="settings") for name, terms in settings.rules.items()]


def _name(name: str) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= 120 or not name.isprintable():
        raise RequestError("name: 1 to 120 characters", param="name")
    return name


def _there(found: T | None, actor: Principal, what: str, id: str) -> T:
    """What was found, where it is within reach."""
    if found is None or actor.reach not in (None, getattr(found, "organisation", None)):
        raise NotFound(f"there is no {what} {id[:60]!r}")
    return found
