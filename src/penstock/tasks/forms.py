"""The console's form of a task, read as what the API takes; every fault names the field that it stands at.

Fields are called as the declaration's are, with dots between (``floor.level``). What holds several is written in lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from penstock.kernel.tasks import Place
from penstock.tasks.declaration import Declaration, JudgeDeclaration
from penstock.tasks.validation import Fault, Invalid

Form = Mapping[str, str]
PLACES: tuple[Place, ...] = ("device", "own", "region", "vendor")
_TEXTS = ("owner", "default", "mode", "description", "kpi", "initiative", "metric", "data_class", "guard")
_JUDGED = ("pattern", "model", "rubric", "outcome", "detector")
_ON = "on"


def declaration(form: Form) -> Declaration:
    """What the form declares. Raises `Invalid` with everything that cannot be read, or the first thing that is out of its bounds.

    What is empty is not declared. Numbers are as in the settings: shares from 0 to 1, dollars, milliseconds.
    """
    read = _Reading(form)
    values: dict[str, Any] = {name: read.text(name) for name in _TEXTS}
    values |= {
        "candidates": read.lines("candidates"),
        "places": [place for place in PLACES if f"places.{place}" in form],
        "regions": read.text("regions").replace(",", " ").split(),
        "slices": list(read.slices()),
        "latency_ms": read.number("latency_ms"),
        "judge": read.judge(),
        "floor": read.floor(),
        "budget": read.budget(),
        "recertify": read.recertify(),
    }
    for name in ("latency_quantile", "sample", "explore", "explore_budget"):
        values[name] = read.number(name)
    if not values["owner"]:
        read.faults.insert(0, Fault("owner", "is blank", "name the team or person who answers for the task"))
    if read.faults:
        raise Invalid(read.faults)
    told = {name: value for name, value in values.items() if value is not None}
    try:
        return msgspec.convert(told, Declaration)
    except msgspec.ValidationError as fault:
        message, _, where = str(fault).partition(" - at `$.")
        raise Invalid([Fault(where.rstrip("`") or "task", message, "mend it")]) from fault


def filled(told: Declaration) -> dict[str, str]:
    """The form as it stands for a declaration: reading it back gives the same one."""
    found = {name: str(getattr(told, name)) for name in _TEXTS}
    found |= {f"places.{place}": _ON for place in told.places}
    found["candidates"] = "\n".join(told.candidates)
    found["regions"] = ", ".join(told.regions)
    found["slices"] = "\n".join(f"{one.by} {_written(one.level)} {one.least}" for one in told.slices)
    for name in ("latency_ms", "latency_quantile", "sample", "explore", "explore_budget"):
        found[name] = _written(getattr(told, name))
    judge = told.judge
    found["judge.kind"] = judge.kind if judge is not None else ""
    found |= {f"judge.{name}": (getattr(judge, name) or "") if judge is not None else "" for name in _JUDGED}
    found["judge.tolerance"] = _written(judge.tolerance if judge is not None else 0.0)
    schema = judge.schema if judge is not None else None
    found["judge.schema"] = msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() if schema is not None else ""
    if judge is None or judge.ignore_case:
        found["judge.ignore_case"] = _ON
    floor = told.floor
    found["floor.level"] = _written(floor.level) if floor is not None else ""
    found["floor.kind"] = (floor.kind or "") if floor is not None else ""
    found["floor.reference"] = floor.reference if floor is not None else ""
    found["floor.confidence"] = _written(floor.confidence if floor is not None else 0.95)
    again = told.recertify
    found["recertify.labels"] = str(again.labels) if again is not None else ""
    found["recertify.hours"] = _written(again.hours if again is not None else 24.0)
    found["budget.amount"] = _written(told.budget.amount) if told.budget is not None else ""
    found["budget.period"] = told.budget.period if told.budget is not None else "month"
    return found


def at_field(where: str) -> str:
    """The field of the form at which a fault of the declaration is told: a part of a list stands in the list's own."""
    if where == "recertify":
        return "recertify.labels"
    listed = re.match(r"(candidates|slices|places|regions)\b", where)
    return listed[1] if listed is not None else re.sub(r"^(judge\.schema).*", r"\1", where)


