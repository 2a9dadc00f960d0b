"""Which rule a call falls under."""

from __future__ import annotations

from penstock.cache.settings import CacheRule, CacheSettings
from penstock.kernel.call import Call
from penstock.kernel.principal import allows

ASKED = CacheRule()
"""What a caller's own wish comes to where no rule fits."""
_REMEMBERED = 10_000


class Rules:
    """The rules of the settings, each question about them answered once."""

    def __init__(self, settings: CacheSettings) -> None:
        self._rules = settings.rules
        self._callers = settings.callers
        self._known: dict[tuple[str, str | None, str], CacheRule | None] = {}
        self.idle = not settings.rules

    def of(self, call: Call) -> CacheRule | None:
        """The rule for a call; None when the cache has nothing to do with it.

        A caller may turn the cache off for a call whatever the rules say, and on (for equal requests) where none fits and the settings
        let callers do so; not where a rule keeps it away.
        """
        wish = call.cache_wish
        principal = call.principal
        if wish == "off" or principal is None:
            return None
        asked = (principal.name, call.task, call.model)
        try:
            rule = self._known[asked]
        except KeyError:
            rule = next((r for r in self._rules if _fits(r, *asked)), None)
            if len(self._known) >= _REMEMBERED:  # callers choose the names
                self._known.clear()
            self._known[asked] = rule
        if rule is None:
            return ASKED if wish and self._callers else None
        return rule if rule.exact else None

    def semantic(self) -> list[CacheRule]:
        """The rules that compare questions."""
        return [rule for rule in self._rules if rule.exact and rule.semantic]

    def of_task(self, task: str) -> CacheRule | None:
        """The first rule that compares the questions of ``task``."""
        return next((r for r in self._rules if r.exact and r.semantic and allows(r.tasks, task)), None)


def _fits(rule: CacheRule, key: str, task: str | None, model: str) -> bool:
    if rule.tasks and (task is None or not allows(rule.tasks, task)):
        return False
    return allows(rule.models, model) and allows(rule.keys, key)
