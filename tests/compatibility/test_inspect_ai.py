"""Inspect AI reads the logs that we write, and we read those that it writes, with the real package (``make test-compatibility``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.quality.exchange import merged
from penstock.quality.inspect_logs import Written, read, value_of, write

pytest.importorskip("inspect_ai", reason="make test-compatibility installs it")

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore")]

ANSWERS = {"a": "4", "b": "7", "c": "ANSWER: B"}


@pytest.mark.parametrize("form", ["eval", "json"])
def test_what_we_write_it_reads(tmp_path: Path, form: str) -> None:
    from inspect_ai.log import read_eval_log, read_eval_log_samples

    common: dict[str, Any] = {"choices": [], "metadata": {"team": "x"}, "input_tokens": 3, "output_tokens": 1, "seconds": 0.1}
    samples = [
        Written(id="a/1", input="2+2?", target="4", text="4", finish="stop", error=None, score=1.0, reason="so", **common),
        Written(
            id="b",
            input=[{"role": "system", "content": "Be kind."}, {"role": "user", "content": "3+3?"}],
            target=["6", "six"],
            text="7",
            finish="length",
            error=None,
            score=0.0,
            reason="",
            **common,
        ),
        Written(id="c", input="?", target="", text="", finish="", error="upstream_error", score=None, reason="", **common),
    ]
    file = tmp_path / f"log.{form}"
    file.write_bytes(
        write(
            samples,
            id="eval_1",
            task="sums",
            dataset="set",
            model="up/m",
            scorer="exact",
            whole=True,
            began=1.7e9,
            ended=1.7e9 + 9,
            eval=form == "eval",
        )
    )
    told = read_eval_log(str(file))
    assert (told.status, told.eval.model, told.eval.task, len(told.samples or [])) == ("success", "up/m", "sums", 3)
    assert told.results is not None
    assert told.results.scores[0].metrics["accuracy"].value == 0.5
    first, second, third = told.samples or []
    assert first.scores is not None
    assert (first.id, first.output.completion, first.scores["exact"].value, first.metadata["team"]) == ("a/1", "4", "C", "x")
    assert (second.input[0].content, second.target, second.output.stop_reason) == ("Be kind.", ["6", "six"], "max_tokens")  # type: ignore[union-attr]
    assert third.error is not None
    assert third.error.message == "upstream_error"
    assert read_eval_log(str(file), header_only=True).results is not None
    assert len(list(read_eval_log_samples(str(file), all_samples_required=True))) == 3


@pytest.mark.parametrize("form", ["eval", "json"])
def test_what_it_writes_we_read(tmp_path: Path, form: str) -> None:
    from inspect_ai import Task, eval
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser, ModelOutput, ModelUsage
    from inspect_ai.scorer import match
    from inspect_ai.solver import solver

    @solver
    def fixed() -> Any:
        # A model of its own, mock or not, wants a tokenizer from the network.
        async def solve(state: Any, generate: Any) -> Any:
            state.output = ModelOutput.from_content("mockllm/model", ANSWERS[state.sample_id])
            state.output.usage = ModelUsage(input_tokens=5, output_tokens=1, total_tokens=6)
            state.messages.append(state.output.choices[0].message)
            return state

        return solve

    samples = [
        Sample(id="a", input="2+2?", target="4", metadata={"team": "x"}),
        Sample(id="b", input=[ChatMessageSystem(content="Be kind."), ChatMessageUser(content="3+3? " * 200)], target="6"),
        Sample(id="c", input="pick", choices=["no", "yes"], target="B"),
    ]
    task = Task(dataset=MemoryDataset(samples, name="sums"), solver=[fixed()], scorer=[match()], name="sums")
    (made,) = eval(task, model="mockllm/model", log_dir=str(tmp_path), log_format=form, display="none", epochs=2)
    assert made.status == "success"
    (file,) = tmp_path.glob(f"*.{form}")
    found = read(file.read_bytes())
    items, told = merged([found])
    assert [(one.id, one.targets, one.choices) for one in items] == [("a", ("4",), []), ("b", ("6",), []), ("c", ("B",), ["no", "yes"])]
    assert items[1].text.startswith("3+3? 3+3?")
    assert items[1].messages()[0] == {"role": "system", "content": "Be kind."}
    assert [len(told["mockllm/model", id]) for id in "abc"] == [2, 2, 2]
    scores = [value_of(one.scores["match"]) for id in "abc" for one in told["mockllm/model", id] if one.scores]
    assert scores == [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]
    assert told["mockllm/model", "b"][0].output.completion == "7"  # type: ignore[union-attr]
