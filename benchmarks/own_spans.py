"""``python -m benchmarks.own_spans``: what recording our own calls costs the gateway, and what a span of them costs in process.

**Throughput.** Three gateways run side by side, each ``penstock up`` with the settings of the gateway benchmark: one that records nothing
(its recorder is taken out, and there is no store of spans), one that keeps calls on the record, and one that keeps them as spans as well,
which is how Penstock comes. They are asked in turn, 32 requests at a time, each until its work in the background is done. Ratios are
within a round, figures are medians over rounds. CPU per call is that of the process that serves, of it and all that it has started, and of
all these until they are idle again.

**A span.** Thread CPU of what happens in the serving process, for a call of 1 KB: keeping prompt and reply with their secrets replaced
(which the record needs as well), making the span, queueing, encoding and appending it; and what the engine spends on storing it afterwards,
in the one process that holds it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gateway.load import Request, generator, throughput
from benchmarks.gateway.machine import describe
from benchmarks.gateway.measure import SMALL, Started
from benchmarks.gateway.ours import ROOT, Penstock
from benchmarks.gateway.processes import Running, free_port
from penstock.statistics.intervals import bootstrap

RESULT = ROOT / "benchmarks" / "results" / "own-spans.json"
VARIANTS = ("nothing", "record", "spans")
MOST_LESS = 0.10
MOST_MICROS = 20.0
CALLS = 500
TRIES = 40


class Variant(Penstock):
    """Our contestant with a part of its recording taken out."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.name = kind

    def prepare(self, home: Path, work: Path, mock_port: int, port: int) -> Any:
        """See `benchmarks.gateway.contestants.Contestant`."""
        launch = super().prepare(home, work, mock_port, port)
        config = work / "penstock.toml"
        if self.name != "spans":
            config.write_text(config.read_text() + '\n[storage]\ntelemetry = "off"\n')
        if self.name == "nothing":
            config.write_text(config.read_text() + '\n[observability]\npayloads = "none"\n')
            command = [sys.executable, "-m", "benchmarks.own_spans", "--unrecorded", *launch.command[3:]]
            return replace(launch, command=command, env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"})
        return launch


def unrecorded(arguments: list[str]) -> None:
    """``penstock`` whose recorder takes nothing."""
    from penstock.cli import main as penstock
    from penstock.observability.recorder import Recorder

    def nothing(self: Recorder, call: object, payload_bytes: int) -> None:
        """What is off."""

    Recorder.take = nothing  # type: ignore[method-assign]
    sys.argv = ["penstock", *arguments]
    penstock()


def rest(started: Started, least: float = 0.0) -> float:
    """CPU seconds of a process, once it is idle, but not before ``least`` seconds."""
    time.sleep(least)
    used = started.process.usage().cpu_seconds
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        time.sleep(0.6)
        now = started.process.usage().cpu_seconds
        if now - used < 0.03:
            return now
        used = now
    return used


def serving(started: Started) -> float:
    """CPU seconds of the process that serves, without those that it started."""
    fields = Path(f"/proc/{started.process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(rounds: int, seconds: float, folder: Path) -> dict[str, list[dict[str, float]]]:
    """Figures of every variant and round."""
    port = free_port()
    mock = Running([sys.executable, "-m", "benchmarks.gateway.mock", "--port", str(port)], log=folder / "mock.log", cwd=ROOT)
    running: dict[str, Started] = {}
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in VARIANTS}
    try:
        while "ready" not in mock.log.read_text():
            time.sleep(0.01)
        for kind in VARIANTS:
            running[kind] = Started(Variant(kind), ROOT / ".bench" / "penstock", folder / kind / "0", port)
        for number in range(-1, rounds):
            # In another order each time, so that no one always comes after the same.
            for kind in VARIANTS[number % 3 :] + VARIANTS[: number % 3]:
                started = running[kind]
                before, own = rest(started), serving(started)
                request = started.contestant.request(started.port, SMALL, stream=False)
                result = throughput(request, 32, seconds, folder=folder)
                during, own = started.process.usage().cpu_seconds - before, serving(started) - own
                # While nobody asks, the store works every five seconds.
                whole = rest(started, 6.0 if kind == "spans" else 0.0) - before
                if number >= 0:  # the first round warms up
                    cpu, all_cpu = during / result.count * 1e6, whole / result.count * 1e6
                    found[kind].append(
                        {
                            "per_second": result.per_second,
                            "serving_cpu_us": own / result.count * 1e6,
                            "cpu_us": cpu,
                            "whole_cpu_us": all_cpu,
                            "p99": result.p99,
                        }
                    )
                    print(
                        f"round {number + 1}/{rounds} {kind}: {result.per_second:.0f}/s, {own / result.count * 1e6:.0f} {all_cpu:.0f} us",
                        file=sys.stderr,
                        flush=True,
                    )
    finally:
        for started in running.values():
            started.process.stop()
        mock.stop()
    return found


def sums(found: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Medians, and medians of the ratios to the variant that records nothing; those of calls a second with their 95 % interval, since
    what else a machine does moves one round by more than recording does."""
    told: dict[str, Any] = {}
    for kind, samples in found.items():
        told[kind] = {name: round(statistics.median(one[name] for one in samples), 2) for name in samples[0]}
        ratios = [one["per_second"] / none["per_second"] for one, none in zip(samples, found["nothing"], strict=True)]
        told[kind]["of_nothing"] = round(statistics.median(ratios), 4)
        interval = bootstrap(np.array(ratios), lambda rows: float(np.median(rows)))
        told[kind]["of_nothing_interval"] = [round(end, 4) for end in interval]
        own = [one["serving_cpu_us"] / none["serving_cpu_us"] for one, none in zip(samples, found["nothing"], strict=True)]
        told[kind]["serving_cpu_of_nothing"] = round(statistics.median(own), 4)
        spent = [one["whole_cpu_us"] / none["whole_cpu_us"] for one, none in zip(samples, found["nothing"], strict=True)]
        told[kind]["cpu_of_nothing"] = round(statistics.median(spent), 4)
        told[kind]["of_nothing_by_round"] = [round(one, 4) for one in ratios]
    return told


def a_call() -> Any:
    """A call of 1 KB as the line leaves it."""
    from benchmarks.gateway.mock import ANSWER
    from penstock.gateway.shapes.openai_chat import OpenAIChat
    from penstock.kernel.call import Attempt, Call, Cost, Target, Trace, Usage
    from penstock.kernel.principal import Principal

    body = Request(0, "/v1/chat/completions", "bench-model", SMALL, False, {}).body()
    call = Call(operation="chat", shape="openai.chat", credential=None, deadline=0.0, trace=Trace.begin(), body=body)
    call.fields, _ = OpenAIChat().read(body)
    call.model, call.target = "bench-model", Target("bench", "bench-model", "bench-model")
    call.principal = Principal(key_id="key_0123456789abcdef", name="load", organisation="org_0", team="team_0", project="project_0")
    call.usage, call.cost = Usage(input=250, output=12), Cost(amount=45)
    call.attempts = [Attempt(provider="bench", model="bench-model", started_ms=0.2, first_token_ms=1.0, ended_ms=1.1, status=200)]
    reply = {"id": "x", "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}]}
    call.reply_text, call.reply_status, call.outcome, call.total_ms = [json.dumps(reply).encode()], 200, "ok", 1.5
    return call


async def in_process(folder: Path) -> dict[str, float]:
    """Microseconds of CPU for one span, part by part: the least of many tries each, since whatever else runs here only adds."""
    from penstock.observability.own.calls import CallSpans
    from penstock.observability.own.outbox import Outbox
    from penstock.observability.payloads import PayloadKeeper
    from penstock.observability.redaction import Redactor
    from penstock.observability.settings import ObservabilitySettings
    from penstock.storage.telemetry.embedded import EmbeddedTelemetry

    settings = ObservabilitySettings()
    redactor = Redactor()
    keeper, maker = PayloadKeeper("redacted", settings.payload_max_bytes, redactor), CallSpans(redactor)
    plain = PayloadKeeper("full", settings.payload_max_bytes, redactor)
    store = EmbeddedTelemetry(folder / "telemetry", drain_seconds=3600)
    await store.start()
    outbox = Outbox(lambda: store, settings, redactor)
    found: dict[str, float] = {}

    def least(name: str, work: Callable[[], Any]) -> Any:
        best, made = float("inf"), None
        for _ in range(TRIES):
            began = time.thread_time_ns()
            made = work()
            best = min(best, time.thread_time_ns() - began)
        found[name] = best / CALLS / 1e3
        return made

    numbers = iter(range(10**9))
    try:
        calls = [a_call() for _ in range(CALLS)]
        kept = least("keep, secrets replaced", lambda: [keeper.kept(call) for call in calls])
        least("keep, as it came", lambda: [plain.kept(call) for call in calls])
        spans = least("make", lambda: [span for call, one in zip(calls, kept, strict=True) for span in maker.of(call, one)])
        least("make, without prompt and reply", lambda: [span for call in calls for span in maker.of(call, None)])

        def queue() -> list[Any]:
            outbox.put(spans)
            made: list[Any] = []
            while outbox.queued:
                made += outbox.batches()
            return made

        least("queue", queue)
        least("encode and append", lambda: store.put(spans, f"b{next(numbers)}"))
        size = sum(one.stat().st_size for one in (folder / "telemetry" / "inbox").iterdir()) / TRIES / CALLS
        # The engine's part. Spans that come again are left out, so these have ids of their own.
        await store.flush()
        best = float("inf")
        for _ in range(7):
            fresh = [span for call in (a_call() for _ in range(CALLS)) for span in maker.of(call, keeper.kept(call))]
            store.put(fresh, f"f{next(numbers)}")
            began_all = time.process_time()
            await store.flush()
            best = min(best, time.process_time() - began_all)
        found["the engine, afterwards"] = best / CALLS * 1e6
    finally:
        await store.close()
    found["in all, secrets excluded"] = found["make"] + found["queue"] + found["encode and append"]
    replacing = max(0.0, found["keep, secrets replaced"] - found["keep, as it came"])
    found["in all, secrets included"] = found["in all, secrets excluded"] + replacing
    found = {name: round(value, 2) for name, value in found.items()}
    found["bytes"] = round(size)
    return found


def main() -> int:
    """Measure, print tables, write JSON."""
    if sys.argv[1:2] == ["--unrecorded"]:
        unrecorded(sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.own_spans", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only-spans", action="store_true", help="Leave the gateways out, and write nothing.")
    parser.add_argument("--output", type=Path, default=RESULT)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="penstock-own-"))
    try:
        micros = asyncio.run(in_process(folder))
        print("| a span | us of CPU |\n| --- | ---: |")
        for name, value in micros.items():
            if name != "bytes":
                print(f"| {name} | {value:.1f} |")
        cheap = micros["in all, secrets included"] <= MOST_MICROS
        print(f"\nAt most {MOST_MICROS:g} us a span: {'holds' if cheap else 'MISSED'}. {micros['bytes']} bytes in the inbox.\n")
        if chosen.only_spans:
            return 0 if cheap else 1
        machine = describe()
        told = sums(ask(chosen.rounds, chosen.seconds, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("| what is kept | calls/s | of nothing | serving: CPU us a call | all | until idle | of nothing | p99 ms |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind, one in told.items():
        cpu = f"{one['serving_cpu_us']:.0f} | {one['cpu_us']:.0f} | {one['whole_cpu_us']:.0f}"
        least, most = one["of_nothing_interval"]
        calls = f"{one['per_second']:.0f} | {one['of_nothing']:.3f} ({least:.2f}-{most:.2f})"
        print(f"| {kind} | {calls} | {cpu} | {one['cpu_of_nothing']:.2f} | {one['p99']:.1f} |")
    holds = told["spans"]["of_nothing"] >= 1 - MOST_LESS
    print(f"\nAt most {MOST_LESS:.0%} fewer calls with all of it: {'holds' if holds else 'MISSED'}.")
    document = {
        "machine": machine,
        "settings": {"rounds": chosen.rounds, "seconds": chosen.seconds, "load": generator(), "connections": 32, "bytes": SMALL},
        "micros_per_span": micros,
        "throughput": told,
        "bars": {"throughput": holds, "span": cheap},
    }
    chosen.output.write_text(json.dumps(document, indent=1) + "\n")
    return 0 if holds and cheap else 1


if __name__ == "__main__":
    sys.exit(main())
