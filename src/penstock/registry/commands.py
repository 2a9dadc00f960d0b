"""``penstock registry``: what is done with weights where they lie. Everything else is the API's and the console's."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

if TYPE_CHECKING:
    from penstock.remote import Remote

app = typer.Typer(name="registry", help="Weights: scan, sign, verify; other registries: import, export.", no_args_is_help=True)
taking = typer.Typer(name="import", help="Take in what another registry holds.", no_args_is_help=True)
giving = typer.Typer(name="export", help="Write what is registered here for another registry.", no_args_is_help=True)
app.add_typer(taking)
app.add_typer(giving)
HERE = "http://127.0.0.1:8080"
Running = Annotated[
    str, typer.Option("--running", help="Address of the running Penstock. The key is taken from PENSTOCK_KEY.", envvar="PENSTOCK_URL")
]


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


@taking.command("mlflow")
def import_mlflow(
    source: Annotated[str, typer.Option("--from", help="Address of an MLflow server, or the folder that holds its `models`.")],
    weights: Annotated[
        Path | None, typer.Option(help="What registry.weights names: files of versions whose source is a folder here are copied into it.")
    ] = None,
    running: Running = HERE,
) -> None:
    """Take MLflow's registered models in as drafts, and its prompts; the exit status is 1 when something was not adopted."""
    from penstock.registry.mlflow.adopt import Adoption
    from penstock.registry.mlflow.folder import read_folder
    from penstock.registry.mlflow.server import MlflowServer

    there = urlsplit(source)
    if there.scheme in ("http", "https"):
        models = MlflowServer(source, os.environ).models()
        origin = f"mlflow {there.netloc.rpartition('@')[2]}{there.path.rstrip('/')}"  # without a name and password before the host
    else:
        models = read_folder(Path(source))
        origin = f"mlflow folder {Path(source).resolve().name}"
    counts: dict[str, int] = {}
    for told in Adoption(_remote(running), origin, weights).adopt(models):
        counts[told.became] = counts.get(told.became, 0) + 1
        sys.stdout.write(f"{told.became:13}  {told.what}{': ' if told.why else ''}{told.why}\n")
    told_all = ", ".join(f"{count} {became}" for became, count in counts.items())
    sys.stdout.write(f"{told_all or 'nothing is registered there'}\n")
    if counts.get("not adopted"):
        raise typer.Exit(1)


@giving.command("mlflow")
def export_mlflow(
    to: Annotated[Path, typer.Option(help="Folder to write; `mlflow migrate-filestore` takes it into a database of MLflow.")],
    running: Running = HERE,
) -> None:
    """Write models, versions and prompts as MLflow's folder. Weights stay where they are."""
    from penstock.registry.mlflow.folder import write_folder
    from penstock.registry.mlflow.offer import offered

    sys.stdout.write(f"{write_folder(to, list(offered(_remote(running))))} models and prompts are in {to / 'models'}\n")


def _remote(running: str) -> Remote:
    # http.client takes a while to import and `--help` needs none of it.
    from penstock.remote import Remote

    return Remote.of_environment(running)
