"""A process that serves a house until it is killed: ``python -m tests.responses.work FOLDER PROVIDER``; it says its URL and first key."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.house import open_house
from tests.responses.test_stage import SETTINGS


async def main(folder: Path, provider: str) -> None:
    settings = (
        f"{SETTINGS}[journal]\npoll_seconds = 0.02\n"
        f'[gateway.providers.native]\nprofile = "openai"\nbase_url = "{provider}"\nmodels = ["r"]\napi_key_env = "HOME"\n'
    )
    async with open_house(folder, settings) as house:
        sys.stdout.write(f"{house.url} {house.admin}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
