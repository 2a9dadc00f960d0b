"""Secrets of webhooks that were made over the API: they stand nowhere. Each is derived from one secret of the installation, which a
variable holds or, on one machine, a file in the data folder that only its owner may read.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
from pathlib import Path

from penstock.kernel.errors import SettingsError
from penstock.kernel.signing import PREFIX

FILE = "webhooks.key"


def derived(master: bytes, id: str, turn: int) -> str:
    """The secret of a subscription; each ``turn`` has another one."""
    return PREFIX + base64.b64encode(hmac.new(master, f"webhook:{id}:{turn}".encode(), hashlib.sha256).digest()).decode()


def master_secret(folder: Path, value: str | None) -> bytes:
    """The installation's secret: what the variable holds, or else what the file holds, which is made where it is missing. Processes that
    start together make one: whoever comes second reads the first one's. Raises `SettingsError`."""
    if value:
        if len(value) < 16:
            raise SettingsError("the variable that alerts.signing_env names holds fewer than 16 characters", param="alerts.signing_env")
        return value.encode()
    file = folder / FILE
    try:
        if not file.exists():
            fresh = folder / f"{FILE}.{os.getpid()}"
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(os.urandom(32))
                out.flush()
                os.fsync(out.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(fresh, file)  # unlike a rename it does not replace what another process has made meanwhile
            fresh.unlink()
        found = file.read_bytes()
    except OSError as fault:
        raise SettingsError(f"{file}: the secret that signs webhooks cannot be kept there: {fault.strerror}") from fault
    if len(found) < 16:
        raise SettingsError(f"{file}: the secret that signs webhooks is damaged; remove the file, and give receivers their new secrets")
    return found
