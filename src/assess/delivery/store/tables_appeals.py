"""Tables of what a learner asks of people: appeals, what was done about each, and erasure."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, Text

from assess.delivery.store.columns import Flag, Instant, JsonText
from assess.delivery.store.tables import _key, _of, _partial, _table

appeals = _table(
    "appeals",
    _key("tenant"),
    _key("id"),
    Column("learner", Text, nullable=False),
    # decision, or badge; and the id of what is doubted.
    Column("kind", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("session", Text),
    Column("course", Text),
    # What the learner wrote; gone once the learner was erased.
    Column("statement", Text),
    Column("filed_by", Text, nullable=False),
    Column("filed_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    # open, upheld, rejected, or withdrawn by an erasure.
    Column("state", Text, nullable=False),
    Column("sandbox", Flag, nullable=False),
    Column("closed_at", Instant),
    # What the learner is told about the outcome.
    Column("answer", Text),
    # The decision that cites the old one, where one was made.
    Column("new", Text),
    _of("learners", "tenant", "learner", to=("tenant", "id")),
    Index(None, "tenant", "learner"),
    Index(None, "tenant", "state", "due_at"),
    _partial(
        "uq_appeals_one_open", "tenant", "learner", "kind", "about", where="state = 'open'", unique=True
    ),
)

appeal_entries = _table(
    "appeal_entries",
    _key("tenant"),
    _key("appeal"),
    Column("seq", Integer, primary_key=True, nullable=False, autoincrement=False),
    # looked, or decided.
    Column("what", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("approved_by", Text),
    Column("at", Instant, nullable=False),
    # Words and evidence; gone once the learner was erased.
    Column("data", JsonText, nullable=False),
    _of("appeals", "tenant", "appeal", to=("tenant", "id")),
)

erasures = _table(
    "erasures",
    _key("tenant"),
    _key("id"),
    Column("learner", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("approved_by", Text),
    Column("reason", Text, nullable=False),
    Column("at", Instant, nullable=False),
    # How many of what were removed.
    Column("removed", JsonText, nullable=False),
    _of("learners", "tenant", "learner", to=("tenant", "id")),
    Index(None, "tenant", "learner", unique=True),
)
