"""What a confirming session confirms: a decision of the learner's, with the score behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from assess.items.reading import Fields
from assess.scale import Score
from assess.session.lazily import lazy
from assess.standards.records import canonical_json, decimal9, rounded9, sha256

if TYPE_CHECKING:
    from assess.irt.confirmation import FirstScore


@dataclass(frozen=True, eq=False)
class FirstDecision:
    """The decision under confirmation, and the distribution of theta behind its score.

    Parameters
    ----------
    decision, record_sha256, session : str
        Which decision, under which hash, of which session.
    low, high : float
        First and last of the equally spaced nodes.
    weights : tuple of float
        One per node, nine significant digits.
    basis : str
        "posterior" or "normal_approximation".

    Examples
    --------
    >>> score = Score(theta=0.4, se=0.3, method="WL", item_ids=("i1",))
    >>> first = FirstDecision.of("dec_1", "0f" * 32, "ses_1", score)
    >>> FirstDecision.from_mapping(first.to_mapping()).to_mapping() == first.to_mapping()
    True
    >>> first.record()["theta"], first.record()["se"], first.basis
    ('0.4', '0.299999994', 'normal_approximation')
    """

    decision: str
    record_sha256: str
    session: str
    low: float
    high: float
    weights: tuple[float, ...]
    basis: str = "posterior"

    @classmethod
    def of(cls, decision: str, record_sha256: str, session: str, score: Score) -> FirstDecision:
        """From a decision and the score it rests on.

        Raises
        ------
        InvalidParameters
            The score has no finite estimate.
        """
        from assess.irt.confirmation import FirstScore

        first = FirstScore.of(score)
        return cls(
            decision,
            record_sha256,
            session,
            float(first.nodes[0]),
            float(first.nodes[-1]),
            tuple(rounded9(weight) for weight in first.weights.tolist()),
            first.basis,
        )

    @lazy
    def score(self) -> FirstScore:
        """The distribution, as the confirmation reads it."""
        from assess.irt.confirmation import FirstScore

        nodes = np.linspace(self.low, self.high, len(self.weights))
        return FirstScore(nodes, np.array(self.weights), self.basis)

    def record(self) -> dict[str, Any]:
        """What the record of the confirmation says of it."""
        return {
            "decision": self.decision,
            "record_sha256": self.record_sha256,
            "session": self.session,
            "theta": decimal9(self.score.theta),
            "se": decimal9(self.score.se),
            "basis": self.basis,
            "distribution_sha256": sha256(canonical_json(self.to_mapping(), floats=True)),
        }

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for storage."""
        names = ("decision", "record_sha256", "session", "low", "high", "basis")
        return {name: getattr(self, name) for name in names} | {"weights": list(self.weights)}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> FirstDecision:
        """Read what `to_mapping` wrote."""
        fields = Fields(mapping, "start record: confirms")
        found = cls(
            decision=fields.text("decision"),
            record_sha256=fields.text("record_sha256"),
            session=fields.text("session"),
            low=fields.number("low"),
            high=fields.number("high"),
            weights=tuple(float(weight) for weight in fields.raw("weights")),
            basis=fields.choice("basis", ("posterior", "normal_approximation")),
        )
        fields.finish()
        return found
