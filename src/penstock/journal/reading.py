"""Questions about runs, asked of DBOS's tables directly: with the tenant in the query, newest first, page by page. Blocking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from dbos._utils import INTERNAL_QUEUE_NAME

from penstock.journal import waits
from penstock.journal.context import seconds
from penstock.journal.serial import FORMAT, Json
from penstock.journal.terms import FORKED_BY, LABELS, PAUSED, QUEUE, missing
from penstock.journal.watching import Mark
from penstock.kernel.errors import StepFailed
from penstock.kernel.journal import QueueDepth, RunFilter, RunInfo, RunState, StepInfo, trace_of
from penstock.kernel.waits import Wait

STATES = {
    "ENQUEUED": RunState.QUEUED,
    "DELAYED": RunState.QUEUED,
    "PENDING": RunState.RUNNING,
    "SUCCESS": RunState.DONE,
    "ERROR": RunState.FAILED,
    "CANCELLED": RunState.CANCELLED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": RunState.ABANDONED,
}

KINDS = {
    "DBOS.sleep": "sleep",
    "DBOS.recv": "wait",
    "DBOS.send": "signal",
    "DBOS.getResult": "result",
    "DBOS.writeStream": "write",
    "DBOS.closeStream": "write",
}

_json = Json()


class Reader:
    """``system`` is DBOS's access to its database."""

    def __init__(self, system: Any) -> None:
        self._system = system

    def get(self, reach: str | None, id: str) -> RunInfo:
        """One run. Raises `NotFound`, in the same words for what is beyond ``reach``."""
        runs, outputs = self._system.tables.workflow_status, self._system.tables.workflow_output
        asked = (
            sa.select(runs, sa.func.coalesce(outputs.c.error, runs.c.error).label("fault"))
            .outerjoin(outputs, outputs.c.workflow_uuid == runs.c.workflow_uuid)
            .where(runs.c.workflow_uuid == id)
        )
        with self._system.engine.connect() as connection:
            row = connection.execute(asked).mappings().first()
        if row is None or (reach is not None and row["authenticated_user"] != reach):
            raise missing(id)
        return info(row, row["fault"])

    def waits(self, ids: Sequence[str]) -> Mapping[str, Sequence[Wait]]:
        """What these runs wait for, as far as the journal knows."""
        with self._system.engine.connect() as connection:
            return waits.told(connection.execute(waits.asked(self._system.tables.operation_outputs, ids)).all())

    def list(self, reach: str | None, wanted: RunFilter, only: waits.Only | None = None) -> Sequence[RunInfo]:
        """Runs, newest first, without their errors' text."""
        runs = self._system.tables.workflow_status
        asked = sa.select(runs).order_by(runs.c.created_at.desc(), runs.c.workflow_uuid.desc()).limit(wanted.limit)
        if reach is not None:
            asked = asked.where(runs.c.authenticated_user == reach)
        if only is not None:
            asked = asked.where(only.clause(runs, self._system.tables.operation_outputs))
        if wanted.state is RunState.PAUSED:
            asked = asked.where(runs.c.status == "CANCELLED", _paused(runs))
        elif wanted.state is not None:
            asked = asked.where(runs.c.status.in_([dbos for dbos, state in STATES.items() if state is wanted.state]))
            if wanted.state is RunState.CANCELLED:
                asked = asked.where(~_paused(runs))
        if wanted.name is not None:
            asked = asked.where(runs.c.name.startswith(f"{wanted.name}@", autoescape=True))
        if wanted.queue is not None:
            asked = asked.where(runs.c.queue_name == wanted.queue)
        if wanted.parent is not None:
            asked = asked.where(runs.c.parent_workflow_id == wanted.parent)
        if wanted.label is not None:
            label, equals, value = wanted.label.partition("=")
            kept = runs.c.attributes[LABELS][label].as_string()
            asked = asked.where(kept == value if equals else kept.isnot(None))
        if wanted.before is not None:
            last, earlier = self.get(reach, wanted.before).id, runs.alias("earlier")
            # The database's own value: SQLite keeps fractions of milliseconds.
            then = sa.select(earlier.c.created_at).where(earlier.c.workflow_uuid == last).scalar_subquery()
            asked = asked.where(sa.or_(runs.c.created_at < then, sa.and_(runs.c.created_at == then, runs.c.workflow_uuid < last)))
        with self._system.engine.connect() as connection:
            return [info(row) for row in connection.execute(asked).mappings()]

    def given(self, id: str) -> Any:
        """What a run was started with."""
        runs, inputs = self._system.tables.workflow_status, self._system.tables.workflow_input
        asked = (
            sa.select(sa.func.coalesce(inputs.c.inputs, runs.c.inputs))
            .outerjoin(inputs, inputs.c.workflow_uuid == runs.c.workflow_uuid)
            .where(runs.c.workflow_uuid == id)
        )
        with self._system.engine.connect() as connection:
            text = connection.execute(asked).scalar()
        arguments = _json.deserialize(text)["args"] if text else ()
        return arguments[0] if arguments else None

    def history(self, id: str, after: int = 0, limit: int | None = None) -> Sequence[StepInfo]:
        """What is journalled of a run, in the order of numbers above ``after``, at most ``limit``; a wait that goes on has no end."""
        steps = self._system.tables.operation_outputs
        # From one before, which says whether the first row is its time limit; and twice as many, since each wait has one.
        asked = sa.select(steps).where(steps.c.workflow_uuid == id, steps.c.function_id >= after).order_by(steps.c.function_id)
        with self._system.engine.connect() as connection:
            rows = connection.execute(asked if limit is None else asked.limit(2 * limit + 2)).mappings().all()
        numbers = {row["function_id"] for row in rows}
        found: list[StepInfo] = []
        for row in rows:
            if row["function_id"] == after and after:
                continue
            if row["function_name"] != "DBOS.sleep" or not _is_timeout(row):
                found.append(_step(row))
            elif row["function_id"] - 1 not in numbers and row["function_id"] - 1 > after:
                # DBOS journals the end of a wait's time under the next number, and the wait itself when it is over.
                found.append(msgspec.structs.replace(_step(row), number=row["function_id"] - 1, kind="wait", name="wait", ended_at=None))
            if len(found) == limit:
                break
        return found

    def marks(self, id: str, since: int) -> Sequence[Mark]:
        """Where the steps of a run stand that completed at ``since`` (milliseconds) or later, in order. A sleep stands where it began."""
        steps = self._system.tables.operation_outputs
        asked = sa.select(steps.c.function_id, steps.c.function_name, steps.c.started_at_epoch_ms, steps.c.completed_at_epoch_ms).where(
            steps.c.workflow_uuid == id, steps.c.completed_at_epoch_ms >= since
        )
        with self._system.engine.connect() as connection:
            rows = connection.execute(asked).all()
        return sorted(Mark(begun if name == "DBOS.sleep" else ended, number) for number, name, begun, ended in rows)

    def steps(self, id: str, numbers: Sequence[int]) -> Sequence[StepInfo]:
        """These steps of a run, without the time limits of waits."""
        table, found = self._system.tables.operation_outputs, list[StepInfo]()
        with self._system.engine.connect() as connection:
            for start in range(0, len(numbers), 500):
                asked = sa.select(table).where(table.c.workflow_uuid == id, table.c.function_id.in_(numbers[start : start + 500]))
                for row in connection.execute(asked).mappings():
                    step = _step(row)
                    if step.kind != "sleep" or not _is_timeout(row):
                        found.append(step)
        return found

    def depths(self, reach: str | None) -> Sequence[QueueDepth]:
        """What waits and runs, by queue."""
        runs = self._system.tables.workflow_status
        asked = (
            sa.select(runs.c.queue_name, runs.c.status, sa.func.count())
            .where(runs.c.status.in_(("ENQUEUED", "DELAYED", "PENDING")), runs.c.queue_name.isnot(None))
            .where(runs.c.queue_name != INTERNAL_QUEUE_NAME)
            .group_by(runs.c.queue_name, runs.c.status)
        )
        if reach is not None:
            asked = asked.where(runs.c.authenticated_user == reach)
        found: dict[str, list[int]] = {}
        with self._system.engine.connect() as connection:
            for queue, status, count in connection.execute(asked):
                found.setdefault(queue, [0, 0])[status == "PENDING"] += count
        return [QueueDepth(queue=queue, waiting=waiting, running=running) for queue, (waiting, running) in sorted(found.items())]

    def outcome(self, id: str) -> Any:
        """What an ended run returned. Raises `StepFailed` when it did not return."""
        runs, outputs = self._system.tables.workflow_status, self._system.tables.workflow_output
        asked = (
            sa.select(
                runs.c.status,
                sa.func.coalesce(outputs.c.output, runs.c.output),
                sa.func.coalesce(outputs.c.error, runs.c.error),
            )
            .outerjoin(outputs, outputs.c.workflow_uuid == runs.c.workflow_uuid)
            .where(runs.c.workflow_uuid == id)
        )
        with self._system.engine.connect() as connection:
            status, output, fault = connection.execute(asked).one()
        if status == "SUCCESS":
            return None if output is None else _json.deserialize(output)
        told = None if fault is None else _json.deserialize(fault)
        if isinstance(told, StepFailed):
            raise told
        raise StepFailed(f"run {id} was {STATES[status]}", kind=STATES[status].capitalize())


