"""The page of files: what it shows, and what its button does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.files.test_receive import END, FILES, FORM, SETTINGS, part
from tests.house import open_house

from penstock.files.pages import in_units


@pytest.mark.timeout(60)
async def test_files_are_shown_filtered_and_deleted(tmp_path: Path) -> None:
    async with open_house(tmp_path, SETTINGS) as house:
        assert "No files yet" in (await house.ask("GET", "/console/files", accept="text/html")).text
        body = part("purpose", "user_data") + part("file", b"x" * 1500, "<b>a & b") + END
        id = (await house.ask("POST", FILES, body, content_type=FORM)).json["id"]
        page = (await house.ask("GET", "/console/files", accept="text/html")).text
        for word in ("_b_a &amp; b", "1.5 kB", "user_data", f"/v1/files/{id}/content", "1 file", "kept"):
            assert word in page
        assert id not in (await house.ask("GET", "/console/files?purpose=batch", accept="text/html")).text
        assert (await house.ask("GET", "/console/files?purpose=mischief", accept="text/html")).status == 400
        assert (await house.ask("GET", "/console/files?after=../x", accept="text/html")).status == 400
        reader, _ = await house.key(scopes=["read"])
        assert "Delete" not in (await house.ask("GET", "/console/files", key=reader, accept="text/html")).text
        assert (await house.ask("POST", f"/console/files/{id}/delete", key=reader)).status == 403
        gone = await house.ask("POST", f"/console/files/{id}/delete")
        assert (gone.status, gone.headers["location"]) == (303, "/console/files")
        assert id not in (await house.ask("GET", "/console/files", accept="text/html")).text
        assert (await house.ask("POST", f"/console/files/{id}/delete", accept="text/html")).status == 404


@pytest.mark.parametrize(
    ("size", "told"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_600, "1.0 MB"), (123_456_789, "123 MB"), (5e15, "5000 TB")]
)
def test_sizes_are_told_in_units(size: float, told: str) -> None:
    assert in_units(size) == told
