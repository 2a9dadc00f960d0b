"""The offer of the files."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.files.settings import FilesSettings
from penstock.kernel.capability import House, Offer


class FilesRoom:
    """Files in OpenAI's and Anthropic's shapes; a port for the other rooms, a page and commands for people."""

    name: ClassVar[str] = "files"
    settings: ClassVar[type[msgspec.Struct] | None] = FilesSettings
    migrations: ClassVar[str | None] = "penstock.files.migrations"
    commands: ClassVar[str | None] = "penstock.files.commands:app"
    templates: ClassVar[str | None] = "penstock.files"

    def open(self, house: House) -> Offer:
        """Build the parts; no file is touched yet."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.files.wiring import wire

        return wire(house)
