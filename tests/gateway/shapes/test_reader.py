from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from penstock.gateway.shapes.reader import Reader, is_list, is_text
from penstock.kernel.errors import MalformedRequest


def reader(text: str, path: str = "") -> Reader:
    return Reader(msgspec.json.decode(text, type=dict[str, Raw]), path)


def test_every_kind_of_field() -> None:
    r = reader('{"s":"x","b":true,"i":3,"n":1.5,"l":["a"],"o":{"p":1},"os":[{"p":1},{"p":2}],"z":null}')
    assert (r.text("s"), r.flag("b"), r.whole("i"), r.number("n"), r.texts("l")) == ("x", True, 3, 1.5, ("a",))
    inner = r.object("o")
    assert inner is not None
    assert (inner.path, inner.whole("p")) == ("o", 1)
    assert [(one.path, one.whole("p")) for one in r.objects("os")] == [("os[0]", 1), ("os[1]", 2)]
    assert (r.text("z"), r.object("z"), r.objects("z"), r.texts("z"), r.raw("z")) == (None, None, [], (), None)
    assert r.rest() == {}


def test_what_nobody_took_is_left_and_nulls_are_not() -> None:
    r = reader('{"a":1,"b":null,"c":{"d":2}}')
    assert r.whole("a") == 1
    assert {name: bytes(raw) for name, raw in r.rest().items()} == {"c": b'{"d":2}'}
    assert r.whole("a") is None  # taken already
    raw = r.raw("c")
    assert raw is not None
    r.put_back("c", raw)
    assert r.peek("c") is raw


@pytest.mark.parametrize(
    ("text", "read", "place"),
    [
        ('{"a":1}', lambda r: r.text("a"), "m[2].a"),
        ('{"a":"x"}', lambda r: r.whole("a"), "m[2].a"),
        ('{"a":1.5}', lambda r: r.whole("a"), "m[2].a"),
        ('{"a":1}', lambda r: r.flag("a"), "m[2].a"),
        ('{"a":"1"}', lambda r: r.number("a"), "m[2].a"),
        ('{"a":[1]}', lambda r: r.texts("a"), "m[2].a"),
        ('{"a":[]}', lambda r: r.object("a"), "m[2].a"),
        ('{"a":{}}', lambda r: r.objects("a"), "m[2].a"),
        ('{"a":[{},5]}', lambda r: r.objects("a"), "m[2].a[1]"),
        ("{}", lambda r: r.need("a"), "m[2].a"),
        ('{"a":null}', lambda r: r.need("a"), "m[2].a"),
    ],
)
def test_a_wrong_field_is_named_by_its_place(text: str, read: object, place: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        read(reader(text, "m[2]"))  # type: ignore[operator]
    assert caught.value.param == place
    assert f"'{place}'" in caught.value.message


def test_what_a_value_is_by_its_first_byte() -> None:
    assert is_text(Raw(b'"x"'))
    assert not is_text(Raw(b"[1]"))
    assert is_list(Raw(b"[1]"))
    assert not is_list(Raw(b"{}"))
