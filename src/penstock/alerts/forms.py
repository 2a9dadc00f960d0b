"""The form of a rule: its fields from terms, and terms from its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from penstock.alerts.model import Severity, Terms
from penstock.kernel.errors import RequestError

KINDS = {"threshold": "Threshold", "objective": "Objective", "detector": "Detector"}
FRESH = {
    "kind": "threshold",
    "way": "above",
    "step_seconds": "60",
    "for_minutes": "5",
    "at_least": "20",
    "severity": "ticket",
    "target": "0.999",
    "period_days": "30",
    "look_for": "either",
    "sensitivity": "normal",
    "history_days": "7",
    "enabled": "on",
}


def filled(name: str, terms: Terms) -> dict[str, str]:
    """The fields that stand for a rule."""
    form = {
        "name": name,
        "measure": terms.measure,
        "by": terms.by,
        "where": "\n".join(f"{key} = {', '.join(values)}" for key, values in sorted(terms.where.items())),
        "severity": terms.severity,
        "routes": ", ".join(terms.routes),
        "unless": "\n".join(terms.unless),
        "note": terms.note,
        "repeat_hours": _number(terms.repeat_hours) if terms.repeat_hours else "",
    }
    if terms.enabled:
        form["enabled"] = "on"
    one, objective, detector = terms.threshold, terms.objective, terms.detector
    if one is not None:
        limit = one.above if one.above is not None else one.below
        form |= {
            "kind": "threshold",
            "way": "above" if one.above is not None else "below",
            "limit": _number(limit),
            "step_seconds": str(one.step_seconds),
            "for_minutes": _number(one.for_seconds / 60),
            "at_least": str(one.at_least),
            "clear_at": _number(one.clear),
        }
        if one.sure:
            form["sure"] = "on"
    if objective is not None:
        form |= {
            "kind": "objective",
            "target": _number(objective.target),
            "period_days": str(objective.period_days),
            "objective_limit": _number(objective.limit),
            "at_least": str(objective.at_least),
        }
    if detector is not None:
        form |= {
            "kind": "detector",
            "look_for": detector.kind,
            "sensitivity": detector.sensitivity,
            "history_days": str(detector.history_days),
            "at_least": str(detector.at_least),
        }
        if detector.direction == "both":
            form["both"] = "on"
    return form


def terms_of(form: Mapping[str, str], before: Terms | None = None) -> Terms:
    """The terms that a form stands for; what it has no field for stays as it was ``before``. Raises `RequestError` with the field."""
    kind = form.get("kind", "threshold")
    told: dict[str, Any] = {
        "measure": form.get("measure", ""),
        "by": form.get("by", "").strip(),
        "where": _where(form.get("where", "")),
        "severity": cast("Severity", form.get("severity", "ticket")),
        "routes": tuple(_words(form.get("routes", "").replace(",", "\n"))),
        "unless": tuple(_words(form.get("unless", ""))),
        "note": form.get("note", "").strip(),
        "repeat_hours": _float(form, "repeat_hours") or 0.0,
        "enabled": "enabled" in form,
    }
    least = _int(form, "at_least")
    if kind == "threshold":
        limit = _float(form, "limit")
        if limit is None:
            raise RequestError("limit: give a number", param="limit")
        kept = before.threshold if before is not None else None
        told["threshold"] = {
            **({"clear_seconds": kept.clear_seconds} if kept is not None else {}),
            form.get("way", "above"): limit,
            "step_seconds": _int(form, "step_seconds", 60),
            "for_seconds": round((_float(form, "for_minutes") or 5) * 60),
            "at_least": 1 if least is None else least,
            "clear": _float(form, "clear_at"),
            "sure": "sure" in form,
        }
    elif kind == "objective":
        kept = before.objective if before is not None else None
        told["objective"] = {
            **(msgspec.to_builtins(kept) if kept is not None else {}),
            "target": _float(form, "target") or 0.0,
            "period_days": _int(form, "period_days", 30),
            "limit": _float(form, "objective_limit"),
            "at_least": 20 if least is None else least,
        }
    else:
        kept = before.detector if before is not None else None
        told["detector"] = {
            **(msgspec.to_builtins(kept) if kept is not None else {}),
            "kind": form.get("look_for", "either"),
            "sensitivity": form.get("sensitivity", "normal"),
            "direction": "both" if "both" in form else "worse",
            "history_days": _int(form, "history_days", 7),
            "at_least": 1 if least is None else least,
        }
    try:
        return msgspec.convert(told, Terms)
    except msgspec.ValidationError as fault:
        words, _, where = str(fault).partition(" - at `$.")
        field = where.rstrip("`").rpartition(".")[2]
        raise RequestError(f"{field or 'rule'}: {words[:1].lower()}{words[1:]}", param=_FIELDS.get(field, field)) from None


_FIELDS = {"above": "limit", "below": "limit", "for_seconds": "for_minutes", "clear_seconds": "for_minutes"}


def at_field(param: str | None) -> str:
    """The field of the form that a fault of a rule is about."""
    last = (param or "").rpartition(".")[2]
    if param == "objective.limit":
        return "objective_limit"
    return {"threshold": "limit", "clear": "clear_at", "burns": "target", "for_seconds": "for_minutes"}.get(last, last)


def _where(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in _words(text):
        name, sign, values = line.partition("=")
        if not sign:
            raise RequestError(f"where: {line[:60]!r} is not 'dimension = value, value'", param="where")
        found[name.strip()] = tuple(one.strip() for one in values.split(",") if one.strip())
    return found


def _words(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _float(form: Mapping[str, str], name: str) -> float | None:
    text = form.get(name, "").strip().replace(",", ".")
    if not text:
        return None
    try:
        found = float(text)
    except ValueError:
        raise RequestError(f"{name}: {text[:40]!r} is no number", param=name) from None
    if not -1e15 < found < 1e15:
        raise RequestError(f"{name}: {text[:40]!r} is out of all bounds", param=name)
    return found


def _int(form: Mapping[str, str], name: str, default: int | None = None) -> int | None:
    found = _float(form, name)
    if found is not None and found != int(found):
        raise RequestError(f"{name}: a whole number", param=name)
    return default if found is None else int(found)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.12g}"
