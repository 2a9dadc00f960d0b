from __future__ import annotations

import pytest

from penstock.alerts.guard import check_url
from penstock.kernel.errors import RequestError


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/", "example.org", "https://", "http://example.org/", "https://me:secret@example.org/", "https://10.0.0.1/x",
        "https://localhost:9/", "https://[::1]/", "https://example.org/a b", "https://example.org:99999/", "https://exa\nmple.org/",
        "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/", "https://127\u30020\u30020\u30021/", "https://\u24dbocalhost/", "https://127.0.0.1./",
    ],
)  # fmt: skip
def test_what_others_may_not_name(url: str) -> None:
    with pytest.raises(RequestError):
        check_url(url, private=False)


def test_what_may_be_named() -> None:
    check_url("https://hooks.example.org/path?x=1", private=False)
    check_url("http://127.0.0.1:8080/", private=True)
    with pytest.raises(RequestError, match="no user and password"):
        check_url("http://a:b@127.0.0.1/", private=True)
