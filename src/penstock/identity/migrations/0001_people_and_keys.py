"""Organisations, teams, projects, people, keys with their secrets, browser sessions, and the change counter."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "identity_0001"
down_revision = None
branch_labels = ("identity",)
depends_on = None


def upgrade() -> None:
    changes = op.create_table(
        "identity_changes",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_identity_changes"),
        sa.CheckConstraint("id = 1", name="ck_identity_changes_one_row"),
    )
    op.bulk_insert(changes, [{"id": 1, "version": 0}])
    op.create_table(
        "organisations",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("home", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_organisations"),
        sa.UniqueConstraint("name", name="uq_organisations_name"),
    )
    op.create_table(
        "teams",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_teams"),
        sa.ForeignKeyConstraint(["organisation"], ["organisations.id"], name="fk_teams_organisation"),
        sa.UniqueConstraint("organisation", "name", name="uq_teams_organisation_name"),
    )
    op.create_table(
        "projects",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("team", sa.Text),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
        sa.ForeignKeyConstraint(["organisation"], ["organisations.id"], name="fk_projects_organisation"),
        sa.ForeignKeyConstraint(["team"], ["teams.id"], name="fk_projects_team"),
        sa.UniqueConstraint("organisation", "name", name="uq_projects_organisation_name"),
    )
    op.create_table(
        "people",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("team", sa.Text),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("email", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
        sa.ForeignKeyConstraint(["organisation"], ["organisations.id"], name="fk_people_organisation"),
        sa.ForeignKeyConstraint(["team"], ["teams.id"], name="fk_people_team"),
        sa.UniqueConstraint("organisation", "email", name="uq_people_organisation_email"),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("organisation", sa.Text, nullable=False),
        sa.Column("team", sa.Text),
        sa.Column("project", sa.Text),
        sa.Column("person", sa.Text),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("tasks", sa.JSON, nullable=False),
        sa.Column("requests_per_minute", sa.BigInteger),
        sa.Column("tokens_per_minute", sa.BigInteger),
        sa.Column("concurrency", sa.BigInteger),
        sa.Column("first", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("created_by", sa.Text),
        sa.Column("expires_at", sa.Double),
        sa.Column("revoked_at", sa.Double),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.ForeignKeyConstraint(["organisation"], ["organisations.id"], name="fk_keys_organisation"),
        sa.ForeignKeyConstraint(["team"], ["teams.id"], name="fk_keys_team"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_keys_project"),
        sa.ForeignKeyConstraint(["person"], ["people.id"], name="fk_keys_person"),
    )
    op.create_table(
        "key_secrets",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("last4", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.PrimaryKeyConstraint("digest", name="pk_key_secrets"),
        sa.ForeignKeyConstraint(["key"], ["keys.id"], name="fk_key_secrets_key"),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("secret", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_sessions"),
        sa.ForeignKeyConstraint(["secret"], ["key_secrets.digest"], name="fk_sessions_secret"),
    )
    for table, column in (
        ("organisations", "version"),
        ("teams", "version"),
        ("projects", "team"),
        ("projects", "version"),
        ("people", "team"),
        ("people", "version"),
        ("keys", "organisation"),
        ("keys", "team"),
        ("keys", "project"),
        ("keys", "person"),
        ("keys", "version"),
        ("key_secrets", "key"),
        ("sessions", "secret"),
        ("sessions", "expires_at"),
        ("sessions", "version"),
    ):
        op.create_index(f"ix_{table}_{column}", table, [column])
