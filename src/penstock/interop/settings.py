"""The settings of the other protocols."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class InteropSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How agents and tasks are reached by programs that speak MCP, A2A and AG-UI."""

    url: Annotated[
        str,
        Meta(
            pattern="^(https?://[^/]+)?$",
            description="Where clients reach this installation, such as https://ai.example.com: it stands in agent cards and in the "
            "metadata of /mcp. Empty: as the request itself names the host.",
        ),
    ] = ""
    origins: Annotated[
        tuple[str, ...],
        Meta(
            description="Origins of web pages, such as https://desk.example.com, that may speak MCP and A2A with this installation. "
            "A request that names any other origin than the installation's own is refused."
        ),
    ] = ()
    authorization_servers: Annotated[
        tuple[str, ...],
        Meta(description="OAuth servers that the metadata of /mcp names. Empty: keys of the house are sent as bearer tokens."),
    ] = ()
    agent: Annotated[
        str,
        Meta(description="The agent whose A2A card is /.well-known/agent-card.json. Empty: the only one there is."),
    ] = ""
    public_cards: Annotated[
        bool,
        Meta(description="Show A2A cards of all agents to who has no key."),
    ] = False
    push_hosts: Annotated[
        tuple[str, ...],
        Meta(description="Hosts that clients of A2A may have told of their tasks, such as hooks.example.com. Empty: none."),
    ] = ()
    secret_env: Annotated[
        str,
        Meta(
            description="Variable with the secret under which the tokens are kept that A2A's clients give for being told; the same on all "
            "machines. Empty: the file `interop.key` in the data folder."
        ),
    ] = ""
    task_days: Annotated[
        float,
        Meta(
            ge=0,
            description="Days for which a task of A2A is kept after its run has ended, with what its client said; 0 keeps it for ever. "
            "The run itself goes as `journal.keep_days` says.",
        ),
    ] = 90.0
    wait_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=3600,
            description="How long a call of an agent over MCP or A2A waits for its end; after that the answer says which run goes on.",
        ),
    ] = 300.0
