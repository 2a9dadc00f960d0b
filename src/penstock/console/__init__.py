"""The console: the shell, the components and the static files that every capability's pages are drawn with.

**Adding a page.** A capability `observability` puts `calls.html` into its own `templates/` folder:

    {% extends "console/base.html" %}
    {% block content %}
    {{ ui.page_header("Calls", "What was asked, what it cost.") }}
    {% call ui.card(flush=true) %}
      {% call(row) ui.table([{"label": "Model"}, {"label": "Cost", "num": true}], calls, "Calls", href="href") %}
        {{ ui.cell("Model", row.model, lead=true, href=row.href) }}
        {{ ui.cell("Cost", ui.money(row.cost_micros), num=true) }}
      {% endcall %}
    {% endcall %}
    {% endblock %}

says where its templates are (`templates = "penstock.observability"`; a `static/` folder beside them is served as `observability/...`)
and offers the page and its line in the navigation:

    async def calls(request: Request, principal: Principal) -> Response:
        rows = await service.calls(request.query_params)
        return console.page(request, "observability/calls.html", title="Calls", calls=rows)

    Offer(
        pages=[Page(path="/console/calls", handler=calls)],
        nav=[NavItem("Calls", "/console/calls", "calls", "Observe", 10, shortcut="c")],
    )

The shell shows whoever is at `request.state.viewer`, which the guard of pages puts there, or the `viewer` that the handler passes.

**What a page may count on.** `ui` holds every macro of `console/components.html`; the filters of `formats.py` write money (integer
micro-units), durations (milliseconds), counts, shares and times; `icon(name)` and `static_url(path)` are there. Names that the
context lacks are errors, so pass `None` for what is not known: it is shown as a dash, never as zero.

**What it may not do.** The Content-Security-Policy allows no inline script, no `style` attribute, no `on...` attribute and nothing
from other hosts. Widths of bars are SVG attributes, behaviour is a module: `{% block head %}<script type="module"
src="{{ static_url('observability/calls.js') }}"></script>{% endblock %}`.

**Filters** are in the URL: wrap fields in `ui.filter_bar(action, target="results")` and the list in `<div id="results">`. The handler
always draws the whole page; htmx takes the part that it needs. **Live pages** use htmx's `sse-connect` and `sse-swap`; the shell
pauses streams of hidden tabs, reconnects, and shows the state. An event named `chart` with `{"id", "x", "series"}` moves a chart.
**Tables** answer to j, k and Enter when rows have an address. **After a form post** that htmx sent, `toast(response, "Key revoked")`.

`penstock.console.gallery` and `console/gallery.html` show everything; look there after changing a component.
"""

from penstock.console.headers import CONTENT_SECURITY_POLICY, PAGE_HEADERS
from penstock.console.navigation import Viewer
from penstock.console.render import Console, Crumb, toast
from penstock.kernel.web import NavItem

__all__ = [
    "CONTENT_SECURITY_POLICY",
    "PAGE_HEADERS",
    "Console",
    "Crumb",
    "NavItem",
    "Viewer",
    "toast",
]
