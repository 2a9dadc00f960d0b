"""Budgets that tasks declare: enforced like any other, and changed where the task is."""

from __future__ import annotations

from penstock.finops.budgets import Budget
from penstock.kernel.tasks import Task, Tasks

PREFIX = "task:"
"""What the ids of these budgets begin with; others begin with ``budget_``."""


def budgets_of(tasks: Tasks | None) -> list[Budget]:
    """One for each task that has a budget. A shared task's counts what all organisations spend on the task of that name."""
    return [found for task in (tasks.all() if tasks is not None else ()) if (found := _budget(task)) is not None]


def is_declared(id: str) -> bool:
    """Whether a budget is a task's."""
    return id.startswith(PREFIX)


def _budget(task: Task) -> Budget | None:
    if task.budget is None:
        return None
    whose = "" if task.shared else task.organisation
    return Budget(
        id=f"{PREFIX}{whose}:{task.name}",
        name=f"task {task.name}",
        subject_kind="task",
        subject=task.name,
        period=task.budget.period,
        limit=task.budget.amount,
        hard=True,
        created_at=0.0,
        organisation=whose,
    )
