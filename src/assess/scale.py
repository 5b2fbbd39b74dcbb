"""What theta means: scales, and the two kinds of number that live on them.

A scale is founded by one calibration: a named reference group with mean 0 and
standard deviation 1. Every later number of the course is linked onto it, and
two numbers are comparable only if their `scale_id` is the same. Scores and cut
scores live here, below measurement and meaning, because both rooms speak of
them and neither may import the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from assess.errors import InvalidContent, ScaleMismatch

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scale:
    r"""The meaning of theta, and the linear scale on which learners see it.

    .. math:: y = m + s\,\theta, \qquad y \in [y_{min}, y_{max}]

    Parameters
    ----------
    id : str
        For example ``"twt-3/1"``; compared literally.
    reference_group : str
        Who has mean 0 and standard deviation 1.
    mean, sd : float
        Reporting mean and standard deviation, in score points.
    minimum, maximum : float
        The reported range; scores outside it are reported as its ends.

    Examples
    --------
    >>> scale = Scale("twt-3/1", "teachers of the first window")
    >>> scale.report(0.32)
    532
    >>> scale.report(-9.0)
    200
    """

    id: str
    reference_group: str
    mean: float = 500.0
    sd: float = 100.0
    minimum: float = 200.0
    maximum: float = 800.0

    def __post_init__(self) -> None:
        if not self.id:
            raise InvalidContent("a scale needs an id such as 'twt-3/1'")
        if not self.sd > 0:
            raise InvalidContent(f"scale {self.id!r}: sd is {self.sd}; it must be positive")
        if not self.minimum < self.maximum:
            raise InvalidContent(f"scale {self.id!r}: minimum must be below maximum")

    def report(self, theta: float) -> int:
        """Theta as a whole score point inside the reported range."""
        value = self.mean + self.sd * theta
        return round(min(max(value, self.minimum), self.maximum))

    def report_se(self, standard_error: float) -> int:
        """A standard error of theta in score points."""
        return round(self.sd * standard_error)


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """One learner's estimate on one scale, with the posterior it came from.

    Parameters
    ----------
    theta, se : float
        Estimate and its standard error, in units of theta; ``theta`` may be
        infinite under maximum likelihood (`status` then says "infinite").
    method : str
        EAP, MAP, ML, WL or EAPsum.
    item_ids : tuple of str
        The scored units, in the order in which they were scored.
    scale_id, parameter_set : str
        Where the parameters come from; empty when they carry neither.
    nodes, posterior : arrays (Q,) or None
        Equally spaced nodes and posterior weights that sum to one; None when
        only a point and its standard error are known.
    status : str
        "ok", "infinite", or "no responses".

    Examples
    --------
    >>> score = Score(theta=0.3, se=0.4, method="WL", item_ids=("i1", "i2"))
    >>> round(score.probability_at_or_above(0.0), 4)
    0.7734
    """

    theta: float
    se: float
    method: str
    item_ids: tuple[str, ...]
    scale_id: str = ""
    parameter_set: str = ""
    nodes: FloatArray | None = field(default=None, repr=False)
    posterior: FloatArray | None = field(default=None, repr=False)
    status: str = "ok"

    @property
    def probability_basis(self) -> str:
        """Where the probability comes from: posterior if the nodes are known, else normal_approximation."""
        return "normal_approximation" if self.posterior is None else "posterior"

    def probability_at_or_above(self, cut: float) -> float:
        """Probability that theta is at or above a cut, given the responses."""
        if self.nodes is None or self.posterior is None:
            if math.isinf(self.theta):
                return 1.0 if self.theta > 0 else 0.0
            return 0.5 * math.erfc((cut - self.theta) / (self.se * math.sqrt(2.0)))
        return upper_tail(self.nodes, self.posterior, cut)


@dataclass(frozen=True, slots=True)
class CutScore:
    """The theta at and above which a level is reached.

    Parameters
    ----------
    id : str
        Versioned id, for example ``"twt-3-ka.v2"``.
    level : str
        The level that the cut gives, for example ``"KA"``.
    theta, se : float
        The cut and its standard error on the scale; `se` is nan if unknown.
    scale_id : str
        The scale of `theta`.
    method : str
        How it was set, for example ``"modified Angoff"``.
    panel : str
        The id of the study that holds the panel's ratings; empty without one.
    status : str
        "provisional" (no panel adopted it) or "adopted".
    raw : float or None
        The judged raw cut, the expected raw score of the just-proficient
        learner on the form at hand; used while parameters are provisional.
    """

    id: str
    level: str
    theta: float
    se: float
    scale_id: str
    method: str
    panel: str = ""
    status: str = "provisional"
    raw: float | None = None

    def __post_init__(self) -> None:
        if self.status not in ("provisional", "adopted"):
            raise InvalidContent(f"cut {self.id!r}: status is {self.status!r}; say provisional or adopted")
        if self.status == "adopted" and not self.panel:
            raise InvalidContent(f"cut {self.id!r}: an adopted cut names the panel's study")
        if not math.isfinite(self.theta):
            raise InvalidContent(f"cut {self.id!r}: theta is {self.theta}; it must be a finite number")


def require_same_scale(left: str, right: str, *, doing: str) -> None:
    """Refuse to bring numbers of two scales together.

    Examples
    --------
    >>> require_same_scale("twt-3/1", "twt-3/1", doing="deciding")
    >>> require_same_scale("twt-3/1", "twt-3/2", doing="deciding")
    Traceback (most recent call last):
        ...
    assess.errors.ScaleMismatch: deciding needs one scale, got 'twt-3/1' and 'twt-3/2'; link first
    """
    if left != right:
        raise ScaleMismatch(f"{doing} needs one scale, got {left!r} and {right!r}; link first")


# Five-point Gauss-Legendre rule on [0, 1]: exact to degree nine, what error is left is the interpolation's.
_GAUSS_X, _GAUSS_W = (
    0.5 * (np.polynomial.legendre.leggauss(5)[0] + 1.0),
    0.5 * np.polynomial.legendre.leggauss(5)[1],
)


def upper_tail(nodes: FloatArray, weights: FloatArray, cut: float) -> float:
    r"""Mass of a smooth posterior at and above a cut that may lie between nodes.

    A plain sum of the weights above the cut would jump by a whole weight when
    the cut crosses a node. Here the *logarithm* of the density is read as the
    cubic through the four nearest nodes, which is exact for a normal density
    and near it for every posterior, and integrated cell by cell with a
    five-point Gauss rule; the cell of the cut is integrated from the cut
    upwards. No BLAS and a fixed order of summation: a decision replays.

    Parameters
    ----------
    nodes, weights : arrays (Q,)
        Equally spaced nodes (Q >= 4), and weights proportional to the density.
    cut : float
        In units of theta.

    Examples
    --------
    >>> nodes = np.linspace(-6.0, 6.0, 61)
    >>> density = np.exp(-0.5 * ((nodes - 0.1) / 0.4) ** 2)
    >>> round(upper_tail(nodes, density, 0.37), 6), round(0.5 * math.erfc(0.675 / math.sqrt(2)), 6)
    (0.249838, 0.249838)
    """
    if cut <= nodes[0]:
        return 1.0
    if cut >= nodes[-1]:
        return 0.0
    step = float(nodes[1] - nodes[0])
    # A weight that underflowed to zero lies e^-700 below the mode: its floor cannot be seen in the sum.
    log_density = np.log(np.maximum(weights / np.max(weights), 1e-300))
    last = len(nodes) - 2
    position = (cut - float(nodes[0])) / step
    cut_cell = min(int(position), last)
    whole = [_cell_mass(log_density, cell, 0.0) for cell in range(last + 1)]
    above = math.fsum([_cell_mass(log_density, cut_cell, position - cut_cell), *whole[cut_cell + 1 :]])
    return min(max(above / math.fsum(whole), 0.0), 1.0)


def _cell_mass(log_density: FloatArray, cell: int, start: float) -> float:
    """Integral of exp(local cubic) over [start, 1] of the cell, in cell units."""
    first = min(max(cell - 1, 0), len(log_density) - 4)
    l0, l1, l2, l3 = (float(value) for value in log_density[first : first + 4])
    x = (cell - first) + start + (1.0 - start) * _GAUSS_X
    # Newton's form of the cubic through x = 0, 1, 2, 3.
    d1, d2, d3 = l1 - l0, (l2 - 2.0 * l1 + l0) / 2.0, (l3 - 3.0 * l2 + 3.0 * l1 - l0) / 6.0
    log_value = l0 + x * (d1 + (x - 1.0) * (d2 + (x - 2.0) * d3))
    return (1.0 - start) * math.fsum(float(w) * math.exp(v) for w, v in zip(_GAUSS_W, log_value, strict=True))