def info(row: Any, fault: str | None = None) -> RunInfo:
    """A row of DBOS's table of workflows in our words."""
    kept: dict[str, Any] = row["attributes"] or {}
    name, _, version = (row["name"] or "").rpartition("@")
    state = STATES[row["status"]]
    if state is RunState.CANCELLED and kept.get(PAUSED):
        state = RunState.PAUSED
    return RunInfo(
        id=row["workflow_uuid"],
        name=name,
        version=int(version or 0),
        organisation=row["authenticated_user"] or "",
        state=state,
        queue=kept.get(QUEUE),
        priority=max(0, row["priority"] - 1),
        labels=kept.get(LABELS) or {},
        parent=row["parent_workflow_id"],
        forked_from=row["forked_from"],
        node=row["executor_id"] if state is RunState.RUNNING else None,
        executions=row["recovery_attempts"] or 0,
        created_at=row["created_at"] / 1e3,
        started_at=seconds(row["started_at_epoch_ms"]),
        updated_at=row["updated_at"] / 1e3,
        ended_at=seconds(row["completed_at"]) if state is not RunState.PAUSED else None,
        trace_id=trace_of(row["workflow_uuid"]),
        error=str(_json.deserialize(fault)) if fault else None,
        forked_by=tuple(kept.get(FORKED_BY) or ()),
    )


