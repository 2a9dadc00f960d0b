"""What was answered from memory, what that saved, and what the providers' own prompt caches did: sums by day, task and model."""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import Any

import msgspec

from penstock.kernel.call import Call
from penstock.kernel.events import CallEnded
from penstock.kernel.recall import Prices

DAY = 86_400
MOST = 10_000
OTHER = "(others)"
"""The task under which a day counts once there are that many places: callers choose the names of tasks."""
Place = tuple[int, str, str, str, str]
"""Day since 1970, organisation, task, provider, the provider's model."""


class Sums:
    """Counts of one place. Tokens and micro-units beside numbers of calls."""

    __slots__ = (
        "cached",
        "discount",
        "exact",
        "fresh",
        "input",
        "misses",
        "saved",
        "saved_input",
        "saved_output",
        "semantic",
        "unpriced",
        "written",
    )

    def __init__(self) -> None:
        self.misses = self.exact = self.semantic = 0
        self.saved = self.unpriced = self.saved_input = self.saved_output = 0
        self.input = self.cached = self.written = self.discount = 0
        self.fresh = True

    def row(self) -> dict[str, int]:
        """The counts by name."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "fresh"}


class Tally:
    """Counts calls as they end. ``prices`` must be given before the first one."""

    def __init__(self) -> None:
        self.prices: Prices | None = None
        self._process = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._sums: dict[Place, Sums] = {}
        self.hits = {"exact": 0, "semantic": 0}
        self.misses = 0
        self.saved = 0

    def ended(self, event: CallEnded) -> None:
        """Count one call; a subscriber of `CallEnded`."""
        call = event.call
        recalled, usage, target = call.recalled, call.usage, call.target
        if recalled is not None:
            if call.outcome == "ok":
                self._hit(call)
        elif usage is not None and target is not None and not usage.estimated and call.principal is not None:
            sums = self._at(call, target.provider, target.model)
            sums.input += usage.input
            if usage.cached or usage.cache_written:
                sums.cached += usage.cached
                sums.written += usage.cache_written
                sums.discount += self._discount(call)

    def missed(self, call: Call) -> None:
        """A call that could have been answered from memory, and was not."""
        self.misses += 1
        target = call.target
        self._at(call, target.provider if target else "", target.model if target else "").misses += 1

    def changed(self) -> list[dict[str, Any]]:
        """Rows of the places that changed since they were written; days that are over are forgotten once written."""
        rows: list[dict[str, Any]] = []
        for place, sums in self._sums.items():
            if sums.fresh:
                sums.fresh = False
                id = hashlib.blake2b("\0".join((self._process, *map(str, place))).encode(), digest_size=16).hexdigest()
                day, organisation, task, provider, model = place
                owner = {"day": day, "organisation": organisation, "task": task, "provider": provider, "provider_model": model}
                rows.append({"id": id, **owner, **sums.row()})
        return rows

    def written(self, rows: list[dict[str, Any]]) -> None:
        """Rows are in the database: what is older than a day before the latest of them needs no memory any more."""
        latest = max((row["day"] for row in rows), default=0)
        for place in [place for place, sums in self._sums.items() if place[0] < latest - 1 and not sums.fresh]:
            del self._sums[place]

    def unwritten(self, rows: list[dict[str, Any]]) -> None:
        """Rows did not reach the database: they are due again."""
        if rows:
            for sums in self._sums.values():
                sums.fresh = True

    def _hit(self, call: Call) -> None:
        recalled = call.recalled
        assert recalled is not None
        self.hits[recalled.kind] += 1
        sums = self._at(call, recalled.provider, recalled.model)
        if recalled.kind == "exact":
            sums.exact += 1
        else:
            sums.semantic += 1
        if recalled.saved is None:
            sums.unpriced += 1
        else:
            sums.saved += recalled.saved
            self.saved += recalled.saved
        if recalled.usage is not None:
            sums.saved_input += recalled.usage.input
            sums.saved_output += recalled.usage.output

    def _discount(self, call: Call) -> int:
        """What the provider's cache changed: the price of the same tokens, had none been cached, less what they cost."""
        usage, target, prices = call.usage, call.target, self.prices
        if usage is None or target is None or prices is None:
            return 0
        plain = prices.estimate(target.provider, target.model, msgspec.structs.replace(usage, cached=0, cache_written=0))
        paid = prices.estimate(target.provider, target.model, usage)
        return plain - paid if plain is not None and paid is not None else 0

    def _at(self, call: Call, provider: str, model: str) -> Sums:
        who = call.principal
        place = (int(call.started_at) // DAY, who.organisation if who is not None else "", call.task or "", provider, model)
        sums = self._sums.get(place)
        if sums is None:
            if len(self._sums) >= MOST:
                place = (*place[:2], OTHER, provider, model)
            sums = self._sums.setdefault(place, Sums())
        sums.fresh = True
        return sums
