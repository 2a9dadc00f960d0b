"""``penstock keys``: keys made and ended directly on the database; a running Penstock acts on it within half a second."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from penstock.identity.keys import Keys
    from penstock.identity.owners import Owners

app = typer.Typer(name="keys", help="Keys: make, list, rotate, revoke.", no_args_is_help=True)
Config = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file; default: penstock.toml when it is there.")]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    config: Config = None,
    admin: Annotated[bool, typer.Option("--admin", help="May change everything.")] = False,
    read: Annotated[bool, typer.Option("--read", help="May read records and the console.")] = False,
    organisation: Annotated[
        str | None, typer.Option(help="Id of the organisation; the one that runs this installation by default.")
    ] = None,
    team: Annotated[str | None, typer.Option(help="Id of the team that it belongs to.")] = None,
    project: Annotated[str | None, typer.Option(help="Id of the project that it belongs to.")] = None,
    person: Annotated[str | None, typer.Option(help="Id of the person that it belongs to.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Model that it may call, such as gpt-4o-*; may be given again. All by default.")
    ] = None,
    requests: Annotated[int | None, typer.Option("--rpm", help="Requests per minute.")] = None,
    tokens: Annotated[int | None, typer.Option("--tpm", help="Tokens per minute.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Calls at once.")] = None,
    days: Annotated[float | None, typer.Option(help="Days until it expires.")] = None,
) -> None:
    """Make a key and print its secret, this once."""
    from penstock.identity.keys import NewKey
    from penstock.kernel.principal import Limits, Scope

    scopes = (Scope.ADMIN,) if admin else ((Scope.CALL, Scope.READ) if read else (Scope.CALL,))
    limits = Limits(requests_per_minute=requests, tokens_per_minute=tokens, concurrency=concurrency)
    expires = time.time() + days * 86_400 if days is not None else None

    async def work(keys: Keys, owners: Owners) -> None:
        await owners.ensure_home()
        asked = NewKey(
            name=name,
            organisation=organisation,
            team=team,
            project=project,
            person=person,
            scopes=scopes,
            models=tuple(model or ()),
            limits=limits,
            expires_at=expires,
        )
        made = await keys.create(None, asked)
        sys.stdout.write(f"{made.secret}\n")

    _run(config, work)


@app.command("list")
def list_keys(config: Config = None) -> None:
    """List keys, newest first: id, state, last characters, scopes, last use (UTC), name."""

    async def work(keys: Keys, owners: Owners) -> None:
        cursor: str | None = None
        while True:
            page = await keys.list(None, cursor=cursor, limit=500)
            for key in page.data:
                used = time.strftime("%Y-%m-%d %H:%M", time.gmtime(key.last_used_at)) if key.last_used_at is not None else "never used"
                sys.stdout.write(f"{key.id}  {key.state:8} …{key.last4}  {','.join(key.scopes):16} {used:16}  {key.name}\n")
            cursor = page.next_cursor
            if cursor is None:
                return

    _run(config, work)


@app.command()
def rotate(key: Annotated[str, typer.Argument(help="Id of the key.")], config: Config = None) -> None:
    """Give a key a new secret and print it; the old one works for identity.rotation_grace_hours more."""

    async def work(keys: Keys, owners: Owners) -> None:
        sys.stdout.write(f"{(await keys.rotate(None, key)).secret}\n")

    _run(config, work)


@app.command()
def revoke(key: Annotated[str, typer.Argument(help="Id of the key.")], config: Config = None) -> None:
    """End a key for good."""

    async def work(keys: Keys, owners: Owners) -> None:
        ended = await keys.revoke(None, key)
        sys.stdout.write(f"{ended.id} {ended.state}\n")

    _run(config, work)


def _run(config: Path | None, work: Callable[[Keys, Owners], Awaitable[None]]) -> None:
    # SQLAlchemy takes a quarter of a second to import and only a command that runs needs it.
    from penstock.identity.keys import Keys
    from penstock.identity.owners import Owners
    from penstock.identity.settings import IdentitySettings
    from penstock.settings import ServerSettings, StorageSettings, load
    from penstock.storage.migrations import migrate, verify
    from penstock.storage.records import open_records

    settings = load({"identity": IdentitySettings}, file=config, others=True)
    folder = Path(settings.of(ServerSettings).data_dir)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    records = open_records(settings.of(StorageSettings).records, folder)
    packages = ("penstock.identity.migrations",)
    try:
        if records.dialect == "sqlite" and not verify(records, packages).ready:
            migrate(records, packages)
        keys = Keys(records, grace_seconds=settings.of(IdentitySettings).rotation_grace_hours * 3600)

        async def run() -> None:
            await work(keys, Owners(records))

        asyncio.run(run())
    finally:
        records.close()
