"""What a cut would do: the impact table that a panel sees beside each candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from assess.errors import InvalidParameters
from assess.irt.decision_accuracy import Population, rule_accuracy
from assess.irt.models import ItemParameters, test_characteristic
from assess.irt.quadrature import Prior
from assess.standard_setting.estimates import CutEstimate

if TYPE_CHECKING:
    import pandas as pd


def impact(
    candidates: Mapping[str, CutEstimate],
    parameters: ItemParameters,
    *,
    population: Population | None = None,
    prior: Prior | None = None,
    p_pass: float = 0.75,
    p_fail: float = 0.25,
    n_simulees: int = 10_000,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Expected decisions on a form at each candidate cut, and one standard error either side.

    All rows see the same simulated learners and answers, so that differences
    between rows are those of the cuts. `irt.RuleAccuracy` defines the shares.

    Parameters
    ----------
    candidates : mapping of name to CutEstimate
        On the scale of the parameters. Without a standard error there is one row.
    parameters : ItemParameters
        Of the whole form on which will be decided, not only the rated units.
    population : Prior or array (T,), optional
        Whom the form will meet; N(0, 1) unless given.
    prior : Prior, optional
        Of the rule; N(cut, 1), moving with the cut, unless given.
    p_pass, p_fail, n_simulees, rng
        As `irt.rule_accuracy`.

    Returns
    -------
    DataFrame
        Index candidate and shift (-1, 0, 1 standard errors); columns theta, raw
        (expected at the cut), at_or_above (true share), passed, not_passed,
        undetermined, accuracy, false_pass, false_fail, consistency, kappa, and
        se_passed, se_accuracy (Monte Carlo).

    Raises
    ------
    InvalidParameters
        No candidates, or anything `irt.rule_accuracy` refuses.

    Examples
    --------
    >>> items = ItemParameters([f"i{j}" for j in range(24)], "2PL", [1.2] * 24, [[0.0]] * 24)
    >>> cut = CutEstimate(theta=0.2, raw=13.4, se=0.1, n_units=24, n_judges=8)
    >>> table = impact({"Angoff": cut}, items, n_simulees=1000, rng=np.random.default_rng(1))
    >>> table.index.tolist()
    [('Angoff', -1), ('Angoff', 0), ('Angoff', 1)]
    >>> table.passed.is_monotonic_decreasing
    True
    """
    import pandas as pd

    if not candidates:
        raise InvalidParameters("no candidates; give at least one cut to look at")
    seed = int(rng.integers(2**63))
    rows, labels = [], []
    for name, candidate in candidates.items():
        for shift in (-1, 0, 1) if math.isfinite(candidate.se) else (0,):
            theta = candidate.theta + (shift * candidate.se if shift else 0.0)
            found = rule_accuracy(
                parameters,
                theta,
                prior=prior,
                p_pass=p_pass,
                p_fail=p_fail,
                population=population,
                n_simulees=n_simulees,
                rng=np.random.default_rng(seed),
            )
            row = {"theta": theta, "raw": float(test_characteristic(parameters, theta)[0])}
            for share in (
                "at_or_above", "passed", "not_passed", "undetermined", "accuracy", "false_pass",
                "false_fail", "consistency", "kappa",
            ):  # fmt: skip
                row[share] = getattr(found, share)
            row |= {f"se_{share}": found.errors[share] for share in ("passed", "accuracy")}
            rows.append(row)
            labels.append((name, shift))
    return pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(labels, names=["candidate", "shift"]))
