"""What finops offers is there, and looking at the offer costs nothing."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import penstock.finops as package
from penstock.finops.capability import Finops
from penstock.kernel.capability import Capability


def test_everything_that_is_named_exists() -> None:
    offered: Capability = Finops()
    assert offered.commands is not None
    module, _, name = offered.commands.partition(":")
    assert hasattr(importlib.import_module(module), name)
    assert offered.migrations is not None
    importlib.import_module(offered.migrations)
    assert offered.templates == package.__name__
    assert (Path(package.__path__[0]) / "templates" / "budgets.html").is_file()


def test_the_offer_is_read_without_the_parts() -> None:
    heavy = ("sqlalchemy", "starlette", "genai_prices", "penstock.finops.service")
    code = f"import sys, penstock.finops.capability; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
