"""The command line: ``up``, ``worker``, ``demo``, ``doctor``, ``line``, ``migrate``, ``openapi``, and the commands that capabilities bring.

Heavy modules are imported inside the commands that need them, so that ``--help`` answers at once.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from penstock.kernel.errors import PenstockError

Config = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file; default: penstock.toml when it is there.")]

app = typer.Typer(
    name="penstock",
    help="Self-hosted AI platform: ask for a task, get the cheapest approved model that is good enough, with proof.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def up(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of server.host.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, instead of server.port; 0 takes a free one.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Processes that serve the port, instead of server.workers.")] = None,
) -> None:
    """Run Penstock until SIGTERM or Ctrl-C."""
    from penstock.up import run

    run(config, host=host, port=port, workers=workers)


@app.command()
def worker(config: Config = None) -> None:
    """Work on durable runs until SIGTERM or Ctrl-C, without serving anything; several at once on PostgreSQL."""
    from penstock.worker import run

    run(config)


@app.command()
def demo(
    check: Annotated[bool, typer.Option("--check", help="Run unattended to the end and verify the result.")] = False,
    directory: Annotated[Path, typer.Option("--dir", help="Folder for the demo's data; made anew.")] = Path("demo-data"),
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8080,
) -> None:
    """Run Penstock with a sample organisation, real recorded traffic and an agent at work."""
    from penstock.demo.run import run

    raise typer.Exit(run(check=check, directory=directory, port=0 if check else port))


@app.command()
def doctor(config: Config = None) -> None:
    """Say what is configured, reachable and missing, and how to mend it."""
    from penstock.inspect import doctor as examine

    raise typer.Exit(examine(config))


@app.command()
def line(config: Config = None) -> None:
    """Print the line: every slot, its stages, and where their code is."""
    from penstock.inspect import line as show

    show(config)


@app.command()
def migrate(
    config: Config = None,
    verify: Annotated[bool, typer.Option("--verify", help="Only look; exit with 1 when the schema is not up to date.")] = False,
) -> None:
    """Bring the database's schema up to date."""
    from penstock.inspect import migrate as bring

    raise typer.Exit(bring(config, verify=verify))


@app.command()
def openapi() -> None:
    """Print the OpenAPI document of this version."""
    from penstock.inspect import openapi as describe

    typer.echo(describe())


@app.command()
def version() -> None:
    """Print the version."""
    from penstock import __version__

    typer.echo(__version__)


def main() -> None:
    """Entry point: mounts the capabilities' commands, runs, and turns a `PenstockError` into one clear line and exit code 1."""
    try:
        # The commands of the rooms are 20 modules more, which a command of the house's own need not wait for.
        if sys.argv[1:2] not in _own():
            mount()
        app()
    except PenstockError as fault:
        from penstock.logs import redact

        sys.stderr.write(f"penstock: {redact(fault.message)} [{fault.code}]\n")
        raise SystemExit(1) from None


def _own() -> list[list[str]]:
    """The first words that are commands of the house itself."""
    return [[command.name or getattr(command.callback, "__name__", "")] for command in app.registered_commands]


def mount() -> None:
    """Put the capabilities' commands under `app`; once. Rooms that give theirs the same name share it, in the order of the rooms."""
    from penstock.app import capabilities

    mounted: dict[str, Any] = {}
    for room in capabilities():
        if room.commands is not None:
            module, _, name = room.commands.partition(":")
            commands = importlib.import_module(module)
            sub: Any = getattr(commands, name)
            noun = sub.info.name if isinstance(sub.info.name, str) else room.name
            if noun in mounted:
                mounted[noun].registered_commands.extend(sub.registered_commands)
            else:
                mounted[noun] = sub
                app.add_typer(sub, name=noun)
            for alias in getattr(commands, "ALIASES", ()):
                app.add_typer(mounted[noun], name=alias, hidden=True)
            # Functions of the room's that are commands by themselves.
            for alone in getattr(commands, "ALONE", ()):
                app.command()(getattr(commands, alone))


if __name__ == "__main__":
    main()
