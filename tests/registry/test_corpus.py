"""Every malicious sample is refused, for a reason of ours, and everything that ordinary weights are made of is accepted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.registry.bypasses import bypasses
from tests.registry.corpus import Sample, samples

from penstock.registry.scan import scan

CORPUS = [*samples(), *bypasses()]


@pytest.mark.parametrize("sample", CORPUS, ids=lambda s: f"{s.group}-{s.name}")
def test_a_malicious_sample_is_refused(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / sample.file).write_bytes(sample.data)
    for name, data in sample.beside:
        (tmp_path / name).write_bytes(data)
    alone = scan(tmp_path / sample.file)
    assert not alone.accepted
    assert not scan(tmp_path).accepted
    assert {f.code for f in alone.findings} & {"unreadable", "too_many_files", "no_weights", "empty"} == set()


def test_the_corpus_is_as_wide_as_it_says() -> None:
    groups = Counter(s.group for s in CORPUS)
    assert len(CORPUS) == len({(s.group, s.name) for s in CORPUS})
    assert groups["classic"] >= 60
    assert groups["import"] >= 100
    assert min(groups["stream"], groups["archive"], groups["format"]) >= 25
