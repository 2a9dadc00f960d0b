from __future__ import annotations

import gzip
import json
from pathlib import Path

from penstock.demo import samples
from penstock.demo.samples import CHATGPT, FOLDER, GPT4, MIXTRAL
from penstock.gateway.recordings import Player


def test_what_ships_is_small_and_says_where_it_comes_from():
    files = sorted(FOLDER.glob("*.jsonl.gz"))
    assert [f.name for f in files] == ["gsm8k-gpt4.jsonl.gz", "gsm8k-mixtral.jsonl.gz", "halueval.jsonl.gz"]
    assert sum(f.stat().st_size for f in files) < 400_000
    sources = (FOLDER / "SOURCES.md").read_text("utf-8")
    assert "Apache License" in (FOLDER / "LICENSE-RouteLLM.txt").read_text("utf-8")
    assert "MIT License" in (FOLDER / "LICENSE-HaluEval.txt").read_text("utf-8")
    for file in files:
        assert f"`{file.name}`" in sources
        with gzip.open(file) as lines:
            header = json.loads(next(lines))
        assert (header["timing"], header["usage"]) == ("modelled", "estimated")
        assert header["licence"] in ("Apache-2.0", "MIT")
        assert header["source"]


def test_three_models_answered_three_hundred_questions_each():
    found = samples.read_all()
    assert {model: len(all_) for model, all_ in found.items()} == {GPT4: 300, CHATGPT: 300, MIXTRAL: 300}
    assert [s.question for s in found[GPT4]] == [s.question for s in found[MIXTRAL]]
    assert len({s.question for s in found[CHATGPT]}) == 300
    for all_ in found.values():
        assert all(s.answer and s.input > 0 and s.output > 0 for s in all_)


def test_labels_go_along():
    found = samples.read_all()
    # The published accuracies on all 1,319 questions are 86 % and 64 %; a sample of 300 is near them.
    for model, share in ((GPT4, 0.86), (MIXTRAL, 0.64)):
        right = sum(s.meta["correct"] for s in found[model])
        assert abs(right / 300 - share) < 0.08
    marked = [s for s in found[CHATGPT] if s.meta["hallucination"]]
    assert 20 < len(marked) < 150
    assert all(span in s.answer for s in marked for span in s.meta["spans"] if s.meta["spans"] == [s.answer])


def test_the_player_finds_every_sample_with_its_own_time(tmp_path: Path):
    merged = samples.merge(FOLDER, tmp_path / "recordings")
    by_model = samples.read_all()
    for provider, models in {"openai": (GPT4, CHATGPT), "together": (MIXTRAL,)}.items():
        with Player(merged[provider]) as player:
            assert (player.models, player.damaged) == (list(models), 0)
            for model in models:
                for sample in by_model[model]:
                    messages = json.dumps([{"role": "user", "content": sample.question}]).encode()
                    found = player.find("openai.chat", {"model": json.dumps(model).encode(), "messages": messages})
                    assert found.body is not None
                    assert json.loads(found.body)["choices"][0]["message"]["content"] == sample.answer
                    assert 100 < found.first_byte_ms < 2000
                    assert found.first_byte_ms < found.total_ms < 60_000
