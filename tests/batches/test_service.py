"""A batch from its file to its results, in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.batches.house import Provider, batch_house, content, ended, jsonl, line, settings, started, until, uploaded
from tests.gateway.upstream import serving
from tests.house import open_house

pytestmark = pytest.mark.timeout(60)


async def test_every_line_has_its_result(tmp_path: Path) -> None:
    async with batch_house(tmp_path) as (house, provider):
        made = await started(house, *(line(f"r{i}") for i in range(40)), metadata={"why": "test"})
        assert (made["object"], made["status"], made["metadata"]) == ("batch", "validating", {"why": "test"})
        batch = await ended(house, made["id"])
        assert batch["status"] == "completed", batch
        assert batch["request_counts"] == {"total": 40, "completed": 40, "failed": 0}
        assert batch["created_at"] <= batch["in_progress_at"] <= batch["finalizing_at"] <= batch["completed_at"] <= batch["expires_at"]
        assert batch["error_file_id"] is None
        assert batch["penstock"]["cost_micros"] == 40 * 13
        results = await content(house, batch["output_file_id"])
        assert sorted(r["custom_id"] for r in results) == sorted(f"r{i}" for i in range(40))
        for result in results:
            assert result["error"] is None
            assert result["response"]["status_code"] == 200
            assert result["response"]["body"]["choices"][0]["message"]["content"] == result["custom_id"]
        assert set(provider.seen.values()) == {1}
        await until(lambda: not list((tmp_path / "data" / "batches").glob("*")))
        assert (await until(lambda: house.ask("GET", "/v1/batches"))).json["data"][0]["id"] == made["id"]


async def test_a_house_that_closes_amid_a_batch_goes_on_where_it_was(tmp_path: Path) -> None:
    provider = Provider()
    texts = [f"r{i}" for i in range(60)]
    async with serving(provider) as up:
        told = settings(up.url, "[batches]\nmax_in_flight = 4\n")
        async with open_house(tmp_path, told) as house:
            provider.seconds = 0.01
            made = await started(house, *(line(t) for t in texts))
            await until(lambda: sum(provider.seen.values()) > 20)
            key = house.admin
        async with open_house(tmp_path, told) as house:
            house.admin = key
            batch = await ended(house, made["id"])
            assert batch["request_counts"] == {"total": 60, "completed": 60, "failed": 0}
            results = await content(house, batch["output_file_id"])
            assert sorted(r["custom_id"] for r in results) == sorted(texts)
            # Only what was in flight when the house closed is asked again.
            assert sum(provider.seen.values()) <= 60 + 4
            assert batch["penstock"]["cost_micros"] == 60 * 13
            # What was asked again is on the ledger again, under the same run and line.
            (run,) = (await house.ask("GET", "/v1/runs?name=batch")).json["data"]
            rows = (await house.ask("GET", f"/v1/ledger?run={run['id']}&limit=100")).json["data"]
            assert {row["labels"]["line"] for row in rows} == {str(i) for i in range(1, 61)}
            assert {row["labels"]["batch"] for row in rows} == {made["id"]}


async def test_what_is_wrong_with_the_file_is_told_line_by_line_and_nothing_is_called(tmp_path: Path) -> None:
    async with batch_house(tmp_path, "[batches]\nmax_line_bytes = 2000\n") as (house, provider):
        wrong = [
            (b"{", "invalid_json_line"),
            (b'"text"', "invalid_json_line"),
            (b'{"custom_id": "\xff"}', "invalid_utf8"),
            ({k: v for k, v in line("a").items() if k != "custom_id"}, "missing_custom_id"),
            ({k: v for k, v in line("a").items() if k != "body"}, "missing_body"),
            (line("same", method="GET"), "invalid_method"),
            (line("other", url="/v1/embeddings"), "invalid_url"),
            ({**line("a"), "custom_id": 7}, "invalid_custom_id"),
            ({**line("a"), "custom_id": ""}, "invalid_custom_id"),
            ({**line("b"), "body": []}, "invalid_body"),
            (line("same"), ""),
            (line("same"), "duplicate_custom_id"),
            (line("long", "x" * 3000), "line_too_long"),
            (b"", ""),
            (b"[" * 100_000, "line_too_long"),
        ]
        made = await started(house, *(each for each, _ in wrong))
        batch = await ended(house, made["id"])
        assert (batch["status"], batch["output_file_id"]) == ("failed", None)
        told = {e["line"]: e["code"] for e in batch["errors"]["data"]}
        assert told == {number: code for number, (_, code) in enumerate(wrong, 1) if code}
        assert not provider.seen


@pytest.mark.parametrize(
    ("lines", "code"),
    [((), "empty_file"), ((b"", b"  "), "empty_file"), (tuple(line(f"r{i}") for i in range(4)), "too_many_lines")],
)
async def test_a_file_has_some_lines_and_not_too_many(tmp_path: Path, lines: tuple[Any, ...], code: str) -> None:
    async with batch_house(tmp_path, "[batches]\nmax_lines = 3\n") as (house, _):
        batch = await ended(house, (await started(house, *lines))["id"])
        assert (batch["status"], batch["errors"]["data"][0]["code"]) == ("failed", code)


async def test_a_byte_order_mark_carriage_returns_and_no_last_line_end_are_fine(tmp_path: Path) -> None:
    async with batch_house(tmp_path) as (house, _):
        text = b"\xef\xbb\xbf" + jsonl(line("a"), line("b")).replace(b"\n", b"\r\n").removesuffix(b"\r\n")
        made = (
            await house.ask("POST", "/v1/batches", {"input_file_id": await uploaded(house, text), "endpoint": "/v1/chat/completions"})
        ).json
        batch = await ended(house, made["id"])
        assert batch["request_counts"] == {"total": 2, "completed": 2, "failed": 0}


async def test_lines_that_fail_stand_in_the_error_file_with_what_a_client_would_have_had(tmp_path: Path) -> None:
    async with batch_house(tmp_path) as (house, provider):
        provider.answer = lambda text: ("422 Nope", b'{"error":{"message":"no"}}', b"") if text == "bad" else None
        unknown = line("nowhere")
        unknown["body"]["model"] = "unknown"
        stream = line("stream")
        stream["body"]["stream"] = True
        batch = await ended(house, (await started(house, line("good"), line("bad"), unknown, stream))["id"])
        assert (batch["status"], batch["request_counts"]) == ("completed", {"total": 4, "completed": 1, "failed": 3})
        failed = {r["custom_id"]: r["response"] for r in await content(house, batch["error_file_id"])}
        assert {name: r["status_code"] for name, r in failed.items()} == {"bad": 422, "nowhere": 404, "stream": 400}
        assert failed["nowhere"]["body"]["error"]["code"] == "model_not_found"
        assert batch["penstock"]["codes"] == {"upstream_refused": 1, "model_not_found": 1, "malformed_request": 1}
        assert provider.seen["bad"] == 1


async def test_refusals_are_waited_out_and_failures_tried_again(tmp_path: Path) -> None:
    async with batch_house(tmp_path, "[batches]\ntries = 2\n") as (house, provider):
        pace = house.app.offers["batches"].services[0].pace

        def answer(text: str) -> tuple[str, bytes, bytes] | None:
            if text == "limited" and not pace.refused:  # the gateway's own retries may hear it first
                return "429 Too Many", b'{"error":{"message":"slow down"}}', b"retry-after: 1\r\n"
            return ("500 Oh", b'{"error":{"message":"oh"}}', b"") if text == "broken" else None

        provider.answer = answer
        batch = await ended(house, (await started(house, line("limited"), line("broken"), line("good")))["id"])
        assert batch["request_counts"] == {"total": 3, "completed": 2, "failed": 1}
        assert [r["custom_id"] for r in await content(house, batch["error_file_id"])] == ["broken"]
        text = (await house.ask("GET", "/metrics")).text
        assert 'penstock_batch_lines_total{outcome="completed"} 2.0' in text
        assert "penstock_batch_lines_refused_total{" in text


async def test_cancelling_keeps_what_is_done_and_says_what_is_not(tmp_path: Path) -> None:
    async with batch_house(tmp_path, "[batches]\nmax_in_flight = 3\n") as (house, provider):
        provider.answer = lambda text: None if provider.seen.total() < 4 else provider.held.clear()
        made = await started(house, *(line(f"r{i}") for i in range(20)))
        await until(lambda: provider.in_flight == 3 and not provider.held.is_set())
        stopping = await house.ask("POST", f"/v1/batches/{made['id']}/cancel")
        assert (stopping.status, stopping.json["status"]) == (200, "cancelling")
        assert (await house.ask("POST", f"/v1/batches/{made['id']}/cancel")).json["status"] in ("cancelling", "cancelled")
        provider.answer = lambda text: None
        provider.held.set()
        batch = await ended(house, made["id"])
        assert batch["status"] == "cancelled"
        assert batch["cancelling_at"] <= batch["cancelled_at"]
        good, bad = await content(house, batch["output_file_id"]), await content(house, batch["error_file_id"])
        assert sorted(r["custom_id"] for r in good + bad) == sorted(f"r{i}" for i in range(20))
        assert len(good) == batch["request_counts"]["completed"] >= 1
        assert {(r["response"], r["error"]["code"]) for r in bad} == {(None, "batch_cancelled")}
        assert (await house.ask("POST", f"/v1/batches/{made['id']}/cancel")).status == 409


async def test_what_is_not_done_when_the_window_ends_expires(tmp_path: Path) -> None:
    async with batch_house(tmp_path, f"[batches]\nmax_in_flight = 2\nwindow_hours = {2 / 3600}\n") as (house, provider):
        provider.answer = lambda text: None if text == "r0" else provider.held.clear()
        batch = await ended(house, (await started(house, *(line(f"r{i}") for i in range(6))))["id"])
        provider.held.set()
        assert batch["status"] == "expired"
        bad = await content(house, batch["error_file_id"])
        assert len(bad) + len(await content(house, batch["output_file_id"])) == 6
        assert {r["error"]["code"] for r in bad} == {"batch_expired"}


async def test_a_revoked_key_ends_its_batch(tmp_path: Path) -> None:
    async with batch_house(tmp_path, "[batches]\nmax_in_flight = 2\n") as (house, provider):
        secret, key = await house.key(name="gone soon", scopes=["call"])
        provider.held.clear()
        made = await started(house, *(line(f"r{i}") for i in range(9)), key=secret)
        await until(lambda: provider.in_flight == 2)
        assert (await house.ask("POST", f"/v1/keys/{key}/revoke")).status == 200
        provider.held.set()
        batch = await ended(house, made["id"])
        assert (batch["status"], batch["errors"]["data"][0]["code"]) == ("failed", "revoked_api_key")
        done = len(await content(house, batch["output_file_id"]))
        assert sum(provider.seen.values()) <= 3
        assert {r["error"]["code"] for r in await content(house, batch["error_file_id"])} == {"revoked_api_key"}
        assert batch["request_counts"] == {"total": 9, "completed": done, "failed": 9 - done}


async def test_a_batch_whose_run_was_ended_from_outside_still_ends_with_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.batches.service.STALE_SECONDS", 0.0)
    async with batch_house(tmp_path, "[batches]\nmax_in_flight = 2\n") as (house, provider):
        provider.answer = lambda text: None if text == "r0" else provider.held.clear()
        made = await started(house, *(line(f"r{i}") for i in range(5)))
        await until(lambda: provider.seen["r0"] and not provider.held.is_set())
        (run,) = (await house.ask("GET", "/v1/runs?name=batch")).json["data"]
        assert run["labels"] == {"batch": made["id"]}
        assert (await house.ask("POST", f"/v1/runs/{run['id']}/cancel")).status == 200
        provider.held.set()
        batch = await ended(house, made["id"])
        assert (batch["status"], batch["errors"]["data"][0]["code"]) == ("cancelled", "run_ended")
        good, bad = await content(house, batch["output_file_id"]), await content(house, batch["error_file_id"])
        assert len(good + bad) == 5


async def test_organisations_share_what_room_there_is(tmp_path: Path) -> None:
    async with batch_house(tmp_path, "[batches]\nmax_in_flight = 8\n") as (house, provider):
        theirs, _ = await house.outsider()
        provider.held.clear()
        mine = await started(house, *(line(f"a{i}") for i in range(30)))
        await until(lambda: provider.in_flight == 8)
        other = await started(house, *(line(f"b{i}") for i in range(30)), key=theirs)
        waiting = house.app.offers["batches"].services[0].pace._waiting
        await until(lambda: len({organisation for organisation, _ in waiting}) == 2)
        provider.seconds = 0.01
        provider.held.set()
        await until(lambda: sum(provider.seen.values()) >= 30)
        of_theirs = sum(count for text, count in provider.seen.items() if text.startswith("b"))
        assert of_theirs >= 8
        assert (await ended(house, mine["id"]))["status"] == "completed"
        assert (await ended(house, other["id"], key=theirs))["status"] == "completed"


async def test_what_cannot_be_a_batch_is_refused_at_once(tmp_path: Path) -> None:
    async with batch_house(tmp_path) as (house, _):
        file = await uploaded(house, jsonl(line("a")))
        good = {"input_file_id": file, "endpoint": "/v1/chat/completions"}
        for change, status, param in (
            ({"endpoint": "/v1/keys"}, 400, "endpoint"),
            ({"input_file_id": "file-nowhere"}, 404, None),
            ({"input_file_id": "../../etc/passwd"}, 404, None),
            ({"completion_window": "1h"}, 400, "completion_window"),
            ({"metadata": {"a": 1}}, 400, None),
            ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, 400, None),
        ):
            answer = await house.ask("POST", "/v1/batches", {**good, **change})
            assert answer.status == status, answer.text
            assert param is None or answer.json["error"]["param"] == param
        for method, path in (("GET", "/v1/batches/nope"), ("POST", "/v1/batches/..%2f..%2fx/cancel"), ("GET", "/v1/batches/nope/results")):
            assert (await house.ask(method, path)).status == 404


async def test_without_the_extra_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.journal.service.installed", lambda: False)
    async with batch_house(tmp_path) as (house, _):
        file = await uploaded(house, jsonl(line("a")))
        answer = await house.ask("POST", "/v1/batches", {"input_file_id": file, "endpoint": "/v1/chat/completions"})
        assert (answer.status, answer.json["error"]["code"]) == (503, "journal_not_installed")
        assert "pip install" in answer.json["error"]["message"]
        answer = await house.ask("POST", "/v1/messages/batches", {"requests": [{"custom_id": "a", "params": {}}]})
        assert (answer.status, answer.json["type"]) == (503, "error")
        assert "pip install" in answer.json["error"]["message"]
        assert (await house.ask("GET", "/v1/batches")).json["data"] == []
