"""``penstock batches``."""

from __future__ import annotations

import typer

app = typer.Typer(name="batches", help="Batches.", no_args_is_help=True)


@app.command("list")
def list_batches() -> None:
    """List."""
