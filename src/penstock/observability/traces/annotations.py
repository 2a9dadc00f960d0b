"""What people and programs say of traces and spans: labels, scores, comments; several of each, by whoever may read the trace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from penstock.kernel.errors import Forbidden, NotFound, RequestError
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Principal, Scope
from penstock.observability.tables import trace_annotations as table
from penstock.storage.records import Records

MOST = 500
"""Annotations that one trace may have."""

PREFIX = "ann"


class NewAnnotation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something said of a ``span``, or of the whole trace where none is given.

    At least one of ``label``, ``score`` (0 to 1) and ``comment`` is given.
    """

    span: Annotated[str, Meta(max_length=16)] = ""
    label: Annotated[str, Meta(max_length=100)] = ""
    score: Annotated[float, Meta(ge=0, le=1)] | None = None
    comment: Annotated[str, Meta(max_length=10_000)] = ""


class Annotation(Struct, frozen=True, kw_only=True):
    """What somebody said. ``span`` is empty for the whole trace, ``author`` a name to show, ``at`` Unix seconds."""

    id: str
    trace: str
    span: str
    label: str
    score: float | None
    comment: str
    author: str
    at: float


class AnnotationList(Struct, frozen=True, kw_only=True):
    """The annotations of one trace, oldest first."""

    data: list[Annotation]


class Annotations:
    """The service. ``clean`` is how texts of people may be kept: with secrets replaced, where the settings say so."""

    def __init__(self, records: Records, clean: Callable[[str], str]) -> None:
        self._records = records
        self._clean = clean

    async def add(self, by: Principal, organisation: str, trace: str, new: NewAnnotation) -> Annotation:
        """Keep what somebody says of a trace that belongs to ``organisation`` and that they may see. Raises `RequestError` where nothing is
        said, and for more than `MOST`."""
        label, comment = self._clean(new.label.strip()), self._clean(new.comment.strip())
        if not label and not comment and new.score is None:
            raise RequestError("an annotation says something: a label, a score or a comment")
        row: dict[str, Any] = {
            "id": new_id(PREFIX),
            "organisation": organisation,
            "trace_id": trace,
            "span_id": new.span,
            "label": label,
            "score": new.score,
            "comment": comment,
            "author": by.name,
            "person": by.person or "",
            "key_id": by.key_id,
        }

        def work(connection: Connection) -> None:
            of_it = (table.c.trace_id == trace, table.c.organisation == organisation)
            count = connection.execute(select(func.count()).select_from(table).where(*of_it)).scalar_one()
            if count >= MOST:
                raise RequestError(f"a trace takes at most {MOST} annotations")
            connection.execute(insert(table).values(row))

        await self._records.write(work)
        return _annotation(row)

    async def of(self, reader: Principal, trace: str) -> list[Annotation]:
        """What was said of a trace and its spans, oldest first. Also of one that is no longer stored."""
        where = [table.c.trace_id == trace, *_within(reader.reach)]
        asked = select(table).where(*where).order_by(table.c.id).limit(MOST)
        rows = await self._records.read(lambda connection: connection.execute(asked).mappings().all())
        return [_annotation(dict(row)) for row in rows]

    async def removable(self, by: Principal, trace: str) -> Sequence[str]:
        """Ids of what was said of a trace that ``by`` may take back."""
        where = [table.c.trace_id == trace, *_within(by.reach)]
        asked = select(table.c.id, table.c.key_id, table.c.person).where(*where).limit(MOST)
        rows = await self._records.read(lambda connection: connection.execute(asked).all())
        return [id for id, key, person in rows if _may_remove(by, key, person)]

    async def remove(self, by: Principal, trace: str, id: str) -> None:
        """Take one back: its author, by person or key, and administrators may. Raises `NotFound` and `Forbidden`."""
        where = [table.c.id == id, table.c.trace_id == trace, *_within(by.reach)]

        def work(connection: Connection) -> None:
            row = connection.execute(select(table).where(*where)).mappings().first()
            if row is None:
                raise NotFound(f"no annotation {id[:100]!r} of this trace")
            if not _may_remove(by, row["key_id"], row["person"]):
                raise Forbidden("what somebody else said is taken back by them, or by an administrator")
            connection.execute(delete(table).where(*where))

        await self._records.write(work)

    async def traces(self, organisation: str | None, label: str, most: int) -> Sequence[str]:
        """Traces of which something was said, the latest first."""
        where = [*_within(organisation), *([table.c.label == label] if label else [])]
        latest = func.max(table.c.id)
        asked = select(table.c.trace_id).where(*where).group_by(table.c.trace_id).order_by(latest.desc()).limit(most)
        return await self._records.read(lambda connection: connection.execute(asked).scalars().all())

    async def labels(self, organisation: str | None, most: int = 100) -> Sequence[str]:
        """Labels that were given, in their order."""
        asked = select(table.c.label).distinct().where(table.c.label != "", *_within(organisation)).order_by(table.c.label).limit(most)
        return await self._records.read(lambda connection: connection.execute(asked).scalars().all())


def _may_remove(by: Principal, key: str, person: str) -> bool:
    return by.may(Scope.ADMIN) or key == by.key_id or bool(by.person and person == by.person)


def _within(reach: str | None) -> list[ColumnElement[bool]]:
    return [] if reach is None else [table.c.organisation == reach]


def _annotation(row: Mapping[str, Any]) -> Annotation:
    id = row["id"]
    return Annotation(
        id=id,
        trace=row["trace_id"],
        span=row["span_id"],
        label=row["label"],
        score=row["score"],
        comment=row["comment"],
        author=row["author"],
        at=int(id[len(PREFIX) + 1 :][:12], 16) / 1000,
    )
