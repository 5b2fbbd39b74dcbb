"""Hofstee and Beuk: compromises with a wanted pass rate. They advise; they never set a cut.

What a learner needs to be able to do cannot depend on who else took the test.
So an `Advice` is no `CutEstimate`: it has no theta, no study can take it as its
result, and `adopted_cut` cannot be given one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from assess.errors import CutNotFound, InvalidContent, InvalidParameters
from assess.standard_setting.estimates import FloatArray
from assess.standard_setting.study import ADVICE, Study

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Advice:
    """Where a compromise method would put the line, beside the cut of a criterion-referenced study.

    Parameters
    ----------
    method : str
        "Hofstee" or "Beuk".
    score : float
        In the units of the scores given.
    pass_rate : float
        The share of those scores at or above it.
    n_judges, n_scores : int
    """

    method: str
    score: float
    pass_rate: float
    n_judges: int
    n_scores: int

    def summary(self) -> str:
        """The advice in one sentence."""
        return (
            f"advice only: {self.method} over {self.n_judges} judges and {self.n_scores} scores "
            f"would put the line at {self.score:.3f}, where {100 * self.pass_rate:.0f} % pass"
        )


def hofstee(judgements: pd.DataFrame, scores: ArrayLike) -> Advice:
    r"""Hofstee's compromise.

    The line from :math:`(\bar k_{min}, \bar f_{max})` to
    :math:`(\bar k_{max}, \bar f_{min})` meets the share :math:`F(k)` of scores
    below k.

    Parameters
    ----------
    judgements : DataFrame (judges, 4)
        Columns lowest_cut, highest_cut (in units of the scores),
        lowest_fail_rate, highest_fail_rate (0 to 1): what each judge finds acceptable.
    scores : array (N,)
        Of the cohort.

    Raises
    ------
    CutNotFound
        The scores never meet the line: no cut in the range fails an acceptable share.
    InvalidParameters
        A judgement out of range, named.

    Examples
    --------
    >>> import pandas as pd
    >>> panel = pd.DataFrame({"lowest_cut": [40.0], "highest_cut": [60.0],
    ...                       "lowest_fail_rate": [0.1], "highest_fail_rate": [0.7]}, index=["j1"])
    >>> round(hofstee(panel, list(range(101))).score, 2)
    47.49

    References
    ----------
    Hofstee (1983), The case for compromise in educational selection and grading,
    in Anderson & Helmick (eds), *On Educational Testing*, 109-127.
    """
    names = ("lowest_cut", "highest_cut", "lowest_fail_rate", "highest_fail_rate")
    table, sample = _panel(judgements, names, names[2:]), _scores(scores)
    for judge, (low, high, least, most) in zip(judgements.index, table.tolist(), strict=True):
        if not (low < high and least < most):
            raise InvalidParameters(f"judge {judge!r}: the lowest cut and rate must be below the highest")
    low, high, least, most = map(float, table.mean(axis=0))

    def gap(cut: float) -> float:
        return _share_below(sample, cut) - (most + (least - most) * (cut - low) / (high - low))

    if gap(low) > 0.0 or gap(high) < 0.0:
        raise CutNotFound(
            f"between {low:g} and {high:g} no cut fails between {least:g} and {most:g} of the cohort; "
            "the panel's limits do not meet these scores"
        )
    return _advice("Hofstee", _crossing(gap, low, high), sample, len(table))


def beuk(judgements: pd.DataFrame, scores: ArrayLike) -> Advice:
    r"""Beuk's compromise.

    Each judge gives a cut x and a pass rate y. The line through
    :math:`(\bar x, \bar y)` with slope :math:`s_y / s_x` meets the share
    :math:`v(x)` of scores at or above x: what judges agree on more moves less.

    Parameters
    ----------
    judgements : DataFrame (judges, 2)
        Columns cut (in units of the scores) and pass_rate (0 to 1); two or more judges.
    scores : array (N,)
        Of the cohort.

    Raises
    ------
    CutNotFound
        All judges agree on both numbers, so that the line has no slope.
    InvalidParameters
        One judge, or a judgement out of range, named.

    Examples
    --------
    >>> import pandas as pd
    >>> panel = pd.DataFrame({"cut": [50.0, 60.0], "pass_rate": [0.6, 0.8]}, index=["j1", "j2"])
    >>> round(beuk(panel, list(range(101))).score, 3)
    46.733

    References
    ----------
    Beuk (1984), *Journal of Educational Measurement* 21, 147-152,
    doi:10.1111/j.1745-3984.1984.tb00226.x.
    """
    table, sample = _panel(judgements, ("cut", "pass_rate"), ("pass_rate",)), _scores(scores)
    if len(table) < 2:
        raise InvalidParameters("one judge has no spread; Beuk needs a panel of two or more")
    x, y = map(float, table.mean(axis=0))
    sd_x, sd_y = map(float, table.std(axis=0, ddof=1))
    if sd_x == 0.0 and sd_y == 0.0:
        raise CutNotFound("all judges agree on cut and pass rate; there is nothing to compromise between")
    if sd_x == 0.0:
        return _advice("Beuk", x, sample, len(table))

    def gap(cut: float) -> float:
        return y + sd_y / sd_x * (cut - x) - (1.0 - _share_below(sample, cut))

    low, high = min(float(sample.min()), x) - 1.0, max(float(sample.max()), x) + 1.0
    while sd_y > 0.0 and not gap(low) <= 0.0:
        low -= high - low
    return _advice("Beuk", _crossing(gap, low, high), sample, len(table))


def advise(study: Study, scores: ArrayLike) -> Advice:
    """What a study by Hofstee's or Beuk's method advises, from the judgements of its last round.

    Parameters
    ----------
    scores : array (N,)
        Of the cohort, in the units in which the judges gave their cuts.

    Raises
    ------
    InvalidContent
        The study is by a method that gives a cut, or a judgement is out of range; with the study.
    CutNotFound
        As the method says.

    Examples
    --------
    >>> from assess.standard_setting import Judgement, Panelist, Study
    >>> panel = (Panelist("j1", "teaches"), Panelist("j2", "trains"))
    >>> said = [("j1", "cut", 50.0), ("j1", "pass_rate", 0.6), ("j2", "cut", 60.0), ("j2", "pass_rate", 0.8)]
    >>> study = Study("p", 1, "x", "KA", "Beuk", "Plans a lesson.", panel,
    ...               tuple(Judgement(1, *one) for one in said))
    >>> round(advise(study, list(range(101))).score, 3)
    46.733
    """
    if study.method not in ADVICE:
        raise InvalidContent(f"{study.method} gives a cut, not advice", place=f"{study.reference}: method")
    try:
        return (hofstee if study.method == "Hofstee" else beuk)(study.table(), scores)
    except CutNotFound as fault:
        raise CutNotFound(f"{study.reference}: {fault}") from None
    except InvalidParameters as fault:
        raise InvalidContent(str(fault), place=f"{study.reference}: judgements") from None


# --- inside -------------------------------------------------------------------


def _panel(judgements: pd.DataFrame, names: tuple[str, ...], rates: tuple[str, ...]) -> FloatArray:
    missing = [name for name in names if name not in judgements.columns]
    if missing or not len(judgements):
        raise InvalidParameters(f"the judgements need a row per judge and the columns {', '.join(names)}")
    for name in names:
        for judge, value in judgements[name].items():
            if not math.isfinite(value) or (name in rates and not 0.0 <= value <= 1.0):
                raise InvalidParameters(
                    f"judge {judge!r}: {name} is {value}; rates are between 0 and 1, cuts finite"
                )
    return np.asarray(judgements[list(names)].to_numpy(dtype=float))


def _scores(scores: ArrayLike) -> FloatArray:
    sample = np.sort(np.atleast_1d(np.asarray(scores, dtype=float)))
    if sample.ndim != 1 or not len(sample) or not np.isfinite(sample).all():
        raise InvalidParameters("the scores are one row of finite numbers, one per learner of the cohort")
    return sample


def _share_below(sample: FloatArray, cut: float) -> float:
    return float(np.searchsorted(sample, cut, side="left")) / len(sample)


def _crossing(gap: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function with jumps passes zero; a root finder for continuous ones might not end."""
    while high - low > 1e-9 * max(1.0, abs(low), abs(high)):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if gap(middle) <= 0.0 else (low, middle)
    return 0.5 * (low + high)


def _advice(method: str, score: float, sample: FloatArray, n_judges: int) -> Advice:
    # A crossing found from either side of a score means that score.
    nearest = float(sample[np.argmin(np.abs(sample - score))])
    score = nearest if math.isclose(nearest, score, rel_tol=1e-8, abs_tol=1e-8) else score
    return Advice(method, score, 1.0 - _share_below(sample, score), n_judges, len(sample))
