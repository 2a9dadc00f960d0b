"""The time that all processes share: the database's."""

from __future__ import annotations

from sqlalchemy import Connection, func, select


def moment(connection: Connection) -> float:
    """The database's time, in Unix seconds, whichever machine asks."""
    if connection.dialect.name == "sqlite":
        return float(connection.execute(select((func.julianday("now") - 2440587.5) * 86_400.0)).scalar_one())
    return float(connection.execute(select(func.extract("epoch", func.now()))).scalar_one())
