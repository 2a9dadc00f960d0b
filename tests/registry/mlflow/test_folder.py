"""MLflow's folder: what it writes is read, what is written here is read again, and what is wrong is named by its file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.kernel.errors import RequestError
from penstock.registry.mlflow.folder import read_folder, write_folder
from penstock.registry.mlflow.shape import ModelVersion, RegisteredModel

# As MLflow 3.17 has written them.
MODEL = """aliases:
  champion: '1'
creation_timestamp: 1795271134000
deployment_job_id: null
description: 'a long description a long description a long description a long description
  a long description '
last_updated_timestamp: 1795271134015
name: m
workspace: default
"""
VERSION = """creation_timestamp: 1795271134003
current_stage: Production
description: d
last_updated_timestamp: 1795271134003
model_id: null
name: m
run_id: 0123abc
run_link: null
source: s3://x
status: READY
storage_location: s3://x
user_id: null
version: 1
workspace: default
"""


def put(folder: Path, **files: str) -> None:
    for name, text in files.items():
        place = folder / name.replace("__", "/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")


def test_what_mlflow_has_written(tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="the extra 'mlflow' is not installed")
    put(tmp_path / "models" / "m", **{"meta.yaml": MODEL, "version-1__meta.yaml": VERSION, "version-1__tags__licence": "mit"})
    put(tmp_path / "models" / "m", **{"tags__k": "v: 'x'\nline", "aliases__champion": "1"})
    (model,) = read_folder(tmp_path)
    assert (model.name, model.tags, model.aliases) == ("m", {"k": "v: 'x'\nline"}, {"champion": 1})
    assert model.description == "a long description " * 5
    (version,) = model.versions
    assert version == ModelVersion(
        number=1,
        description="d",
        stage="Production",
        source="s3://x",
        run="0123abc",
        status="READY",
        created=1795271134003,
        tags={"licence": "mit"},
    )
    assert list(read_folder(tmp_path / "models")) == [model], "the folder itself may be named as well"


NAMES = st.from_regex(r"[A-Za-z0-9_. -]{1,20}", fullmatch=True).filter(lambda name: name.strip(". ") != "")
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=50)
VERSIONS = st.lists(
    st.builds(ModelVersion, number=st.integers(1, 9), description=TEXTS, stage=st.sampled_from(["", "Archived"]), source=TEXTS,
              run=st.from_regex(r"[0-9a-f]{0,8}", fullmatch=True), status=st.just("READY"), created=st.integers(0, 2**41),
              tags=st.dictionaries(NAMES, TEXTS, max_size=3)),
    max_size=3, unique_by=lambda version: version.number,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(NAMES, TEXTS, VERSIONS), min_size=1, max_size=3, unique_by=lambda one: one[0].lower()))
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, given: list[tuple[str, str, list[ModelVersion]]]) -> None:
    folder = tmp_path_factory.mktemp("out")
    models = [
        RegisteredModel(
            name=name,
            description=text,
            aliases={"champion": versions[0].number} if versions else {},
            versions=tuple(sorted(versions, key=lambda version: version.number)),
        )
        for name, text, versions in given
    ]
    assert write_folder(folder, models) == len(models)
    assert sorted(read_folder(folder), key=lambda model: model.name) == sorted(models, key=lambda model: model.name)


@pytest.mark.parametrize("name", ["../x", "a/b", "a%b", "", ".."])
def test_a_name_that_leaves_the_folder_is_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError, match="cannot be the name of a file"):
        write_folder(tmp_path, [RegisteredModel(name=name)])


def test_nothing_is_written_over(tmp_path: Path) -> None:
    write_folder(tmp_path, [])
    with pytest.raises(RequestError, match="is there already"):
        write_folder(tmp_path, [])


@pytest.mark.parametrize("text", ['["a"]', '{"version": "x y"}', '{"version": 1, "tags": 7, "source": 9}', "\udcff"])
def test_what_is_wrong_is_named_by_its_file(tmp_path: Path, text: str) -> None:
    put(tmp_path / "models" / "m", **{"meta.yaml": "{}"})
    place = tmp_path / "models" / "m" / "version-1"
    place.mkdir()
    (place / "meta.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises((RequestError, ValueError)) as fault:
        list(read_folder(tmp_path))
    if isinstance(fault.value, RequestError):
        assert "meta.yaml" in fault.value.message


def test_a_folder_without_models_says_so(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="there are no registered models"):
        list(read_folder(tmp_path))
