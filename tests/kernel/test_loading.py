from __future__ import annotations

import sys
from pathlib import Path

import pytest

from penstock.kernel.errors import SettingsError
from penstock.kernel.loading import load


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text, "utf-8")


def test_a_module_of_the_folder_that_penstock_was_started_in_is_found_and_hides_nothing(own_folder: Path) -> None:
    write(own_folder, "mine_alone/agents.py", "x = 1\n")
    write(own_folder, "colorsys.py", "raise AssertionError('hides the one of the library')\n")
    sys.modules.pop("colorsys", None)
    assert load("mine_alone.agents", "agents.modules").x == 1
    assert hasattr(load("colorsys", "agents.modules"), "rgb_to_hsv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import json\n\njson.loads('{')\n", r"JSONDecodeError: Expecting .*/faulty\.py, line 3\)"),
        ("x = 1\ny = undefined\n", r"NameError: name 'undefined' is not defined \(.*/faulty\.py, line 2\)"),
        ("def a(:\n", r"invalid syntax \(.*/faulty\.py, line 1\)"),
        ("import not_there_at_all\n", r"ModuleNotFoundError: No module named 'not_there_at_all' \(.*/faulty\.py, line 1\)"),
        (
            "from penstock.agents import tool\n\n@tool\ndef find(number):\n    '''Look.'''\n",
            r"find: the argument 'number' has no type; write one, as in `number: str` \(.*/faulty\.py, line 3\)",
        ),
    ],
)
def test_what_is_wrong_with_it_is_said_with_its_line(own_folder: Path, text: str, said: str) -> None:
    write(own_folder, "faulty.py", text)
    with pytest.raises(SettingsError, match=rf"agents\.modules: 'faulty' cannot be loaded: .*{said}") as told:
        load("faulty", "agents.modules")
    assert told.value.param == "agents.modules"


def test_one_that_is_not_there_is_told_from_one_that_lacks_another(own_folder: Path) -> None:
    for name in ("acme_nowhere", "acme_nowhere.agents"):
        with pytest.raises(SettingsError, match=r"there is no module 'acme_nowhere'; start Penstock in the folder that holds it"):
            load(name, "agents.modules")
