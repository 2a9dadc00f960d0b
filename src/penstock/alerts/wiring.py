"""How the parts of the alerts are put together, and what they do by themselves."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import cached_property

from penstock.alerts import check, hook_routes
from penstock.alerts.announce import Announcing
from penstock.alerts.deliver import Delivering
from penstock.alerts.evaluate import Evaluation
from penstock.alerts.pages import pages
from penstock.alerts.routes import routes
from penstock.alerts.service import Alerting, declared
from penstock.alerts.settings import AlertSettings
from penstock.alerts.signing import master_secret
from penstock.alerts.subscribing import Subscribing
from penstock.alerts.targets import Targets
from penstock.alerts.watch import Watching
from penstock.kernel.capability import Finding, House, Offer
from penstock.kernel.errors import NotFound, RequestError, SettingsError
from penstock.kernel.events import HouseStarted
from penstock.kernel.ids import new_id
from penstock.kernel.measures import MeasureSources
from penstock.kernel.ports import Directory
from penstock.kernel.rounds import Rounds, Step
from penstock.kernel.web import NavItem
from penstock.settings import StorageSettings
from penstock.storage.records import Records

_log = logging.getLogger("penstock.alerts")
FORGET_SECONDS = 3600.0
MOST_ROUND = 5.0
"""Longest time between two rounds, so that deliveries do not wait for rules."""


def wire(house: House) -> Offer:
    """Build the alerts inside ``house``."""
    life = AlertsLife(house)
    return Offer(
        routes=(*hook_routes.routes(life.subscribing), *routes(life.alerting)),
        pages=pages(house.ports, life.alerting, life.subscribing),
        nav=(NavItem("Alerts", "/console/alerts", "alert", "Observe", 25, "j"),),
        services=(life,),
        checks=(life.check,),
        metrics=(life.watching, life.delivering, life.announcing, life.rounds),
        marks=(life.alerting,),
    )


class AlertsLife:
    """The alerts as a service."""

    name = "alerts"

    def __init__(self, house: House) -> None:
        settings = self._settings = house.settings(AlertSettings)
        self._house = house
        records = self._records = house.ports.get(Records)
        rules = declared(settings)
        targets = Targets(settings, os.environ)
        for rule in rules:
            try:
                check.shape(rule.terms)
                check.routes(rule.terms, targets.routes("", ""))
            except (RequestError, NotFound) as fault:
                where = f"alerts.rules.{rule.name}"
                raise SettingsError(f"{where}: {fault.message}", param=where) from fault
        holder = new_id("alerts")
        evaluation = Evaluation(self._sources, settings.max_groups)
        self.delivering = Delivering(records, targets, settings, holder, home=self._home, master=lambda: self.master)
        self.watching = Watching(records, evaluation, self.delivering, targets, settings, holder, declared=rules, home=self._home)
        self.announcing = Announcing(records, targets, settings.public_url)
        self.alerting = Alerting(records, evaluation, targets, settings, declared=rules, sources=self._sources, home=self._home)
        self.subscribing = Subscribing(records, targets, settings, home=self._home, master=lambda: self.master)
        beat = min(MOST_ROUND, settings.every_seconds, settings.lease_seconds / 3)
        self.rounds = Rounds(
            "alerts",
            (
                Step("lead", self.watching.lead),
                Step("look", self.watching.look, settings.every_seconds),
                Step("deliver", self.watching.deliver),
                Step("forget", self.watching.forget, FORGET_SECONDS),
            ),
            seconds=beat,
        )
        # Not before: sources of measures and names of organisations are read by other rooms first.
        house.events.subscribe(HouseStarted, lambda event: self.rounds.begin())

    @cached_property
    def master(self) -> bytes:
        """The secret from which those of webhooks are derived; made when it is first needed."""
        variable = self._settings.signing_env
        return master_secret(self._house.data_dir, os.environ.get(variable) if variable else None)

    async def start(self) -> None:
        """Hear what other rooms publish."""
        self.announcing.begin(self._house.events)

    async def stop(self) -> None:
        """Look and send no more; what is being sent is sent again by whoever is next, under the same id."""
        await self.rounds.stop()
        await self.announcing.stop()
        await self.delivering.close()
        await self.watching.leave()

    async def check(self) -> Sequence[Finding]:
        """Rules that cannot be looked at, routes that lack a secret, and messages that were given up."""
        settings, found = self._settings, list[Finding]()
        if not settings.rules and not settings.routes and not settings.webhooks:
            found.append(
                Finding(name="alerts", status="off", what="no rules, routes or webhooks in [alerts]; the API and console may have some")
            )
        for rule, fault in self.alerting.faulty():
            found.append(Finding(name=f"rule {rule.name}", status="fail", what=fault, mend="mend [alerts.rules] and start again"))
        for target in self.alerting.targets.all():
            if target.lacks:
                mend = f"set {target.lacks} and start again"
                found.append(Finding(name=target.name, status="fail", what=f"the variable {target.lacks} is not set", mend=mend))
        if settings.rules and not settings.routes:
            what = "rules are declared, and no route: alerts are seen in the console only"
            found.append(Finding(name="alerts routes", status="warn", what=what, mend="declare [alerts.routes.NAME]"))
        if not settings.public_url and settings.routes:
            mend = "set alerts.public_url to the address of this console"
            found.append(Finding(name="alerts links", status="warn", what="links in messages have no host", mend=mend))
        if not settings.signing_env and self._house.settings(StorageSettings).records.startswith("postgres"):
            mend = "set alerts.signing_env to a variable with the same secret on all machines"
            what = "the secret of webhooks lies in a file of this machine, and others may share the database"
            found.append(Finding(name="webhooks", status="warn", what=what, mend=mend))
        for (route, state), (count, _, fault) in sorted((await self.alerting.standing()).items()):
            if state == "failed":
                mend = "look at /console/alerts/deliveries, mend the route, and try them again there"
                found.append(Finding(name=route, status="warn", what=f"{count} messages were given up: {fault}", mend=mend))
        return found or [Finding(name="alerts", status="ok", what=f"{len(settings.rules)} rules, {len(settings.routes)} routes")]

    def _sources(self) -> MeasureSources:
        return self._house.ports.get(MeasureSources)

    def _home(self) -> str:
        directory = self._house.ports.find(Directory)
        return directory.home if directory is not None else ""
