"""``penstock ledger``: commands about money that look at the database directly."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="ledger", help="The ledger and its prices.", no_args_is_help=True)
Config = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file; default: penstock.toml when it is there.")]

Running = Annotated[
    str | None,
    typer.Option(
        "--running", help="Address of a running Penstock: compare also what it says of its budgets, with the key in PENSTOCK_KEY."
    ),
]


@app.command()
def verify(config: Config = None, running: Running = None) -> None:
    """Compute every amount again, follow corrections, add up budgets, read the journals; exit with 1 when something is wrong."""
    from penstock.finops.audit import verify_ledger

    found = verify_ledger(config, running, os.environ.get("PENSTOCK_KEY", ""))
    for line in found.faults:
        sys.stdout.write(f"wrong: {line}\n")
    if found.wrong > len(found.faults):
        sys.stdout.write(f"wrong: {found.wrong - len(found.faults)} more\n")
    journals = found.journals
    if journals.waiting:
        sys.stdout.write(f"{journals.waiting} rows of processes that were killed wait in their journals; the next start moves them\n")
    if journals.moving:
        sys.stdout.write(f"{journals.moving} rows are on their way from the journals of running processes\n")
    if journals.cut_off:
        sys.stdout.write(f"{journals.cut_off} bytes of writes that a kill cut off, which no client was told of\n")
    sys.stdout.write(
        f"{found.checked} rows checked, {found.corrections} of them corrections; {found.budgets} budgets added up;"
        + (f" {found.compared} compared with what is said at {running};" if running else "")
        + f" {journals.spools} journals, {journals.held} of them in use; {found.wrong} faults\n"
    )
    raise typer.Exit(1 if found.wrong else 0)


@app.command("refresh-prices")
def refresh_prices(config: Config = None) -> None:
    """Take the list prices of the installed genai-prices package; a Penstock that is started after this uses them."""
    from penstock.finops.pricelist import REFRESHED_NAME, write
    from penstock.finops.settings import FinopsSettings
    from penstock.finops.snapshot import PACKAGE, build, installed_version
    from penstock.kernel.errors import SettingsError
    from penstock.settings import ServerSettings, load

    if installed_version() is None:
        raise SettingsError(f"{PACKAGE} is not installed here; install penstock[prices], or {PACKAGE} itself for newer prices")
    folder = Path(load({"finops": FinopsSettings}, file=config, others=True).of(ServerSettings).data_dir)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    prices = build()
    write(prices, folder / REFRESHED_NAME)
    models = sum(len(provider.models) for provider in prices.providers)
    sys.stdout.write(f"{folder / REFRESHED_NAME}: {models} models of {len(prices.providers)} providers, {PACKAGE} {prices.version}\n")
