"""Static files under an address that changes when their content does, so that browsers may keep them for ever.

One digest covers the whole tree rather than one for each file: style sheets and ES modules name each other by relative address, and
those addresses stay right only when everything moves together.
"""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

FOR_EVER = "public, max-age=31536000, immutable"
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


class StaticFiles:
    """The console's own static files and those of capabilities, held in memory: together they are a few hundred kilobytes.

    A capability's files live under its name (`observability/waterfall.js`), the console's own at the top.
    """

    def __init__(self, folder: Path, prefix: str = "/console/static") -> None:
        self._prefix = prefix
        self._files: dict[str, tuple[bytes, str]] = {}
        self._digest: str | None = None
        self.add("", folder)

    def add(self, name: str, folder: Path) -> None:
        """Serve every file below `folder` under `name`. Raises `ValueError` when a path is taken already."""
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            inside = path.relative_to(folder).as_posix()
            key = f"{name}/{inside}" if name else inside
            if key in self._files:
                raise ValueError(f"two static files are called {key!r}")
            kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            self._files[key] = (path.read_bytes(), kind)
        self._digest = None

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change when any file or file name does."""
        if self._digest is None:
            total = hashlib.sha256()
            for key in sorted(self._files):
                total.update(key.encode() + b"\0" + hashlib.sha256(self._files[key][0]).digest())
            self._digest = total.hexdigest()[:12]
        return self._digest

    def url(self, path: str) -> str:
        """Return the address of a file. Raises `KeyError` for one that is not there, so that a typo fails in a test, not on a page."""
        if path not in self._files:
            raise KeyError(f"no static file {path!r}")
        return f"{self._prefix}/{self.digest}/{path}"

    async def serve(self, request: Request) -> Response:
        """Answer `GET {prefix}/{digest}/{path}`.

        An old digest, from a page that was open while Penstock was upgraded, gets the present file with a word that it must not be
        kept; an unknown path gets 404.
        """
        found = self._files.get(request.path_params["path"])
        if found is None:
            return PlainTextResponse("No such file.\n", status_code=404)
        content, kind = found
        current = request.path_params["digest"] == self.digest
        return Response(
            content,
            headers={
                "Content-Type": kind,
                "Cache-Control": FOR_EVER if current else "no-store",
                "X-Content-Type-Options": "nosniff",
            },
        )
