"""Pages: what the shell holds, what the policy forbids, what is escaped, and how a capability's templates come in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser

import jinja2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from penstock.console import CONTENT_SECURITY_POLICY, Console, Viewer, gallery, toast
from penstock.console.render import HERE
from penstock.kernel.web import NavItem

NASTY = '"><script>alert(1)</script>'
CONTEXTS: dict[str, dict[str, object]] = {
    "console/gallery.html": {"sample": gallery.sample(), "viewer": gallery.VIEWER},
    "console/playground.html": {"viewer": gallery.VIEWER},
    "console/sign_in.html": {"error": "This key is not known."},
    "console/error.html": {"error_status": 404, "error_detail": "Gone.", "error_code": "not_found", "error_trace_id": "4bf9"},
}


class Page(HTMLParser):
    """The elements of a page, with the text inside scripts and labels."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def console() -> Console:
    made = Console(version="1.2.3")
    made.add_navigation(*gallery.NAVIGATION)
    return made


@pytest.fixture(params=sorted(CONTEXTS))
def page(request: pytest.FixtureRequest, console: Console) -> Page:
    return Page(console.render(request.param, title="A page", path="/console/calls", **CONTEXTS[request.param]))


def test_every_template_of_a_page_is_drawn_here() -> None:
    parts = {"console/base.html", "console/components.html"}
    assert {f"console/{path.name}" for path in (HERE / "templates").iterdir()} - parts == set(CONTEXTS)


def test_nothing_that_the_policy_forbids(page: Page) -> None:
    for tag, attributes in page.elements:
        assert "style" not in attributes, (tag, attributes)
        assert not [name for name in attributes if name.startswith(("on", "hx-on"))], (tag, attributes)
        assert tag not in {"style", "iframe", "object", "base"}
        if tag == "script":
            assert attributes.get("type") == "application/json" or str(attributes["src"]).startswith("/console/static/")
        for name in ("src", "href", "action"):
            assert not re.match(r"(https?:|//|javascript:|data:)", attributes.get(name) or ""), (tag, attributes)


def test_identifiers_are_unique_and_what_points_at_them_finds_them(page: Page) -> None:
    identifiers = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert [name for name, times in identifiers.items() if times > 1] == []
    for tag, attributes in page.elements:
        for name in ("for", "aria-labelledby", "aria-describedby", "aria-controls", "popovertarget", "data-dialog-open"):
            for target in (attributes.get(name) or "").split():
                assert target in identifiers, (tag, name, target)


def test_every_control_has_a_name(page: Page) -> None:
    labelled = {attributes["for"] for attributes in page.all("label")}
    for attributes in page.all("input", "select", "textarea"):
        hidden = attributes.get("type") == "hidden" or attributes.get("aria-hidden") == "true"
        assert hidden or attributes["id"] in labelled, attributes


def test_one_main_one_first_heading_and_a_way_past_the_navigation(page: Page) -> None:
    assert len(page.all("main")) == len(page.all("h1")) == 1
    assert page.all("a")[0] == {"class": "skip-link", "href": "#content"}
    assert page.all("main")[0]["id"] == "content"


def test_htmx_may_neither_evaluate_nor_style_nor_keep_pages(console: Console) -> None:
    text = console.render("console/sign_in.html", title="Sign in")
    (meta,) = [attributes for attributes in Page(text).all("meta") if attributes.get("name") == "htmx-config"]
    config = json.loads(meta["content"] or "")
    assert config["allowEval"] is config["includeIndicatorStyles"] is config["allowScriptTags"] is False
    assert config["historyCacheSize"] == 0  # htmx would keep prompts in localStorage


def test_what_people_wrote_is_escaped_everywhere(console: Console) -> None:
    ui = console.environment.from_string(
        '{% import "console/components.html" as ui %}'
        "{{ ui.badge(x, title=x) }}{{ ui.status(x) }}{{ ui.stat(x, x, sub=x) }}{{ ui.key_value([(x, x)]) }}{{ ui.code_block(x, x) }}"
        "{{ ui.button(x, href=x, attrs={'hx-get': x}) }}{{ ui.field('n', x, value=x, help=x, error=x, placeholder=x) }}"
        "{{ ui.field('m', x, value=x, type='area') }}{{ ui.select('s', x, [(x, x)], value=x) }}{{ ui.notice(x, title=x) }}"
        "{{ ui.empty_state(x, x) }}{{ ui.chip(x, x) }}{{ ui.cell(x, x, href=x) }}{{ ui.meter(x, 1, 2, x, x) }}"
        "{{ ui.bar_list([{'label': x, 'value': 1, 'text': x, 'href': x}]) }}{{ ui.segmented([(x, x, x)], x) }}"
        "{{ ui.waterfall([{'label': x, 'start': 0, 'duration': 1, 'note': x, 'detail': x}], 1) }}{{ ui.tabs('t', [(x, x)]) }}"
        "{{ ui.chart('c', x, [1], [{'label': x, 'values': [1]}]) }}{{ ui.pagination(x, x, x) }}{{ ui.search(value=x) }}"
        "{{ ui.page_header(x, x) }}{{ ui.checkbox('b', x, value=x, help=x) }}{{ icon('check', x) }}"
    )
    text = ui.render(x=NASTY)
    assert "<script>alert" not in text
    scripts = [attributes for attributes in Page(text).all("script") if attributes.get("type") != "application/json"]
    assert scripts == []


