"""The doctor's question to the running process, over a real socket."""

from __future__ import annotations

from pathlib import Path

from tests.house import open_house

from penstock.gateway.told_by_running import told_by_running
from penstock.settings import ServerSettings

SETTINGS = (
    "[gateway]\ndiscover = false\nlocal_embeddings = false\nretries = 0\n"
    '[gateway.providers.gone]\nprofile = "openai-compatible"\nbase_url = "http://127.0.0.1:1/v1"\nmodels = ["m"]\n'
    "[gateway.resilience]\nfailures = 1\nopen_seconds = 600\nlongest_open_seconds = 600\n"
)


async def test_it_tells_of_circuits_to_who_may_hear_it(tmp_path: Path) -> None:
    async with open_house(tmp_path, SETTINGS) as house:
        host, _, port = house.url.removeprefix("http://").partition(":")
        server, ours = ServerSettings(host=host, port=int(port)), {"PENSTOCK_KEY": house.admin}
        assert [(f.status, f.what) for f in await told_by_running(server, ours)] == [("ok", "all closed")]
        assert (await house.ask("POST", "/v1/chat/completions", {"model": "m", "messages": []})).status == 502
        (finding,) = await told_by_running(server, ours)
        assert (finding.name, finding.status) == ("circuit gone", "warn")
        assert finding.what.startswith("open: upstream_unreachable; asked again in ")
        assert [f.status for f in await told_by_running(server, {})] == ["off"]
        assert [f.status for f in await told_by_running(server, {"PENSTOCK_KEY": "psk_wrong"})] == ["warn"]
        assert [f.status for f in await told_by_running(ServerSettings(port=1), ours)] == ["off"]
