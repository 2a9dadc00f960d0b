"""Tables of the agents."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, PrimaryKeyConstraint, Table, Text

from penstock.storage.schema import metadata

METADATA = metadata()

EFFECTS = Table(
    "agent_effects",
    METADATA,
    Column("key", Text, primary_key=True),  # the call's: run and ordinal
    Column("organisation", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("effect", Text, nullable=False),  # write or irreversible
    Column("state", Text, nullable=False),  # begun, done, failed, in_doubt
    Column("attempts", Integer, nullable=False),
    Column("outcome", Text),  # JSON, once it is over
    Column("begun_at", Double, nullable=False),
    Column("ended_at", Double),
)
Index("ix_agent_effects_run", EFFECTS.c.run)
Index("ix_agent_effects_organisation_state", EFFECTS.c.organisation, EFFECTS.c.state, EFFECTS.c.begun_at)

SENT = Table(
    "agent_events",
    METADATA,
    Column("id", Text, primary_key=True),  # follows from the sender's key, where there is one
    Column("organisation", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("run", Text, nullable=False),  # for this run alone; empty for all
    Column("data", Text, nullable=False),  # JSON
    Column("at", Double, nullable=False),
)
Index("ix_agent_events_organisation_name_at", SENT.c.organisation, SENT.c.name, SENT.c.at)
Index("ix_agent_events_at", SENT.c.at)

WAITS = Table(
    "agent_waits",
    METADATA,
    Column("id", Text, primary_key=True),  # of the run and the wait's number in it
    Column("organisation", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("where", Text, nullable=False),  # JSON
    Column("at", Double, nullable=False),
)
Index("ix_agent_waits_organisation_name", WAITS.c.organisation, WAITS.c.name)
Index("ix_agent_waits_at", WAITS.c.at)
Index("ix_agent_waits_run", WAITS.c.run)

REQUESTS = Table(
    "agent_requests",
    METADATA,
    Column("id", Text, primary_key=True),  # follows from the run, the kind and the ordinal
    Column("organisation", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("kind", Text, nullable=False),  # approval or question
    Column("ordinal", Text, nullable=False),  # a number, or the key of the call
    Column("agent", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("key", Text, nullable=False),  # that started the run
    Column("person", Text, nullable=False),  # that the run works for
    Column("proposal", Text),  # JSON
    Column("digest", Text, nullable=False),
    Column("need", Text, nullable=False),  # JSON
    Column("policy", Text, nullable=False),
    Column("schema", Text),  # JSON
    Column("to", Text, nullable=False),  # JSON
    Column("answer", Text),  # JSON
    Column("by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("escalates_at", Double),  # until that has been told
    Column("ended_at", Double),
    Column("valid_until", Double),
    Column("told", Boolean, nullable=False),  # whether its run knows how it ended
)
Index("ix_agent_requests_organisation_state_opened_at", REQUESTS.c.organisation, REQUESTS.c.state, REQUESTS.c.opened_at)
Index("ix_agent_requests_state_told", REQUESTS.c.state, REQUESTS.c.told)
Index("ix_agent_requests_run", REQUESTS.c.run)

VOTES = Table(
    "agent_request_votes",
    METADATA,
    Column("request", Text, nullable=False),
    Column("voter", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("approve", Boolean, nullable=False),
    Column("note", Text, nullable=False),
    Column("validator", Text, nullable=False),
    Column("behalf", Text, nullable=False),
    Column("behalf_key", Text, nullable=False, server_default=""),
    Column("counts", Text, nullable=False),  # JSON
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("request", "voter"),
)

POLICIES = Table(
    "agent_policies",
    METADATA,
    Column("organisation", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("policy", Text, nullable=False),  # JSON
    Column("note", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("organisation", "version"),
)

DELEGATIONS = Table(
    "agent_delegations",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("giver", Text, nullable=False),
    Column("taker", Text, nullable=False),
    Column("key", Text, nullable=False, server_default=""),  # with which it was given
    Column("team", Text, nullable=False),
    Column("admin", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("until", Double, nullable=False),
    Column("ended_at", Double),
)
Index("ix_agent_delegations_organisation_taker", DELEGATIONS.c.organisation, DELEGATIONS.c.taker)

NOTICES = Table(
    "agent_notices",
    METADATA,
    Column("id", Text, primary_key=True),  # follows from the request, the event and the channel
    Column("number", BigInteger, nullable=False),  # of a request and channel they go in this order
    Column("organisation", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("event", Text, nullable=False),  # JSON
    Column("state", Text, nullable=False),  # waiting, delivered, failed
    Column("attempts", Integer, nullable=False),
    Column("next_at", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("fault", Text, nullable=False),
)
Index("ix_agent_notices_state_next_at", NOTICES.c.state, NOTICES.c.next_at)

TRAIL = Table(
    "agent_request_trail",
    METADATA,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("organisation", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("details", Text, nullable=False),  # JSON
    Column("by", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("digest", Text, nullable=False),
)
"""Append only: nothing in Penstock changes or deletes a row, and each carries a digest over itself and the one before it."""
Index("ix_agent_request_trail_organisation_id", TRAIL.c.organisation, TRAIL.c.id)

SCHEDULES = Table(
    "agent_schedules",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("input", Text, nullable=False),  # JSON
    Column("cron", Text, nullable=False),  # empty: once
    Column("zone", Text, nullable=False),
    Column("missed", Text, nullable=False),  # once, all, skip
    Column("person", Text, nullable=False),
    Column("state", Text, nullable=False),  # active, paused, ended, cancelled, stopped
    Column("next_at", Double),
    Column("last_at", Double),
    Column("last_run", Text, nullable=False),
    Column("starts", Integer, nullable=False),
    Column("fault", Text, nullable=False),
    Column("created_by", Text, nullable=False),  # the key that pays
    Column("created_at", Double, nullable=False),
    Column("labels", Text, nullable=False, server_default="{}"),  # JSON: of the run that asked for it
    Column("read", Text, nullable=False, server_default="[]"),  # JSON: labels of what that run had read
    Column("asked_by", Text, nullable=False, server_default="[]"),  # JSON: ids of those beside the key and the person
    Column("paused_at", Double),
    Column("limits", Text, nullable=False, server_default="{}"),  # JSON: those that the run was started with that asked for it
)
Index("ix_agent_schedules_organisation_person", SCHEDULES.c.organisation, SCHEDULES.c.person)
Index("ix_agent_schedules_state_next_at", SCHEDULES.c.state, SCHEDULES.c.next_at)
Index("ix_agent_schedules_organisation_state", SCHEDULES.c.organisation, SCHEDULES.c.state)
