"""What stands beside the demo's Penstock so that the support desk of the examples can work in it: the example itself, its stand-in for a
model, its shop's database, and a post office that keeps mails.

The example ships with the package and is copied into the demo's folder, where it is Python to read and to change like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import os
import shutil
import sys
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from penstock.kernel.errors import SettingsError

EXAMPLE = "support_desk"
_SHIPPED = (Path(__file__).parent / "examples", Path(__file__).parents[3] / "examples")
"""Where an installed package has the examples (pyproject.toml puts them there), and where a clone has them."""
_ADDRESS, _KEY = "http://127.0.0.1:8099", "key_of_the_checker"


def possible() -> bool:
    """Whether agents run here: they are durable runs."""
    return importlib.util.find_spec("dbos") is not None


def copied(folder: Path) -> Path:
    """The example in a folder of its own below ``folder``, as the package ``examples`` that its modules name; that folder's path."""
    found = next((one for one in _SHIPPED if (one / EXAMPLE).is_dir()), None)
    if found is None:
        raise SettingsError(f"the examples are missing from this installation: neither {' nor '.join(map(str, _SHIPPED))} has {EXAMPLE}")
    into = folder / "examples"
    shutil.copytree(found / EXAMPLE, into / EXAMPLE, ignore=shutil.ignore_patterns("__pycache__"))
    for file in found.glob("*.py"):
        shutil.copy(file, into)
    return into / EXAMPLE


class Beside:
    """It, while it stands. ``files`` is the example's folder, ``shop`` the file of the shop's database."""

    def __init__(self, folder: Path) -> None:
        self.files = copied(folder)
        self.shop = folder / "shop.db"
        self._folder = folder
        self._model = ""
        self._office: Any = None
        self.asked = 0
        """How many questions the model was asked so far."""
        self._more = asyncio.Condition()
        self._free = sys.maxsize

    @property
    def environ(self) -> Mapping[str, str]:
        """What the example is told by its environment."""
        path = os.pathsep.join([str(self._folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        return {"PYTHONPATH": path, "SHOP_DATABASE": str(self.shop), "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(self._office.port)}

    @property
    def mails(self) -> list[tuple[str, str, str]]:
        """Recipients, subject and text of the mails that came in."""
        return [(", ".join(mail.to), str(mail.message["subject"]), mail.text) for mail in self._office.mails]

    @property
    def refunds(self) -> list[tuple[str, int]]:
        """Order and cents of what the shop gave back, as its database has it."""
        return [(one.order, one.cents) for one in importlib.import_module(f"examples.{EXAMPLE}.shop").refunds(self.shop)]

    def settings(self) -> str:
        """The settings of the example, from its provider on, with its model where that is."""
        text = (self.files / "penstock.toml").read_text("utf-8")
        return text[text.index("[gateway.providers.") :].replace(_ADDRESS, self._model)

    def with_key(self, settings: str, checker: str) -> str:
        """The same with the id of the validator's key, which is made when Penstock runs."""
        return settings.replace(_KEY, checker)

    @contextlib.asynccontextmanager
    async def stand(self) -> AsyncGenerator[None]:
        """Let it stand: the stand-in and the post office, each on a free port."""
        sys.path.insert(0, str(self._folder))
        model = importlib.import_module("examples.stand_in").app(importlib.import_module(f"examples.{EXAMPLE}.script").SCRIPTS)
        model.middlewares.append(self._hold)
        runner = web.AppRunner(model, shutdown_timeout=0.1, handler_cancellation=True)
        self._office = importlib.import_module("examples.post_office").PostOffice()
        try:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self._model = f"http://127.0.0.1:{runner.addresses[0][1]}"
            async with self._office.open():
                yield
        finally:
            await runner.cleanup()
            sys.path.remove(str(self._folder))

    async def thinking(self, questions: int, seconds: float) -> None:
        """Wait until the model has been asked that often; it thinks about the last of them if it is held. Raises TimeoutError."""
        async with asyncio.timeout(seconds), self._more:
            await self._more.wait_for(lambda: self.asked >= questions)

    async def hold(self, free: int) -> None:
        """Let the model answer that many more questions, and then think until it is held no longer."""
        async with self._more:
            self._free = self.asked + free

    async def let_go(self) -> None:
        """Let the model answer what it is asked, and what it is thinking about."""
        async with self._more:
            self._free = sys.maxsize
            self._more.notify_all()

    @web.middleware
    async def _hold(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.method == "POST":
            await request.read()  # now: whoever asks may be killed while the model thinks
            async with self._more:
                self.asked += 1
                mine = self.asked
                self._more.notify_all()
                await self._more.wait_for(lambda: mine <= self._free)
        return await handler(request)
