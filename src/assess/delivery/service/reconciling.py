"""What a rescoring says of itself: whom it reached, what moved, and whether that adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from assess.delivery import schemas
from assess.delivery.service.context import Services
from assess.delivery.store import reading_rescores
from assess.delivery.store.reading_rescores import Reconciliation
from assess.delivery.store.rows import ChangeRow, DecisionRow
from assess.delivery.store.rows_rescores import Rescore, RescoredSession
from assess.session import Release

_PAGE = 200


@dataclass
class Tally:
    """What a preview adds up, as the tables add up a real run."""

    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    excluded: Counter[str] = field(default_factory=Counter)
    changes: list[ChangeRow] = field(default_factory=list)
    flipped: list[schemas.FlippedSession] = field(default_factory=list)

    def add(
        self,
        rows: Iterable[RescoredSession],
        pairs: Sequence[tuple[DecisionRow, DecisionRow]],
        changes: Iterable[ChangeRow],
    ) -> None:
        """Add what would be done with one learner's sessions."""
        self.excluded.update(row.excluded for row in rows if row.excluded is not None)
        self.moves.update((old.status, new.status) for old, new in pairs)
        self.changes += changes
        self.flipped += [
            schemas.FlippedSession(session=old.session, learner=old.learner, old=old.status, new=new.status)
            for old, new in pairs
            if old.status != new.status
        ]


async def flipped_by(services: Services, running: Rescore) -> list[schemas.FlippedSession]:
    """The sessions whose word a run changed."""
    flipped: list[schemas.FlippedSession] = []
    after = ""
    while True:
        rows = await services.store.read(
            reading_rescores.rescored, running.tenant, running.id, after=after, limit=_PAGE
        )
        ids = [decision for row in rows for decision in (row.old, row.new) if decision is not None]
        words = await services.store.read(reading_rescores.decision_words, running.tenant, ids)
        for row in rows:
            if row.old is None or row.new is None or words[row.old] == words[row.new]:
                continue
            flipped.append(
                schemas.FlippedSession(
                    session=row.session, learner=row.learner, old=words[row.old], new=words[row.new]
                )
            )
        if len(rows) < _PAGE:
            return flipped
        after = rows[-1].session


def body(
    running: Rescore,
    release: Release,
    counted: Reconciliation,
    told: Sequence[ChangeRow],
    *,
    flipped: Sequence[schemas.FlippedSession],
    dry_run: bool,
) -> schemas.Rescoring:
    """All that is known of a rescoring, or of a release of results."""
    gained = Counter(row.badge for row in told if row.type == "eligibility.gained")
    lost = Counter(row.badge for row in told if row.type == "eligibility.lost")
    return schemas.Rescoring(
        rescore=None if dry_run else running.id,
        state="dry_run" if dry_run else running.state,  # type: ignore[arg-type]
        course=running.course,
        form=release.form.reference,
        onto=running.onto,
        sources=running.sources,
        reason=running.reason,
        started_at=running.started_at,
        finished_at=running.finished_at,
        affected=counted.affected,
        rescored=sum(counted.moves.values()),
        excluded=[schemas.Excluded(reason=r, sessions=n) for r, n in sorted(counted.excluded.items())],
        difference=counted.difference,
        moves=[
            schemas.Moved(old=old, new=new, sessions=n) for (old, new), n in sorted(counted.moves.items())
        ],
        badges=[
            schemas.BadgeMoves(badge=badge, gained=gained[badge], lost=lost[badge])
            for badge in sorted({*gained, *lost} - {None})  # type: ignore[type-var]
            if badge is not None
        ],
        flipped=sorted(flipped, key=lambda entry: entry.session),
        kind=running.kind,  # type: ignore[arg-type]
    )


def entry(row: Rescore) -> schemas.RescoringState:
    """It as an entry of the list."""
    return schemas.RescoringState(
        rescore=row.id,
        state=row.state,  # type: ignore[arg-type]
        course=row.course,
        onto=row.onto,
        reason=row.reason,
        by=row.by,
        approved_by=row.approved_by,
        started_at=row.started_at,
        finished_at=row.finished_at,
        kind=row.kind,  # type: ignore[arg-type]
    )
