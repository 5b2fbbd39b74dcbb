"""How a calibration is run, and prior knowledge about parameters, as data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from assess.errors import CalibrationError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CalibrationOptions:
    """What may be chosen about a calibration.

    Parameters
    ----------
    max_iterations : int
        Passes over the data before giving up.
    newton_decrement : float
        Converged when the estimated distance of the log-likelihood (plus
        log-prior) from its maximum is below this, per 10,000 persons and never
        less than this.
    n_nodes, theta_range : int, (float, float) or None
        Quadrature nodes, equally spaced. The range None means -6 to 6, widened
        to six standard deviations of every group; nodes are added when a
        test is so long that posteriors become narrower than their spacing.
    standard_errors : "observed", "cross-product", "sandwich" or None
        From the observed information by default; sampling weights and clusters
        turn it into the sandwich.
    population : "auto", "standard" or "free"
        "auto": N(0, 1), but a free variance where slopes are fixed (Rasch, PCM,
        RSM) and free mean and variance where anchors hold the scale.
        "standard" holds N(0, 1) in the reference group whatever else is fixed.
    density : "normal" or "empirical-histogram"
        The shape of the population. "empirical-histogram" estimates a weight at
        every node, lightly smoothed, with the mean 0 and SD 1 of the reference
        group kept where the items do not hold the scale; see docs/decisions/0032.
    reference_group : str or None
        The group with mean 0; None takes the first in sorted order.
    constant_items : "refuse" or "exclude"
        What to do with items that everybody answered alike.
    omitted, not_reached : category or "missing"
        How these two kinds of missing are scored.
    weights : "frequency" or "sampling"
        What the weights mean; sampling weights are scaled to mean one and give
        sandwich errors.
    n_threads : int
        Threads; the result does not depend on their number.
    em_steps : int
        EM steps before Newton's method takes over; two more where items have asymptotes.
    allow_wide : bool
        Accept more items than persons although nothing says what an item is.
    memory_bytes : int
        Chunks of responses are kept in memory up to this size (one byte per
        response), and read again for every pass beyond it.

    Examples
    --------
    >>> CalibrationOptions(standard_errors=None).n_nodes
    61
    """

    max_iterations: int = 500
    newton_decrement: float = 1e-6
    n_nodes: int = 61
    theta_range: tuple[float, float] | None = None
    standard_errors: Literal["observed", "cross-product", "sandwich"] | None = "observed"
    population: Literal["auto", "standard", "free"] = "auto"
    density: Literal["normal", "empirical-histogram"] = "normal"
    reference_group: str | None = None
    constant_items: Literal["refuse", "exclude"] = "refuse"
    omitted: int | Literal["missing"] = 0
    not_reached: int | Literal["missing"] = "missing"
    weights: Literal["frequency", "sampling"] = "frequency"
    n_threads: int = 2
    em_steps: int = 2
    allow_wide: bool = False
    memory_bytes: int = 2 * 2**30

    def __post_init__(self) -> None:
        choices: dict[str, tuple[object, ...]] = {
            "standard_errors": ("observed", "cross-product", "sandwich", None),
            "population": ("auto", "standard", "free"),
            "density": ("normal", "empirical-histogram"),
            "constant_items": ("refuse", "exclude"),
            "weights": ("frequency", "sampling"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise CalibrationError(f"option {name} is {getattr(self, name)!r}; say one of {allowed}")
        for name, least in (("max_iterations", 1), ("n_nodes", 11), ("n_threads", 1), ("em_steps", 0)):
            if getattr(self, name) < least:
                raise CalibrationError(f"option {name} is {getattr(self, name)}; it must be at least {least}")
        if not self.newton_decrement > 0.0:
            raise CalibrationError(f"option newton_decrement is {self.newton_decrement}; it must be positive")
        if self.theta_range is not None and not self.theta_range[0] < self.theta_range[1]:
            raise CalibrationError(
                f"option theta_range is {self.theta_range}; the first must be below the second"
            )

    def to_dict(self) -> dict[str, Any]:
        """The options, ready for JSON."""
        return asdict(self)


class Prior(ABC):
    """A density for one kind of parameter."""

    @abstractmethod
    def derivatives(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log-density and its first two derivatives at `x`; -inf outside the support."""

    def to_dict(self) -> dict[str, Any]:
        """Name and parameters, ready for JSON."""
        return {"prior": type(self).__name__, **vars_of(self)}


def vars_of(prior: Prior) -> dict[str, Any]:
    """The fields of a prior."""
    return {name: getattr(prior, name) for name in prior.__dataclass_fields__}  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Normal(Prior):
    """Normal prior.

    Examples
    --------
    >>> value, slope, _ = Normal(0.0, 1.0).derivatives(np.array([1.0]))
    >>> float(slope[0])
    -1.0
    """

    mean: float
    sd: float

    def __post_init__(self) -> None:
        if not self.sd > 0.0:
            raise CalibrationError(f"prior Normal: sd is {self.sd}; it must be positive")

    def derivatives(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        z = (x - self.mean) / self.sd
        value = -0.5 * z * z - np.log(self.sd) - 0.5 * np.log(2.0 * np.pi)
        return value, -z / self.sd, np.full_like(z, -1.0 / self.sd**2)


@dataclass(frozen=True)
class LogNormal(Prior):
    """Lognormal prior: the logarithm is N(mean, sd). A negative slope has density zero."""

    mean: float
    sd: float

    def __post_init__(self) -> None:
        if not self.sd > 0.0:
            raise CalibrationError(f"prior LogNormal: sd is {self.sd}; it must be positive")

    def derivatives(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        inside = x > 0.0
        safe = np.where(inside, x, 1.0)
        z = (np.log(safe) - self.mean) / self.sd
        value = -0.5 * z * z - np.log(safe * self.sd) - 0.5 * np.log(2.0 * np.pi)
        first = -(1.0 + z / self.sd) / safe
        second = (1.0 + z / self.sd - 1.0 / self.sd**2) / safe**2
        return np.where(inside, value, -np.inf), first, second


@dataclass(frozen=True)
class Beta(Prior):
    """Beta prior on a probability, in the probability itself (no Jacobian)."""

    alpha: float
    beta: float

    def __post_init__(self) -> None:
        if not (self.alpha > 0.0 and self.beta > 0.0):
            raise CalibrationError(f"prior Beta({self.alpha}, {self.beta}): both must be positive")

    def derivatives(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        from scipy.special import betaln

        p, q = self.alpha - 1.0, self.beta - 1.0
        safe = np.clip(x, 1e-300, 1.0 - 1e-16)
        value = p * np.log(safe) + q * np.log1p(-safe) - betaln(self.alpha, self.beta)
        return value, p / safe - q / (1.0 - safe), -p / safe**2 - q / (1.0 - safe) ** 2


@dataclass(frozen=True)
class NoPrior(Prior):
    """The considered absence of a prior, with its reason."""

    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise CalibrationError("NoPrior needs a reason: why can the data carry this parameter alone?")

    def derivatives(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        return np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)


Priors = Mapping[str, "Prior | Mapping[str, Prior]"]


def prior_from_dict(record: Mapping[str, Any]) -> Prior:
    """The inverse of `Prior.to_dict`."""
    known: dict[str, type[Prior]] = {c.__name__: c for c in (Normal, LogNormal, Beta, NoPrior)}
    fields = {key: value for key, value in record.items() if key != "prior"}
    return known[str(record["prior"])](**fields)
