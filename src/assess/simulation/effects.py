"""What a new version of a form would change: the same learners through it and the present one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from assess.errors import InvalidParameters
from assess.irt.decision_accuracy import RuleAccuracy, accuracy_of_outcomes
from assess.irt.parameters import ItemParameters
from assess.irt.scoring import Prior
from assess.session import Release
from assess.simulation.accuracy import decide


@dataclass(frozen=True, eq=False)
class Effect:
    """Pass rates and accuracy before and after, both of the same simulated learners.

    Parameters
    ----------
    form : str
        The new version.
    replaces : str
        The present version; empty where there is none to compare with.
    population : Prior
        Who takes the form, on the scale of the new version.
    before : RuleAccuracy or None
    after : RuleAccuracy
    note : str
        Why there is no `before`; empty otherwise.
    """

    form: str
    replaces: str
    population: Prior
    before: RuleAccuracy | None
    after: RuleAccuracy
    note: str = ""

    def __repr__(self) -> str:
        return f"<Effect {self.summary()}>"

    def rows(self) -> list[tuple[str, float, float]]:
        """Name, share before (nan where unknown) and after."""
        names = ("passed", "undetermined", "accuracy", "false_pass", "false_fail", "consistency")
        before = {} if self.before is None else self.before.shares
        return [(name, before.get(name, float("nan")), self.after.shares[name]) for name in names]

    def summary(self) -> str:
        """The change in one sentence."""
        if self.before is None:
            return f"{self.form}: {100 * self.after.passed:.1f} % pass; {self.after.summary()}; {self.note}"
        return (
            f"{self.form}: {100 * self.before.passed:.1f} % pass as {self.replaces}, "
            f"{100 * self.after.passed:.1f} % with the new version; {self.after.summary()}"
        )


def effect_of_change(
    before: Release | None,
    after: Release,
    rng: np.random.Generator,
    *,
    population: Prior | None = None,
    n: int = 4_000,
) -> Effect:
    """Send simulated learners through two versions of a form.

    They answer by the newest parameters of each unit: by those of `after`, and
    where a unit is in `before` only, by its own if that lives on the same scale.
    Right and wrong are told by the cut of `after`.

    Parameters
    ----------
    before : Release or None
    after : Release
        On calibrated parameters.
    population : Prior, optional
        On the scale of `after`; N(0, 1) unless given.
    n : int
        Simulated learners. A share has a standard error of at most ``0.5 / sqrt(n)``.

    Raises
    ------
    InvalidParameters
        `after` rests on judged parameters.

    Examples
    --------
    >>> effect_of_change(None, release, np.random.default_rng(1))
    Traceback (most recent call last):
        ...
    assess.errors.InvalidParameters: x-fixed.v1 rests on judged parameters; accuracy needs calibrated ones
    """
    if not after.calibrated:
        raise InvalidParameters(
            f"{after.form.reference} rests on judged parameters; accuracy needs calibrated ones"
        )
    people = Prior() if population is None else population
    theta = rng.normal(people.mean, people.sd, n)
    seed = int(rng.integers(0, 2**63))

    def through(release: Release, answering: ItemParameters) -> RuleAccuracy:
        # Both versions see the same luck; twice, for consistency.
        luck = np.random.default_rng(seed)
        outcomes = np.stack([decide(release, theta, answering, luck) for _ in range(2)], axis=1)
        method = f"simulated {release.form.kind} form, {release.form.rule.kind} rule"
        return accuracy_of_outcomes(theta, outcomes, after.cut.theta, method=method)

    new = after.parameter_set.parameters
    found, note, name = None, "there is no version before", ""
    if before is not None:
        name, same = before.form.reference, before.scale.id == after.scale.id
        unknown = [unit.reference for unit in before.units if unit.reference not in new.position]
        if unknown and not same:
            note = f"{name} cannot be compared: {unknown[0]} has no parameters on {after.scale.id}"
        else:
            old = before.parameters
            rows = [
                (new if unit in new.position else old).take([unit]).to_records()[0] for unit in old.item_ids
            ]
            found, note = through(before, ItemParameters.from_records(rows)), ""
    return Effect(after.form.reference, name, people, found, through(after, after.parameters), note)
