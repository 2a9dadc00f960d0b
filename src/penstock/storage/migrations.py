"""The schema of the records: `verify` looks, `migrate` changes.

Each capability owns a package of numbered files, ``penstock/<capability>/migrations/0001_what.py``. A file is an Alembic revision with
the id ``<capability>_0001``; the first has ``down_revision = None`` and ``branch_labels = ("<capability>",)``, each other one the id before
it as its ``down_revision``. A capability's revisions are one straight chain and depend on no other capability's (``depends_on`` stays
unset). A released revision never changes. Changes of a table that SQLite cannot make in place go through ``op.batch_alter_table``.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from penstock.kernel.errors import SchemaMismatch
from penstock.storage.records import Records

if TYPE_CHECKING:
    from sqlalchemy import Connection, TableClause

VERSION_TABLE = "alembic_version"

MAX_REVISION = 32
"""Length of the column in which Alembic keeps a revision's id."""

_FIELD = re.compile(r"^(revision|down_revision|depends_on)\b[^=\n]*=\s*(?:\"([^\"]*)\"|'([^']*)'|(None))\s*(?:#.*)?$", re.MULTILINE)


class SchemaState(msgspec.Struct, frozen=True, kw_only=True):
    """How the database's schema stands to this version of Penstock.

    ``current`` are the revisions that the database is stamped with, ``behind`` those that it lacks, in the order in which `migrate`
    would run them, ``ahead`` stamped ones of a known capability that a newer version made, ``foreign`` stamped ones of capabilities
    that are not installed here; the last do no harm.
    """

    current: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether this version can work on the database as it is."""
        return not self.behind and not self.ahead

    def explain(self) -> str:
        """One sentence on what is wrong and what to do; on what is well, when nothing is wrong."""
        if self.ahead:
            return (
                f"the database was migrated by a newer Penstock (it has {', '.join(self.ahead)}); "
                "run that version, or restore a backup from before the upgrade"
            )
        if self.behind:
            return f"the database lacks {', '.join(self.behind)}; run `penstock migrate`"
        return "the schema is up to date"


class _Chain(msgspec.Struct, frozen=True):
    """One capability's revisions, oldest first, and the folder they are in."""

    prefix: str
    folder: Path
    revisions: tuple[str, ...]


def verify(records: Records, packages: Sequence[str]) -> SchemaState:
    """Compare the database with the migrations of ``packages`` (dotted names). Changes nothing, and does not load Alembic.

    A database that does not exist is behind by everything. Raises `StorageError` when the database does not answer.
    """
    chains = [_chain(package) for package in packages]
    with records.snapshot() as connection:
        return _state(_stamped(connection), chains)


def migrate(records: Records, packages: Sequence[str]) -> tuple[str, ...]:
    """Bring all of ``packages`` up to date in one transaction; returns the revisions that ran, empty when nothing was to do.

    Two processes that start at once wait for each other and the second finds nothing to do. A process killed in the middle leaves
    the schema as it was. Raises `SchemaMismatch` when the database is ahead of this version: nothing is ever downgraded.
    """
    chains = [_chain(package) for package in packages]
    with records.snapshot() as connection:
        state = _state(_stamped(connection), chains)
    if state.ready:
        return ()
    with records.begin_migration() as connection:
        # Again, since another process may have migrated while this one waited.
        state = _state(_stamped(connection), chains)
        if state.ahead:
            raise SchemaMismatch(state.explain())
        if state.behind:
            _upgrade(connection, chains, state.foreign)
    return state.behind


def _upgrade(connection: Connection, chains: Sequence[_Chain], foreign: Sequence[str]) -> None:
    # Alembic takes about 0.3 s of processor time to import, and a process whose schema is up to date never needs it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _escaped(Path(__file__).parent / "environment"))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(_escaped(chain.folder) for chain in chains))
    config.attributes["connection"] = connection
    # Alembic refuses a table of versions with rows that it has no file for, so those of absent capabilities step aside.
    versions = _versions()
    if foreign:
        connection.execute(versions.delete().where(versions.c.version_num.in_(foreign)))
    command.upgrade(config, "heads")
    if foreign:
        connection.execute(versions.insert(), [{"version_num": revision} for revision in foreign])


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")


def _stamped(connection: Connection) -> list[str]:
    # Imported when asked, so that what only names `SchemaState` stays light.
    from sqlalchemy import inspect, select

    if not inspect(connection).has_table(VERSION_TABLE):
        return []
    return sorted(connection.scalars(select(_versions().c.version_num)))


def _versions() -> TableClause:
    from sqlalchemy import column, table

    return table(VERSION_TABLE, column("version_num"))


def _state(stamped: Sequence[str], chains: Sequence[_Chain]) -> SchemaState:
    behind: list[str] = []
    known: set[str] = set()
    for chain in chains:
        known.update(chain.revisions)
        at = max((chain.revisions.index(s) for s in stamped if s in chain.revisions), default=-1)
        is_ahead = any(_prefix(s) == chain.prefix and s not in chain.revisions for s in stamped)
        if not is_ahead:
            behind += chain.revisions[at + 1 :]
    unknown = [s for s in stamped if s not in known]
    prefixes = {chain.prefix for chain in chains}
    return SchemaState(
        current=tuple(stamped),
        behind=tuple(behind),
        ahead=tuple(s for s in unknown if _prefix(s) in prefixes),
        foreign=tuple(s for s in unknown if _prefix(s) not in prefixes),
    )


def _prefix(revision: str) -> str:
    return revision.rpartition("_")[0]


def _chain(package: str) -> _Chain:
    """Read a package's chain from the heads of its files, without running them. RuntimeError when it is not one straight chain."""
    folder = _folder(package)
    after: dict[str | None, str] = {}
    for file in sorted(folder.glob("[0-9]*.py")):
        found = {m[1]: m[2] or m[3] for m in _FIELD.finditer(file.read_text("utf-8"))}
        revision, down = found.get("revision"), found.get("down_revision")
        if not revision or "down_revision" not in found:
            raise RuntimeError(f'{file}: needs `revision = "..."` and `down_revision = ...`, each on one line')
        if len(revision) > MAX_REVISION:
            raise RuntimeError(f"{file}: revision {revision!r} is longer than {MAX_REVISION} characters")
        if found.get("depends_on"):
            raise RuntimeError(f"{file}: depends_on is not supported; capabilities migrate on their own")
        if down in after:
            raise RuntimeError(f"{file}: {revision!r} and {after[down]!r} both follow {down!r}; renumber one of them")
        after[down] = revision
    ordered: list[str] = []
    here: str | None = None
    while (following := after.pop(here, None)) is not None:
        ordered.append(following)
        here = following
    if after:
        raise RuntimeError(f"{package}: {', '.join(sorted(after.values()))} follow nothing that exists")
    if len({_prefix(revision) for revision in ordered}) > 1:
        raise RuntimeError(f"{package}: all revisions need the same prefix, the capability's name")
    return _Chain(_prefix(ordered[0]) if ordered else "", folder, tuple(ordered))


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"the migrations package {package!r} does not exist")
    return Path(next(iter(spec.submodule_search_locations)))
