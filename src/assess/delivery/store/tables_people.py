"""Tables about who a learner is: cohorts, assigned courses, sign-in, and records that were merged."""

from __future__ import annotations

from sqlalchemy import Column, Index, Text, UniqueConstraint

from assess.delivery.store.columns import Flag, Instant
from assess.delivery.store.tables import _key, _of, _partial, _table

cohorts = _table(
    "cohorts",
    _key("tenant"),
    _key("id"),
    Column("title", Text, nullable=False),
    Column("sandbox", Flag, nullable=False),
    Column("created_at", Instant, nullable=False),
    _of("tenants", "tenant", to=("id",)),
)

cohort_members = _table(
    "cohort_members",
    _key("tenant"),
    _key("cohort"),
    _key("learner"),
    Column("since", Instant, nullable=False),
    _of("cohorts", "tenant", "cohort", to=("tenant", "id")),
    _of("learners", "tenant", "learner", to=("tenant", "id")),
    Index(None, "tenant", "learner"),
)

assignments = _table(
    "assignments",
    _key("tenant"),
    # cohort or learner, and its id.
    _key("kind"),
    _key("target"),
    _key("course"),
    # Instants decide; the zone is kept to tell them in the words in which they were given.
    Column("opens_at", Instant),
    Column("closes_at", Instant),
    Column("zone", Text, nullable=False),
    _of("tenants", "tenant", to=("id",)),
)

sign_in_codes = _table(
    "sign_in_codes",
    _key("tenant"),
    _key("code_sha256"),
    Column("learner", Text, nullable=False),
    Column("cohort", Text),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Instant, nullable=False),
    # Used, or replaced by a newer code: either way it opens nothing any more.
    Column("ended_at", Instant),
    Column("ended_by", Text),
    _of("learners", "tenant", "learner", to=("tenant", "id")),
    Index(None, "tenant", "learner"),
)

sign_ins = _table(
    "sign_ins",
    _key("tenant"),
    _key("id"),
    Column("learner", Text, nullable=False),
    Column("cohort", Text),
    Column("token_sha256", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("ended_at", Instant),
    _of("learners", "tenant", "learner", to=("tenant", "id")),
    UniqueConstraint("token_sha256"),
    Index(None, "tenant", "learner"),
)

learner_merges = _table(
    "learner_merges",
    _key("tenant"),
    _key("id"),
    # This learner's records count for that one's as long as the merge is not undone.
    Column("learner", Text, nullable=False),
    Column("into", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("undone_at", Instant),
    Column("undone_by", Text),
    Column("undone_reason", Text),
    _of("learners", "tenant", "learner", to=("tenant", "id")),
    _of("learners", "tenant", "into", to=("tenant", "id")),
    Index(None, "tenant", "into"),
    Index(None, "tenant", "learner"),
    # Nobody is merged into two.
    _partial("uq_learner_merges_one_standing", "tenant", "learner", where="undone_at IS NULL", unique=True),
)
