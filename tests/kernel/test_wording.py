from __future__ import annotations

import pytest

from penstock.kernel.wording import as_text


def test_a_text_stays_and_the_rest_is_json() -> None:
    assert as_text('{"a": 1}') == '{"a": 1}'
    assert as_text({"a": [1, None]}) == '{"a":[1,null]}'
    assert as_text(None) == "null"


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        as_text(object())
