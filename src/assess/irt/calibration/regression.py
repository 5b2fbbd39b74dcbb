r"""Latent regression: the mean of theta as a linear function of what is known about persons.

.. math:: \theta_i \sim N(\mu + (x_i - \bar x)^\top \beta,\ \sigma^2)

Persons who agree in all covariates form a group, and the group means are
linear in beta: one more linear restriction between the natural and the free
parameters, so that likelihood, information and errors are those of several
groups. That is exact, and its cost grows with the number of different
combinations rather than with that of persons.

References
----------
Mislevy (1984), *Psychometrika* 49, 359-381, doi:10.1007/BF02306026;
Adams, Wilson & Wu (1997), *J. Educ. Behav. Stat.* 22, 47-76, doi:10.3102/10769986022001047.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assess.errors import CalibrationError

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MOST_COMBINATIONS = 1_000


@dataclass(frozen=True, slots=True)
class Regression:
    """How the mean of theta depends on the covariates.

    Parameters
    ----------
    names : tuple of str
        Covariates.
    coefficients, errors : tuple of float
        Change of the mean of theta per unit of a covariate, and its standard error.
    residual_sd, se_residual_sd : float
        Spread of theta among persons who agree in all covariates; its error is
        nan where it is fixed at 1 to give theta a unit.
    explained : float
        Share of the variance of theta that the covariates explain.

    Examples
    --------
    >>> found = Regression(("hours",), (0.3,), (0.05,), 1.0, float("nan"), 0.08)
    >>> float(found.to_frame().loc["hours", "coefficient"])
    0.3
    """

    names: tuple[str, ...]
    coefficients: tuple[float, ...]
    errors: tuple[float, ...]
    residual_sd: float
    se_residual_sd: float
    explained: float

    def to_frame(self) -> pd.DataFrame:
        """One row per covariate: coefficient, se."""
        import pandas as pd

        columns = {"coefficient": self.coefficients, "se": self.errors}
        return pd.DataFrame(columns, index=pd.Index(self.names, name="covariate"))


@dataclass(frozen=True, eq=False)
class Design:
    """The combinations of covariates that occur.

    Parameters
    ----------
    names : tuple of str
    values : array (G, P)
        Of every combination, less the mean over persons.
    share : array (G,)
        Share of the persons.
    """

    names: tuple[str, ...]
    values: FloatArray
    share: FloatArray

    @property
    def to_coefficients(self) -> FloatArray:
        """The linear map (1 + P, G) from the groups' means to (mu, beta)."""
        return np.linalg.pinv(np.column_stack([np.ones(len(self.values)), self.values]))

    @property
    def spread(self) -> FloatArray:
        """Covariance of the covariates over persons, (P, P)."""
        return np.asarray((self.values.T * self.share) @ self.values)

    def summary(self, means: FloatArray, log_sd: float) -> tuple[FloatArray, float, float]:
        """(mu, beta), standard deviation of theta over all persons, and the share explained."""
        found = self.to_coefficients @ means
        between = float(found[1:] @ self.spread @ found[1:])
        total = between + float(np.exp(2.0 * log_sd))
        return found, float(np.sqrt(total)), between / total

    def jacobian(self, means: FloatArray, log_sd: float) -> FloatArray:
        """Derivatives of (mu, sd, beta, residual sd) with respect to (mean, log sd) of each group, flat.

        The log sd is common to all groups; its derivatives stand at the first.
        """
        found, sd, _ = self.summary(means, log_sd)
        inverse, p = self.to_coefficients, self.values.shape[1]
        out = np.zeros((3 + p, 2 * len(means)))
        out[0, 0::2] = inverse[0]
        out[1, 0::2] = (found[1:] @ self.spread) @ inverse[1:] / sd
        out[1, 1] = np.exp(2.0 * log_sd) / sd
        out[2 : 2 + p, 0::2] = inverse[1:]
        out[2 + p, 1] = np.exp(log_sd)
        return out


def combinations(covariates: pd.DataFrame, weights: FloatArray) -> tuple[Design, IntArray]:
    """The design, and the number of every person's combination in it.

    Parameters
    ----------
    covariates : DataFrame (N, P)
    weights : array (N,)
        Zero for persons who do not count.

    Raises
    ------
    CalibrationError
        Values that are missing or no numbers, a covariate that does not vary
        or follows from the others, or too many combinations.
    """
    if not hasattr(covariates, "columns"):
        raise CalibrationError("covariates must be a DataFrame: one row per person, one column per covariate")
    n_persons = len(weights)
    if len(covariates) != n_persons or not len(covariates.columns):
        raise CalibrationError(
            f"covariates have {len(covariates)} rows and {len(covariates.columns)} columns; "
            f"give one row for each of {n_persons} persons, and a column at least"
        )
    names = tuple(str(name) for name in covariates.columns)
    for name in covariates.columns:
        if covariates[name].dtype.kind not in "biuf":
            raise CalibrationError(
                f"covariate {name!r} is not a number; code categories as columns of 0 and 1"
            )
        if not np.isfinite(covariates[name].to_numpy(dtype=np.float64)).all():
            raise CalibrationError(
                f"covariate {name!r} is missing for some persons; leave them out or impute"
            )
    x = covariates.to_numpy(dtype=np.float64)
    values, inverse = np.unique(x, axis=0, return_inverse=True)
    if len(values) > MOST_COMBINATIONS:
        raise CalibrationError(
            f"the covariates take {len(values):,} different combinations and {MOST_COMBINATIONS:,} are the "
            "most: round continuous covariates to fewer values"
        )
    group = inverse.ravel().astype(np.int64)
    share = np.bincount(group, weights=weights, minlength=len(values))
    share = share / share.sum()
    values = values - share @ values
    size = np.sqrt(share @ values**2)
    if (size <= 1e-12 * np.maximum(np.abs(x).max(axis=0), 1.0)).any():
        raise CalibrationError(f"covariate {names[int(np.argmin(size))]!r} is the same for everybody")
    seen = values[share > 0.0] / size
    if np.linalg.matrix_rank(np.column_stack([np.ones(len(seen)), seen])) <= len(names):
        raise CalibrationError(
            f"covariates {', '.join(names)} follow from each other: of the columns of 0 and 1 for one "
            "variable leave out that of its reference category"
        )
    return Design(names, values, share), group
