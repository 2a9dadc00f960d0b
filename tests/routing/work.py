"""``python -m tests.routing.work FOLDER URL [KEY ORGANISATION]``: a house with a task over two recorded models, in a process to be killed.

The models are at ``URL``, outside of it. It says ``up ADDRESS KEY ORGANISATION`` when it answers; a start after the first is told the
last two, so that its task is there before the journal goes on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tests.house import SETTINGS, open_house
from tests.routing.rig import LARGE, PRICES, SMALL, Declared, Room, outcomes, recorded

from penstock.gateway import wiring
from penstock.kernel.tasks import Floor, Judge, Task

ROWS = "PENSTOCK_TEST_ROWS"
"""How many of the recorded questions are evidence; all where nobody says."""

WORDS = "PENSTOCK_TEST_WORDS"
"""Where it is set, prompts are embedded by counting their words: a hundredth of the model's work, for whoever kills many processes."""


class Counting:
    """An `Embedder` of as many directions as there are buckets for words."""

    id = "words-64"

    def at_hand(self, text: str) -> bytes | None:
        """None: each is embedded."""
        return None

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """See `Embedder.embed`."""
        made = np.full((len(texts), 64), 1e-3, dtype=np.float32)
        for row, text in zip(made, texts, strict=True):
            for word in text.lower().split():
                row[zlib.crc32(word.encode()) % 64] += 1
        return [one.tobytes() for one in made / np.linalg.norm(made, axis=1, keepdims=True)]


def settings(url: str) -> str:
    """Both models behind one address."""
    text = SETTINGS + "[journal]\npoll_seconds = 0.02\n[routing]\nembed_ms = 5000\n"
    for name, (given, taken) in PRICES.items():
        vendor, model = name.split("/")
        text += f'[gateway.providers.{vendor}]\nprofile = "openai-compatible"\nbase_url = "{url}"\nmodels = ["{model}"]\n'
        text += f'[finops.prices."{name}"]\ninput = {given}\noutput = {taken}\n'
    return text


def sums(organisation: str) -> Task:
    """A task whose evidence carries a cascade."""
    return Task(
        organisation=organisation, name="sums", owner="maths", default=LARGE, candidates=(SMALL, LARGE), judge=Judge(kind="numeric"),
        floor=Floor(level=0.85), mode="cascade", data_class="public",
    )  # fmt: skip


async def main(folder: Path, url: str, key: str = "", organisation: str = "") -> None:
    """Serve until killed, or told to stop."""
    if os.environ.get(WORDS):
        wiring.LocalEmbedder = lambda folder: Counting()  # type: ignore[assignment,misc]
    declared = Declared()
    declared.known = outcomes(recorded()[: int(os.environ.get(ROWS, "100000"))])
    if organisation:
        declared.declare(sums(organisation))
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with open_house(folder, settings(url), more=[Room(declared)], without=("tasks", "quality")) as house:
        house.admin = house.admin or key
        if not organisation:
            organisation = await house.home()
            declared.declare(sums(organisation))
        sys.stdout.write(f"up {house.url} {house.admin} {organisation}\n")
        sys.stdout.flush()
        await stopping.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