def test_markup_of_other_components_is_kept(console: Console) -> None:
    text = console.environment.from_string('{% import "console/components.html" as ui %}{{ ui.cell("Status", ui.status("ok")) }}').render()
    assert '<span class="badge tone-ok">' in text


def test_the_navigation_marks_where_one_is_and_offers_the_way(console: Console) -> None:
    text = console.render("console/playground.html", title="Playground", viewer=gallery.VIEWER, path="/console/playground")
    links = [attributes for attributes in Page(text).all("a") if "data-goto" in attributes]
    assert [link["href"] for link in links if link.get("aria-current") == "page"] == ["/console/playground"]
    assert {link["data-goto"] for link in links} == {item.shortcut for item in gallery.NAVIGATION}
    assert "Penstock 1.2.3" in text


def test_a_stranger_sees_no_navigation_and_no_account(console: Console) -> None:
    text = console.render("console/sign_in.html", title="Sign in")
    assert 'id="sidebar"' not in text
    assert 'id="account"' not in text


def test_a_name_that_the_context_lacks_is_an_error(console: Console) -> None:
    with pytest.raises(jinja2.UndefinedError, match="sample"):
        console.render("console/gallery.html", title="Gallery", viewer=gallery.VIEWER)


def test_figures_that_are_not_known_are_dashes_and_never_zeros(console: Console) -> None:
    text = console.environment.from_string(
        '{% import "console/components.html" as ui %}'
        "{{ ui.money(none) }}{{ ui.duration(none) }}{{ ui.time(none) }}{{ ui.tokens(none, none) }}{{ ui.key_value([('k', none)]) }}"
    ).render()
    assert text.count("—") == 6  # the tokens' title says it too
    assert "0" not in re.sub(r"<[^>]*>", "", text)


async def test_pages_carry_the_headers_and_the_viewer_of_the_request() -> None:
    console = Console()

    async def answer(request: Request) -> Response:
        request.state.viewer = Viewer(name="Grace Hopper", role="member")
        return console.page(request, "console/playground.html", title="Playground")

    async def gone(request: Request) -> Response:
        return console.error(request, 404, "No such call", "It never was.", code="not_found")

    client = TestClient(Starlette(routes=[*console.routes(), Route("/p", answer), Route("/gone", gone)]), follow_redirects=False)
    response = client.get("/p")
    assert response.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "same-origin"
    assert response.headers["cache-control"] == "no-store"
    assert "Grace Hopper" in response.text
    assert client.get("/").headers["location"] == "/console/"
    assert client.get("/favicon.ico").headers["location"] == console.static.url("favicon.svg")
    error = client.get("/gone")
    assert error.status_code == 404
    assert "not_found" in error.text


def test_the_policy_is_the_strict_one() -> None:
    assert CONTENT_SECURITY_POLICY == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def test_a_capability_brings_templates_and_navigation_once() -> None:
    console = Console()
    console.add("console_sample", package="console_sample", navigation=[NavItem("Live", "/console/live", "calls", "Observe")])
    assert "Live" in console.render("console_sample/live.html", title="Live", viewer=gallery.VIEWER, path="/console/live")
    with pytest.raises(ValueError, match="called 'console_sample' already"):
        console.add("console_sample", package="console_sample")
    with pytest.raises(ValueError, match="share the address"):
        console.add_navigation(NavItem("Other", "/console/live", "calls", "Observe"))


def test_a_fragment_is_the_component_alone(console: Console) -> None:
    assert console.fragment("console/components.html", "badge", text="new", tone="ok") == '<span class="badge tone-ok">new</span>'


def test_a_toast_survives_any_letters() -> None:
    response = toast(HTMLResponse(""), "Schlüssel „x“ widerrufen", "warn")
    assert json.loads(response.headers["hx-trigger"]) == {"toast": {"text": "Schlüssel „x“ widerrufen", "kind": "warn"}}


def test_modules_name_only_files_that_are_there() -> None:
    static = HERE / "static"
    for module in static.glob("*.js"):
        for name in re.findall(r'(?:from|import|new URL)\s*\(?\s*"(\./[^"]+)"', module.read_text()):
            assert (static / name).is_file(), f"{module.name} names {name}"


def test_importing_the_console_leaves_jinja_alone() -> None:
    code = "import sys, penstock.console; penstock.console.Console(); print('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
