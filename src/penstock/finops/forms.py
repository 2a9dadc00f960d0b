"""The console's forms about money, read as what the API takes; a fault names the field that it stands at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.finops.budgets import Budget
from penstock.finops.money import decimal, micro
from penstock.finops.service import LARGEST, BudgetChange, Correction
from penstock.kernel.errors import MalformedRequest, RequestError

ALERTS = "80"
"""What the field says before anybody changes it: the default of `BudgetChange`."""

Form = Mapping[str, str]


def budget_change(form: Form) -> BudgetChange:
    """The terms that a budget form asks for. Raises `RequestError` with the field as its ``param``.

    ``limit`` is in dollars; ``alerts`` whole per cents between commas or spaces, empty for none; ``hard`` is there or not;
    ``organisation`` is ``all`` for the whole installation, anything else for one's own.
    """
    values: dict[str, Any] = {
        "name": form.get("name", "").strip(),
        "limit": _dollars(form, "limit"),
        "period": form.get("period", "month"),
        "subject_kind": form.get("subject_kind", "everything"),
        "subject": form.get("subject", "").strip(),
        "hard": "hard" in form,
        "alerts": _levels(form.get("alerts", ALERTS)),
        "organisation": "" if form.get("organisation") == "all" else None,
    }
    try:
        return msgspec.convert(values, BudgetChange)
    except msgspec.ValidationError as fault:
        message, _, where = str(fault).partition(" - at `$.")
        field = where.rstrip("`")
        raise MalformedRequest(f"{field or 'budget'}: {message}", param=field or None) from fault


def correction(form: Form) -> Correction:
    """What a correction form asks for; ``amount`` is in dollars. Raises `RequestError` with the field as its ``param``."""
    return Correction(amount=_dollars(form, "amount"), reason=form.get("reason", ""))


def filled(budget: Budget) -> dict[str, str]:
    """The form as it stands for a budget that there is: reading it back changes nothing but the organisation, which stays."""
    values = {
        "name": budget.name,
        "limit": decimal(budget.limit),
        "period": budget.period,
        "subject_kind": budget.subject_kind,
        "subject": budget.subject,
        "alerts": ", ".join(str(level) for level in budget.alerts),
    }
    return {**values, "hard": "on"} if budget.hard else values


def _dollars(form: Form, field: str) -> int:
    text = form.get(field, "").strip().removeprefix("$")
    if not text:
        raise RequestError(f"{field}: write dollars such as 25 or 0.50", param=field)
    try:
        amount = micro(text)
    except ValueError as fault:
        raise MalformedRequest(f"{field}: {fault}; write dollars such as 25 or 0.50", param=field) from fault
    if amount > LARGEST:
        raise RequestError(f"{field}: at most {decimal(LARGEST)} dollars", param=field)
    return amount


def _levels(text: str) -> tuple[int, ...]:
    words = text.replace(",", " ").replace("%", " ").split()
    for word in words:
        if not (word.isascii() and word.isdecimal() and len(word) <= 3):
            raise MalformedRequest(f"alerts: {word[:40]!r} is no whole per cent; write levels such as 50, 80", param="alerts")
    return tuple(int(word) for word in words)
