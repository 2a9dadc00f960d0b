"""How the parts of the room are put together."""

from __future__ import annotations

from penstock.interop.a2a.endpoints import A2aServer
from penstock.interop.a2a.pushing import Pushing
from penstock.interop.a2a.service import A2aService
from penstock.interop.a2a.store import A2aStore
from penstock.interop.agui.endpoints import PATH as AGUI
from penstock.interop.agui.endpoints import endpoints as agui
from penstock.interop.door import Door
from penstock.interop.mcp.calling import Calling
from penstock.interop.mcp.endpoints import McpServer
from penstock.interop.place import Place
from penstock.interop.runs.endpoints import endpoints as watching
from penstock.interop.runs.endpoints import routes as answering
from penstock.interop.settings import InteropSettings
from penstock.kernel.agents import AgentRuns
from penstock.kernel.capability import House, Offer
from penstock.kernel.journal import Journal
from penstock.kernel.opening import Opening
from penstock.kernel.ports import AllPersonalRecords, Authenticator, Holders, ModelClient, Ports
from penstock.kernel.tasks import Tasks
from penstock.kernel.web import Endpoint
from penstock.storage.records import Records


def wire(house: House) -> Offer:
    """Build the room inside ``house``."""
    ports, settings = house.ports, house.settings(InteropSettings)
    door = Door(Place(settings))

    def runs() -> AgentRuns:
        return ports.get(AgentRuns)

    calling = Calling(runs, lambda: ports.get(ModelClient), settings.wait_seconds)
    mcp = McpServer(door, runs, lambda: ports.find(Tasks), calling)
    records = ports.get(Records)
    pushing = Pushing(records, runs, lambda: ports.get(Holders), settings.push_hosts)
    store = A2aStore(records)
    personal = ports.find(AllPersonalRecords)
    if personal is not None:
        personal.append(store)
    service = A2aService(runs, store, pushing, settings.wait_seconds)
    a2a = A2aServer(door, runs, service, front=settings.agent, public=settings.public_cards, pushes=pushing.on)
    endpoints: tuple[Endpoint, ...] = (
        *agui(door, runs),
        door.preflight(AGUI),
        *mcp.endpoints(settings.authorization_servers),
        *a2a.endpoints(),
    )
    endpoints = (*endpoints, *watching(door, lambda: ports.get(Journal), Opening.of(ports)))
    return Offer(endpoints=endpoints, routes=answering(runs), services=(InteropLife(door, ports, pushing),), metrics=(pushing,))


class InteropLife:
    """Says who knows the keys, once everybody is there, and has those told who want to hear of tasks."""

    name = "interop"

    def __init__(self, door: Door, ports: Ports, pushing: Pushing) -> None:
        self._door = door
        self._ports = ports
        self._pushing = pushing

    async def start(self) -> None:
        """Open the door."""
        self._door.open(self._ports.get(Authenticator))
        await self._pushing.start()

    async def stop(self) -> None:
        """Stop telling of tasks; the next process goes on with it."""
        await self._pushing.stop()
