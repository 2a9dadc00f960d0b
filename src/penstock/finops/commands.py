"""``penstock ledger``: commands about money that look at the database directly."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="ledger", help="The ledger: check it.", no_args_is_help=True)


@app.callback()
def ledger() -> None:
    """The ledger: check it."""


@app.command()
def verify(config: Annotated[Path | None, typer.Option("--config", "-c", help="Settings file.")] = None) -> None:
    """Compute every row's amount again from its tokens and frozen prices; exit with 1 when one differs."""
    from penstock.finops.audit import verify_ledger

    checked, wrong = verify_ledger(config)
    for line in wrong[:20]:
        sys.stdout.write(f"differs: {line}\n")
    sys.stdout.write(f"{checked} rows checked, {len(wrong)} differ\n")
    raise typer.Exit(1 if wrong else 0)
