from __future__ import annotations

import pytest
from msgspec import Raw

from penstock.gateway.shapes.expressible import Audit
from penstock.kernel.errors import NotExpressible
from penstock.kernel.messages import Request

HARMLESS = {"seedling": frozenset[bytes](), "mode": frozenset({b'"off"'})}


def audit(shape: str, target: str = "b") -> tuple[Audit, Request]:
    request = Request(shape=shape, messages=())
    return Audit(request, target, HARMLESS), request


def test_to_its_own_shape_everything_goes() -> None:
    found, request = audit("b")
    extra = {"unknown": Raw(b"1")}
    assert found.extra(extra) is extra
    assert request.dropped == []


def test_to_another_only_what_is_harmless_is_left_out_and_told() -> None:
    found, request = audit("a")
    assert found.extra({"seedling": Raw(b"7"), "mode": Raw(b'"off"')}, "tools") == {}
    assert request.dropped == ["tools.seedling", "tools.mode"]
    found.drop("tools.mode")
    assert request.dropped == ["tools.seedling", "tools.mode"]


@pytest.mark.parametrize(("name", "value"), [("unknown", b"1"), ("mode", b'"on"')])
def test_what_matters_is_refused_by_name(name: str, value: bytes) -> None:
    found, _ = audit("a")
    with pytest.raises(NotExpressible, match=rf"'messages\.{name}' cannot be expressed for a provider that speaks b") as caught:
        found.extra({name: Raw(value)}, "messages")
    assert caught.value.param == f"messages.{name}"


def test_what_is_opaque_goes_only_home() -> None:
    found, _ = audit("a")
    found.own("b", "web_search", "tools")
    with pytest.raises(NotExpressible, match="only a knows what 'web_search' is"):
        found.own("a", "web_search", "tools")
