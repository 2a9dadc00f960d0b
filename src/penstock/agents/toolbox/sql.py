"""SQL: questions to a database that cannot change it, and, as a tool of its own, statements that can.

That a question only reads is not read off its text. SQLite opens the file read-only and asks an authorizer about each thing a statement
would do; PostgreSQL gets it as the query of a cursor in a read-only transaction, one statement on a connection of its own. For other
databases somebody has to say that the role may only read.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError, NoSuchTableError, SQLAlchemyError

from penstock.agents.faults import InDoubt, Permanent, Transient
from penstock.agents.toolbox.databases import Database, Overtime
from penstock.agents.tools import Effect, Tool, ToolContext

LONGEST_CELL = 4_000
"""Characters of one value; the rest is left out and said to be."""

Value = str | int | float | bool | None
Parameters = Annotated[dict[str, Value], Meta(description="Values of the statement's :name places.")]
NO_PARAMETERS: dict[str, Value] = {}


class Rows(Struct, frozen=True, omit_defaults=True):
    """What a question gave. ``more`` says why rows are missing, where some are."""

    columns: list[str]
    rows: list[list[Any]]
    more: str = ""


class Changed(Struct, frozen=True, omit_defaults=True):
    """What a statement changed: how many rows (-1: the database does not say), and what it returns."""

    changed: int
    columns: list[str] = []
    rows: list[list[Any]] = []


def sql(
    url: str,
    *,
    name: str = "sql",
    rows: int = 200,
    most_bytes: int = 65_536,
    seconds: float = 10.0,
    schema: str | None = None,
    role_reads_only: bool = False,
) -> list[Tool[..., Any]]:
    """Two tools that only read: ``NAME_query`` and ``NAME_schema``.

    ``url`` is any SQLAlchemy URL, or ``env:NAME`` or ``file:/path`` that holds one. An answer has at most ``rows`` rows and ``most_bytes``
    bytes; a question takes at most ``seconds``, then the database is told to stop. ``role_reads_only`` vouches for the role of a database
    whose sessions we do not know how to keep from writing. Raises `SettingsError` for a database that needs it.
    """
    database = Database(url, seconds=seconds, reads=True, role_reads_only=role_reads_only)

    def query(
        statement: Annotated[str, Meta(description="One SELECT statement.", max_length=20_000)], parameters: Parameters = NO_PARAMETERS
    ) -> Rows:
        with _faults(database, "read"), database.reading() as connection:
            return _fetched(database.asked(connection, _text(statement, parameters), parameters), rows, most_bytes)

    def tables(
        table: Annotated[
            str, Meta(description="A table or view, for its columns and keys; empty for the names of all.", max_length=200)
        ] = "",
    ) -> dict[str, Any]:
        with _faults(database, "read"), database.reading() as connection:
            return _described(connection, table, schema)

    told = f"Ask the {database.kind} database {name} with SQL. It cannot be changed by this. At most {rows} rows come back."
    shape = f"The tables and views of the {database.kind} database {name}, or the columns and keys of one."
    # The database ends it first, and says so better.
    limit = seconds + 10.0
    return [
        Tool(query, effect="read", name=f"{name}_query", description=told, seconds=limit, most_bytes=2 * most_bytes + 4096),
        Tool(tables, effect="read", name=f"{name}_schema", description=shape, seconds=limit, most_bytes=most_bytes),
    ]


def sql_write(
    url: str, *, name: str = "sql_write", effect: Effect = "irreversible", seconds: float = 10.0, rows: int = 200, once: str = ""
) -> list[Tool[..., Any]]:
    """A tool that makes one statement in a transaction of its own.

    ``once`` names a table of the same database (made if it is missing) in which each call is written down in that transaction: then a call
    in doubt is made again and does nothing twice. Without it, it is reported as in doubt. What it may change is for the role to say.
    """
    if effect == "read":
        raise ValueError("sql_write changes things: its effect is write or irreversible")
    database = Database(url, seconds=seconds, reads=False, once=once)

    def execute(
        statement: Annotated[str, Meta(description="One INSERT, UPDATE or DELETE statement.", max_length=20_000)],
        context: ToolContext,
        parameters: Parameters = NO_PARAMETERS,
    ) -> Changed:
        with _faults(database, "write"), database.writing(context.key) as (connection, before):
            if before is not None:
                return msgspec.json.decode(before, type=Changed)
            result = connection.execute(_text(statement, parameters), parameters)
            found = _fetched(result, rows, 65_536) if result.returns_rows else Rows([], [])
            changed = Changed(result.rowcount, found.columns, found.rows)
            database.done(connection, context.key, msgspec.json.encode(changed).decode())
            return changed

    told = f"Change the {database.kind} database {name} with one SQL statement."
    return [Tool(execute, effect=effect, name=name, description=told, honours_key=bool(once), seconds=seconds + 10.0)]


def _text(statement: str, parameters: dict[str, Value]) -> Any:
    """The statement; without parameters a colon in it is a colon."""
    return text(statement if parameters else statement.replace(":", "\\:"))


@contextmanager
def _faults(database: Database, what: str) -> Generator[None]:
    """What the database says, as what is to be done about it, without the statement and its values, which the model knows."""
    began = time.monotonic()
    try:
        yield
    except Overtime as fault:
        raise Permanent(f"sql_timeout: the statement took longer than {database.seconds:g} s and was stopped") from fault
    except NoSuchTableError as fault:
        raise Permanent(f"sql_failed: there is no table {fault}") from fault
    except DBAPIError as fault:
        said = str(fault.orig).strip().splitlines()[0] if str(fault.orig).strip() else type(fault.orig).__name__
        if database.overtime(fault, time.monotonic() - began):
            raise Permanent(f"sql_timeout: the statement took longer than {database.seconds:g} s and was stopped") from fault
        if not fault.connection_invalidated and not database.unreachable(fault):
            raise Permanent(f"sql_failed: {said}") from fault
        if what == "write" and fault.statement is not None:
            raise InDoubt(f"sql_lost: the connection was lost while it was made: {said}") from fault
        raise Transient(f"sql_unreachable: {said}") from fault
    except SQLAlchemyError as fault:
        raise Permanent(f"sql_failed: {str(fault).splitlines()[0]}") from fault


def _fetched(result: Any, rows: int, most_bytes: int) -> Rows:
    columns = list(result.keys())
    found: list[list[Any]] = []
    size = 0
    more = ""
    for row in result:
        if len(found) == rows:
            more = f"there are more than {rows} rows; ask for less, or for sums"
            break
        told = [_cell(value) for value in row]
        size += len(msgspec.json.encode(told)) + 1
        if size > most_bytes:
            more = f"the rows after these are left out: the answer would have more than {most_bytes} bytes"
            break
        found.append(told)
    result.close()
    return Rows(columns, found, more)


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= LONGEST_CELL else f"{value[:LONGEST_CELL]} [{len(value) - LONGEST_CELL} more characters]"
    if isinstance(value, bytes | memoryview):
        size = value.nbytes if isinstance(value, memoryview) else len(value)
        return f"[{size} bytes]"
    try:
        told = msgspec.to_builtins(value)
    except (TypeError, ValueError, OverflowError):
        return _cell(str(value))
    return told if len(msgspec.json.encode(told)) <= 4 * LONGEST_CELL else _cell(str(value))


def _described(connection: Connection, table: str, schema: str | None) -> dict[str, Any]:
    looked = inspect(connection)
    if not table:
        return {"tables": looked.get_table_names(schema), "views": looked.get_view_names(schema)}
    columns = [
        {"name": one["name"], "type": str(one["type"]), "null": one["nullable"]}
        | ({"about": about} if (about := one.get("comment")) else {})
        for one in looked.get_columns(table, schema)
    ]
    references = [
        {"columns": one["constrained_columns"], "to": one["referred_table"], "its": one["referred_columns"]}
        for one in looked.get_foreign_keys(table, schema)
    ]
    key = looked.get_pk_constraint(table, schema)["constrained_columns"]
    return {"table": table, "columns": columns, "key": key, "references": references}
