"""Static files under an address that changes when their content does, so that browsers may keep them for ever.

One digest covers the whole tree rather than one for each file: style sheets and ES modules name each other by relative address, and
those addresses stay right only when everything moves together.

Scripts and style sheets are sent compressed to whoever takes that, and our own scripts without their comments and indentation: all pages
together stay below 150 KB of script.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

FOR_EVER = "public, max-age=31536000, immutable"
VENDORED = "vendor/"
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


class StaticFiles:
    """The console's own static files and those of capabilities, held in memory: together they are a few hundred kilobytes.

    A capability's files live under its name (`observability/waterfall.js`), the console's own at the top.
    """

    def __init__(self, folder: Path, prefix: str = "/console/static") -> None:
        self._prefix = prefix
        self._files: dict[str, tuple[bytes, str]] = {}
        self._packed: dict[str, bytes] = {}
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
            content = path.read_bytes()
            self._files[key] = (trimmed(content) if path.suffix == ".js" and VENDORED not in key else content, kind)
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

    def sizes(self, suffix: str) -> dict[str, int]:
        """Bytes of every file whose name ends so, as they are served to who takes nothing compressed."""
        return {key: len(content) for key, (content, _) in self._files.items() if key.endswith(suffix)}

    def _compressed(self, key: str) -> bytes:
        # A few milliseconds each, and not before somebody asks for it.
        found = self._packed.get(key)
        if found is None:
            found = self._packed[key] = gzip.compress(self._files[key][0], 9, mtime=0)
        return found

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
        headers = {"Content-Type": kind, "Cache-Control": FOR_EVER if current else "no-store", "X-Content-Type-Options": "nosniff"}
        if kind.startswith("text/"):
            headers["Vary"] = "Accept-Encoding"
            if "gzip" in request.headers.get("accept-encoding", ""):
                headers["Content-Encoding"] = "gzip"
                content = self._compressed(request.path_params["path"])
        return Response(content, headers=headers)


def trimmed(script: bytes) -> bytes:
    """A script of ours without what only its readers need: comments that have lines of their own, indentation, empty lines.

    Lines are never joined, and our scripts have no text over several lines (`tests/console/test_assets.py` looks), so it means the same.
    """
    lines: list[bytes] = []
    comment = False
    for raw in script.split(b"\n"):
        line = raw.strip()
        if comment or line.startswith(b"/*"):
            comment = not line.endswith(b"*/")
        elif line and not line.startswith(b"//"):
            lines.append(line)
    return b"\n".join(lines) + b"\n"
