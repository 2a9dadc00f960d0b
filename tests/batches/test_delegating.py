"""Lines that go to a vendor's own batches: through the real house, against a server that speaks the vendors' published wire format."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.batches.house import content, ended, line, started, until
from tests.batches.vendor import Vendor
from tests.gateway.upstream import serving
from tests.house import House, open_house


def settings(url: str, more: str = "") -> str:
    return (
        "[gateway]\ndiscover = false\nlocal_embeddings = false\n"
        f'[gateway.providers.openai]\nbase_url = "{url}"\napi_key = "k"\nmodels = ["m", "n"]\n'
        f'[gateway.providers.anthropic]\nbase_url = "{url}"\napi_key = "k"\nmodels = ["c"]\n'
        '[gateway.models.alias]\ntargets = ["openai/m"]\n'
        '[finops.prices."openai/*"]\ninput = 100.0\noutput = 200.0\n[finops.prices."anthropic/c"]\ninput = 1.0\noutput = 2.0\n'
        "[journal]\npoll_seconds = 0.02\n"
        f'[batches]\ndelegate = ["openai", "anthropic"]\ndelegate_poll_seconds = 0.1\n{more}'
    )


@asynccontextmanager
async def delegating(folder: Path, more: str = "") -> AsyncGenerator[tuple[House, Vendor]]:
    vendor = Vendor()
    async with serving(vendor) as up, open_house(folder, settings(up.url, more)) as house:
        yield house, vendor


def lines(count: int) -> list[dict[str, Any]]:
    return [line(f"q{n}") for n in range(count)]


async def rows(house: House) -> list[dict[str, Any]]:
    answer = await house.ask("GET", "/v1/ledger?limit=1000")
    return answer.json["data"]


async def test_lines_go_to_the_vendor_at_its_price(tmp_path: Path) -> None:
    async with delegating(tmp_path) as (house, vendor):
        made = await started(house, *lines(20))
        batch = await ended(house, made["id"])
        assert batch["status"] == "completed", batch
        found = await content(house, batch["output_file_id"])
        assert sorted(each["custom_id"] for each in found) == sorted(f"q{n}" for n in range(20))
        assert all(each["response"]["body"]["choices"][0]["message"]["content"] == each["custom_id"] for each in found)
        assert (vendor.realtime, len(vendor.batches)) == (0, 1)
        # 7 in at 100, 3 out at 200 per million: 1300 micro-dollars in real time.
        assert (batch["penstock"]["cost_micros"], batch["penstock"]["realtime_cost_micros"]) == (20 * 650, 20 * 1300)
        held = await rows(house)
        assert len(held) == 20
        assert {row["amount"] for row in held} == {650}
        assert sorted(int(row["labels"]["line"]) for row in held) == list(range(1, 21))
        assert {(row["labels"]["price"], row["labels"]["price_factor"]) for row in held} == {("batch", "0.5")}


async def test_only_lines_that_lead_there_are_handed_on_and_each_model_has_a_slice_of_its_own(tmp_path: Path) -> None:
    async with delegating(tmp_path) as (house, vendor):
        elsewhere = {"model": "c", "messages": [{"role": "user", "content": "e"}], "max_tokens": 5}
        missing = {"model": "nobody-has-it", "messages": [{"role": "user", "content": "x"}]}
        other = {"model": "n", "messages": [{"role": "user", "content": "o"}]}
        alias = {"model": "alias", "messages": [{"role": "user", "content": "a"}]}
        made = await started(house, line("a", body=alias), line("x", body=missing), line("o", body=other), line("e", body=elsewhere))
        batch = await ended(house, made["id"])
        assert sorted(b["lines"][0]["body"]["model"] for b in vendor.batches.values()) == ["m", "n"]
        assert {each["custom_id"] for each in await content(house, batch["output_file_id"])} == {"a", "o"}
        # Requests in one vendor's shape are not handed to the batches of another: they are called, here in vain.
        failed = {each["custom_id"]: each["response"]["status_code"] for each in await content(house, batch["error_file_id"])}
        assert failed["x"] == 404
        assert "POST /messages" in vendor.requests
        assert {row["model"] for row in await rows(house) if row["amount"]} == {"alias", "n"}


async def test_anthropic_s_shape(tmp_path: Path) -> None:
    async with delegating(tmp_path) as (house, vendor):
        params = {"model": "c", "max_tokens": 5, "messages": [{"role": "user", "content": "deep\nwater"}]}
        asked = {"requests": [{"custom_id": f"r{n}", "params": params} for n in range(3)]}
        made = (await house.ask("POST", "/v1/messages/batches", asked)).json

        async def over() -> bool:
            return (await house.ask("GET", f"/v1/messages/batches/{made['id']}")).json["processing_status"] == "ended"

        await until(over)
        answer = await house.ask("GET", f"/v1/messages/batches/{made['id']}/results")
        found = [json.loads(each) for each in answer.text.splitlines()]
        assert sorted(each["custom_id"] for each in found) == ["r0", "r1", "r2"]
        assert found[0]["result"]["message"]["content"][0]["text"] == "deep\nwater"
        assert len(vendor.batches) == 1
        # 700 in at 1, 300 out at 2: 1300, and half of it.
        assert [row["amount"] for row in await rows(house)] == [650, 650, 650]


async def test_budgets_hold_for_what_is_at_the_vendor(tmp_path: Path) -> None:
    async with delegating(tmp_path) as (house, vendor):
        vendor.held.clear()
        body = {"name": "all", "subject_kind": "everything", "period": "month", "limit": 1_000_000, "hard": True}
        answer = await house.ask("POST", "/v1/budgets", body)
        assert answer.status in (200, 201), answer.text
        made = await started(house, *lines(3))
        await until(lambda: vendor.batches)
        standing = (await house.ask("GET", "/v1/budgets")).json["data"][0]["standing"]
        assert standing["reserved"] > 3 * 1300
        vendor.held.set()
        await ended(house, made["id"])
        standing = (await house.ask("GET", "/v1/budgets")).json["data"][0]["standing"]
        assert (standing["reserved"], standing["spent"]) == (0, 3 * 650)


async def test_cancelled_here_is_cancelled_there_and_what_was_done_is_kept(tmp_path: Path) -> None:
    async with delegating(tmp_path) as (house, vendor):
        vendor.held.clear()
        vendor.spoil = lambda found: found[:2]
        made = await started(house, *lines(5))
        await until(lambda: vendor.batches)
        await house.ask("POST", f"/v1/batches/{made['id']}/cancel")
        batch = await ended(house, made["id"])
        assert batch["status"] == "cancelled"
        assert all(b["cancelled"] for b in vendor.batches.values())
        assert len(await content(house, batch["output_file_id"])) == 2
        assert len(await content(house, batch["error_file_id"])) == 3
        assert len(await rows(house)) == 2


async def test_bad_results(tmp_path: Path) -> None:
    """Lines that cannot be read, that nobody asked for, that come twice, and that do not come."""

    def spoil(found: list[bytes]) -> list[bytes]:
        strange = found[0].replace(b'"custom_id": "ps', b'"custom_id": "xx')
        return [b"{no json", b'{"id": 1}', strange, found[1], found[1], found[2]]

    async with delegating(tmp_path) as (house, vendor):
        vendor.spoil = spoil
        made = await started(house, *lines(4))
        batch = await ended(house, made["id"])
        assert {each["custom_id"] for each in await content(house, batch["output_file_id"])} == {"q1", "q2"}
        assert batch["penstock"]["codes"] == {"vendor_result_missing": 2}
        assert len(await rows(house)) == 2
        assert vendor.realtime == 0  # what the vendor may bill is not asked for again


async def test_what_the_vendor_did_not_do_is_called_in_real_time(tmp_path: Path) -> None:
    def spoil(found: list[bytes]) -> list[bytes]:
        told = json.loads(found[0])
        expired = {**told, "response": None, "error": {"code": "batch_expired", "message": "This request could not be executed"}}
        busy = {**json.loads(found[1]), "response": {"status_code": 503, "request_id": "r", "body": {"error": {"message": "busy"}}}}
        return [json.dumps(expired).encode(), json.dumps(busy).encode(), found[2]]

    async with delegating(tmp_path) as (house, vendor):
        vendor.spoil = spoil
        batch = await ended(house, (await started(house, *lines(3)))["id"])
        assert batch["request_counts"]["completed"] == 3
        assert vendor.realtime == 2
        assert sorted(row["amount"] for row in await rows(house)) == [650, 1300, 1300]


async def test_a_batch_that_the_vendor_refuses(tmp_path: Path) -> None:
    async with delegating(tmp_path, "delegate_fallback = false\n") as (house, vendor):
        vendor.invalid = "the model is not there"
        batch = await ended(house, (await started(house, *lines(2)))["id"])
        assert batch["penstock"]["codes"] == {"vendor_batch_failed": 2}
        vendor.invalid = ""
        vendor.fail = lambda method, path: 400 if (method, path) == ("POST", "/batches") else None
        batch = await ended(house, (await started(house, *lines(2)))["id"])
        assert batch["penstock"]["codes"] == {"vendor_batch_failed": 2}
        vendor.fail = lambda method, path: 404 if path.endswith("/content") else None
        batch = await ended(house, (await started(house, *lines(2)))["id"])
        assert batch["penstock"]["codes"] == {"vendor_result_missing": 2}
        assert not await rows(house)


async def test_a_vendor_in_trouble_is_asked_again_and_a_batch_that_it_may_have_taken_is_looked_for(tmp_path: Path) -> None:
    async with delegating(tmp_path) as (house, vendor):
        seen: set[tuple[str, str]] = set()

        def fail(method: str, path: str) -> int | None:
            kind = (method, path.split("?", maxsplit=1)[0].split("_", maxsplit=1)[0])
            if kind in seen:
                return None
            seen.add(kind)
            if kind == ("POST", "/batches"):
                vendor.openai(json.dumps({"input_file_id": "file-1", "metadata": {"penstock_slice": name()}}).encode())
            return 500

        def name() -> str:
            return json.loads(vendor.files["file-1"].splitlines()[0])["custom_id"].partition("-")[0]

        vendor.fail = fail
        batch = await ended(house, (await started(house, *lines(3)))["id"])
        assert batch["request_counts"]["completed"] == 3
        assert len(vendor.batches) == 1
        assert len(await rows(house)) == 3


async def test_a_line_that_names_a_prompt_goes_there_rendered_and_its_record_says_so(tmp_path: Path) -> None:
    async with delegating(tmp_path) as (house, vendor):
        await house.made("/v1/prompts", {"name": "p", "text": "Say {{x}}", "variables": {"x": {}}})
        body = {"model": "m", "messages": [], "prompt": {"id": "p", "version": "1", "variables": {"x": "this"}}}
        batch = await ended(house, (await started(house, line("a", body=body)))["id"])
        assert batch["request_counts"]["completed"] == 1, batch
        (there,) = vendor.batches.values()
        assert there["lines"][0]["body"]["messages"] == [{"role": "user", "content": "Say this"}]
        (row,) = await rows(house)
        assert (await house.ask("GET", f"/v1/calls/{row['id']}")).json["prompt"] == "p@1"


async def registered(house: House, target: str) -> str:
    model = (await house.made("/v1/registry/models", {"name": target.replace("/", " ")}))["id"]
    return (await house.made(f"/v1/registry/models/{model}/versions", {"origin": "vendor", "targets": [target]}))["id"]


async def revoke(house: House, version: str) -> None:
    assert (await house.ask("POST", f"/v1/registry/versions/{version}/revocation", {"reason": "worse"})).status == 200


async def test_what_waits_for_the_vendor_does_not_go_there_once_its_model_is_revoked(tmp_path: Path) -> None:
    async with delegating(tmp_path) as (house, vendor):
        version = await registered(house, "openai/m")
        vendor.fail = lambda method, path: 503
        made = await started(house, *lines(3))
        await until(lambda: "POST /files" in vendor.requests)
        await revoke(house, version)
        vendor.fail = lambda method, path: None
        batch = await ended(house, made["id"])
        assert (batch["status"], vendor.batches, vendor.realtime) == ("completed", {}, 0)
        failed = await content(house, batch["error_file_id"])
        assert [(one["response"]["status_code"], one["response"]["body"]["error"]["code"]) for one in failed] == [
            (403, "model_revoked")
        ] * 3
        assert not await rows(house)


async def test_what_is_at_the_vendor_is_cancelled_there_once_its_model_is_revoked(tmp_path: Path) -> None:
    async with delegating(tmp_path) as (house, vendor):
        version = await registered(house, "openai/m")
        vendor.held.clear()
        vendor.spoil = lambda found: found[:1]
        made = await started(house, *lines(3))
        await until(lambda: vendor.batches)
        await revoke(house, version)
        batch = await ended(house, made["id"])
        assert all(one["cancelled"] for one in vendor.batches.values())
        assert vendor.realtime == 0
        assert len(await rows(house)) == 1, "what the vendor had done when it was cancelled is billed there and told"
        assert (batch["request_counts"]["completed"], batch["request_counts"]["failed"]) == (1, 2)
