r"""Slope and intercept that carry one scale onto another, with their standard errors.

Two calibrations of common items differ by a linear transformation,

.. math:: \theta_{onto} = A\,\theta_{new} + B, \qquad a_{onto} = a_{new}/A, \qquad b_{onto} = A\,b_{new} + B.

References
----------
Kolen & Brennan (2014), *Test Equating, Scaling, and Linking*, ch. 6.
Haebara (1980), *Japanese Psychological Research* 22, 144-149, doi:10.4992/psycholres1954.22.144.
Stocking & Lord (1983), *Applied Psychological Measurement* 7, 201-210, doi:10.1177/014662168300700208.
Kim & Lee (2006), *Journal of Educational Measurement* 43, 53-76,
doi:10.1111/j.1745-3984.2006.00004.x (mixed formats).
Ogasawara (2001), *Psychometrika* 66, 449-462 (standard errors).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from assess.errors import ConvergenceWarning, InvalidParameters
from assess.irt.linking.criterion import Criterion, Jacobian, Solution
from assess.irt.linking.curves import Variation, variations
from assess.irt.parameters import FloatArray, ItemParameters, ParameterSet
from assess.irt.scoring import Source, resolved

Method = Literal["mean-mean", "mean-sigma", "Haebara", "Stocking-Lord"]
METHODS: tuple[Method, ...] = ("mean-mean", "mean-sigma", "Haebara", "Stocking-Lord")

_UNIT_SLOPE = ("Rasch", "PCM", "RSM")


class LinkErrors(NamedTuple):
    """Standard errors of the two constants; nan where no covariance is known."""

    slope: float
    intercept: float


@dataclass(frozen=True, eq=False)
class Link:
    """A linear transformation between two scales, and how it was found.

    Parameters
    ----------
    slope, intercept : float
        theta_onto = slope * theta_new + intercept.
    vcov : array (2, 2)
        Their sampling covariance.
    method : str
    anchors : tuple of str
        The common items it rests on.
    criterion : float
        What a characteristic-curve method minimised, at the minimum; nan otherwise.
    scale_id : str
        The scale it leads onto, where that is published.
    notes : tuple of str
        What a reader should know before using it.
    """

    slope: float
    intercept: float
    vcov: FloatArray = field(repr=False)
    method: str
    anchors: tuple[str, ...]
    criterion: float = float("nan")
    scale_id: str = ""
    notes: tuple[str, ...] = ()

    @property
    def se(self) -> LinkErrors:
        """Standard errors of slope and intercept."""
        slope, intercept = np.sqrt(np.diag(self.vcov)).tolist()
        return LinkErrors(slope, intercept)

    def theta(self, theta: ArrayLike) -> FloatArray:
        """Thetas of the new scale on the other one.

        Examples
        --------
        >>> Link(2.0, 1.0, np.zeros((2, 2)), "mean-mean", ("i1",)).theta([0.0, 0.5]).tolist()
        [1.0, 2.0]
        """
        return self.slope * np.asarray(theta, dtype=np.float64) + self.intercept

    def parameters(self, new: ItemParameters) -> ItemParameters:
        """Item parameters of the new scale on the other one; the response functions stay what they are.

        Examples
        --------
        >>> items = ItemParameters(["i1"], "2PL", [1.0], [[0.0]])
        >>> moved = Link(2.0, 1.0, np.zeros((2, 2)), "mean-mean", ("i1",)).parameters(items)
        >>> moved.slopes.tolist(), moved.steps.tolist()
        ([0.5], [[1.0]])
        """
        freed = {"Rasch": "1PL", "PCM": "GPCM"} if self.slope != 1.0 else {}
        return ItemParameters(
            new.item_ids,
            [freed.get(model, model) for model in new.models],
            new.slopes / self.slope,
            self.slope * new.steps + self.intercept,
            new.lower,
            new.upper,
            new.category_slopes / self.slope,
            new.category_intercepts - new.category_slopes * self.intercept / self.slope,
        )

    def then(self, following: Link) -> Link:
        """Both links, one after the other; the errors of the two are taken as independent.

        Examples
        --------
        >>> step = Link(2.0, 1.0, np.zeros((2, 2)), "mean-mean", ("i1",))
        >>> step.then(step)
        <Link mean-mean, mean-mean: theta_onto = 4.0000 theta_new + 3.0000, 1 anchors>
        """
        by_this = np.array([[following.slope, 0.0], [0.0, following.slope]])
        by_following = np.array([[self.slope, 0.0], [self.intercept, 1.0]])
        return Link(
            self.slope * following.slope,
            following.slope * self.intercept + following.intercept,
            by_this @ self.vcov @ by_this.T + by_following @ following.vcov @ by_following.T,
            f"{self.method}, {following.method}",
            tuple(dict.fromkeys((*self.anchors, *following.anchors))),
            float("nan"),
            following.scale_id,
            (*self.notes, *following.notes),
        )

    def inverse(self) -> Link:
        """The way back."""
        slope = 1.0 / self.slope
        turn = np.array([[-(slope**2), 0.0], [self.intercept * slope**2, -slope]])
        return Link(
            slope,
            -self.intercept * slope,
            turn @ self.vcov @ turn.T,
            self.method,
            self.anchors,
            self.criterion,
            "",
            self.notes,
        )

    def __repr__(self) -> str:
        return (
            f"<Link {self.method}: theta_onto = {self.slope:.4f} theta_new "
            f"{'+' if self.intercept >= 0 else '-'} {abs(self.intercept):.4f}, {len(self.anchors)} anchors>"
        )

    def to_frame(self) -> pd.DataFrame:
        """Two rows, slope and intercept: value and se."""
        return pd.DataFrame(
            {"value": [self.slope, self.intercept], "se": list(self.se)},
            index=pd.Index(["slope", "intercept"], name="constant"),
        )

    def summary(self) -> str:
        """The page: constants, anchors, what to keep in mind."""
        notes = [f"note: {note}" for note in self.notes]
        return "\n".join([repr(self)[1:-1], "", self.to_frame().round(5).to_string(), "", *notes])

    def _repr_html_(self) -> str:
        """For notebooks."""
        return f"<p><strong>{repr(self)[1:-1]}</strong></p>{self.to_frame().to_html()}"


def link(
    new: Source,
    onto: Source,
    method: Method = "Stocking-Lord",
    *,
    anchors: Sequence[str] | None = None,
    symmetric: bool = False,
) -> Link:
    r"""Carry the scale of `new` onto that of `onto` by their common items.

    mean-mean and mean-sigma match means of slopes and means and standard
    deviations of steps, every step of every anchor counting once. Haebara and
    Stocking-Lord match curves in the population of `onto`,

    .. math::

       H = \sum_q w_q \sum_{jk}\bigl[P_{jk}(\theta_q) - P^*_{jk}(\theta_q)\bigr]^2, \qquad
       SL = \sum_q w_q \Bigl[\sum_{jk} k P_{jk}(\theta_q) - \sum_{jk} k P^*_{jk}(\theta_q)\Bigr]^2,

    with :math:`P^*(\theta) = P_{new}((\theta - B)/A)`. Anchors whose slopes are
    all fixed at one (Rasch, PCM, RSM) hold A at one.

    Parameters
    ----------
    new, onto : ItemParameters, ParameterSet or calibration
        Covariances of the estimates give standard errors by the delta method,
        the two being independent; parameters that come without one are taken as known.
    method : str
        mean-mean, mean-sigma, Haebara or Stocking-Lord.
    anchors : sequence of str, optional
        Item ids in both; all common items unless given.
    symmetric : bool
        Add the same criterion on the scale of `new`.

    Returns
    -------
    Link

    Raises
    ------
    InvalidParameters
        Without common items, where an anchor is missing on one side, has another
        model or other categories there, or where a moment method meets an NRM item.

    Warns
    -----
    ConvergenceWarning
        Where one of the two calibrations did not converge.

    Examples
    --------
    >>> new = ItemParameters(["i1", "i2"], "2PL", [1.0, 2.0], [[-1.0], [1.0]])
    >>> onto = ItemParameters(["i1", "i2"], "2PL", [0.5, 1.0], [[-1.0], [3.0]])
    >>> found = link(new, onto)
    >>> round(found.slope, 6), round(found.intercept, 6)
    (2.0, 1.0)
    """
    if method not in METHODS:
        raise InvalidParameters(f"method {method!r} is not known; say one of {', '.join(METHODS)}")
    from_items, new_population = resolved(new, None)
    to_items, onto_population = resolved(onto, None)
    chosen = common_anchors(from_items, to_items, anchors)
    x, y = from_items.take(chosen), to_items.take(chosen)
    notes = _warnings(new, onto)
    fixed = all(model in _UNIT_SLOPE for model in x.models) and bool(
        (x.slopes == 1.0).all() and (y.slopes == 1.0).all()
    )
    if fixed:
        notes.append("all slopes are fixed at one, so the scales have one unit and the slope is 1")
    if method in ("mean-mean", "mean-sigma"):
        solution = _moments(x, y, method, fixed)
    else:
        task = Criterion(
            x, y, method == "Haebara", fixed, onto_population, new_population if symmetric else None
        )
        solution = task.solve()
    vcov = np.zeros((2, 2))
    known = False
    for source, items, jacobian in ((new, x, solution.by_new), (onto, y, solution.by_onto)):
        part = _covariance(source, items)
        if part is None:
            continue
        known = True
        names, matrix = part
        turn = jacobian(variations(items, names))
        vcov += turn @ matrix @ turn.T
    if not known:
        vcov = np.full((2, 2), np.nan)
        notes.append("no standard errors: neither side brings the covariance of its estimates")
    scale_id = onto.scale_id if isinstance(onto, ParameterSet) else ""
    return Link(
        solution.slope,
        solution.intercept,
        vcov,
        method,
        chosen,
        solution.criterion,
        scale_id,
        tuple(notes),
    )


def common_anchors(
    new: ItemParameters, onto: ItemParameters, anchors: Sequence[str] | None
) -> tuple[str, ...]:
    """The anchors, checked on both sides."""
    if anchors is None:
        chosen = tuple(item for item in new.item_ids if item in onto.position)
        if not chosen:
            raise InvalidParameters(
                f"no common items: one side has {_some(new.item_ids)}, the other {_some(onto.item_ids)}; "
                "scales can be linked only over items that both have, in the same version"
            )
    else:
        chosen = tuple(anchors)
        if not chosen or len(set(chosen)) != len(chosen):
            raise InvalidParameters(f"anchors are {list(chosen)}; name at least one item, each once")
    for item in chosen:
        for side, items in (("new", new), ("onto", onto)):
            if item not in items.position:
                stem = item.rpartition(".v")[0]
                near = [other for other in items.item_ids if stem and other.rpartition(".v")[0] == stem]
                hint = f", which has {near[0]!r}: another version is another item" if near else ""
                raise InvalidParameters(f"anchor {item!r} is not in `{side}`{hint}")
        i, j = new.position[item], onto.position[item]
        left, right = (new.models[i], new.n_categories[i]), (onto.models[j], onto.n_categories[j])
        if left[1] != right[1] or _family(left[0]) != _family(right[0]):
            raise InvalidParameters(
                f"anchor {item!r} is {left[0]} with {left[1]} categories in `new` and {right[0]} with "
                f"{right[1]} in `onto`; an anchor has one model, or it is no anchor"
            )
    return chosen


# --- inside -----------------------------------------------------------------


def _moments(x: ItemParameters, y: ItemParameters, method: str, fixed: bool) -> Solution:
    """Means of slopes, and means and standard deviations of steps."""
    nominal = [item for item, model in zip(x.item_ids, x.models, strict=True) if model == "NRM"]
    if nominal:
        raise InvalidParameters(
            f"anchor {nominal[0]!r} is NRM and has no steps; link by Haebara or Stocking-Lord"
        )
    b_x, b_y = x.steps[~np.isnan(x.steps)], y.steps[~np.isnan(y.steps)]
    sd_x, sd_y = float(b_x.std()), float(b_y.std())
    if method == "mean-sigma" and not fixed and not (sd_x > 0.0 and sd_y > 0.0):
        raise InvalidParameters("mean-sigma needs anchors of different difficulty; say mean-mean")
    if fixed:
        slope = 1.0
    elif method == "mean-mean":
        slope = float(x.slopes.mean() / y.slopes.mean())
    else:
        slope = sd_y / sd_x
    if not slope > 0.0:
        raise InvalidParameters(f"the slopes give A = {slope:.3g}; check the sign of the slopes of one side")
    intercept = float(b_y.mean() - slope * b_x.mean())
    n_steps = len(b_x)

    def jacobian(side: Literal["new", "onto"]) -> Jacobian:
        def turn(moved: Variation) -> FloatArray:
            d_step = np.nansum(moved.steps, axis=1) / n_steps
            if fixed:
                d_slope = np.zeros(len(d_step))
            elif method == "mean-mean":
                d_log = moved.slopes / (x if side == "new" else y).slopes.sum()
                d_slope = slope * d_log * (1.0 if side == "new" else -1.0)
            else:
                own, mean, sd = (x.steps, b_x.mean(), sd_x) if side == "new" else (y.steps, b_y.mean(), sd_y)
                d_sd = np.nansum(moved.steps * (own - mean)[moved.rows], axis=1) / (n_steps * sd)
                d_slope = slope * d_sd / sd * (-1.0 if side == "new" else 1.0)
            d_intercept = -d_slope * b_x.mean() + (-slope * d_step if side == "new" else d_step)
            return np.stack([d_slope, d_intercept])

        return turn

    return Solution(slope, intercept, float("nan"), jacobian("new"), jacobian("onto"))


def _covariance(source: Source, items: ItemParameters) -> tuple[list[tuple[str, str]], FloatArray] | None:
    """Names (item, parameter) of the estimated parameters of the anchors, and their covariance."""
    matrix = getattr(source, "vcov_matrix", None)
    if matrix is None:
        return None
    labels = [name.rpartition(".") for name in getattr(source, "vcov_names", ())]
    kept = [place for place, (item, _, _) in enumerate(labels) if item in items.position]
    names = [(labels[place][0], labels[place][2]) for place in kept]
    return names, np.asarray(matrix, dtype=np.float64)[np.ix_(kept, kept)]


def _warnings(new: Source, onto: Source) -> list[str]:
    notes = []
    for side, source in (("new", new), ("onto", onto)):
        if getattr(source, "converged", True) is False:
            note = f"the calibration `{side}` did not converge; its link is not to be used"
            warnings.warn(note, ConvergenceWarning, stacklevel=3)
            notes.append(note)
    return notes


def _family(model: str) -> str:
    """Models that are special cases of one another may differ between two calibrations."""
    if model in ("Rasch", "1PL", "2PL", "3PL", "4PL"):
        return "dichotomous"
    return "divide-by-total" if model in ("PCM", "GPCM", "RSM") else model


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
