"""``python -m benchmarks.gateway``: Penstock's gateway against its peers, on this machine, now."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.gateway import memory, report
from benchmarks.gateway.bars import bars
from benchmarks.gateway.contestants import CannotRun, Contestant, LiteLLM, Mock, Portkey, TensorZero, environment_note
from benchmarks.gateway.load import LoadFailed, generator
from benchmarks.gateway.machine import describe
from benchmarks.gateway.measure import Started, check, measure
from benchmarks.gateway.ours import Bare, Penstock
from benchmarks.gateway.processes import Running, free_port
from benchmarks.gateway.report import Outcome

ROOT = Path(__file__).resolve().parents[2]
HOMES = ROOT / ".bench"
RESULT = ROOT / "benchmarks" / "results" / "gateway.json"
MEMORY = ROOT / "benchmarks" / "results" / "memory.json"
EVERYONE: tuple[type[Contestant], ...] = (Mock, Bare, Penstock, TensorZero, Portkey, LiteLLM)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=__doc__)
    names = [kind.name for kind in EVERYONE]
    parser.add_argument(
        "--quick", action="store_true", help="One round of one second a phase: to see that everything runs, not for figures."
    )
    parser.add_argument("--only", metavar="NAMES", help=f"Comma-separated contestants; the mock always runs. All: {','.join(names)}.")
    parser.add_argument("--rounds", type=int, default=3, help="Interleaved rounds; the report shows medians. Default 3.")
    parser.add_argument("--seconds", type=float, default=3.0, help="Length of each phase. Default 3.")
    parser.add_argument("--skip-install", action="store_true", help="Install nothing; a contestant that is not there is reported as such.")
    parser.add_argument("--memory", action="store_true", help="Instead: Penstock's memory over 200,000 requests and 2,000 aborted streams.")
    parser.add_argument(
        "--output",
        type=Path,
        default=None,
        help=f"Where the JSON goes. Default {RESULT.relative_to(ROOT)}; a --quick or --only run writes none.",
    )
    chosen = parser.parse_args()
    chosen.only = [*dict.fromkeys(["mock", *chosen.only.split(",")])] if chosen.only else names
    unknown = set(chosen.only) - set(names)
    if unknown:
        parser.error(f"Unknown contestants: {', '.join(sorted(unknown))}. Known: {', '.join(names)}.")
    if chosen.quick:
        chosen.rounds, chosen.seconds = 1, 1.0
    if chosen.output is None and not chosen.quick and chosen.only == names:
        chosen.output = MEMORY if chosen.memory else RESULT
    return chosen


def install(kinds: list[type[Contestant]], *, skip: bool) -> tuple[list[Contestant], dict[str, Outcome]]:
    ready: list[Contestant] = []
    outcomes: dict[str, Outcome] = {}
    for kind in kinds:
        contestant = kind()
        home = HOMES / contestant.name
        try:
            if skip and kind not in (Mock, Bare, Penstock) and not home.exists():
                raise CannotRun("Not installed, and --skip-install was given.")
            say(
                f"{contestant.name}: installing"
                if not home.exists() and kind not in (Mock, Bare, Penstock)
                else f"{contestant.name}: is there"
            )
            outcomes[contestant.name] = Outcome(contestant.install(home), [])
            ready.append(contestant)
        except CannotRun as error:
            outcomes[contestant.name] = Outcome("-", [], str(error))
            say(f"{contestant.name}: {error}")
    return ready, outcomes


def compete(ready: list[Contestant], outcomes: dict[str, Outcome], chosen: argparse.Namespace, folder: Path, mock_port: int) -> None:
    """A first start of each, checked and not counted (it makes caches that any installation has), then the rounds."""
    running = list(ready)
    for number in range(chosen.rounds + 1):
        for contestant in list(running):
            work = folder / contestant.name / str(number)
            try:
                with Started(contestant, HOMES / contestant.name, work, mock_port) as started:
                    if number == 0:
                        check(contestant, started.port)
                        say(f"{contestant.name} {outcomes[contestant.name].version}: answers as it should")
                        continue
                    sample, failures = measure(started, chosen.seconds, work)
            except (CannotRun, LoadFailed) as error:
                running.remove(contestant)
                outcomes[contestant.name].failure = f"round {number}: {error}"
                say(f"{contestant.name}: {error}")
                continue
            outcomes[contestant.name].samples.append(sample)
            shown = " ".join(f"{key}={sample[key]:.4g}" for key in ("c1.p5", "c32.per_second", "c32.cpu_ms") if key in sample)
            say(f"round {number}/{chosen.rounds} {contestant.name}: {shown}")
            for failure in failures:
                outcomes[contestant.name].failure = f"round {number}: {failure}"
                say(f"{contestant.name}: {failure}")


def main() -> int:
    chosen = arguments()
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    mock_port = free_port()
    mock = Running([sys.executable, "-m", "benchmarks.gateway.mock", "--port", str(mock_port)], log=folder / "mock.log", cwd=ROOT)
    try:
        if chosen.memory:
            return memory.main(HOMES / "penstock", folder, mock_port, quick=chosen.quick, output=chosen.output)
        ready, outcomes = install([kind for kind in EVERYONE if kind.name in chosen.only], skip=chosen.skip_install)
        machine = describe()
        compete(ready, outcomes, chosen, folder, mock_port)
    finally:
        mock.stop()
        shutil.rmtree(folder, ignore_errors=True)
    found = bars({name: outcome.samples for name, outcome in outcomes.items()})
    print(report.table(outcomes))
    print()
    print(report.verdicts(found))
    if chosen.output:
        settings = {"rounds": chosen.rounds, "seconds": chosen.seconds, "load": generator(), "environment": environment_note()}
        report.write(chosen.output, outcomes, machine=machine, settings=settings)
        print(f"\nWritten to {chosen.output}")
    return 0 if all(bar.holds is not False for bar in found) and not any(outcome.failure for outcome in outcomes.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
