"""What readers copy is whole: it can be read, and its names are there where they are installed."""

from __future__ import annotations

import ast
import importlib
import importlib.util

import pytest
import yaml

from penstock.observability.traces.setups import KEY, Setup, setups

ALL = setups("http://penstock.example:8080")
PYTHON = [one for one in ALL if "import" in one.code and one.name not in ("vercel", "environment")]


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_each_names_the_address_and_a_key(one: Setup) -> None:
    assert "http://penstock.example:8080" in one.code
    assert KEY in one.code
    assert "URL" not in one.code.replace("url:", "")


@pytest.mark.parametrize("one", PYTHON, ids=lambda one: one.name)
def test_python_is_python_and_imports_what_there_is(one: Setup) -> None:
    for node in ast.walk(ast.parse(one.code)):
        if isinstance(node, ast.ImportFrom):
            assert node.module
            if importlib.util.find_spec(node.module.partition(".")[0]) is None or node.module.startswith("openinference"):
                continue
            module = importlib.import_module(node.module)
            for name in node.names:
                assert hasattr(module, name.name), name.name


def test_the_collectors_configuration_is_one() -> None:
    (one,) = [one for one in ALL if one.name == "collector"]
    assert yaml.safe_load(one.code)["exporters"]["otlphttp/penstock"]["headers"]["authorization"] == f"Bearer {KEY}"
