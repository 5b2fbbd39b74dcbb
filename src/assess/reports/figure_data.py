"""The numbers behind every figure, one DataFrame each. matplotlib is not needed here."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from assess.classical import Distractors
from assess.errors import InvalidParameters, InvalidRequest, InvalidResponses
from assess.irt.fit.sources import fitted
from assess.irt.models import category_probabilities, information, log_category_probabilities
from assess.irt.modes import tabulated
from assess.irt.parameters import ItemParameters
from assess.irt.scoring import Source, resolved
from assess.responses import ResponseMatrix

FloatArray = NDArray[np.float64]
STATUSES = ("not_passed", "incomplete", "undetermined", "passed")
_CHUNK = 4096


def default_theta(source: Source) -> FloatArray:
    """Where curves are drawn: 3.5 standard deviations either side of the population's mean, (161,)."""
    _, population = resolved(source, None)
    return population.mean + population.sd * np.linspace(-3.5, 3.5, 161)


def item_curves_data(source: Source, item: str, theta: ArrayLike | None = None) -> pd.DataFrame:
    """Probability of every category of one item along theta.

    Parameters
    ----------
    source : calibration, ItemParameters or ParameterSet
    item : str
    theta : array (n_theta,), optional
        By default 3.5 population standard deviations either side of the mean.

    Returns
    -------
    DataFrame
        One row per category and theta: category, theta, probability.

    Raises
    ------
    InvalidParameters
        Where the item has no parameters.

    Examples
    --------
    >>> items = ItemParameters(["i1"], "2PL", [1.0], [[0.5]])
    >>> item_curves_data(items, "i1", [0.5])
       category  theta  probability
    0         0    0.5          0.5
    1         1    0.5          0.5
    """
    items = resolved(source, None)[0].take([item])
    grid = default_theta(source) if theta is None else np.asarray(theta, dtype=np.float64)
    probabilities = category_probabilities(items, grid)[:, 0, :]
    n_categories = probabilities.shape[1]
    return pd.DataFrame(
        {
            "category": np.repeat(np.arange(n_categories), len(grid)),
            "theta": np.tile(grid, n_categories),
            "probability": probabilities.T.ravel(),
        }
    )


