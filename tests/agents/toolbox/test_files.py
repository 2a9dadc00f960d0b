"""Files of one folder, and no others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.agents.toolbox.calling import call, named, outcome

from penstock.agents.toolbox import files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "root"
    (found / "reports").mkdir(parents=True)
    (found / "reports" / "may.md").write_text("First\nGrowth of 3 %\n")
    (found / "größe.txt").write_text("ä" * 10)
    (found / "picture.png").write_bytes(b"\x89PNG\0growth")
    (tmp_path / "secret.txt").write_text("hidden word: growth")
    (found / "link.txt").symlink_to(tmp_path / "secret.txt")
    (found / "away").symlink_to(tmp_path)
    os.mkfifo(found / "pipe")
    return found


async def test_reading(root: Path) -> None:
    tools = files(root)
    assert [one.name for one in tools] == ["files_list", "files_read", "files_search"]
    assert {one.effect for one in tools} == {"read"}
    found = await call(named(tools, "files_list"))
    assert [one.path for one in found.entries] == ["größe.txt", "picture.png", "reports/"]
    assert [one.path for one in (await call(named(tools, "files_list"), path="reports")).entries] == ["reports/may.md"]
    part = await call(named(tools, "files_read"), path="./reports/may.md")
    assert (part.text, part.bytes, part.next) == ("First\nGrowth of 3 %\n", 20, 0)
    hits = await call(named(tools, "files_search"), text="growth")
    assert [(one.path, one.line, one.text) for one in hits.hits] == [("reports/may.md", 2, "Growth of 3 %")]
    assert (await call(named(tools, "files_search"), text="growth", names="*.txt")).hits == []


async def test_parts(root: Path) -> None:
    read = named(files(root, most_bytes=7), "files_read")
    first = await call(read, path="größe.txt")
    assert (first.text, first.next) == ("äää", 6)
    assert (await call(read, path="größe.txt", start=first.next)).text == "äää"
    assert "file_binary" in (await outcome(named(files(root), "files_read"), path="picture.png")).text


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt", "reports/../../secret.txt", "/etc/passwd", "link.txt", "away/secret.txt", "away/root/reports/may.md", "pipe",
        "reports", "", "..", "a\0b", "reports\\..\\x", "/".join(["x"] * 40), "none.txt",
    ],
)  # fmt: skip
async def test_no_way_out(root: Path, path: str) -> None:
    tools = files(root, write=True)
    told = await outcome(named(tools, "files_read"), path=path)
    assert (told.state, told.code, "hidden word" in told.text) == ("failed", "tool_failed", False)
    assert "file_" in told.text
    if path != "none.txt":
        told = await outcome(named(tools, "files_write"), path=path, text="mine", replace=True)
        assert told.state == "failed"
    assert (root.parent / "secret.txt").read_text() == "hidden word: growth"
    assert sorted(one.name for one in root.parent.iterdir()) == ["root", "secret.txt"]


async def test_writing(root: Path) -> None:
    write = named(files(root, write=True, most_bytes=100), "files_write")
    assert (write.effect, write.honours_key) == ("write", True)
    for _ in range(2):  # made again, it is the same
        made = await call(write, path="new/deep/x.md", text="one")
        assert (made.path, made.bytes) == ("new/deep/x.md", 3)
    assert (root / "new/deep/x.md").read_text() == "one"
    assert "file_exists" in (await outcome(write, path="new/deep/x.md", text="two")).text
    await call(write, path="new/deep/x.md", text="two", replace=True)
    assert (root / "new/deep/x.md").read_text() == "two"
    assert [one.name for one in (root / "new/deep").iterdir()] == ["x.md"]
    assert "file_too_large" in (await outcome(write, path="y", text="x" * 101)).text


async def test_folder_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in (await outcome(named(files(tmp_path / "none"), "files_list"))).text


async def test_named_by_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(root)
    tools = files(tmp_path / "current")
    assert [one.path for one in (await call(named(tools, "files_search"), text="growth")).hits] == ["reports/may.md"]
    assert len((await call(named(tools, "files_list"))).entries) == 3


async def test_names_that_nobody_can_say(root: Path) -> None:
    (Path(os.fsdecode(b"%s/\xff.md" % os.fsencode(root)))).write_text("growth")
    tools = files(root)
    assert [one.path for one in (await call(named(tools, "files_list"))).entries] == ["größe.txt", "picture.png", "reports/"]
    assert [one.path for one in (await call(named(tools, "files_search"), text="growth")).hits] == ["reports/may.md"]
