"""The tables of quality."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table, Text, UniqueConstraint

from penstock.storage.schema import metadata

METADATA = metadata()

DATASETS = Table(
    "datasets",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", Text, nullable=False),
    Column("items", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("provenance", Text, nullable=False),  # JSON
    Column("created_at", Double, nullable=False),
    Column("created_by", Text),
    UniqueConstraint("organisation", "name", "version", name="uq_datasets_organisation_name_version"),
)

DATASET_ITEMS = Table(
    "dataset_items",
    METADATA,
    Column("dataset", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("item", Text, nullable=False),  # the item's own id
    Column("body", Text, nullable=False),  # JSON
    PrimaryKeyConstraint("dataset", "position", name="pk_dataset_items"),
)

EVALUATIONS = Table(
    "evaluations",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("task", Text),
    Column("dataset", Text, nullable=False),
    Column("terms", Text, nullable=False),  # JSON: candidates, judge, floors, how they are asked
    Column("status", Text, nullable=False),
    Column("why", Text, nullable=False),  # why it ended before all was done
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("total", Integer, nullable=False),  # answers wanted
    Column("done", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("unjudged", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("cached", Integer, nullable=False),
    Column("cost", BigInteger, nullable=False),  # what this one paid, in micro-dollars
    Column("judging_cost", BigInteger, nullable=False),  # what of it was for judges
    Column("rate", Double, nullable=False),  # answers a second, of late
    Column("results", Text),  # JSON
)
Index("ix_evaluations_organisation_created", EVALUATIONS.c.organisation, EVALUATIONS.c.created_at)
Index("ix_evaluations_status", EVALUATIONS.c.status)

ANSWERS = Table(
    "evaluation_answers",
    METADATA,
    Column("id", Text, primary_key=True),  # digest of organisation and request
    Column("organisation", Text, nullable=False),
    Column("model", Text, nullable=False),  # as it was asked for
    Column("text", Text, nullable=False),
    Column("finish", Text, nullable=False),
    Column("call", Text, nullable=False),
    Column("cost", BigInteger, nullable=False),
    Column("latency_ms", Double, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("answered_by", Text, nullable=False, server_default=""),  # provider/model
    Column("version", Text, nullable=False, server_default=""),  # the registered one behind it then
)
Index("ix_evaluation_answers_created", ANSWERS.c.created_at)

SCORES = Table(
    "evaluation_scores",
    METADATA,
    Column("evaluation", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("candidate", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("state", Text, nullable=False),  # judged, unjudged, waiting, failed
    Column("score", Double),
    Column("judge", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),  # JSON
    Column("error", Text),  # why there is no answer
    Column("text", Text, nullable=False),  # the answer
    Column("finish", Text, nullable=False),
    Column("call", Text, nullable=False),
    Column("cached", Boolean, nullable=False),
    Column("cost", BigInteger, nullable=False),  # of the answer, also where it was paid before
    Column("judging_cost", BigInteger, nullable=False),
    Column("paid", BigInteger, nullable=False),  # what this evaluation paid of both
    Column("latency_ms", Double, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Column("answered_by", Text, nullable=False, server_default=""),  # provider/model
    Column("version", Text, nullable=False, server_default=""),  # the registered one behind it then
    PrimaryKeyConstraint("evaluation", "position", "candidate", name="pk_evaluation_scores"),
)

TWINS = Table(
    "evaluation_twins",
    METADATA,
    Column("evaluation", Text, nullable=False),
    Column("position", Integer, nullable=False),  # of the item whose twin it is
    Column("candidate", Text, nullable=False),
    Column("attribute", Text, nullable=False),  # gender or origin
    Column("state", Text, nullable=False),  # judged, unjudged, failed
    Column("score", Double),
    Column("reason", Text, nullable=False),
    Column("error", Text),  # why there is no answer
    Column("call", Text, nullable=False),
    Column("cached", Boolean, nullable=False),
    Column("judging_cost", BigInteger, nullable=False),
    Column("paid", BigInteger, nullable=False),  # what this evaluation paid for answer and judge
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("evaluation", "position", "candidate", "attribute", name="pk_evaluation_twins"),
)

SAMPLES = Table(
    "quality_samples",
    METADATA,
    Column("id", Text, primary_key=True),  # the call that gave the answer
    Column("organisation", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("item", Text, nullable=False),  # the call that was served
    Column("candidate", Text, nullable=False),
    Column("source", Text, nullable=False),  # live or shadow
    Column("propensity", Double, nullable=False),
    Column("prompt", Text, nullable=False),  # as the record may keep it
    Column("context", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("groups", Text, nullable=False),  # JSON
    Column("cost", BigInteger),
    Column("latency_ms", Double),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Column("state", Text, nullable=False),  # queued, judged, unjudged, waiting
    Column("score", Double),
    Column("judge", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("judging_cost", BigInteger, nullable=False),
    Column("judged_at", Double),
    Column("answered_by", Text, nullable=False, server_default=""),  # provider/model
    Column("version", Text, nullable=False, server_default=""),  # the registered one behind it then
    Column("model_score", Double),  # what a judge said that is no person, also where one has overruled it
    Column("model_judge", Text, nullable=False, server_default=""),
    Column("tools", Text, nullable=False, server_default=""),  # names of those that the call offered, sorted
)
Index("ix_quality_samples_at", SAMPLES.c.at)
Index("ix_quality_samples_organisation_task_at", SAMPLES.c.organisation, SAMPLES.c.task, SAMPLES.c.at)
Index("ix_quality_samples_state_organisation", SAMPLES.c.state, SAMPLES.c.organisation)
Index("ix_quality_samples_item", SAMPLES.c.item)

FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("task", Text),
    Column("kind", Text, nullable=False),  # label or outcome
    Column("name", Text, nullable=False),  # the outcome's
    Column("score", Double, nullable=False),
    Column("call", Text),
    Column("evaluation", Text),
    Column("item", Text),  # of the evaluation
    Column("candidate", Text),
    Column("by", Text, nullable=False),  # who says so
    Column("comment", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)
Index("ix_feedback_organisation_created", FEEDBACK.c.organisation, FEEDBACK.c.created_at)
Index("ix_feedback_call", FEEDBACK.c.call)
Index("ix_feedback_evaluation", FEEDBACK.c.evaluation)

JUDGE_CHECKS = Table(
    "judge_checks",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("judge", Text, nullable=False),  # kind:model
    Column("digest", Text, nullable=False),  # of the whole judge, its rubric too
    Column("task", Text),
    Column("evaluation", Text),
    Column("trusted", Boolean, nullable=False),
    Column("findings", Text, nullable=False),  # JSON
    Column("created_at", Double, nullable=False),
)
Index("ix_judge_checks_organisation_digest", JUDGE_CHECKS.c.organisation, JUDGE_CHECKS.c.digest)

CALIBRATIONS = Table(
    "groundedness_calibrations",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("detector", Text, nullable=False),  # whose scores the limits part
    Column("low", Double, nullable=False),
    Column("high", Double, nullable=False),
    Column("found", Text, nullable=False),  # JSON
    Column("sample", Text, nullable=False),  # JSON: each label with its score
    Column("left_out", Text, nullable=False),  # JSON
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),  # the key
)
Index("ix_groundedness_calibrations_organisation_task", CALIBRATIONS.c.organisation, CALIBRATIONS.c.task, CALIBRATIONS.c.created_at)

DRIFT_BASELINES = Table(
    "drift_baselines",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("organisation", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("since", Double, nullable=False),  # calls from here on are the reference
    Column("why", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)
Index("ix_drift_baselines_organisation_task", DRIFT_BASELINES.c.organisation, DRIFT_BASELINES.c.task, DRIFT_BASELINES.c.created_at)

DRIFT_CHANGES = Table(
    "drift_changes",
    METADATA,
    Column("id", Text, primary_key=True),  # of organisation, task, baseline and feature: each is found once
    Column("organisation", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("baseline", Text, nullable=False),  # empty: the first calls that are kept
    Column("feature", Text, nullable=False),
    Column("changed_at", Double, nullable=False),  # estimated
    Column("detected_at", Double, nullable=False),
    Column("evidence", Double, nullable=False),
    Column("level", Double, nullable=False),  # what the evidence had to reach
    Column("detail", Text, nullable=False),  # JSON: the distributions of both windows
    Column("created_at", Double, nullable=False),
)
Index("ix_drift_changes_organisation_detected", DRIFT_CHANGES.c.organisation, DRIFT_CHANGES.c.detected_at)

SAMPLE_VECTORS = Table(
    "sample_vectors",
    METADATA,
    Column("sample", Text, primary_key=True),
    Column("embedder", Text, nullable=False),
    Column("vector", LargeBinary, nullable=False),  # float32, of the prompt
    Column("at", Double, nullable=False),  # the sample's
)
Index("ix_sample_vectors_at", SAMPLE_VECTORS.c.at)
