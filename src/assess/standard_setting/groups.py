"""Contrasting groups and borderline group: judges who know learners, instead of judging items."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assess.errors import CutNotFound, InvalidParameters
from assess.standard_setting.estimates import (
    JUDGES_RANDOM,
    PERSONS_RANDOM,
    CutEstimate,
    FloatArray,
    StandardError,
    centre,
    error_over,
)

_MOST_STEPS = 100


def contrasting_groups(
    theta: ArrayLike,
    proficient: ArrayLike,
    *,
    judges: Sequence[str] | None = None,
    base_rates: str = "as sampled",
) -> CutEstimate:
    r"""The theta at which a learner is as likely to be judged proficient as not.

    .. math:: \mathrm{logit}\,P(\text{judged proficient} \mid \theta) = \beta_0 + \beta_1\theta,
              \qquad \theta_c = -\beta_0 / \beta_1

    by maximum likelihood; where the groups do not overlap, half way between
    them. With base rates "as sampled" the learners stand for those whom the
    cut will serve; with "equal" both groups count the same, as in the crossing
    of two distributions that were sampled group by group.

    Which estimate of theta matters: of posterior means (EAP under the learners'
    own distribution) half of the learners at :math:`\theta_c` are truly above
    it. ML and WL estimates are spread too wide and draw the cut away from the mean.

    Parameters
    ----------
    theta : array (N,)
        Estimates of the judged learners, finite, on one scale.
    proficient : array (N,) of bool
        What the judges said of each, without knowing the score.
    judges : sequence of str (N,), optional
        Who said it. With two or more, `se` is the jackknife over judges; else
        it comes from the curvature, with persons as the sample.
    base_rates : str
        "as sampled" or "equal".

    Raises
    ------
    CutNotFound
        Those judged proficient are not the more able ones.
    InvalidParameters
        Fewer than two learners in a group, or shapes that differ.

    Examples
    --------
    >>> cut = contrasting_groups([-1.0, -0.4, 0.1, 0.5, 0.9, 1.4], [0, 0, 1, 0, 1, 1])
    >>> round(cut.theta, 2)
    0.28

    References
    ----------
    Livingston & Zieky (1982), *Passing Scores*, Educational Testing Service.
    Livingston & Zieky (1989), *Applied Measurement in Education* 2, 121-141,
    doi:10.1207/s15324818ame0202_3.
    """
    at, named = _learners(theta, judges)
    said = np.asarray(proficient)
    if said.shape != at.shape or not np.isin(said, (0, 1)).all():
        raise InvalidParameters(f"{len(at)} learners need as many judgements, each true or false")
    said = said.astype(bool)
    if base_rates not in ("as sampled", "equal"):
        raise InvalidParameters(f"base rates {base_rates!r}: say 'as sampled' or 'equal'")
    if min(said.sum(), (~said).sum()) < 2:
        raise InvalidParameters(
            f"{said.sum()} of {len(said)} learners are judged proficient; "
            "two or more are needed on either side"
        )
    equal = base_rates == "equal"
    cut, se = _crossing(at, said, equal)
    errors = [StandardError(PERSONS_RANDOM, se)]
    if len(set(named)) > 1:
        errors.insert(0, _jackknife(named, lambda kept: _crossing(at[kept], said[kept], equal)[0]))
    return CutEstimate(
        theta=cut,
        raw=math.nan,
        se=errors[0].theta,
        n_units=len(at),
        n_judges=max(len(set(named)), 1),
        method="contrasting groups",
        rule=f"logistic, base rates {base_rates}, {said.sum()} of {len(said)} learners judged proficient",
        errors=tuple(errors),
    )


def borderline_group(
    theta: ArrayLike, *, judges: Sequence[str] | None = None, combine: str = "median"
) -> CutEstimate:
    """The middle of those who are judged to be just at the border.

    Which estimate of theta matters: WL and ML estimates are centred on the
    learners' own abilities, while EAP draws them toward the mean of the prior,
    and the cut with them.

    Parameters
    ----------
    theta : array (N,)
        Estimates of the learners whom judges called borderline, on one scale.
    judges : sequence of str (N,), optional
        Who said it. With two or more, `se` is the jackknife over judges; else
        persons are the sample.
    combine : str
        "median" or "mean".

    Raises
    ------
    CutNotFound
        The jackknife has nobody left without one judge.
    InvalidParameters
        Fewer than two learners.

    Examples
    --------
    >>> cut = borderline_group([0.1, 0.4, 0.2, 0.3, 2.0])
    >>> cut.theta, cut.n_units
    (0.3, 5)

    References
    ----------
    Livingston & Zieky (1982), *Passing Scores*, Educational Testing Service.
    """
    at, named = _learners(theta, judges)
    if len(at) < 2:
        raise InvalidParameters(f"{len(at)} borderline learners; two or more are needed")
    errors = [StandardError(PERSONS_RANDOM, error_over(at, combine))]
    if len(set(named)) > 1:
        errors.insert(0, _jackknife(named, lambda kept: centre(at[kept], combine)))
    return CutEstimate(
        theta=centre(at, combine),
        raw=math.nan,
        se=errors[0].theta,
        n_units=len(at),
        n_judges=max(len(set(named)), 1),
        method="borderline group",
        rule=f"{combine} of {len(at)} learners judged borderline",
        errors=tuple(errors),
    )


# --- inside -------------------------------------------------------------------


def _learners(theta: ArrayLike, judges: Sequence[str] | None) -> tuple[FloatArray, tuple[str, ...]]:
    at = np.atleast_1d(np.asarray(theta, dtype=float))
    if at.ndim != 1 or not np.isfinite(at).all():
        raise InvalidParameters("theta is one row of finite estimates; use EAP, MAP or WL, which are finite")
    named = () if judges is None else tuple(judges)
    if named and len(named) != len(at):
        raise InvalidParameters(f"{len(at)} learners and {len(named)} judges; name the judge of each learner")
    return at, named


def _crossing(at: FloatArray, said: NDArray[np.bool_], equal: bool) -> tuple[float, float]:
    """Where the fitted curve is one half, and its standard error with persons as the sample."""
    if not (said.any() and (~said).any() and at[said].mean() > at[~said].mean()):
        raise CutNotFound(
            "those judged proficient are not the more able ones; the judgements say nothing about theta"
        )
    if at[said].min() >= at[~said].max():
        return 0.5 * float(at[said].min() + at[~said].max()), math.nan
    weight = np.ones(len(at))
    if equal:
        weight = np.where(said, 0.5 / said.mean(), 0.5 / (~said).mean())
    origin, unit = float(at.mean()), float(at.std())
    x = np.stack([np.ones(len(at)), (at - origin) / unit], axis=1)

    def loss(beta: FloatArray) -> float:
        z = x @ beta
        return float((weight * (np.logaddexp(0.0, z) - said * z)).sum())

    beta = np.zeros(2)
    for _ in range(_MOST_STEPS):
        p = 1.0 / (1.0 + np.exp(-(x @ beta)))
        gradient = x.T @ (weight * (said - p))
        hessian = (x.T * (weight * p * (1.0 - p))) @ x
        step = np.linalg.solve(hessian, gradient)
        while loss(beta + step) > loss(beta) + 1e-12:
            step = 0.5 * step
        beta = beta + step
        if float(gradient @ step) < 1e-18:
            break
    residual = weight * (said - 1.0 / (1.0 + np.exp(-(x @ beta))))
    bread = np.linalg.inv(hessian)
    covariance = bread @ ((x.T * residual**2) @ x) @ bread
    by_beta = np.array([-1.0 / beta[1], beta[0] / beta[1] ** 2])
    se = unit * math.sqrt(float(by_beta @ covariance @ by_beta))
    return origin - unit * float(beta[0] / beta[1]), se


def _jackknife(named: tuple[str, ...], cut: Callable[[NDArray[np.bool_]], float]) -> StandardError:
    r"""Leave out one judge at a time: :math:`\sqrt{\frac{n-1}{n}\sum(t_i - \bar t)^2}`."""
    people = np.array(named)
    left = []
    for judge in dict.fromkeys(named):
        kept = np.asarray(people != judge)
        try:
            left.append(cut(kept))
        except CutNotFound as fault:
            raise CutNotFound(f"without judge {judge!r}: {fault}") from None
    each = np.array(left)
    n = len(each)
    return StandardError(JUDGES_RANDOM, math.sqrt((n - 1) / n * float(((each - each.mean()) ** 2).sum())))
