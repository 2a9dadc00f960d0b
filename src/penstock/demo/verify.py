"""Whether what Penstock says of the demo's traffic is what happened to it, asked through the same API and pages that people use."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import urljoin

import aiohttp
import msgspec

from penstock.demo.asks import BURST_CALLS, BURST_LIMIT, EMBEDDINGS, RESILIENT, SANDBOX_CALLS
from penstock.demo.client import Heard
from penstock.demo.money import expected
from penstock.demo.organisation import SANDBOX_LIMIT

DIMENSIONS = 384
_NAMED = 3


class Check(msgspec.Struct, frozen=True):
    """One thing that was verified: what, what was found, and whether it is right."""

    what: str
    found: str
    right: bool


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What Penstock says afterwards. Amounts are micro-dollars.

    ``calls`` are the records by id; ``rows`` the ledger's rows by call; ``spent`` the sum of the spending by team; ``sandbox`` what the
    sandbox's budget says is spent; ``dropped`` how many records were dropped; ``overview`` the overview's count of calls and their cost;
    ``kept`` what is kept of some calls' prompts and replies, by call.
    """

    calls: Mapping[str, Mapping[str, Any]]
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    spent: int
    sandbox: int
    dropped: int
    overview: tuple[int, int]
    kept: Mapping[str, Mapping[str, Any]]


def replies(heard: Sequence[Heard]) -> list[Check]:
    """What the applications themselves could see: texts, refusals, limits."""
    checks: list[Check] = []
    for kind, streamed in (("whole", False), ("streamed", True)):
        mine = [h for h in heard if h.complete and h.ask.sample is not None and h.ask.stream == streamed]
        wrong = [h for h in mine if h.ask.sample is not None and h.text != h.ask.sample.answer]
        checks.append(Check(f"{kind} replies equal to the recorded text", _of(mine, wrong), bool(mine) and not wrong))
    counted = [h for h in heard if h.complete and h.ask.sample is not None]
    wrong = [h for h in counted if h.ask.sample is not None and (h.input, h.output) != (h.ask.sample.input, h.ask.sample.output)]
    checks.append(Check("tokens as the recording has them", _of(counted, wrong), bool(counted) and not wrong))
    free = [h for h in heard if not h.ask.group]
    wrong = [h for h in free if h.status != h.ask.status]
    checks.append(Check("status as it must be", _of(free, wrong), not wrong))
    refused = [h for h in free if h.ask.code]
    wrong = [h for h in refused if h.ask.code not in ("*", h.code) or not h.code]
    by_code = Counter(h.code for h in refused)
    checks.append(
        Check("refusals with their reason", _of(refused, wrong, ", ".join(f"{c} {n}" for c, n in sorted(by_code.items()))), not wrong)
    )
    checks += _limits(heard)
    left = [h for h in heard if h.ask.cancel]
    wrong = [h for h in left if h.complete or not h.text]
    checks.append(Check("streams left by their reader", _of(left, wrong), bool(left) and not wrong))
    vectors = [h for h in heard if h.ask.shape == EMBEDDINGS]
    if vectors:
        wrong = [h for h in vectors if (h.vectors, h.dimensions) != (1, DIMENSIONS)]
        checks.append(Check(f"embeddings of {DIMENSIONS} dimensions, made here", _of(vectors, wrong), not wrong))
    return checks


def _limits(heard: Sequence[Heard]) -> list[Check]:
    rate = Counter((h.status, h.code) for h in heard if h.ask.group == "rate")
    passed, limited = rate[(200, "")], rate[(429, "rate_limit_exceeded")]
    right = (passed, limited) == (BURST_LIMIT, BURST_CALLS - BURST_LIMIT)
    checks = [Check(f"rate limit of {BURST_LIMIT} a minute held", f"{passed} answered, {limited} refused", right)]
    money = Counter((h.status, h.code) for h in heard if h.ask.group == "budget")
    passed, limited = money[(200, "")], money[(429, "insufficient_quota")]
    right = passed > 0 and limited > 0 and passed + limited == SANDBOX_CALLS
    checks.append(Check("nearly spent budget refuses", f"{passed} answered, {limited} refused", right))
    return checks


def books(heard: Sequence[Heard], said: Books) -> list[Check]:
    """What Penstock recorded, against what the applications saw."""
    checks = _records(heard, said)
    done = [h for h in heard if h.complete]
    wrong = [h for h in done if len(said.rows.get(h.call, ())) != 1]
    checks.append(Check("one ledger row for each complete reply", _of(done, wrong), bool(done) and not wrong))
    wrong = [h for h in done if h.call in said.rows and said.rows[h.call][0]["amount"] != expected(h)]
    checks.append(Check("each row's amount as computed from the reply's tokens", _of(done, wrong), not wrong))
    refused = [h for h in heard if h.status != 200]
    wrong = [h for h in refused if any(row["amount"] for row in said.rows.get(h.call, ()))]
    checks.append(Check("refused calls cost nothing", _of(refused, wrong), bool(refused) and not wrong))
    known = {h.call for h in heard}
    strangers = [call for call in said.rows if call not in known]
    checks.append(Check("ledger rows of calls that nobody made", str(len(strangers)), not strangers))
    mine = sum(expected(h) for h in done)
    left = sum(row["amount"] for h in heard if not h.complete for row in said.rows.get(h.call, ()))
    found = f"{said.spent} micro-dollars = {mine} computed here + {left} of streams that were left"
    checks.append(Check("spend to the micro-dollar", found, said.spent == mine + left))
    sandbox = sum(expected(h) for h in done if h.ask.key == "sandbox")
    found = f"{said.sandbox} of {SANDBOX_LIMIT} micro-dollars, {sandbox} computed here"
    checks.append(Check("sandbox's budget held", found, said.sandbox == sandbox <= SANDBOX_LIMIT))
    return checks


