"""``penstock ledger``: commands about money that look at the database directly."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="ledger", help="The ledger and its prices.", no_args_is_help=True)
Config = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file; default: penstock.toml when it is there.")]


@app.command()
def verify(config: Config = None) -> None:
    """Compute every row's amount again, follow corrections, look into the journals; exit with 1 when something is wrong."""
    from penstock.finops.audit import verify_ledger

    found = verify_ledger(config)
    for line in found.faults[:20]:
        sys.stdout.write(f"wrong: {line}\n")
    if found.waiting:
        sys.stdout.write(f"{found.waiting} rows of a process that was killed wait in its journal; the next start moves them\n")
    if found.held:
        sys.stdout.write(f"{found.held} journals are held by running processes and were not looked into\n")
    sys.stdout.write(f"{found.checked} rows checked, {len(found.faults)} faults\n")
    raise typer.Exit(1 if found.faults else 0)


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