def observed_categories_data(
    source: Source,
    responses: pd.DataFrame | ResponseMatrix,
    item: str,
    *,
    n_groups: int = 11,
    min_persons: float = 5.0,
) -> pd.DataFrame:
    r"""Share of persons in every category of one item, by group of theta.

    Nobody's theta is known, so every person counts in each group with the
    posterior probability of being there (the expected counts of the EM
    algorithm),

    .. math::

       n_g = \sum_i P(\theta_i \in g \mid x_i), \qquad
       o_{gk} = \frac1{n_g} \sum_{i:\,x_{ij}=k} P(\theta_i \in g \mid x_i).

    Under the model the observed share estimates the expected one; point
    estimates of theta, shrunken or not, would tilt it. The groups share persons
    and the item takes part in the posterior, so the intervals help the eye;
    a test is `irt.item_fit`.

    Parameters
    ----------
    source : calibration, ItemParameters or ParameterSet
    responses : DataFrame (persons x items) or ResponseMatrix
    item : str
    n_groups : int
        Groups of equal width within 2.75 population standard deviations.
    min_persons : float
        Groups with a smaller expected count are left out.

    Returns
    -------
    DataFrame
        One row per category and group: category, theta (mean of the group), n
        (expected count), observed, expected, low, high (95 % Wilson interval of
        the observed share).

    Raises
    ------
    InvalidResponses
        Where the item is not among the responses.

    Examples
    --------
    >>> from assess.irt import simulate
    >>> items = ItemParameters([f"i{j}" for j in range(9)], "2PL", np.ones(9), np.zeros((9, 1)))
    >>> rng = np.random.default_rng(1)
    >>> frame = pd.DataFrame(simulate(items, rng.standard_normal(800), rng), columns=list(items.item_ids))
    >>> table = observed_categories_data(items, frame, "i3")
    >>> bool((table["observed"] - table["expected"]).abs().max() < 0.1)
    True

    References
    ----------
    Bock & Aitkin (1981), *Psychometrika* 46, 443-459, doi:10.1007/BF02293801, eq. 13-14.
    """
    if n_groups < 1:
        raise InvalidRequest(f"n_groups is {n_groups}; give at least 1", path="n_groups")
    model = fitted(source, responses)
    if item not in model.items.position:
        raise InvalidResponses(f"item {item!r} is not among the responses")
    j = model.items.position[item]
    n_categories = int(model.items.n_categories[j])
    # Half the usual spacing, so that a group holds several nodes.
    nodes = np.linspace(model.nodes[0], model.nodes[-1], 2 * len(model.nodes) - 1)
    table = log_category_probabilities(model.items, nodes)
    log_prior = model.population.log_density(nodes)
    counts = np.zeros((n_categories, len(nodes)))
    given = model.categories[model.categories[:, j] >= 0]
    for start in range(0, len(given), _CHUNK):
        rows = given[start : start + _CHUNK]
        weights = tabulated(rows, table) + log_prior
        weights = np.exp(weights - weights.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        for k in range(n_categories):
            counts[k] += weights[rows[:, j] == k].sum(axis=0)
    edges = model.population.mean + model.population.sd * np.linspace(-2.75, 2.75, n_groups + 1)
    group = np.searchsorted(edges, nodes, side="right") - 1
    model_shares = np.exp(table[:, j, :n_categories])
    records: list[dict[str, float]] = []
    for g in range(n_groups):
        within = group == g
        n_nodes = counts[:, within].sum(axis=0)
        n = float(n_nodes.sum())
        if n < min_persons or n == 0.0:
            continue
        at = float(n_nodes @ nodes[within]) / n
        for k in range(n_categories):
            share = float(counts[k, within].sum()) / n
            low, high = _wilson(share, n)
            expected = float(n_nodes @ model_shares[within, k]) / n
            records.append(
                {
                    "category": k,
                    "theta": at,
                    "n": n,
                    "observed": share,
                    "expected": expected,
                    "low": low,
                    "high": high,
                }
            )
    columns = ["category", "theta", "n", "observed", "expected", "low", "high"]
    return pd.DataFrame(records, columns=columns).sort_values(["category", "theta"], ignore_index=True)


def information_data(source: Source, theta: ArrayLike | None = None) -> pd.DataFrame:
    r"""Test information and the standard error that follows from it, along theta.

    .. math:: SE(\theta) = I(\theta)^{-1/2}

    Returns
    -------
    DataFrame
        Columns theta, information (1 / theta squared), se (theta; inf where
        there is no information).

    Examples
    --------
    >>> items = ItemParameters(["i1", "i2"], "2PL", [2.0, 2.0], [[0.0], [0.0]])
    >>> information_data(items, [0.0]).to_numpy().round(4).tolist()
    [[0.0, 2.0, 0.7071]]

    References
    ----------
    Lord (1980), *Applications of Item Response Theory*, ch. 5.
    """
    items, _ = resolved(source, None)
    grid = default_theta(source) if theta is None else np.asarray(theta, dtype=np.float64)
    total = information(items, grid).sum(axis=1)
    error = np.full(len(total), np.inf)
    np.divide(1.0, np.sqrt(total), out=error, where=total > 0.0)
    return pd.DataFrame({"theta": grid, "information": total, "se": error})


def wright_map_data(source: Source, theta: ArrayLike, *, width: float = 0.25) -> pd.DataFrame:
    r"""Persons and items on one scale.

    An item stands where the chance of k points or more is one half,
    :math:`P(X \ge k \mid \theta_k) = 1/2` (Thurstonian thresholds, in order even
    where step parameters are not); a 3PL or 4PL item stands at its b.

    Parameters
    ----------
    source : calibration, ItemParameters or ParameterSet
    theta : array (N,)
        Estimates of the persons; infinite and unknown ones are not counted.
    width : float
        Of the person groups, in theta.

    Returns
    -------
    DataFrame
        One row per person group and per threshold: side ("persons" or
        "items"), item, step, theta (middle of the group, or the threshold), n.

    Raises
    ------
    InvalidParameters
        An NRM item, whose categories have no order.

    Examples
    --------
    >>> items = ItemParameters(["i1"], "2PL", [1.0], [[0.5]])
    >>> wright_map_data(items, [0.1, 0.2, 0.3])[["side", "theta", "n"]].values.tolist()
    [['persons', 0.125, 2], ['persons', 0.375, 1], ['items', 0.5, 0]]
    """
    items, _ = resolved(source, None)
    edges, counts = _histogram(np.asarray(theta, dtype=np.float64), 0.0, width)
    persons = pd.DataFrame(
        {"side": "persons", "item": "", "step": 0, "theta": (edges[:-1] + edges[1:]) / 2, "n": counts}
    )
    rows = [
        {"side": "items", "item": item, "step": k + 1, "theta": place, "n": 0}
        for j, item in enumerate(items.item_ids)
        for k, place in enumerate(_thresholds(items, j))
    ]
    return pd.concat([persons, pd.DataFrame(rows)], ignore_index=True)


def score_distribution_data(
    theta: ArrayLike, cut: float, status: ArrayLike | None = None, *, width: float = 0.2
) -> pd.DataFrame:
    """How many persons of each status stand where.

    Parameters
    ----------
    theta : array (N,)
        Infinite and unknown estimates are not counted.
    cut : float
        An edge of the groups, so that none holds both sides.
    status : array (N,) of str, optional
        passed, not_passed, undetermined or incomplete; without it, passed at
        or above the cut.
    width : float
        Of the groups, in theta.

    Returns
    -------
    DataFrame
        One row per status and group: status, low, high, n.

    Raises
    ------
    InvalidRequest
        A status that is no word of decisions, or one for each person missing.

    Examples
    --------
    >>> score_distribution_data([-0.1, 0.1, 0.3], 0.0).query("n > 0").values.tolist()
    [['not_passed', -0.2, 0.0, 1], ['passed', 0.0, 0.2, 1], ['passed', 0.2, 0.4, 1]]
    """
    values = np.asarray(theta, dtype=np.float64)
    words = (
        np.where(values >= cut, "passed", "not_passed") if status is None else np.asarray(status, dtype=str)
    )
    if words.shape != values.shape:
        raise InvalidRequest(
            f"{len(values)} values of theta and {len(words)} statuses; give one status per person",
            path="status",
        )
    unknown = sorted(set(words.tolist()) - set(STATUSES))
    if unknown:
        raise InvalidRequest(f"status {unknown[0]!r} is not known; say {', '.join(STATUSES)}", path="status")
    edges, _ = _histogram(values, cut, width)
    edges = edges.round(12)
    first = round((float(edges[0]) - cut) / width)
    frames = []
    for word in STATUSES:
        own = values[(words == word) & np.isfinite(values)]
        if len(own):
            counts = np.bincount(_places(own, cut, width) - first, minlength=len(edges) - 1)
            frames.append(pd.DataFrame({"status": word, "low": edges[:-1], "high": edges[1:], "n": counts}))
    return pd.concat(frames, ignore_index=True)


def distractor_curves_data(analysis: Distractors, item: str) -> pd.DataFrame:
    """Share of each option of one item by score on the other items.

    Returns
    -------
    DataFrame
        One row per option and score group: option, is_key, group, n, rest
        (mean share of points on the other items), share.

    Raises
    ------
    InvalidRequest
        Where the item was not analysed.

    Examples
    --------
    >>> from assess.classical import distractors
    >>> raw = pd.DataFrame({"i1": list("aabb"), "i2": list("ccdd"), "i3": list("eefe")})
    >>> table = distractor_curves_data(distractors(raw, {"i1": "a", "i2": "c", "i3": "e"}, n_groups=2), "i1")
    >>> table[["option", "group", "share"]].values.tolist()
    [['a', 1, 0.0], ['a', 2, 1.0], ['b', 1, 1.0], ['b', 2, 0.0]]
    """
    rows = analysis.curves[analysis.curves["item"] == item]
    if rows.empty:
        known = ", ".join(repr(name) for name in list(dict.fromkeys(analysis.curves["item"]))[:5])
        raise InvalidRequest(f"item {item!r} has no option curves; there are {known}", path="item")
    columns = ["option", "is_key", "group", "n", "rest", "share"]
    return rows[columns].sort_values(["option", "group"], ignore_index=True)


# --- inside -----------------------------------------------------------------


def _wilson(share: float, n: float) -> tuple[float, float]:
    """95 % interval of a share, which stays within [0, 1] (Wilson 1927)."""
    z2 = 1.959963984540054**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return max(0.0, middle - float(half)), min(1.0, middle + float(half))


def _histogram(theta: FloatArray, anchor: float, width: float) -> tuple[FloatArray, NDArray[np.int64]]:
    """Edges at anchor + k * width, closed on the left, and counts of the finite values."""
    if not (np.isfinite(width) and width > 0.0 and np.isfinite(anchor)):
        raise InvalidRequest(f"width is {width}; give a positive number", path="width")
    finite = theta[np.isfinite(theta)]
    if not len(finite):
        raise InvalidRequest("no finite value of theta; there is nothing to draw", path="theta")
    place = _places(finite, anchor, width)
    first, last = int(place.min()), int(place.max())
    edges = anchor + width * np.arange(first, last + 2, dtype=np.float64)
    return edges, np.bincount(place - first, minlength=last - first + 1).astype(np.int64)


def _places(theta: FloatArray, anchor: float, width: float) -> NDArray[np.int64]:
    """Number of the group of each value; one on an edge belongs above it, whatever the division leaves."""
    return np.floor((theta - anchor) / width + 1e-9).astype(np.int64)


def _thresholds(items: ItemParameters, j: int) -> list[float]:
    model, a = items.models[j], float(items.slopes[j])
    if model == "NRM":
        raise InvalidParameters(
            f"item {items.item_ids[j]!r} (NRM): its categories have no order, so it has no place on the map; "
            "take the other items"
        )
    steps = items.steps[j][: int(items.n_categories[j]) - 1]
    if items.n_categories[j] == 2 or model == "GRM":
        return [float(step) for step in steps]
    from scipy.optimize import brentq

    own = items.take([items.item_ids[j]])

    def above_half(theta: float, k: int) -> float:
        return float(category_probabilities(own, [theta])[0, 0, k:].sum()) - 0.5

    # Beyond all steps by this much the odds of the outer category are at least exp(8) times as large.
    reach = (8.0 + len(steps)) / abs(a)
    low, high = float(steps.min()) - reach, float(steps.max()) + reach
    return [float(brentq(above_half, low, high, args=(k,))) for k in range(1, len(steps) + 1)]
