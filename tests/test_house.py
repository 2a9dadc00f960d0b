"""The rules of the house, each of which notices when it is broken: sizes, words, mirrored tests, documents that do not lag."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import textwrap
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import MetaData
from tests.unmirrored import UNMIRRORED
from typer.main import get_command

from penstock.app import capabilities
from penstock.gateway.settings import GatewaySettings
from penstock.gateway.shapes.body import MAX_NESTING
from penstock.inspect import closed_house, places
from penstock.kernel.stage import Slot
from penstock.settings import BASE, describe, load
from penstock.up import CONTROL_BODY_BYTES
from scripts import make_docs

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "penstock"
DOCS = ROOT / "docs"

SEEN_THROUGH = {
    "__init__.py": "facades: they name what is inside",
    "capability.py": "declares what a room offers; tests/test_house.py and tests/test_capability_from_outside.py read all of it",
    "settings.py": "fields and their bounds; tests/test_settings.py reads all of them",
    "tables.py": "columns; tests/storage/test_migrations.py compares them with the migrations",
    "wiring.py": "puts the parts together; tests/house.py opens the whole",
    "migrations/*.py": "tests/storage/test_migrations.py runs them",
    "observability/otlp/conventions/*.py": "names of attributes; tests/observability/otlp/test_normalise.py has spans of each",
    "gateway/schemas/*.py": "words of the OpenAPI document; tests/edge/test_openapi.py holds real answers against them",
}
"""Kinds of files that state something and do nothing, by pattern: what looks at them instead of a test file of their own."""


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the repository that is text, vendored files and recordings left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout, so nobody knows which files belong to it")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return tuple(f for f in files if f.is_file() and "vendor" not in f.parts and f.suffix not in (".png", ".gz", ".jsonl", ".svg"))


# ---- sizes


def too_long(path: Path, text: str, most: int) -> str | None:
    lines = text.count("\n")
    top = " ".join(text.splitlines()[:25]).lower()
    reason = re.search(rf"over {most} lines,? (?:since|because)", top)
    return None if lines <= most or reason else f"{path}: {lines} lines, over {most}, and its top does not say why"


def test_files_hold_one_idea_or_say_why_not() -> None:
    code = [f for f in tracked() if f.suffix in (".py", ".js", ".mjs", ".css", ".html")]
    found = [too_long(f.relative_to(ROOT), f.read_text("utf-8"), 600 if f.is_relative_to(ROOT / "tests") else 400) for f in code]
    assert [fault for fault in found if fault] == []


def test_a_long_file_is_seen() -> None:
    long = '"""An idea."""\n' + "x = 1\n" * 400
    assert too_long(Path("a.py"), long, 400)
    assert not too_long(Path("a.py"), long.replace("idea.", "idea.\n\nOver 400 lines, since it is one table."), 400)
    assert not too_long(Path("a.py"), "x = 1\n" * 400, 400)


# ---- words

# Put together here, so that this file does not hold them.
UNFINISHED = "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"))
FORBIDDEN = {
    "what is not finished": re.compile(rf"\b(?:{UNFINISHED})\b"),
    "a path of somebody's machine": re.compile(r"(?<![\w.])/(?:work|root|home/[a-z]\w*|Users/\w+|tmp/(?!x\b)\w+)/"),
    "a number of a tracker": re.compile(r"(?i)\b(?:issue|ticket)s? #?\d+|(?:^|[\s(])#[1-9]\d{0,3}(?=[\s).,]|$)"),
    "the host of a package index": re.compile(r"(?i)https?://[^\s/\"']*(?:pypi|pythonhosted|npmjs|artifactory|nexus)[^\s/\"']*"),
}


def words(name: str, text: str) -> Iterator[str]:
    for what, pattern in FORBIDDEN.items():
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                yield f"{name}:{number}: {what}: {line.strip()[:120]}"


def test_no_file_says_what_only_its_makers_understand() -> None:
    found = [fault for f in tracked() if f.name != "LICENSE" for fault in words(str(f.relative_to(ROOT)), f.read_text("utf-8"))]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "# TO" + "DO: later",
        "x = 1  # FIX" + "ME",
        'open("/wor' + 'k/main/x")',
        "cd /ho" + "me/ada/penstock",
        "see iss" + "ue 12",
        "as in #" + "34",
    ],
)
def test_a_forbidden_word_is_seen(line: str) -> None:
    assert list(words("a.py", line))


@pytest.mark.parametrize("line", ["color: #123456;", "color: #333;", "GET /console/calls", "https://host/work/x", "{#- 1 -#}", "&#34;"])
def test_ordinary_words_are_left_alone(line: str) -> None:
    assert not list(words("a.css", line))


# ---- mirrored tests


def modules() -> list[str]:
    """Modules of the package that do something, as paths below it."""
    found = [f.relative_to(SRC) for f in tracked() if f.is_relative_to(SRC) and f.suffix == ".py"]
    mine = sorted(str(f) for f in found if not any(f.match(pattern) for pattern in SEEN_THROUGH))
    return [*mine, "settings.py"]


def mirror(module: str) -> Path:
    path = Path(module)
    return ROOT / "tests" / path.parent / f"test_{path.name}"


def test_every_module_has_its_tests_beside_it_or_says_where_they_are() -> None:
    lost = [m for m in modules() if not mirror(m).is_file() and m not in UNMIRRORED]
    assert lost == [], f"write {mirror(lost[0]).relative_to(ROOT)}"


def test_the_list_of_modules_without_tests_of_their_own_only_gets_shorter() -> None:
    assert [m for m in UNMIRRORED if mirror(m).is_file()] == [], "these have tests of their own now; take them off the list"
    assert sorted(set(UNMIRRORED) - set(modules())) == [], "these are gone; take them off the list"
    assert sorted(t for t in set(UNMIRRORED.values()) if not (ROOT / "tests" / t).is_file()) == []


# ---- documents


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


@pytest.mark.parametrize("name", make_docs.PAGES)
def test_generated_pages_do_not_lag(name: str) -> None:
    assert page(name) == make_docs.rendered(name), "run `make docs`"


def test_every_setting_is_documented() -> None:
    text = page("settings.md")
    kinds = {**BASE, **{c.name: c.settings for c in capabilities() if c.settings is not None}}
    for section, kind in kinds.items():
        part = text.split(f"\n## [{section}]\n")[1].split(f"\n## [{section}")[0]
        assert [name for name, *_ in describe(kind) if f"| `{name}` |" not in part] == []


def test_every_route_and_page_is_documented() -> None:
    text = page("api.md")
    offers = closed_house(None).offers.values()
    names = [f"`{r.method} {r.path}`".replace(":path}", "}") for o in offers for r in (*o.routes, *o.endpoints)]
    names += [f"| `{p.path.replace(':path}', '}')}` |" for o in offers for p in o.pages]
    assert len(names) > 40
    assert [name for name in names if name not in text] == []


def test_every_stage_is_documented() -> None:
    text = page("line.md")
    assert [p.stage for p in places() if f"| `{p.stage}` | {p.capability} |" not in text] == []


def test_every_command_is_documented() -> None:
    text = page("commands.md")
    assert [name for name in commands() if f"\n## {name}\n" not in text] == []


def error_codes(tree: ast.Module) -> Iterator[str]:
    """The codes that a module gives to errors: as a class's default, or for one error."""
    constants = {
        t.id: n.value.value
        for n in tree.body
        if isinstance(n, ast.Assign) and isinstance(n.value, ast.Constant) and isinstance(n.value.value, str)
        for t in n.targets
        if isinstance(t, ast.Name)
    }
    for node in ast.walk(tree):
        value: ast.expr | None = None
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            value = node.value if isinstance(target, ast.Name) and target.id == "default_code" else None
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "")[:1].isupper():
            value = next((k.value for k in node.keywords if k.arg == "code"), None)
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value
        elif isinstance(value, ast.Name) and value.id in constants:
            yield constants[value.id]