def _step(row: Any) -> StepInfo:
    kind = KINDS.get(row["function_name"]) or ("child" if row["child_workflow_id"] else "step")
    value: Any = None
    if row["output"] is not None:
        value = _json.deserialize(row["output"]) if row["serialization"] == FORMAT else msgspec.json.decode(row["output"])
    attempts, error = 1, None
    if kind == "step" and isinstance(value, list):
        how, value, attempts = value  # type: ignore[reportUnknownVariableType]
        if how == "failed":
            error, value = f"{value['kind']}: {value['message']}", None
    elif kind in ("wait", "write") and isinstance(value, list):
        value = value[0]  # type: ignore[reportUnknownVariableType]
    elif kind == "sleep":
        value = None
    if row["error"] is not None:
        error = str(_json.deserialize(row["error"]))
    return StepInfo(
        number=row["function_id"],
        kind=kind,
        name=row["function_name"].rpartition("@")[0] if kind == "child" else row["function_name"] if kind == "step" else kind,
        attempts=attempts,  # type: ignore[reportUnknownArgumentType]
        started_at=seconds(row["started_at_epoch_ms"]),
        ended_at=seconds(row["completed_at_epoch_ms"]),
        child=row["child_workflow_id"],
        output=value,
        error=error,
    )


def _is_timeout(row: Any) -> bool:
    """Whether what looks like a sleep is the time limit of a wait: a sleep's end is its completion, a limit's is not."""
    return abs(msgspec.json.decode(row["output"], type=float) * 1e3 - row["completed_at_epoch_ms"]) > 2


def _paused(runs: Any) -> Any:
    return sa.func.coalesce(runs.c.attributes[PAUSED].as_boolean(), sa.false())
