from __future__ import annotations

import base64
import hashlib
import hmac

from penstock.kernel.signing import signature, verify


def test_it_is_what_standard_webhooks_says() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    given = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    # The example of the specification.
    assert given == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_plain_secrets_sign_too() -> None:
    told = hmac.new(b"plain", b"id.7.body", hashlib.sha256).digest()
    assert signature("plain", "id", 7, b"body") == "v1," + base64.b64encode(told).decode()
    assert verify("plain", "id", 7, b"body", "v1,xx " + signature("plain", "id", 7, b"body"))
    assert not verify("plain", "id", 8, b"body", signature("plain", "id", 7, b"body"))
    assert not verify("other", "id", 7, b"body", signature("plain", "id", 7, b"body"))
