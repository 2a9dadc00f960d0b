"""The tables of stored responses, of those that are worked on in the background, and of conversations."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table, Text

from penstock.storage.schema import metadata

METADATA = metadata()

TURNS = Table(
    "responses_turns",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("previous", Text),  # the turn that this one follows
    Column("model", Text, nullable=False),  # as the caller named it
    Column("created_at", Double, nullable=False),  # Unix seconds
    Column("expires_at", Double, nullable=False),
    Column("created_by", Text),  # the id of a key
    Column("input", LargeBinary, nullable=False),  # this turn's input items, a JSON list
    Column("response", LargeBinary, nullable=False),  # the response as the client got it, a JSON object
    Column("person", Text),
    Index("ix_responses_turns_expires_at", "expires_at"),
    Index("ix_responses_turns_person", "organisation", "person"),
)

JOBS = Table(
    "responses_jobs",
    METADATA,
    Column("id", Text, primary_key=True),  # the response's
    Column("organisation", Text, nullable=False),
    Column("person", Text),
    Column("key_id", Text, nullable=False),
    Column("model", Text, nullable=False),  # as the caller named it; agent:NAME for an agent
    Column("status", Text, nullable=False),
    Column("background", Boolean, nullable=False),  # whether the caller waits for no answer
    Column("stream", Boolean, nullable=False),  # whether its events are told as they come
    Column("previous", Text),
    Column("conversation", Text),
    Column("run", Text),  # on the journal, once it has begun
    Column("agent_run", Text),  # that of an agent, which more responses may go on with
    Column("seen", Integer, nullable=False),  # the last event of the agent's run that an earlier response, or this one, has told
    Column("thread", Text),  # the agent's
    Column("created_at", Double, nullable=False),  # Unix seconds
    Column("updated_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("asked", LargeBinary, nullable=False),  # what is to be done, as JSON
    Column("response", LargeBinary),  # of one that failed or was cancelled; another is a turn
    Index("ix_responses_jobs_status", "status"),
    Index("ix_responses_jobs_expires_at", "expires_at"),
    Index("ix_responses_jobs_person", "organisation", "person"),
)

EVENTS = Table(
    "responses_events",
    METADATA,
    Column("response", Text, nullable=False),
    Column("number", Integer, nullable=False),  # sequence_number
    Column("at", Double, nullable=False),
    Column("data", LargeBinary, nullable=False),  # a JSON object
    PrimaryKeyConstraint("response", "number", name="pk_responses_events"),
    Index("ix_responses_events_at", "at"),
)

CONVERSATIONS = Table(
    "responses_conversations",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("person", Text),
    Column("created_at", Double, nullable=False),
    Column("used_at", Double, nullable=False),
    Column("metadata", Text, nullable=False),  # a JSON object
    Column("bytes", BigInteger, nullable=False),  # of its items
    Index("ix_responses_conversations_used_at", "used_at"),
    Index("ix_responses_conversations_person", "organisation", "person"),
)

ITEMS = Table(
    "responses_items",
    METADATA,
    Column("conversation", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("id", Text, nullable=False),
    Column("response", Text),  # with which it came
    Column("item", LargeBinary, nullable=False),  # a JSON object
    PrimaryKeyConstraint("conversation", "number", name="pk_responses_items"),
    Index("ix_responses_items_id", "conversation", "id"),
)