class _Reading:
    """A form while it is read."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self.faults: list[Fault] = []

    def text(self, name: str) -> str:
        return self._form.get(name, "").replace("\r\n", "\n").strip()

    def lines(self, name: str) -> list[str]:
        return [line.strip() for line in self.text(name).splitlines() if line.strip()]

    def number(self, name: str) -> float | None:
        """None where nothing is written, so that the default holds."""
        return self._number(name, self.text(name)) if self.text(name) else None

    def slices(self) -> Iterable[dict[str, Any]]:
        for at, line in enumerate(self.lines("slices")):
            by, *rest = line.split()
            where = f"slices[{at}]"
            if not 1 <= len(rest) <= 2 or (len(rest) == 2 and not rest[1].isdecimal()):
                self._fault(
                    where, f"{line[:60]!r} is no floor for a group", "write what by, the level, and the fewest labels: language 0.8 30"
                )
                continue
            level = self._number(f"{where}.level", rest[0])
            yield {"by": by, "level": level, **({"least": int(rest[1])} if len(rest) == 2 else {})}

    def judge(self) -> dict[str, Any] | None:
        kind, plain = self.text("judge.kind"), JudgeDeclaration(kind="exact")
        found: dict[str, Any] = {name: self.text(f"judge.{name}") for name in _JUDGED if self.text(f"judge.{name}")}
        tolerance = self.number("judge.tolerance")
        if tolerance is not None and tolerance != plain.tolerance:
            found["tolerance"] = tolerance
        if schema := self.text("judge.schema"):
            found["schema"] = self._schema(schema)
        if kind:
            return {"kind": kind, "ignore_case": "judge.ignore_case" in self._form, **found}
        if found:
            said = f"is not chosen, and the judge's {', '.join(found)} is filled in"
            self._fault("judge.kind", said, "choose how an answer is judged, or empty the rest")
        return None

    def floor(self) -> dict[str, Any] | None:
        level, kind, reference = self.number("floor.level"), self.text("floor.kind"), self.text("floor.reference")
        confidence = self.number("floor.confidence")
        if level is None:
            if not self.text("floor.level") and (kind or reference):
                self._fault(
                    "floor.level", "is empty, and the rest of the floor is filled in", "write a level such as 0.95, or empty the rest"
                )
            return None
        found = {"level": level, "kind": kind or None, "reference": reference, "confidence": confidence}
        return {name: value for name, value in found.items() if value is not None}

    def budget(self) -> dict[str, Any] | None:
        amount = self.number("budget.amount")
        return {"amount": amount, "period": self.text("budget.period") or "month"} if amount is not None else None

    def recertify(self) -> dict[str, Any] | None:
        labels, hours = self.number("recertify.labels"), self.number("recertify.hours")
        if labels is None:
            return None
        if not labels.is_integer():
            self._fault("recertify.labels", f"{labels:g} is no whole number", "write one such as 200")
            return None
        return {"labels": int(labels), **({"hours": hours} if hours is not None else {})}

    def _schema(self, text: str) -> object:
        try:
            found: object = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as fault:
            self._fault("judge.schema", f"is no JSON: {fault}", "see https://json-schema.org/draft/2020-12")
            return {}
        if not isinstance(found, dict):
            self._fault("judge.schema", "is no JSON object", "see https://json-schema.org/draft/2020-12")
            return {}
        return cast("dict[str, object]", found)

    def _number(self, where: str, text: str) -> float | None:
        if re.fullmatch(r"\$?[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})(e[+-]?\d{1,3})?", text, re.ASCII) is None:
            self._fault(where, f"{text[:40]!r} is no number", "write one such as 0.95 or 50")
            return None
        return float(text.removeprefix("$"))

    def _fault(self, where: str, what: str, mend: str) -> None:
        self.faults.append(Fault(where, what, mend))


def _written(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


FRESH = filled(Declaration(owner=""))
"""The form before anybody writes in it."""
__all__ = ["FRESH", "PLACES", "at_field", "declaration", "filled"]