def _records(heard: Sequence[Heard], said: Books) -> list[Check]:
    missing = [h for h in heard if h.call not in said.calls]
    checks = [Check("every call on the record", _of(heard, missing), not missing and len({h.call for h in heard}) == len(heard))]
    recorded = [h for h in heard if h.call in said.calls]
    wrong = [h for h in recorded if said.calls[h.call]["outcome"] != _outcome(h)]
    found = Counter(said.calls[h.call]["outcome"] for h in recorded)
    checks.append(
        Check("outcome as the application saw it", _of(recorded, wrong, ", ".join(f"{o} {n}" for o, n in found.most_common())), not wrong)
    )
    wrong = [h for h in recorded if said.calls[h.call]["trace_id"] != h.ask.trace_id]
    checks.append(Check("trace continued from the application", _of(recorded, wrong), not wrong))
    fallen = [h for h in recorded if h.ask.model == RESILIENT]
    wrong = [h for h in fallen if said.calls[h.call]["provider"] != "together"]
    checks.append(Check("fallback after a target that is not there", _of(fallen, wrong), bool(fallen) and not wrong))
    done = [h for h in recorded if h.complete]
    wrong = [h for h in done if said.calls[h.call]["cost_micros"] != expected(h)]
    checks.append(Check("cost on the record", _of(done, wrong), bool(done) and not wrong))
    checks.append(Check("records dropped", str(said.dropped), said.dropped == 0))
    counted, cost = said.overview
    found = f"{counted} calls, {cost} micro-dollars"
    checks.append(Check("overview counts the same", found, (counted, cost) == (len(heard), said.spent)))
    looked = [h for h in heard if h.call in said.kept]
    wrong = [h for h in looked if not _is_kept(h, said.kept[h.call])]
    checks.append(Check("prompts and replies kept, some looked at", _of(looked, wrong), bool(looked) and not wrong))
    return checks


def _is_kept(heard: Heard, payload: Mapping[str, Any]) -> bool:
    """Whether the kept prompt and reply hold what was asked and heard; nothing in the samples looks like a secret."""
    if payload.get("redacted") or payload.get("request_cut") or payload.get("reply_cut"):
        return False
    return _holds(payload.get("request"), heard.ask.text) and _holds(payload.get("reply"), heard.text)


def _holds(kept: str | None, text: str) -> bool:
    try:
        return kept is not None and text in _texts(msgspec.json.decode(kept))
    except msgspec.DecodeError:
        return False


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner: Iterable[Any] = ()
    if isinstance(value, dict):
        inner = cast("dict[str, Any]", value).values()
    elif isinstance(value, list):
        inner = cast("list[Any]", value)
    return [text for member in inner for text in _texts(member)]


def _outcome(heard: Heard) -> str:
    if heard.ask.cancel:
        return "cancelled"
    if heard.status == 200:
        return "ok"
    return "failed" if heard.status >= 500 else "refused"


async def console(url: str, key: str) -> list[Check]:
    """Sign in as a person does, and look at every page that the navigation names, at one call, and at the way out."""
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address without a name
    seen: dict[str, int] = {}
    async with aiohttp.ClientSession(cookie_jar=jar, headers={"accept": "text/html"}) as session:
        async with session.get(f"{url}/console/", allow_redirects=True) as response:
            door = response.status == 200 and "sign-in" in str(response.url)
        async with session.post(f"{url}/console/sign-in", data={"key": key}, headers={"sec-fetch-site": "same-origin"}) as response:
            home, html = str(response.url), await response.text()
            signed_in = response.status == 200 and "sign-in" not in home
        waiting = [home, *(urljoin(home, link) for link in links(html))]
        for page in dict.fromkeys(waiting):
            async with session.get(page) as response:
                body = await response.text()
                seen[page] = response.status if response.content_type == "text/html" and "</html>" in body else 0
    wrong = [f"{page} {status}" for page, status in seen.items() if status != 200]
    return [
        Check("console asks to sign in, and lets the key in", "yes" if door and signed_in else "no", door and signed_in),
        Check("console pages answer", f"{len(seen)} pages" + _tail(wrong), len(seen) > _NAMED and not wrong),
    ]


async def page(url: str, key: str, path: str) -> int:
    """The status of one page of the console for whoever holds the key."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, headers={"accept": "text/html"}) as session:
        async with session.post(f"{url}/console/sign-in", data={"key": key}, headers={"sec-fetch-site": "same-origin"}) as response:
            await response.read()
        async with session.get(url + path, allow_redirects=False) as response:
            return response.status


def links(html: str) -> list[str]:
    """Addresses of console pages that the page links to; not what signs out or downloads."""
    found = re.findall(r'<a\b[^>]*\bhref="(/console[^"#?]*)', html)
    return [link for link in dict.fromkeys(found) if "sign-out" not in link and "/static/" not in link]


def _of(all_: Sequence[Heard], wrong: Sequence[Heard], more: str = "") -> str:
    tail = _tail([f"{h.ask.key or 'nobody'} {h.ask.model} -> {h.status} {h.code}".strip() + f" ({h.call})" for h in wrong])
    return f"{len(all_) - len(wrong)} of {len(all_)}" + (f": {more}" if more else "") + tail


def _tail(wrong: Sequence[str]) -> str:
    if not wrong:
        return ""
    return "; wrong: " + "; ".join(wrong[:_NAMED]) + (f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else "")
