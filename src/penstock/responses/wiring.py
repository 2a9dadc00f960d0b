"""How the parts of the room are put together."""

from __future__ import annotations

from penstock.kernel.agents import AgentRuns
from penstock.kernel.capability import House, Offer
from penstock.kernel.journal import Journal
from penstock.kernel.ports import AllPersonalRecords, Holders, ModelClient, ModelStreams, Peers
from penstock.kernel.vendor import VendorDoor
from penstock.responses import conversation_endpoints
from penstock.responses.agent import Agents
from penstock.responses.asking import Asking
from penstock.responses.background import Background
from penstock.responses.context import Context
from penstock.responses.conversation import Conversations
from penstock.responses.endpoints import endpoints
from penstock.responses.handing import HandOver
from penstock.responses.life import LEFT, ResponsesLife
from penstock.responses.pending import Pending
from penstock.responses.personal import PersonalResponses
from penstock.responses.service import ResponseService
from penstock.responses.settings import ResponsesSettings
from penstock.responses.stage import Remember
from penstock.storage.records import Records


def wire(house: House) -> Offer:
    """Build the room inside ``house``."""
    settings, ports = house.settings(ResponsesSettings), house.ports
    records = ports.get(Records)
    pending = Pending(records, house.data_dir / "responses-spool", settings.drain_seconds)
    service = ResponseService(records, pending, settings)
    conversations = Conversations(records, settings)
    context = Context(service, conversations)
    agents = Agents(lambda: ports.find(AgentRuns), lambda: ports.get(Holders))
    asking = Asking(lambda: ports.get(ModelClient), lambda: ports.get(ModelStreams), lambda: ports.get(Holders), context)

    def left() -> None:
        peers = ports.find(Peers)
        if peers is not None:
            peers.tell(LEFT)

    background = Background(records, service, settings, lambda: ports.get(Journal), asking, agents, left)
    stage = Remember(service, context, conversations, HandOver(service, context, conversations, background, agents))
    personal = ports.find(AllPersonalRecords)
    if personal is not None:
        personal.append(PersonalResponses(records, pending))
    door = VendorDoor("req")
    life = ResponsesLife(ports, door, service, conversations, background, pending, stage)
    return Offer(
        stages=(stage,),
        endpoints=(*endpoints(door, service, background), *conversation_endpoints.endpoints(door, conversations, settings)),
        services=(life,),
        checks=(life.check,),
        metrics=(life,),
    )