def test_every_error_code_is_documented() -> None:
    text = page("errors.md")
    found = {code for m in (*modules(), "kernel/errors.py") for code in error_codes(ast.parse((SRC / m).read_text("utf-8")))}
    assert found >= {"internal_error", "missing_api_key", "recording_miss", "local_model_altered", "body_timeout"}
    assert sorted(code for code in found if not re.search(rf"\b{code}\b", text)) == []


def test_every_table_is_documented() -> None:
    import importlib

    text = page("data-model.md")
    metadata: list[MetaData] = [importlib.import_module(f"penstock.{f.parent.name}.tables").METADATA for f in SRC.glob("*/tables.py")]
    assert len(metadata) >= 3
    assert [t for m in metadata for t in m.tables if f"`{t}`" not in text] == []


def test_the_limits_of_a_body_are_documented_as_they_are() -> None:
    for name in ("errors.md", "settings.md"):
        text = " ".join(page(name).split())
        assert f"{MAX_NESTING} levels" in text
        assert f"{CONTROL_BODY_BYTES // 2**20} MiB" in text
        assert "max_body_bytes" in text
    assert f"| `max_body_bytes` | int | `{GatewaySettings().max_body_bytes}` |" in page("settings.md")


# ---- examples


class Example:
    """One fenced block of a document."""

    def __init__(self, file: Path, line: int, language: str, text: str) -> None:
        self.place = f"{file.relative_to(ROOT)}:{line}"
        self.language = language
        self.text = text


def documents() -> list[Path]:
    return [f for f in tracked() if f.suffix == ".md"]


