"""``penstock files``: the files of all organisations, looked at and changed where they are kept."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from penstock.files.service import FileService

app = typer.Typer(name="files", help="Stored files.", no_args_is_help=True)
Config = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file; default: penstock.toml when it is there.")]
Id = Annotated[str, typer.Argument(help="Id of the file.")]
Organisation = Annotated[str | None, typer.Option(help="Id of the organisation; default: all.")]


@app.command("list")
def list_files(organisation: Organisation = None, purpose: str | None = None, config: Config = None) -> None:
    """List files, newest first: id, size in bytes, purpose, end (UTC), name."""

    async def work(files: FileService) -> None:
        after: str | None = None
        while True:
            found = await files.list(organisation, purpose=purpose, after=after, limit=500)
            for file in found:
                ends = time.strftime("%Y-%m-%d %H:%M", time.gmtime(file.expires_at)) if file.expires_at is not None else "kept"
                sys.stdout.write(f"{file.id}  {file.size:>12}  {file.purpose:12} {ends:16}  {file.name}\n")
            if len(found) < 500:
                return
            after = found[-1].id

    _run(config, work)


@app.command()
def get(
    file: Id,
    to: Annotated[Path | None, typer.Option(help="Where to write it; default: standard output.")] = None,
    config: Config = None,
) -> None:
    """Write a file's bytes out."""

    async def work(files: FileService) -> None:
        await files.get(None, file)  # before anything is written anywhere
        out = to.open("wb") if to is not None else sys.stdout.buffer
        try:
            async for piece in files.read(None, file):
                out.write(piece)
        finally:
            if to is not None:
                out.close()

    _run(config, work)


@app.command()
def add(
    path: Annotated[Path, typer.Argument(help="The file to store.", exists=True, dir_okay=False)],
    organisation: Annotated[str, typer.Option(help="Id of the organisation whose file it will be.")],
    purpose: Annotated[str, typer.Option(help="What it is for, in OpenAI's words.")] = "user_data",
    media: Annotated[str, typer.Option(help="Its media type.")] = "application/octet-stream",
    days: Annotated[float | None, typer.Option(help="Days until it expires.", min=0)] = None,
    config: Config = None,
) -> None:
    """Store a file and print its id."""
    from penstock.files.wire import OPENAI_PURPOSES
    from penstock.kernel.errors import RequestError
    from penstock.kernel.form import safe_filename

    if purpose not in OPENAI_PURPOSES:
        raise RequestError(f"--purpose must be one of {', '.join(OPENAI_PURPOSES)}", param="purpose")

    async def pieces() -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                yield piece

    async def work(files: FileService) -> None:
        made = await files.add(
            pieces(),
            organisation=organisation,
            name=safe_filename(path.name),
            purpose=purpose,
            media=media,
            lifetime=days * 86400 if days is not None else None,
        )
        sys.stdout.write(f"{made.id}\n")

    _run(config, work)


@app.command()
def delete(file: Id, config: Config = None) -> None:
    """Delete a file."""

    async def work(files: FileService) -> None:
        await files.delete(None, file)
        sys.stdout.write(f"{file} deleted\n")

    _run(config, work)


def _run(config: Path | None, work: Callable[[FileService], Awaitable[None]]) -> None:
    # SQLAlchemy takes a quarter of a second to import and only a command that runs needs it.
    from penstock.files.service import FileService
    from penstock.files.settings import FilesSettings
    from penstock.settings import ServerSettings, StorageSettings, load
    from penstock.storage.blobs import open_blobs
    from penstock.storage.migrations import migrate, verify
    from penstock.storage.records import open_records

    settings = load({"files": FilesSettings}, file=config, others=True)
    folder = Path(settings.of(ServerSettings).data_dir)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    storage = settings.of(StorageSettings)
    records = open_records(storage.records, folder)
    packages = ("penstock.files.migrations",)
    try:
        if records.dialect == "sqlite" and not verify(records, packages).ready:
            migrate(records, packages)
        files = FileService(records, open_blobs(storage.blobs, folder), settings.of(FilesSettings))

        async def run() -> None:
            await work(files)

        asyncio.run(run())
    finally:
        records.close()
