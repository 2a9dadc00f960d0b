"""How threads and memory are put together, and what they do by themselves."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.agents.memory.pages import pages
from penstock.agents.memory.remembering import Remembering
from penstock.agents.memory.routes import routes
from penstock.agents.memory.service import Memories
from penstock.agents.memory.settings import MemorySettings
from penstock.agents.memory.threads import Threads
from penstock.kernel.capability import House, Offer
from penstock.kernel.ports import AllPersonalRecords, Holders, Metric
from penstock.kernel.recall import Embedder
from penstock.kernel.rounds import Rounds, Step
from penstock.kernel.web import NavItem
from penstock.storage.records import Records

CLEAN_SECONDS = 3600.0


def wire(house: House, settings: MemorySettings) -> tuple[Remembering, Offer]:
    """What runs of agents have of threads and memory, and what the house does with it."""
    ports = house.ports
    records = ports.get(Records)
    threads = Threads(records, settings)
    memories = Memories(records, settings, lambda: ports.find(Embedder))
    life = MemoryLife(threads, memories)
    personal = ports.find(AllPersonalRecords)
    if personal is not None:
        personal.append(life)
    offer = Offer(
        routes=routes(threads, memories),
        pages=pages(ports, threads, memories),
        nav=(NavItem("Threads", "/console/agents/threads", "threads", "Build", 22),),
        services=(life,),
        metrics=(life,),
    )
    return Remembering(threads, memories, lambda: ports.get(Holders)), offer


class MemoryLife:
    """Threads and memory as a service: lets go of what was kept long enough, and of people who are erased."""

    name = "memory"

    def __init__(self, threads: Threads, memories: Memories) -> None:
        self._threads = threads
        self._memories = memories
        self._rounds = Rounds(self.name, (Step("expire", self._expire, CLEAN_SECONDS),), seconds=60.0)

    async def start(self) -> None:
        """Begin."""
        self._rounds.begin()

    async def stop(self) -> None:
        """End."""
        await self._rounds.stop()

    async def erase(self, organisation: str, person: str) -> int:
        """See `penstock.kernel.ports.PersonalRecords`: threads, and what is remembered of the person or from runs for the person."""
        return await self._threads.erase(organisation, person) + await self._memories.erase(organisation, person)

    def metrics(self) -> Iterable[Metric]:
        """Steps of its rounds that failed."""
        yield from self._rounds.metrics()

    async def _expire(self) -> None:
        await self._threads.expire()
        await self._memories.expire()