def examples(file: Path, text: str) -> Iterator[Example]:
    for found in re.finditer(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
        yield Example(file, text[: found.start()].count("\n") + 1, found[2], textwrap.dedent(found[3]))


@cache
def commands() -> tuple[str, ...]:
    return tuple(name for name, _ in make_docs._leaves(get_command(make_docs._commands()), "penstock"))


def shown_command(words: list[str]) -> str | None:
    """What is wrong with a command that a document shows, if anything."""
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words[:1] == ["export"] or not words:
        return None
    program = words[0].rpartition("/")[2]
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return next((f"make has no target {w}" for w in words[1:] if w not in targets), None)
    if program == "penstock" and len(words) > 1 and words[1] != "--help":
        named = [c for c in commands() if words[: len(c.split())][1:] == c.split()[1:]]
        if not named:
            return f"there is no command {' '.join(words[:3])}"
        part = page("commands.md").split(f"\n## {named[0]}\n")[1].split("\n## ")[0]
        return next((f"{named[0]} has no option {w}" for w in words if w.startswith("-") and f"`{w.partition('=')[0]}`" not in part), None)
    return None


def faults(example: Example, folder: Path) -> Iterator[str]:
    try:
        match example.language:
            case "python":
                ast.parse(example.text)
            case "toml":
                tomllib.loads(example.text)
                file = folder / "penstock.toml"
                file.write_text(example.text, "utf-8")
                load({c.name: c.settings for c in capabilities() if c.settings is not None}, file=file, environ={})
            case "json":
                for line in example.text.splitlines():
                    json.loads(line)
            case "console":
                for line in example.text.splitlines():
                    wrong = shown_command(shlex.split(line[2:], comments=True)) if line.startswith("$ ") else None
                    if wrong:
                        yield f"{example.place}: {wrong}"
            case "text":
                pass
            case other:
                yield f"{example.place}: nobody checks {other or 'a block without a language'}"
    except Exception as fault:  # whatever its parser says is what is wrong with the example
        yield f"{example.place}: {example.language}: {fault}"


def test_every_example_of_the_documents_can_be_read(tmp_path: Path) -> None:
    found = [example for file in documents() for example in examples(file, file.read_text("utf-8"))]
    assert {"python", "toml", "console", "json"} <= {example.language for example in found}
    assert [fault for example in found for fault in faults(example, tmp_path)] == []


def test_every_command_in_a_sentence_exists() -> None:
    found = [
        (f.relative_to(ROOT), wrong)
        for f in documents()
        for command in re.findall(r"`((?:\S*/)?penstock [a-z][^`\n]*)`", f.read_text("utf-8"))
        if (wrong := shown_command(shlex.split(command)))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", "client = (\n"),
        ("toml", "[gateway\n"),
        ("toml", "[gateway]\nprovider = 3\n"),
        ("toml", "[finops]\nunpriced = 'perhaps'\n"),
        ("json", "{'a': 1}\n"),
        ("console", "$ make coffee\n"),
        ("console", "$ .venv/bin/penstock brew\n"),
        ("console", "$ penstock up --tea\n"),
        ("", "anything\n"),
    ],
)
def test_an_example_that_is_wrong_is_seen(tmp_path: Path, language: str, text: str) -> None:
    (found,) = examples(ROOT / "README.md", f"Say:\n\n```{language}\n{text}```\n")
    assert list(faults(found, tmp_path))


def test_links_between_documents_lead_somewhere() -> None:
    lost = [
        f"{file.relative_to(ROOT)}: {target}"
        for file in documents()
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", file.read_text("utf-8"))
        if "://" not in target and not (file.parent / target).exists()
    ]
    assert lost == []


def test_files_that_documents_name_are_there() -> None:
    lost = []
    for file in documents():
        for name in re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|md|toml|json|html|css|js)|[a-z]+\.py)`", file.read_text("utf-8")):
            if not any((base / name).exists() for base in (ROOT, SRC, file.parent)) and ("/" in name or not any(SRC.rglob(name))):
                lost.append(f"{file.relative_to(ROOT)}: {name}")
    assert lost == []


def test_the_picture_of_the_architecture_is_true() -> None:
    text = page("architecture.md")
    picture = text.split("```text\n")[1].split("```")[0]
    slots = [slot.name.lower() for slot in Slot]
    assert [word for word in re.findall(r"[a-z]+", picture.split("reply:")[0]) if word in slots] == slots
    for named in re.findall(r"\b(?:edge|gateway|kernel|storage)/\w+", picture):
        assert (SRC / f"{named}.py").is_file(), named
    folders = [f.name for f in SRC.iterdir() if (f / "__init__.py").is_file()]
    assert [name for name in folders if f"`{name}`" not in text] == []
    assert {"watch", "flow", "bridge", "api"} <= set(re.findall(r"\w+", picture))


def test_every_page_of_docs_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [f.name for f in DOCS.glob("*.md") if f"(docs/{f.name})" not in readme] == []
