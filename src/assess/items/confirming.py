"""Confirming forms: short adaptive forms that test, under supervision, whether a score is credible."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from assess.items.adaptive_rules import AdaptiveRules
from assess.items.reading import Fields

if TYPE_CHECKING:
    from assess.items.forms import Form

# What of the adaptive rules a confirming form may state; it chooses and ends by its own test.
_ADAPTIVE = ("randomesque", "min_units", "max_units", "certainty", "enemies", "anchors", "time")


@dataclass(frozen=True, slots=True)
class ConfirmationPolicy:
    """What a confirming form tests the credibility of, and how often it may err.

    Parameters
    ----------
    forms : tuple of str
        Ids of the forms of the course whose passes it confirms.
    loss : float
        How much lower theta is, under supervision, where a score is not credible.
    alpha : float
        At most this share of scores that hold is found inconsistent.
    beta : float
        At most this share of scores that are too high by the loss is found consistent.
    within_days : int
        After the end of the first session; later, forgetting looks like a score that was never true.
    """

    forms: tuple[str, ...]
    loss: float
    alpha: float
    beta: float
    within_days: int = 90

    def to_mapping(self) -> dict[str, Any]:
        """Plain data that `read_confirmation` reads back."""
        return {name: getattr(self, name) for name in self.__slots__} | {"forms": list(self.forms)}


def read_confirmation(fields: Fields) -> ConfirmationPolicy | None:
    """What a form confirms; None where it is no confirming form."""
    if fields.raw("confirms", None) is None:
        return None
    below = fields.below("confirms")
    policy = ConfirmationPolicy(
        forms=below.strings("forms"),
        loss=below.number("loss"),
        alpha=below.number("alpha"),
        beta=below.number("beta"),
        within_days=below.integer("within_days", 90, minimum=1),
    )
    below.finish()
    if not policy.forms or len(set(policy.forms)) != len(policy.forms):
        raise below.fault("forms", "name the forms whose passes it confirms, each once")
    if policy.loss <= 0.0:
        raise below.fault("loss", f"{policy.loss} is no loss; say how far theta falls, above 0")
    for name in ("alpha", "beta"):
        if not 0.0 < getattr(policy, name) < 0.5:
            raise below.fault(name, f"{getattr(policy, name)} is no error rate; say one between 0 and 0.5")
    return policy


def check_confirming(form: Form, fields: Fields) -> None:
    """Refuse what a confirming form cannot mean: it decides nothing, and ends by its own test.

    Raises
    ------
    InvalidContent
        With the field, and what would be right.
    """
    policy, rules, none = form.confirms, form.adaptive, "a confirming form decides nothing"
    assert policy is not None
    if rules is None:
        raise fields.fault("confirms", "only an adaptive form confirms: it chooses what was not seen")
    if form.id in policy.forms:
        raise fields.fault("confirms.forms", f"{form.id} cannot confirm itself")
    if form.time_limit_minutes is None:
        raise fields.fault("time_limit_minutes", "a confirming form is sat in one go; state its time")
    for name in ("target", "extension", "further_cuts", "pilot_slots"):
        if getattr(form, name):
            raise fields.fault(name, f"{none}: leave it out")
    if form.rule != type(form.rule)():
        raise fields.fault("rule", f"{none}: leave it out; what it goes by stands under confirms")
    if form.release != "immediate":
        raise fields.fault("release", f"{none}: it has no results to hold")
    if form.feedback != "objectives":
        raise fields.fault("feedback", f"{none}: it gives no rationales")
    if rules.certainty:
        raise fields.fault("adaptive.certainty", "a confirming form ends by its own test; say false")
    plain = replace(AdaptiveRules(), **{name: getattr(rules, name) for name in _ADAPTIVE})
    strange = [name for name in rules.__slots__ if getattr(rules, name) != getattr(plain, name)]
    if strange:
        raise fields.fault(
            f"adaptive.{strange[0]}", "a confirming form chooses and ends by its own test: leave it out"
        )
