"""The files in the console: what is stored, for whom, until when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from penstock.console import Console, toast
from penstock.files.service import ID, FileService
from penstock.files.wire import PURPOSES
from penstock.kernel.errors import MalformedRequest
from penstock.kernel.ports import Directory, Ports
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.web import Page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PAGE = "/console/files"
PER_PAGE = 50
_UNITS = ("B", "kB", "MB", "GB", "TB")


def pages(ports: Ports, files: FileService) -> Sequence[Page]:
    """The list, and the button that deletes."""

    def name(id: str | None) -> str:
        directory = ports.find(Directory)
        return directory.name(id) if directory is not None else id or ""

    async def listing(request: Request, principal: Principal) -> Response:
        query = request.query_params
        purpose, after = query.get("purpose", ""), query.get("after", "")
        if (purpose and purpose not in PURPOSES) or (after and ID.fullmatch(after) is None):
            raise MalformedRequest("the filter names no purpose or no file that there could be", param="purpose")
        found = await files.list(principal.reach, purpose=purpose or None, after=after or None, limit=PER_PAGE + 1)
        shown, more = found[:PER_PAGE], len(found) > PER_PAGE
        count, size = await files.used(principal.organisation)
        kept = {"purpose": purpose} if purpose else {}
        return ports.get(Console).page(
            request,
            "files/files.html",
            title="Files",
            rows=[
                {"file": file, "size": in_units(file.size), "organisation": name(file.organisation), "by": name(file.created_by)}
                for file in shown
            ],
            purposes=[("", "Any purpose"), *((one, one) for one in PURPOSES)],
            purpose=purpose,
            tenants=principal.reach is None,
            may_call=principal.may(Scope.CALL),
            used=f"{in_units(size)} of {in_units(files.settings.max_organisation_bytes)}",
            count=count,
            newest=f"{PAGE}?{urlencode(kept)}" if after else "",
            older=f"{PAGE}?{urlencode({**kept, 'after': shown[-1].id})}" if more else "",
        )

    async def delete(request: Request, principal: Principal) -> Response:
        from starlette.responses import RedirectResponse

        await files.delete(principal.reach, request.path_params["id"])
        return toast(RedirectResponse(PAGE, 303), "File deleted")

    return (
        Page(path=PAGE, handler=listing),
        Page(path=f"{PAGE}/{{id}}/delete", handler=delete, scope=Scope.CALL, methods=("POST",)),
    )


def in_units(size: float) -> str:
    """Bytes in the largest unit of thousands that leaves at least one before the point: ``1.5 MB``."""
    unit = 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size /= 1000
        unit += 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 or size >= 99.5 else f"{size:.1f} {_UNITS[unit]}"
