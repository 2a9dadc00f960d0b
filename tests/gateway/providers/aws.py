"""What AWS's side of a conversation does: checks signatures by the published rules, writes event streams.

The rules of signatures: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. Written anew here, so
that it judges what botocore's signer and our client make of them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from urllib.parse import quote, unquote


def signed_properly(head: bytes, body: bytes, secret: str, region: str, service: str = "bedrock") -> str | None:
    """None when the signature in a request's head is right, else what is wrong with it."""
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    kind, _, rest = headers["authorization"].partition(" ")
    if kind != "AWS4-HMAC-SHA256":
        return f"signed as {kind}"
    given = dict(part.strip().split("=", 1) for part in rest.split(","))
    _, scope = given["Credential"].split("/", 1)
    names = given["SignedHeaders"].split(";")
    if not {"host", "x-amz-date"} <= set(names) or ("x-amz-security-token" in headers and "x-amz-security-token" not in names):
        return f"only {names} are signed"
    moment = headers["x-amz-date"]
    if scope != f"{moment[:8]}/{region}/{service}/aws4_request":
        return f"the scope is {scope}"
    path, _, query = target.partition("?")
    pairs = sorted(
        (quote(unquote(k), safe="-_.~"), quote(unquote(v), safe="-_.~")) for k, _, v in (p.partition("=") for p in query.split("&") if p)
    )
    canonical = "\n".join(
        (
            method,
            quote(path, safe="/-_.~"),  # encoded once on the wire and once more here, as for every service but S3
            "&".join(f"{k}={v}" for k, v in pairs),
            *(f"{name}:{headers[name]}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        )
    )
    to_sign = "\n".join(("AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{secret}".encode()
    for part in (moment[:8], region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    wanted = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    return None if hmac.compare_digest(wanted, given["Signature"]) else "the signature is another one"


def message(headers: dict[str, str], payload: bytes) -> bytes:
    """One message of an event stream (``application/vnd.amazon.eventstream``), headers all text."""
    coded = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + len(value).to_bytes(2, "big") + value.encode() for name, value in headers.items()
    )
    prelude = (16 + len(coded) + len(payload)).to_bytes(4, "big") + len(coded).to_bytes(4, "big")
    whole = prelude + zlib.crc32(prelude).to_bytes(4, "big") + coded + payload
    return whole + zlib.crc32(whole).to_bytes(4, "big")


def event(kind: str, payload: object, *, exception: bool = False) -> bytes:
    """One event of a stream of Converse, or the exception that ends it."""
    what = "exception" if exception else "event"
    named = {f":{what}-type": kind, ":content-type": "application/json", ":message-type": what}
    return message(named, json.dumps(payload).encode())
