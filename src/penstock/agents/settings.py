"""The agents' slice of the settings."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from penstock.agents.boxes.settings import Box, SandboxesSettings
from penstock.agents.inbox.settings import InboxSettings
from penstock.agents.memory.settings import MemorySettings


class AgentSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Agents: durable work of models and tools. They need the extra `journal`."""

    modules: Annotated[
        tuple[str, ...],
        Meta(
            description="Python modules, imported at start, whose agents and workflows can be started. They run inside this process and are"
            " found where Python finds modules, or in the folder that Penstock is started in."
        ),
    ] = ()
    shared: Annotated[
        tuple[str, ...],
        Meta(
            description="Agents that keys of every organisation may start; the others are for the organisation that runs the installation."
        ),
    ] = ()
    at_once: Annotated[int, Meta(ge=1, description="Runs of agents of one organisation that are worked on at once; the others wait.")] = 50
    per_process: Annotated[int, Meta(ge=1, description="Runs of agents that one process works on at once, without what they ask for.")] = 50
    keep_effects_days: Annotated[
        float, Meta(gt=0, description="How long it is kept what tools did to the world; what is in doubt is kept until someone settles it.")
    ] = 90.0
    keep_events_days: Annotated[
        float, Meta(gt=0, description="How long events are kept for runs that began before they were sent and listen afterwards.")
    ] = 7.0
    memory: Annotated[MemorySettings, Meta(description="Threads, and the long-term memory of agents.")] = MemorySettings()
    inbox: Annotated[InboxSettings, Meta(description="Who has to agree to what agents do, and who is told.")] = InboxSettings()
    toolboxes: Annotated[
        dict[str, Box], Meta(description='Tools that agents take by name, `toolbox("NAME")`, each of a `kind` (docs/toolbox.md).')
    ] = field(default_factory=dict[str, Box])
    sandboxes: Annotated[SandboxesSettings, Meta(description="How much code of models runs at once.")] = SandboxesSettings()
    tokens_key: Annotated[
        str,
        Meta(
            pattern="^((env|file):.+)?$",
            description="Key that seals people's tokens for MCP servers, of 16 characters or more: `env:NAME` or `file:/path`, the same on "
            "all machines; empty: a file in the data folder.",
        ),
    ] = ""
