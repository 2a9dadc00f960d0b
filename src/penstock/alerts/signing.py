"""Secrets of webhooks that were made over the API: they stand nowhere. Each is derived from one secret of the installation, which a
variable holds or, on one machine, a file in the data folder that only its owner may read.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

from penstock.kernel.signing import PREFIX
from penstock.storage.sealing import installation_secret

FILE = "webhooks.key"


def derived(master: bytes, id: str, turn: int) -> str:
    """The secret of a subscription; each ``turn`` has another one."""
    return PREFIX + base64.b64encode(hmac.new(master, f"webhook:{id}:{turn}".encode(), hashlib.sha256).digest()).decode()


def master_secret(folder: Path, value: str | None) -> bytes:
    """The installation's secret: what the variable holds, or else what the file holds, which is made where it is missing. Raises
    `SettingsError`."""
    return installation_secret(folder / FILE, value, "alerts.signing_env", "webhooks")
