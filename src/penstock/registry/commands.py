"""``penstock registry``: what is done with weights where they lie. Everything else is the API's and the console's."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="registry", help="Weights: scan, sign, verify.", no_args_is_help=True)


@app.command()
def scan(path: Annotated[Path, typer.Argument(help="A file or folder of weights.")]) -> None:
    """Say what is in weights without loading them; the exit status is 1 when they are refused."""
    # The scanner and its parsers are needed by this command alone.
    from penstock.registry.scan import scan as look

    if not path.exists():
        sys.stderr.write(f"there is nothing at {path}\n")
        raise typer.Exit(2)
    report = look(path)
    for file in report.files:
        sys.stdout.write(f"{file.format:12} {file.size:>14}  {file.path}\n")
    for found in report.findings:
        sys.stdout.write(f"REFUSED      {found.path}: {found.message} ({found.code})\n")
    sys.stdout.write(f"{'accepted' if report.accepted else 'refused'}, {len(report.files)} files, digest {report.digest}\n")
    if not report.accepted:
        raise typer.Exit(1)


@app.command()
def sign(
    folder: Annotated[Path, typer.Argument(help="A folder of weights.")],
    key: Annotated[Path, typer.Option(help="File with the private key (PEM, elliptic curve).")],
) -> None:
    """Sign a folder of weights; a key's password is read from PENSTOCK_KEY_PASSWORD."""
    from penstock.kernel.errors import PenstockError
    from penstock.registry.signing import sign as write

    try:
        sys.stdout.write(f"{write(folder, key, os.environ.get('PENSTOCK_KEY_PASSWORD') or None)}\n")
    except PenstockError as fault:
        sys.stderr.write(f"{fault.message}\n")
        raise typer.Exit(1) from fault


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="A folder of weights.")],
    key: Annotated[list[Path], typer.Option(help="File with a public key (PEM); may be given again.")],
) -> None:
    """Say whether one of the keys signed exactly these files; the exit status is 1 when none did."""
    from penstock.kernel.errors import PenstockError
    from penstock.registry.signing import verify as check

    try:
        sys.stdout.write(f"signed by the key with SHA-256 {check(folder, key)}\n")
    except PenstockError as fault:
        sys.stderr.write(f"{fault.message}\n")
        raise typer.Exit(1) from fault
