"""How the parts of the room are put together."""

from __future__ import annotations

import os
from collections.abc import Sequence

from penstock.interop.a2a.endpoints import A2aServer
from penstock.interop.a2a.expiring import Expiring
from penstock.interop.a2a.pushing import FILE, Pushing
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
from penstock.kernel.capability import Finding, House, Offer
from penstock.kernel.journal import Journal
from penstock.kernel.opening import Opening
from penstock.kernel.ports import AllPersonalRecords, Authenticator, Holders, ModelClient, Ports
from penstock.kernel.rounds import Rounds, Step
from penstock.kernel.tasks import Tasks
from penstock.kernel.web import Endpoint
from penstock.settings import StorageSettings
from penstock.storage.records import Records
from penstock.storage.sealing import Sealing, can_seal, installation_secrets

EXPIRE_SECONDS = 3600.0


def wire(house: House) -> Offer:
    """Build the room inside ``house``."""
    ports, settings = house.ports, house.settings(InteropSettings)
    door = Door(Place(settings))

    def runs() -> AgentRuns:
        return ports.get(AgentRuns)

    calling = Calling(runs, lambda: ports.get(ModelClient), settings.wait_seconds)
    mcp = McpServer(door, runs, lambda: ports.find(Tasks), calling)
    records = ports.get(Records)

    def secrets() -> Sequence[bytes]:
        value = os.environ.get(settings.secret_env) if settings.secret_env else None
        return installation_secrets(house.data_dir / FILE, value, "interop.secret_env", "tokens of A2A's clients")

    pushing = Pushing(records, runs, lambda: ports.get(Holders), settings.push_hosts, Sealing(secrets, "a2a pushes"))
    store = A2aStore(records)
    expiring = Expiring(store, lambda: ports.get(Journal), settings.task_days)
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
    life = InteropLife(door, ports, pushing, Rounds("interop", (Step("expire", expiring.expire, EXPIRE_SECONDS),), seconds=60.0))
    shared = house.settings(StorageSettings).records.startswith("postgres")

    async def check() -> Sequence[Finding]:
        if not pushing.on:
            return ()
        if not can_seal():
            what = "clients of A2A may have URLs told, but their tokens cannot be kept: an extra is not installed"
            return [Finding(name="interop", status="warn", what=what, mend="pip install 'penstock[a2a]'")]
        if shared and not settings.secret_env:
            what = f"the tokens of A2A's clients are kept under {FILE} of this machine, and others may share the database"
            mend = "set interop.secret_env to a variable with the same secret on all machines"
            return [Finding(name="interop", status="warn", what=what, mend=mend)]
        return ()

    return Offer(endpoints=endpoints, routes=answering(runs), services=(life,), checks=(check,), metrics=(pushing, life.rounds))


class InteropLife:
    """Says who knows the keys, once everybody is there, has those told who want to hear of tasks, and lets tasks go."""

    name = "interop"

    def __init__(self, door: Door, ports: Ports, pushing: Pushing, rounds: Rounds) -> None:
        self._door = door
        self._ports = ports
        self._pushing = pushing
        self.rounds = rounds

    async def start(self) -> None:
        """Open the door."""
        self._door.open(self._ports.get(Authenticator))
        await self._pushing.start()
        self.rounds.begin()

    async def stop(self) -> None:
        """Stop telling of tasks; the next process goes on with it."""
        await self.rounds.stop()
        await self._pushing.stop()
