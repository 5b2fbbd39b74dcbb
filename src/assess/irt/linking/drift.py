r"""Anchors that changed: found by a robust z, taken out, and the link estimated again.

With :math:`d_j` the difficulty of anchor j today minus the one on the scale,
after linking,

.. math:: z_j = \frac{d_j - \mathrm{median}(d)}{0.74\,\mathrm{IQR}(d)}.

References
----------
Huynh & Meyer (2010), *Journal of Applied Measurement* 11, 141-153 (robust z).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from assess.errors import InvalidParameters
from assess.irt.calibration import calibrate
from assess.irt.calibration.options import Prior as ParameterPrior
from assess.irt.linking.constants import Link, Method, common_anchors, link
from assess.irt.models import category_probabilities, log_category_probabilities
from assess.irt.modes import tabulated
from assess.irt.parameters import FloatArray, ItemParameters
from assess.irt.quadrature import chunks, default_nodes
from assess.irt.scoring import Source, resolved
from assess.responses import ResponseMatrix, as_matrix


@dataclass(frozen=True, slots=True)
class DriftRules:
    """When an anchor is said to have drifted, and when the link is not to be trusted.

    Parameters
    ----------
    z, difference : float
        An anchor drifts when |z| and |d| are both above these.
    most_removed : float
        A larger share of drifting anchors blocks publishing.
    fewest_left : int
        Fewer remaining anchors block publishing.

    Examples
    --------
    >>> DriftRules().z
    2.7
    """

    z: float = 2.7
    difference: float = 0.3
    most_removed: float = 0.20
    fewest_left: int = 6

    def __post_init__(self) -> None:
        if not (self.z > 0.0 and self.difference >= 0.0 and 0.0 <= self.most_removed <= 1.0):
            raise InvalidParameters(
                f"drift rules z = {self.z}, difference = {self.difference}, most_removed = "
                f"{self.most_removed}: give z > 0, difference >= 0 and a share between 0 and 1"
            )


@dataclass(frozen=True, eq=False)
class AnchorDrift:
    """A link over the anchors that stayed where they were.

    Parameters
    ----------
    table : DataFrame
        Index item; columns b_new (on the scale of `onto`), b_onto, d, z, drifts.
        The location of an item with several steps is their mean.
    link : Link
        Over the anchors that are left.
    first_link : Link
        Over all anchors.
    rules : DriftRules
    not_checked : mapping
        Items that could not be anchors, and why.
    """

    table: pd.DataFrame = field(repr=False)
    link: Link
    first_link: Link = field(repr=False)
    rules: DriftRules = field(repr=False)
    not_checked: Mapping[str, str] = field(repr=False, default_factory=dict)

    @property
    def removed(self) -> tuple[str, ...]:
        """Anchors that drifted."""
        return tuple(self.table.index[self.table["drifts"]].tolist())

    @property
    def refusal(self) -> str:
        """Why nothing may be published over this link; empty when it may."""
        n, gone = len(self.table), len(self.removed)
        if gone > self.rules.most_removed * n:
            return (
                f"{gone} of {n} anchors drift ({', '.join(self.removed)}); more than "
                f"{100 * self.rules.most_removed:.0f} % means that the scale, not an item, has moved"
            )
        # Where a quarter of the anchors moved, the spread that z is measured in is theirs, and none alarms.
        away = int((self.table["d"].abs() > self.rules.difference).sum())
        if away > self.rules.most_removed * n:
            return (
                f"{away} of {n} anchors are more than {self.rules.difference:g} from where they were, too "
                "many to tell by a robust z which of them drift; the scale, not an item, has moved"
            )
        if n - gone < self.rules.fewest_left:
            return f"{n - gone} anchors are left; at least {self.rules.fewest_left} are needed"
        return ""

    def to_mapping(self) -> dict[str, Any]:
        """Plain data: what a calibration keeps of the check of its anchors."""
        return {
            "rules": {name: getattr(self.rules, name) for name in DriftRules.__slots__},
            "slope": self.link.slope,
            "intercept": self.link.intercept,
            "se": [None if np.isnan(se) else float(se) for se in self.link.se],
            "method": self.link.method,
            "anchors": {
                str(item): {
                    "d": round(float(row["d"]), 6),
                    # Where half of all anchors agree to the last digit, a z has no unit.
                    "z": round(float(np.clip(row["z"], -999.0, 999.0)), 6),
                    "drifts": bool(row["drifts"]),
                }
                for item, row in self.table.iterrows()
            },
            "removed": list(self.removed),
            "not_checked": dict(self.not_checked),
            "refusal": self.refusal,
        }

    def __repr__(self) -> str:
        word = "publishing is blocked" if self.refusal else "link stands"
        return f"<AnchorDrift: {len(self.removed)} of {len(self.table)} anchors drift, {word}>"

    def summary(self) -> str:
        """The page: anchors, the link over those that are left, and whether it may be used."""
        end = [f"refused: {self.refusal}"] if self.refusal else []
        return "\n".join(
            [repr(self)[1:-1], "", self.table.round(3).to_string(), "", self.link.summary(), *end]
        )

    def _repr_html_(self) -> str:
        """For notebooks."""
        return f"<p><strong>{repr(self)[1:-1]}</strong></p>{self.table.round(3).to_html()}"


def anchor_drift(
    new: Source,
    onto: Source,
    method: Method = "Stocking-Lord",
    *,
    anchors: Sequence[str] | None = None,
    rules: DriftRules | None = None,
) -> AnchorDrift:
    """Link, take out the anchors that drift, and link again, until none drifts.

    Median and interquartile range are those of the anchors still in; the
    differences of all anchors are reported under the last link.

    Parameters
    ----------
    new, onto, method, anchors
        As in `link`.
    rules : DriftRules, optional

    Raises
    ------
    InvalidParameters
        As `link`; and where an anchor is NRM, which has no difficulty.

    Examples
    --------
    >>> from assess.irt import ItemParameters
    >>> names = [f"i{j}" for j in range(8)]
    >>> b = np.linspace(-1.5, 1.5, 8)[:, None]
    >>> moved = b + 0.4 + np.array([[0.03, -0.03, 0.02, 0.9, -0.02, 0.01, 0.0, -0.01]]).T
    >>> onto = ItemParameters(names, "2PL", np.ones(8), b)
    >>> anchor_drift(ItemParameters(names, "2PL", np.ones(8), moved), onto).removed
    ('i3',)
    """
    rules = rules or DriftRules()
    from_items, _ = resolved(new, None)
    to_items, _ = resolved(onto, None)
    chosen = common_anchors(from_items, to_items, anchors)
    x, y = from_items.take(chosen), to_items.take(chosen)
    nominal = [item for item, model in zip(x.item_ids, x.models, strict=True) if model == "NRM"]
    if nominal:
        raise InvalidParameters(
            f"anchor {nominal[0]!r} is NRM and has no difficulty; leave it out of the anchors"
        )
    b_onto = np.nanmean(y.steps, axis=1)
    left = np.ones(len(chosen), dtype=bool)
    first = current = link(new, onto, method, anchors=chosen)
    while True:
        b_new = np.nanmean(current.parameters(x).steps, axis=1)
        d = b_new - b_onto
        z = robust_z(d, left)
        drifts = left & (np.abs(z) > rules.z) & (np.abs(d) > rules.difference)
        # One anchor must stay; the rules block publishing long before.
        if not drifts.any() or drifts.sum() >= left.sum():
            break
        left &= ~drifts
        kept = [item for item, keep in zip(chosen, left, strict=True) if keep]
        current = link(new, onto, method, anchors=kept)
    table = pd.DataFrame(
        {"b_new": b_new, "b_onto": b_onto, "d": d, "z": z, "drifts": ~left},
        index=pd.Index(chosen, name="item"),
    )
    return AnchorDrift(table, current, first, rules)


def operational_drift(
    responses: pd.DataFrame | ResponseMatrix,
    published: Source,
    method: Method = "Stocking-Lord",
    *,
    rules: DriftRules | None = None,
    fewest_responses: int = 200,
    priors: Mapping[str, ParameterPrior] | None = None,
) -> AnchorDrift:
    r"""Compare every item with its published parameters on new responses.

    The difference d of an item is the shift of its steps that makes the
    responses most likely, all other anchors and its own slope being held at
    their published values and the population being estimated,

    .. math:: d_j = \arg\max_d \sum_i \log \int \phi(\theta)\, P_{j x_{ij}}(\theta - d)
                    \prod_{l \ne j} P_{l x_{il}}(\theta)\, d\theta .

    A free slope would add its error to the difficulty and cost most of the
    power (a difference of 0.5 at 500 responses would be found two times in
    three). Routing by earlier answers does no harm: what it leaves out is
    missing at random given what is there. What drifts is set free, and the
    others are looked at again. The link comes from a free calibration, over
    the anchors that are left.

    Parameters
    ----------
    responses : DataFrame (persons x items) or ResponseMatrix
        Items without published parameters are left aside.
    published : ItemParameters, ParameterSet or calibration
    method, rules
        As in `anchor_drift`.
    fewest_responses : int
        An item with fewer is no anchor: its difference would be its error.
    priors : mapping, optional
        As in `calibrate`; 3PL items need one on c.

    Raises
    ------
    InvalidParameters
        No item of the responses can be an anchor.

    Warns
    -----
    ConvergenceWarning
        The free calibration did not converge; the link says so.

    Examples
    --------
    >>> from assess.irt import ItemParameters, simulate
    >>> names, b = [f"i{j}" for j in range(12)], np.linspace(-1.5, 1.5, 12)
    >>> published = ItemParameters(names, "2PL", np.full(12, 1.2), b[:, None])
    >>> today = ItemParameters(names, "2PL", np.full(12, 1.2), (b - 0.9 * (np.arange(12) == 4))[:, None])
    >>> rng = np.random.default_rng(1)
    >>> data = pd.DataFrame(simulate(today, rng.standard_normal(1500), rng), columns=names)
    >>> operational_drift(data, published).removed
    ('i4',)
    """
    known, _ = resolved(published, None)
    matrix = as_matrix(responses)
    not_checked: dict[str, str] = {}
    constant = {*matrix.constant_items(), *matrix.empty_items()}
    kept = []
    for j, item in enumerate(matrix.item_ids):
        n = int((matrix.categories[:, j] >= 0).sum())
        if item not in known.position:
            not_checked[item] = "has no published parameters"
        elif n < fewest_responses or item in constant:
            not_checked[item] = f"has {n} responses" + (", all alike" if item in constant and n else "")
        elif known.models[known.position[item]] == "NRM":
            not_checked[item] = "is NRM, which has no difficulty"
        elif int(matrix.categories[:, j].max()) + 1 != int(known.n_categories[known.position[item]]):
            not_checked[item] = "has a category that nobody used"
        else:
            kept.append(item)
    if not kept:
        why = "; ".join(f"{item} {reason}" for item, reason in list(not_checked.items())[:3])
        raise InvalidParameters(f"no item can be an anchor: {why}")
    part, rules = matrix.take_items(kept), rules or DriftRules()
    chosen = known.take(kept)
    models = dict(zip(kept, chosen.models, strict=True))
    free = calibrate(part, models, priors=priors)
    first = current = link(free, published, method, anchors=kept)
    left = np.ones(len(kept), dtype=bool)
    codes = part.recode()
    while True:
        held = [item for item, stays in zip(kept, left, strict=True) if stays]
        anchored = calibrate(part, models, anchors=chosen.take(held), priors=priors)
        d = _shifts(codes, anchored, chosen)
        z = robust_z(d, left)
        drifts = left & (np.abs(z) > rules.z) & (np.abs(d) > rules.difference)
        if not drifts.any() or drifts.sum() >= left.sum():
            break
        left &= ~drifts
        remaining = [item for item, stays in zip(kept, left, strict=True) if stays]
        current = link(free, published, method, anchors=remaining)
    b = np.nanmean(chosen.steps, axis=1)
    table = pd.DataFrame(
        {"b_new": b + d, "b_onto": b, "d": d, "z": z, "drifts": ~left}, index=pd.Index(kept, name="item")
    )
    return AnchorDrift(table, current, first, rules, not_checked)


def _shifts(codes: NDArray[np.int8], anchored: Source, published: ItemParameters) -> FloatArray:
    """How far each item's location is from the published one, all else held where it is, (J,).

    The marginal likelihood is maximised over one shift at a time. It takes every response into account,
    so that items which were chosen by earlier answers do no harm.
    """
    items, population = resolved(anchored, None)
    items = items.take(published.item_ids)
    nodes = default_nodes(items, population)
    table = log_category_probabilities(items, nodes)
    weights = np.empty((len(codes), len(nodes)))
    for rows in chunks(len(codes)):
        log_weights = tabulated(codes[rows], table) + population.log_density(nodes)
        own = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
        weights[rows] = own / own.sum(axis=1, keepdims=True)
    found = np.empty(len(items))
    for j, item in enumerate(published.item_ids):
        at, own_items = published.take([item]), items.take([item])
        given = [np.flatnonzero(codes[:, j] == k) for k in range(int(at.n_categories[0]))]
        # Without the item's own contribution, so that a shift can put another one in its place.
        rest = [
            weights[rows] / np.maximum(p, 1e-300)
            for rows, p in zip(given, category_probabilities(own_items, nodes)[:, 0].T, strict=True)
        ]

        def log_likelihood(shift: float, at: ItemParameters = at, rest: list[FloatArray] = rest) -> float:
            # Harder by so much is as good as seen from so far below.
            chance = category_probabilities(at, nodes - shift)[:, 0].T
            return sum(
                float(np.log(part @ p).sum()) for part, p in zip(rest, chance, strict=True) if len(part)
            )

        found[j] = _maximum(log_likelihood)
    return found


def _maximum(function: Callable[[float], float], width: float = 0.05) -> float:
    """Where a smooth function of one number is highest, by Newton steps of at most one half."""
    at = 0.0
    for _ in range(30):
        low, middle, high = function(at - width), function(at), function(at + width)
        bend = (low - 2.0 * middle + high) / width**2
        slope = (high - low) / (2.0 * width)
        step = float(np.clip(-slope / bend if bend < 0.0 else np.sign(slope) * 0.5, -0.5, 0.5))
        at += step
        if abs(step) < 1e-5 or abs(at) > 10.0:
            break
    return at


def robust_z(differences: FloatArray, reference: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> FloatArray:
    """Distance from the median in units of 0.74 IQR, both taken over the reference items."""
    low, middle, high = np.quantile(differences[reference], [0.25, 0.5, 0.75])
    away = differences - middle
    spread = 0.74 * (high - low)
    if spread <= 0.0:
        return np.where(away == 0.0, 0.0, np.copysign(np.inf, away))
    return np.asarray(away / spread, dtype=np.float64)
