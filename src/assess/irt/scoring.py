r"""Scores from responses and known item parameters: EAP, MAP, ML, WL, summed-score EAP.

Standard errors: EAP the posterior standard deviation; MAP
:math:`(I + 1/\sigma^2)^{-1/2}`; ML and WL :math:`I^{-1/2}`, with the expected
information at the estimate unless the observed one is asked for.

Within EAP, MAP and global ML, theta never rises after a wrong answer on a
monotone item, be it a further answer or a changed one: it multiplies the
posterior by a function that falls with theta. WL has no such property for a
further answer. Warm's correction J/(2I) belongs to the items given, so another
item changes it whatever the answer: a wrong answer lowers l' by a P, and raises
J/(2I) by about a**3 P / (2I) where the item is hard for the learner, which is
more as long as I < a**2 / 2, early in a test.

References
----------
Bock & Mislevy (1982), *Applied Psychological Measurement* 6, 431-444, doi:10.1177/014662168200600405.
Warm (1989), *Psychometrika* 54, 427-450, doi:10.1007/BF02294627.
Thissen, Pommerich, Billeaud & Williams (1995), *Applied Psychological Measurement* 19, 39-49,
doi:10.1177/014662169501900105 (summed-score EAP by the Lord-Wingersky recursion).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np

from assess.errors import InvalidParameters, InvalidResponses
from assess.irt.models import category_probabilities, information
from assess.irt.modes import Categories, maximise, own_derivatives, warm
from assess.irt.parameters import FloatArray, ItemParameters, ParameterSet
from assess.irt.quadrature import DensityPrior, Prior, chunks, default_nodes, eap, moments, posterior
from assess.responses import NOT_ADMINISTERED, NOT_REACHED, OMITTED, ResponseMatrix, as_matrix
from assess.scale import Score

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "METHODS",
    "Calibrated",
    "Method",
    "Prior",
    "Source",
    "default_nodes",
    "moments",
    "posterior",
    "resolved",
    "score",
    "score_one",
    "summed_score_distribution",
    "summed_score_table",
]

Method = Literal["EAP", "MAP", "ML", "WL", "EAPsum"]
METHODS: tuple[Method, ...] = get_args(Method)
_STATUS = ("ok", "infinite", "no responses")


class _Population(Protocol):
    @property
    def mean(self) -> float: ...
    @property
    def sd(self) -> float: ...


class Calibrated(Protocol):
    """What scoring needs of a calibration: parameters, and the population they were estimated in."""

    @property
    def parameters(self) -> ItemParameters: ...
    @property
    def population(self) -> _Population: ...


Source = ItemParameters | ParameterSet | Calibrated


# --- one person: the record path --------------------------------------------


def score_one(
    responses: Mapping[str, int] | pd.Series[Any],
    parameters: Source,
    *,
    method: Method = "EAP",
    prior: Prior | None = None,
    nodes: FloatArray | None = None,
) -> Score:
    """Score of one person, with the posterior where the method has a prior.

    Parameters
    ----------
    responses : mapping of item id to category
        Omitted counts as category 0; empty, not administered and not reached
        items are left out.
    parameters : ItemParameters, ParameterSet or calibration
        A calibration brings its population as prior.
    method : str
        EAP, MAP, ML, WL or EAPsum.
    prior : Prior, optional
        N(0, 1) unless given.
    nodes : array (Q,), optional
        Equally spaced; see `default_nodes`.

    Returns
    -------
    Score
        Without nodes and posterior under ML and WL, which have no prior.

    Raises
    ------
    InvalidResponses
        Where an item has no parameters, or a category it does not have.

    Examples
    --------
    >>> items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.5], [[0.0], [0.4]])
    >>> score = score_one({"i1": 1, "i2": 0}, items)
    >>> round(score.theta, 3), round(score.se, 3)
    (-0.047, 0.783)
    """
    items, chosen, _ = _source(parameters, prior)
    _known_method(method)
    pairs = [(item, category) for item, category in _scored(responses, items)]
    order = sorted(range(len(pairs)), key=lambda index: items.position[pairs[index][0]])
    given = items.take([pairs[index][0] for index in order])
    categories = np.array([pairs[index][1] for index in order], dtype=np.int8)
    scored = tuple(item for item, _ in pairs)
    scale, published = (
        (parameters.scale_id, parameters.id) if isinstance(parameters, ParameterSet) else ("", "")
    )
    status = "ok" if pairs else "no responses"
    if method in ("ML", "WL"):
        if not pairs:
            return Score(math.nan, math.nan, method, scored, scale, published, status=status)
        theta, se = _point(method, categories[None, :], given, chosen, "expected")
        status = "infinite" if math.isinf(theta[0]) else "ok"
        return Score(float(theta[0]), float(se[0]), method, scored, scale, published, status=status)
    grid = default_nodes(given, chosen) if nodes is None else np.asarray(nodes, dtype=float)
    if method == "EAPsum":
        weights = _summed_posteriors(given, chosen, grid)[0][int(categories.sum())]
    else:
        weights = posterior(categories, given, chosen, grid)
    estimate, error = moments(grid, weights)
    if method == "MAP" and pairs:
        theta, se = _point(method, categories[None, :], given, chosen, "expected")
        estimate, error = float(theta[0]), float(se[0])
    return Score(estimate, error, method, scored, scale, published, grid, weights, status)


def _scored(
    responses: Mapping[str, int] | pd.Series[Any], items: ItemParameters
) -> Iterator[tuple[str, int]]:
    for item, value in responses.items():
        name = str(item)
        if name not in items.position:
            raise InvalidResponses(f"item {name!r} has no parameters; score only items of the parameter set")
        if value is None or value != value or value in (NOT_ADMINISTERED, NOT_REACHED):
            continue
        n_categories = int(items.n_categories[items.position[name]])
        category = 0 if value == OMITTED else value
        if category != int(category) or not 0 <= category < n_categories:
            raise InvalidResponses(f"item {name!r}: category {value} is outside 0..{n_categories - 1}")
        yield name, int(category)


# --- many persons -----------------------------------------------------------


def score(
    responses: pd.DataFrame | ResponseMatrix,
    parameters: Source,
    method: Method = "EAP",
    *,
    prior: Prior | None = None,
    se: Literal["expected", "observed"] = "expected",
    nodes: FloatArray | None = None,
    omitted: int | Literal["missing"] = 0,
    not_reached: int | Literal["missing"] = "missing",
) -> pd.DataFrame:
    """Scores of many persons.

    Parameters
    ----------
    responses : DataFrame (persons x items; empty = missing) or ResponseMatrix
        Every column must have parameters.
    parameters : ItemParameters, ParameterSet or calibration
        A calibration brings its population as prior.
    method : str
        EAP, MAP, ML, WL or EAPsum (the summed score of the items given).
    prior : Prior, optional
        N(0, 1) unless given; ML and WL do not use it.
    se : str
        "expected" information, or "observed" (MAP and ML; WL has none).
    nodes : array (Q,), optional
        Equally spaced; see `default_nodes`.
    omitted, not_reached : int or "missing"
        How these two kinds of missing are scored.

    Returns
    -------
    DataFrame
        One row per person: theta, se, n_items, status ("ok"; "infinite" where
        the estimate is infinite, and its standard error with it; "no responses").
        ``attrs`` say the method and the prior, and where the prior came from.

    Examples
    --------
    >>> import pandas as pd
    >>> items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.5], [[0.0], [0.4]])
    >>> score(pd.DataFrame({"i1": [1, 1], "i2": [0, 1]}), items, "ML").theta.round(3).tolist()
    [-0.041, inf]
    """
    import pandas as pd

    items, chosen, said = _source(parameters, prior)
    _known_method(method)
    if se not in ("expected", "observed") or (se == "observed" and method == "WL"):
        raise InvalidParameters(f"se={se!r} with {method}: say 'expected', or 'observed' with MAP or ML")
    matrix = closed_up(as_matrix(responses, known_items=items.item_ids), parameters)
    items = _aligned(matrix, items)
    categories = matrix.recode(omitted, not_reached)
    complete = int(categories.min()) >= 0
    n_items = np.full(len(categories), len(items)) if complete else np.count_nonzero(categories >= 0, axis=1)
    if method in ("EAP", "EAPsum"):
        grid = default_nodes(items, chosen) if nodes is None else np.asarray(nodes, dtype=float)
        theta, error = (eap if method == "EAP" else _eap_sum)(categories, items, chosen, grid)
    else:
        theta, error = np.empty(len(categories)), np.empty(len(categories))
        for rows in chunks(len(categories)):
            theta[rows], error[rows] = _point(method, categories[rows], items, chosen, se)
    status = np.isinf(theta).astype(np.int8)
    empty = n_items == 0
    status[empty] = _STATUS.index("no responses")
    unknown = method in ("ML", "WL")
    theta[empty], error[empty] = (np.nan, np.nan) if unknown else (chosen.mean, chosen.sd)
    frame = pd.DataFrame(
        {
            "theta": theta,
            "se": error,
            "n_items": n_items,
            "status": pd.Categorical.from_codes(status, categories=pd.Index(_STATUS)),
        },
        index=pd.Index(matrix.person_ids, name="person"),
    )
    frame.attrs |= {"method": method}
    if not unknown:
        frame.attrs |= {"prior_mean": chosen.mean, "prior_sd": chosen.sd, "prior_source": said}
    return frame


def summed_score_table(
    parameters: Source, *, prior: Prior | None = None, nodes: FloatArray | None = None
) -> pd.DataFrame:
    """EAP of every summed score on all items together.

    Returns
    -------
    DataFrame
        Index score; columns theta, se, probability (of the score in the prior population).

    Examples
    --------
    >>> items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[0.0], [0.0]])
    >>> summed_score_table(items).round(3).theta.tolist()
    [-0.704, -0.0, 0.704]
    """
    import pandas as pd

    items, chosen, _ = _source(parameters, prior)
    grid = default_nodes(items, chosen) if nodes is None else np.asarray(nodes, dtype=float)
    weights, probability = _summed_posteriors(items, chosen, grid)
    pairs = [moments(grid, row) for row in weights]
    frame = pd.DataFrame(pairs, columns=["theta", "se"]).assign(probability=probability)
    frame.index.name = "score"
    return frame


def summed_score_distribution(parameters: ItemParameters, nodes: FloatArray) -> FloatArray:
    """Probability of every summed score given theta, by the Lord-Wingersky recursion, (S + 1, Q)."""
    probabilities = category_probabilities(parameters, nodes)
    scores = np.ones((1, len(nodes)))
    for j, n_categories in enumerate(parameters.n_categories.tolist()):
        longer = np.zeros((len(scores) + n_categories - 1, len(nodes)))
        for k in range(n_categories):
            longer[k : k + len(scores)] += scores * probabilities[:, j, k]
        scores = longer
    return scores


# --- inside -----------------------------------------------------------------


def resolved(parameters: Source, prior: Prior | None) -> tuple[ItemParameters, Prior]:
    """The bare parameters, and the prior to use with them."""
    items, chosen, _ = _source(parameters, prior)
    return items, chosen


def _source(parameters: Source, prior: Prior | None) -> tuple[ItemParameters, Prior, str]:
    """Parameters, prior, and in words where the prior came from."""
    if isinstance(parameters, ItemParameters):
        return parameters, prior or Prior(), "given" if prior else "N(0, 1) by default"
    population = getattr(parameters, "population", None)
    if prior or population is None:
        return parameters.parameters, prior or Prior(), "given" if prior else "N(0, 1) by default"
    mean, sd = float(population.mean), float(population.sd)
    weights = getattr(population, "weights", ())
    chosen = DensityPrior(mean, sd, population.nodes, weights[0]) if weights else Prior(mean, sd)
    return parameters.parameters, chosen, "population of the calibration"


def _known_method(method: str) -> None:
    if method not in METHODS:
        raise InvalidParameters(f"method {method!r} is not known; say one of {', '.join(METHODS)}")


def closed_up(matrix: ResponseMatrix, source: Source) -> ResponseMatrix:
    """Categories renumbered as the calibration did where nobody used some of them."""
    collapsed = getattr(source, "collapsed", None) or {}
    wanted = [j for j, item in enumerate(matrix.item_ids) if item in collapsed]
    if not wanted:
        return matrix
    values = matrix.categories.copy()
    counts = matrix.n_categories.copy()
    for j in wanted:
        item, used = matrix.item_ids[j], np.array(collapsed[matrix.item_ids[j]])
        given = values[:, j] >= 0
        foreign = np.setdiff1d(values[given, j], used)
        if len(foreign):
            raise InvalidResponses(
                f"item {item!r}: category {foreign[0]} was not seen in the calibration, which keeps "
                f"{used.tolist()}; calibrate on these responses"
            )
        values[given, j] = np.searchsorted(used, values[given, j])
        counts[j] = len(used)
    return ResponseMatrix(values, matrix.person_ids, matrix.item_ids, counts)


def _aligned(matrix: ResponseMatrix, items: ItemParameters) -> ItemParameters:
    unknown = [item for item in matrix.item_ids if item not in items.position]
    if unknown:
        raise InvalidResponses(f"item {unknown[0]!r} has no parameters; take only items of the parameter set")
    items = items.take(matrix.item_ids)
    highest = matrix.categories.max(axis=0)
    for j in np.flatnonzero(highest >= items.n_categories).tolist():
        raise InvalidResponses(
            f"item {items.item_ids[j]!r}: category {highest[j]} is outside 0..{items.n_categories[j] - 1}"
        )
    return items


def _summed_posteriors(
    items: ItemParameters, prior: Prior, nodes: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Posterior weights of every summed score, (S + 1, Q), and its probability."""
    density = np.exp(prior.log_density(nodes))
    joint = summed_score_distribution(items, nodes) * (density / np.add.reduce(density))
    probability = np.add.reduce(joint, axis=1)
    return joint / probability[:, None], probability


