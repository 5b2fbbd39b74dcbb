"""Calibrations side by side, and how reliable their scores are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from assess.errors import CalibrationError
from assess.irt.calibration.result import Calibration
from assess.irt.models import information

if TYPE_CHECKING:
    import pandas as pd

    from assess.responses import ResponseMatrix


@dataclass(frozen=True)
class Comparison:
    """Two calibrations of the same responses.

    The likelihood ratio means something only where the smaller model is a
    special case of the larger; the criteria need no nesting.

    Parameters
    ----------
    smaller, larger : Calibration
        By number of parameters.
    statistic, df, p : float, int, float
        Twice the difference of the log-likelihoods, with its chi-square test.
    """

    smaller: Calibration
    larger: Calibration
    statistic: float
    df: int
    p: float

    def to_frame(self) -> pd.DataFrame:
        """One row per calibration: log_likelihood, n_parameters, aic, bic, converged."""
        import pandas as pd

        both = (self.smaller, self.larger)
        columns = ("log_likelihood", "n_parameters", "aic", "bic", "converged")
        return pd.DataFrame(
            {name: [getattr(one, name) for one in both] for name in columns},
            index=pd.Index([one.model for one in both], name="model"),
        )

    def __repr__(self) -> str:
        return (
            f"<Comparison: {self.smaller.model} against {self.larger.model}, "
            f"chi-square {self.statistic:.2f} on {self.df} df, p = {self.p:.3g}>"
        )

    def summary(self) -> str:
        """The test and the table."""
        return f"{repr(self)[1:-1]} (if nested)\n\n{self.to_frame().round(3).to_string()}"


def compare(first: Calibration, second: Calibration) -> Comparison:
    r"""Likelihood-ratio test and information criteria of two calibrations.

    .. math:: G = 2\,(\log L_1 - \log L_0) \sim \chi^2_{p_1 - p_0}

    Raises
    ------
    CalibrationError
        Different data, or priors.

    Examples
    --------
    >>> import numpy as np
    >>> from assess import irt
    >>> ids = [f"i{j}" for j in range(8)]
    >>> items = irt.ItemParameters(ids, "2PL", np.linspace(0.6, 2.0, 8), np.zeros((8, 1)))
    >>> rng = np.random.default_rng(1)
    >>> responses = irt.simulate(items, rng.normal(size=800), rng)
    >>> import pandas as pd
    >>> data = pd.DataFrame(responses, columns=items.item_ids)
    >>> found = compare(irt.calibrate(data, model="1PL"), irt.calibrate(data, model="2PL"))
    >>> found.df, found.p < 0.001
    (7, True)

    References
    ----------
    Wilks (1938), *Ann. Math. Statist.* 9, 60-62, doi:10.1214/aoms/1177732360.
    """
    from scipy.stats import chi2

    if first.provenance["data_sha256"] != second.provenance["data_sha256"]:
        raise CalibrationError(
            "the two calibrations rest on different responses; only the same can be compared"
        )
    if any(one.log_prior != 0.0 for one in (first, second)):
        raise CalibrationError(
            "a calibration with priors is not a maximum of the likelihood; compare without priors"
        )
    smaller, larger = sorted((first, second), key=lambda one: one.n_parameters)
    df = larger.n_parameters - smaller.n_parameters
    statistic = 2.0 * (larger.log_likelihood - smaller.log_likelihood)
    p = float(chi2.sf(max(statistic, 0.0), df)) if df else float("nan")
    return Comparison(smaller, larger, statistic, df, p)


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability coefficient and what it is one of."""

    value: float
    method: str
    meaning: str

    def __repr__(self) -> str:
        return f"<Reliability: {self.value:.3f}, {self.meaning}>"


def reliability(
    calibration: Calibration,
    responses: pd.DataFrame | ResponseMatrix | None = None,
    method: Literal["EAP", "ML", "WL", "marginal"] = "EAP",
) -> Reliability:
    r"""How much of the variance of scores is variance of theta.

    .. math::
       \rho_{EAP} = \frac{\mathrm{var}(\hat\theta)}{\mathrm{var}(\hat\theta) + \overline{SE^2}}, \quad
       \rho_{ML} = 1 - \frac{\overline{SE^2}}{\mathrm{var}(\hat\theta)}, \quad
       \rho_{marginal} = \int \frac{I(\theta)}{I(\theta) + \sigma^{-2}}\, g(\theta)\, d\theta

    Parameters
    ----------
    calibration : Calibration
        Its (reference) population, with the estimated variance, is the prior.
    responses : DataFrame or ResponseMatrix
        Those to score; not needed for "marginal".
    method : "EAP", "ML", "WL" or "marginal"
        ML leaves out persons whose estimate is infinite.

    Raises
    ------
    CalibrationError
        No responses where scores are needed.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from assess import irt
    >>> ids = [f"i{j}" for j in range(8)]
    >>> items = irt.ItemParameters(ids, "2PL", [1.2] * 8, np.linspace(-1, 1, 8)[:, None])
    >>> rng = np.random.default_rng(1)
    >>> data = pd.DataFrame(irt.simulate(items, rng.normal(size=800), rng), columns=items.item_ids)
    >>> reliability(irt.calibrate(data, model="1PL"), data)
    <Reliability: 0.6..., EAP: var / (var + mean squared error)>

    References
    ----------
    Green, Bock, Humphreys, Linn & Reckase (1984), *J. Educ. Meas.* 21, 347-360,
    doi:10.1111/j.1745-3984.1984.tb01039.x.
    """
    mean, sd = calibration.population.mean, calibration.population.sd
    if method == "marginal":
        if shaped := calibration.population.weights:
            theta, weight = np.array(calibration.population.nodes), np.array(shaped[0])
        else:
            theta = mean + sd * np.linspace(-6.0, 6.0, 121)
            weight = np.exp(-0.5 * ((theta - mean) / sd) ** 2)
        test = information(calibration.parameters, theta).sum(axis=1)
        value = float((test / (test + sd**-2)) @ (weight / weight.sum()))
        return Reliability(value, method, "marginal: mean of I / (I + 1 / variance) over the population")
    if method not in ("EAP", "ML", "WL"):
        raise CalibrationError(f"reliability: method is {method!r}; say EAP, ML, WL or marginal")
    if responses is None:
        raise CalibrationError(f"the {method} reliability is one of scores: give the responses")
    from assess.irt.scoring import score

    frame = score(responses, calibration, method)
    theta, se = frame["theta"].to_numpy(dtype=float), frame["se"].to_numpy(dtype=float)
    usable = np.isfinite(theta) & np.isfinite(se) & (frame["n_items"].to_numpy() > 0)
    spread, error = float(np.var(theta[usable], ddof=1)), float(np.mean(se[usable] ** 2))
    if method == "EAP":
        return Reliability(spread / (spread + error), method, "EAP: var / (var + mean squared error)")
    return Reliability(1.0 - error / spread, method, f"{method}: 1 - mean squared error / var")
