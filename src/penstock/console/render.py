"""The console's engine: templates in, pages with the right headers out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from penstock.console.assets import StaticFiles
from penstock.console.formats import FILTERS
from penstock.console.headers import PAGE_HEADERS
from penstock.console.icons import icon
from penstock.console.navigation import NavSection, Viewer, active_href, arrange
from penstock.kernel.web import NavItem

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment
    from starlette.requests import Request

HERE = Path(__file__).parent
HOME = "/console/"

Crumb = tuple[str, str]
"""A label and its address: one step of the way back."""

ToastKind = Literal["ok", "info", "warn", "bad"]


class Console:
    """The shell that every capability's pages are drawn in.

    Made once in the composition root; capabilities add their templates, static files and navigation before the first page is asked
    for. Templates are named by who brought them: `console/base.html`, `observability/calls.html`.
    """

    def __init__(self, *, product: str = "Penstock", version: str = "") -> None:
        self.product = product
        self.version = version
        self.static = StaticFiles(HERE / "static")
        self._packages: dict[str, str] = {"console": "penstock.console"}
        self._items: list[NavItem] = []

    def add(self, name: str, *, package: str, navigation: Iterable[NavItem] = (), static: Path | None = None) -> None:
        """Take in a capability's pages.

        `package` is the import name whose `templates/` folder becomes `{name}/...`; `static` is a folder served as `{name}/...`.
        Raises `ValueError` when `name` is taken, when two files share a path, or when two navigation items share an address or a
        shortcut: a mistake of the programme, found at start.
        """
        if name in self._packages:
            raise ValueError(f"the console has templates called {name!r} already")
        items = [*self._items, *navigation]
        arrange(items)
        self._packages[name] = package
        self._items = items
        self.__dict__.pop("environment", None)
        if static is not None:
            self.static.add(name, static)

    def add_navigation(self, *items: NavItem) -> None:
        """Put lines in the navigation; raises `ValueError` as `add` does."""
        combined = [*self._items, *items]
        arrange(combined)
        self._items = combined

    @cached_property
    def environment(self) -> Environment:
        """The Jinja environment: autoescaped always, and a name that is not there is an error rather than an empty string."""
        # Jinja takes about 50 ms to import and a process that only serves models never draws a page.
        from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined

        loaders: dict[str, BaseLoader] = {name: PackageLoader(package) for name, package in self._packages.items()}
        environment = Environment(
            loader=PrefixLoader(loaders),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        offered: dict[str, object] = {
            "icon": icon,
            "static_url": self.static.url,
            "product": self.product,
            "version": self.version,
        }
        # Jinja declares both with the types of its own defaults only.
        cast("dict[str, object]", environment.filters).update(FILTERS)
        cast("dict[str, object]", environment.globals).update(offered)
        return environment

    def navigation(self) -> tuple[NavSection, ...]:
        """The navigation as the sidebar shows it."""
        return arrange(self._items)

    def render(
        self,
        template: str,
        *,
        title: str,
        viewer: Viewer | None = None,
        path: str = "",
        crumbs: Sequence[Crumb] = (),
        **context: object,
    ) -> str:
        """Draw a whole page.

        `title` is plain text. `path` is the page's own path, which marks its line in the navigation. Without a viewer the shell has
        no navigation and no account menu: the sign-in page. Raises Jinja's `TemplateNotFound` and `UndefinedError`.
        """
        sections = self.navigation() if viewer else ()
        return self.environment.get_template(template).render(
            title=title,
            viewer=viewer,
            sections=sections,
            active=active_href(sections, path),
            crumbs=crumbs,
            **context,
        )

    def fragment(self, template: str, macro: str | None = None, /, **context: object) -> str:
        """Draw a part of a page without the shell, as htmx and live streams want it.

        With `macro`, call that macro of the template with the context as keyword arguments; without, draw the template.
        """
        loaded = self.environment.get_template(template)
        if macro is None:
            return loaded.render(**context)
        return str(getattr(loaded.module, macro)(**context))

    def page(
        self,
        request: Request,
        template: str,
        *,
        title: str,
        viewer: Viewer | None = None,
        status: int = 200,
        crumbs: Sequence[Crumb] = (),
        **context: object,
    ) -> HTMLResponse:
        """Answer a request with a page. The viewer is the one given, or `request.state.viewer` where a guard has put one."""
        if viewer is None:
            viewer = getattr(request.state, "viewer", None)
        text = self.render(template, title=title, viewer=viewer, path=request.url.path, crumbs=crumbs, **context)
        return HTMLResponse(text, status_code=status, headers=dict(PAGE_HEADERS))

    def part(self, template: str, macro: str | None = None, /, **context: object) -> HTMLResponse:
        """Answer with a fragment, under the same headers as a page."""
        return HTMLResponse(self.fragment(template, macro, **context), headers=dict(PAGE_HEADERS))

    def error(self, request: Request, status: int, heading: str, detail: str, *, code: str = "", trace_id: str = "") -> HTMLResponse:
        """Answer with the error page: what was wrong, in words that may be shown, and what can be done.

        `detail` reaches the reader as it is: never put a secret or a stack trace there. `code` is the stable code of the error tree.
        """
        return self.page(
            request,
            "console/error.html",
            title=heading,
            status=status,
            error_status=status,
            error_detail=detail,
            error_code=code,
            error_trace_id=trace_id,
        )

    def routes(self) -> list[Route]:
        """The routes that belong to nobody else: static files, the icon, and `/`, which leads to the console."""

        async def home(request: Request) -> Response:
            return RedirectResponse(HOME, status_code=307)

        async def favicon(request: Request) -> Response:
            return RedirectResponse(self.static.url("favicon.svg"), status_code=307)

        return [
            Route("/console/static/{digest}/{path:path}", self.static.serve, name="console-static"),
            Route("/favicon.ico", favicon),
            Route("/", home),
        ]


def toast(response: Response, text: str, kind: ToastKind = "ok") -> Response:
    """Have the page that htmx called from show a short message when this response arrives; return the same response."""
    # Header values are Latin-1, so everything else is escaped by json.
    response.headers["HX-Trigger"] = json.dumps({"toast": {"text": text, "kind": kind}})
    return response