def _eap_sum(
    categories: Categories, items: ItemParameters, prior: Prior, nodes: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """One table per set of items given together."""
    theta, error = np.empty(len(categories)), np.empty(len(categories))
    packed = np.packbits(categories >= 0, axis=1)
    _, booklet = np.unique(packed, axis=0, return_inverse=True)
    booklet = booklet.reshape(-1)
    for number in range(int(booklet.max()) + 1):
        rows = np.flatnonzero(booklet == number)
        given = np.flatnonzero(categories[rows[0]] >= 0)
        weights, _ = _summed_posteriors(items.take([items.item_ids[j] for j in given]), prior, nodes)
        table = np.array([moments(nodes, row) for row in weights])
        theta[rows], error[rows] = table[categories[rows][:, given].sum(axis=1, dtype=np.int64)].T
    return theta, error


def _point(
    method: str, categories: Categories, items: ItemParameters, prior: Prior, se: str
) -> tuple[FloatArray, FloatArray]:
    """Point estimate and standard error under MAP, ML, WL."""
    if method == "MAP" and isinstance(prior, DensityPrior):
        raise InvalidParameters(
            "MAP takes a normal prior, not an estimated density: say EAP, or give prior=Prior(mean, sd)"
        )
    if method == "WL":
        theta = warm(categories, items)
    else:
        theta = maximise(categories, items, prior.mean, prior.sd if method == "MAP" else math.inf)
    finite = np.isfinite(theta)
    at = np.where(finite, theta, 0.0)
    if se == "observed":
        precision = -own_derivatives(categories, items, at)[1]
    else:
        precision = np.add.reduce(np.where(categories >= 0, information(items, at), 0.0), axis=1)
    if method == "MAP":
        precision = precision + 1.0 / prior.sd**2
    error = np.where(precision > 0.0, 1.0 / np.sqrt(np.where(precision > 0.0, precision, 1.0)), np.nan)
    return theta, np.where(finite, error, np.where(np.isinf(theta), np.inf, np.nan))
