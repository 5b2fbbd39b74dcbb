"""One table per test: what classical theory says about each item, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.stats import norm

from assess.classical.distractors import Distractors, distractors
from assess.classical.reliability import Reliability, alphas_without, reliability
from assess.classical.scores import (
    FloatArray,
    Missing,
    correlations,
    covariances,
    points,
    total_and_rest,
)
from assess.responses import NOT_REACHED, OMITTED, ResponseMatrix, as_matrix


@dataclass(frozen=True, slots=True)
class FlagRules:
    """When an item is flagged. A flag asks for a look, it decides nothing.

    Parameters
    ----------
    easiest, hardest : float
        Mean share of points above and below which an item hardly separates.
    weakest_item_rest : float
        Smallest item-rest correlation that passes without a word.
    most_omitted, most_not_reached : float
        Largest shares of those who were shown the item.
    least_chosen : float
        A distractor chosen by a smaller share does no work.
    min_persons : int
        Fewer answers make every other number of the row uncertain.
    """

    easiest: float = 0.95
    hardest: float = 0.10
    weakest_item_rest: float = 0.15
    most_omitted: float = 0.10
    most_not_reached: float = 0.05
    least_chosen: float = 0.02
    min_persons: int = 50


@dataclass(frozen=True, eq=False)
class ItemAnalysis:
    """Classical statistics of every item.

    Parameters
    ----------
    items : DataFrame
        Index item; columns n (scored responses), max (attainable points), mean,
        p (mean / max), sd, item_total and item_rest (Pearson; point-biserial
        for two categories), biserial_total and biserial_rest (biserial for two
        categories, polyserial for more), alpha_without, omitted and not_reached
        (shares of those to whom the item was administered).
    flags : DataFrame
        One row per complaint: item, flag, sentence.
    reliability : Reliability
    distractors : Distractors or None
        Where raw options were given.
    n_persons : int
    """

    items: pd.DataFrame = field(repr=False)
    flags: pd.DataFrame = field(repr=False)
    reliability: Reliability = field(repr=False)
    distractors: Distractors | None = field(repr=False)
    n_persons: int

    def __repr__(self) -> str:
        flagged = self.flags["item"].nunique()
        return (
            f"<ItemAnalysis: {len(self.items)} items, {self.n_persons:,} persons, "
            f"alpha {self.reliability.alpha:.3f}, {flagged} items flagged>"
        )

    def to_frame(self) -> pd.DataFrame:
        """The items, with their flags in one column of words."""
        words = self.flags.groupby("item")["flag"].agg(", ".join) if len(self.flags) else pd.Series(dtype=str)
        return self.items.assign(flags=words.reindex(self.items.index).fillna(""))

    def summary(self) -> str:
        """The page: reliability, items, complaints."""
        complaints = [f"- {sentence}" for sentence in self.flags["sentence"]] or ["nothing to complain of"]
        return "\n".join(
            [
                repr(self)[1:-1],
                "",
                self.reliability.to_frame().to_string(header=False),
                "",
                self.items.round(3).to_string(),
                "",
                *complaints,
            ]
        )

    def _repr_html_(self) -> str:
        """For notebooks."""
        return f"<p><strong>{repr(self)[1:-1]}</strong></p>{self.to_frame().round(3).to_html()}"


def item_analysis(
    responses: pd.DataFrame | ResponseMatrix,
    *,
    key: Mapping[str, object] | None = None,
    omitted_options: Collection[object] = (),
    omitted: Missing = 0,
    not_reached: Missing = "missing",
    n_groups: int = 5,
    rules: FlagRules | None = None,
) -> ItemAnalysis:
    r"""Classical item analysis.

    The biserial and polyserial correlation come from the Pearson correlation r
    and the thresholds of a normal variable behind the categories,

    .. math:: r_{ps} = r\, s_j \Big/ \sum_k \varphi(\tau_{jk}),

    which for two categories is the biserial :math:`r\sqrt{pq}/\varphi(\tau)`.

    Parameters
    ----------
    responses : DataFrame (persons x items) or ResponseMatrix
        Categories from 0; or, with a key, the raw options.
    key : mapping, optional
        Item to its keyed option; other columns are left aside.
    omitted_options : collection
        Raw codes that mean "left blank".
    omitted, not_reached : int or "missing"
        The category such a response is scored as, or "missing".
    n_groups : int
        Score groups of the option curves.
    rules : FlagRules, optional

    Returns
    -------
    ItemAnalysis
        A constant item or an item that nobody answered is flagged, with nan
        for what cannot be known of it.

    Raises
    ------
    InvalidResponses
        With fewer than two items or three persons, or a key that does not fit.

    Examples
    --------
    >>> frame = pd.DataFrame({"i1": [1, 1, 0, 0, 1], "i2": [1, 1, 0, 0, 0], "i3": [1, 0, 0, 0, 1]})
    >>> item_analysis(frame).items.loc["i1", ["p", "item_rest"]].round(3).tolist()
    [0.6, 0.873]

    References
    ----------
    Olsson, Drasgow & Dorans (1982), *Psychometrika* 47, 337-347, doi:10.1007/BF02294164, eq. 28.
    """
    options = None
    if key is not None:
        if isinstance(responses, ResponseMatrix):
            raise TypeError("a key scores raw options; give them as a DataFrame, not scored categories")
        options = distractors(responses, key, omitted=omitted_options, n_groups=n_groups)
    matrix = as_matrix(responses) if options is None else options.scored
    coefficients = reliability(matrix, omitted=omitted, not_reached=not_reached)
    values = points(matrix, omitted, not_reached)
    attainable = np.asarray(matrix.n_categories - 1, dtype=float)
    items = _table(matrix, values, attainable)
    rules = rules or FlagRules()
    complaints = [
        {"item": item, "flag": flag, "sentence": f"item {item!r} {sentence}"}
        for j, item in enumerate(matrix.item_ids)
        for flag, sentence in _complaints(items.iloc[j], values[:, j], matrix, j, options, rules)
    ]
    flags = pd.DataFrame(complaints, columns=["item", "flag", "sentence"])
    return ItemAnalysis(items, flags, coefficients, options, matrix.n_persons)


# --- inside -----------------------------------------------------------------


def _table(matrix: ResponseMatrix, values: FloatArray, attainable: FloatArray) -> pd.DataFrame:
    total, rest = total_and_rest(values, attainable)
    answered = ~np.isnan(values)
    n = answered.sum(axis=0)
    covariance = covariances(values)
    mean = np.where(n > 0, np.nansum(values, axis=0) / np.maximum(n, 1), np.nan)
    sd = np.sqrt(np.diag(covariance))
    item_total = correlations(values, np.tile(total[:, None], (1, values.shape[1])))
    item_rest = correlations(values, rest)
    ordinates = np.array([_ordinates(column[~np.isnan(column)]) for column in values.T])
    spread = np.sqrt(np.maximum(n - 1, 0) / np.maximum(n, 1)) * sd
    with np.errstate(invalid="ignore", divide="ignore"):
        stretch = np.where(ordinates > 0.0, spread / ordinates, np.nan)
    shown = np.maximum((matrix.categories != -1).sum(axis=0), 1)
    return pd.DataFrame(
        {
            "n": n,
            "max": attainable,
            "mean": mean,
            "p": mean / attainable,
            "sd": sd,
            "item_total": item_total,
            "item_rest": item_rest,
            "biserial_total": item_total * stretch,
            "biserial_rest": item_rest * stretch,
            "alpha_without": alphas_without(covariance),
            "omitted": (matrix.categories == OMITTED).sum(axis=0) / shown,
            "not_reached": (matrix.categories == NOT_REACHED).sum(axis=0) / shown,
        },
        index=pd.Index(matrix.item_ids, name="item"),
    )


def _ordinates(column: FloatArray) -> float:
    """Sum of the normal densities at the thresholds between categories."""
    if not len(column):
        return float("nan")
    shares = np.bincount(column.astype(np.int64)) / len(column)
    cumulative = np.cumsum(shares)[:-1]
    cumulative = cumulative[(cumulative > 0.0) & (cumulative < 1.0)]
    return float(norm.pdf(norm.ppf(cumulative)).sum())


def _complaints(
    row: pd.Series[float],
    column: FloatArray,
    matrix: ResponseMatrix,
    j: int,
    options: Distractors | None,
    rules: FlagRules,
) -> Iterator[tuple[str, str]]:
    """Flag and sentence of everything that is wrong with one item."""
    item, n = matrix.item_ids[j], int(row["n"])
    given = column[~np.isnan(column)]
    if n == 0:
        yield "empty", "was answered by nobody; check the file, or leave the item out"
        return
    if (given == given[0]).all():
        yield "constant", f"is in category {given[0]:.0f} for all {n} persons; it tells nobody apart"
        return
    if n < rules.min_persons:
        yield "few responses", f"has {n} responses; below {rules.min_persons} its numbers are uncertain"
    if row["p"] > rules.easiest:
        yield "very easy", f"is solved almost always (p = {row['p']:.2f}); it hardly separates learners"
    if row["p"] < rules.hardest:
        yield "very hard", f"is solved almost never (p = {row['p']:.2f}); check the key and the wording"
    if row["item_rest"] < 0.0:
        yield (
            "negative discrimination",
            f"is solved more often by weaker learners (item-rest {row['item_rest']:.2f}); check the key",
        )
    elif row["item_rest"] < rules.weakest_item_rest:
        yield (
            "weak discrimination",
            f"has little to do with the other items (item-rest {row['item_rest']:.2f})",
        )
    if row["omitted"] > rules.most_omitted:
        yield "often omitted", f"is left blank by {100 * row['omitted']:.0f} % of those who saw it"
    if row["not_reached"] > rules.most_not_reached:
        yield "not reached", f"is not reached by {100 * row['not_reached']:.0f} %; the time may be too short"
    yield from _category_complaints(given, int(matrix.n_categories[j]))
    if options is not None:
        yield from _option_complaints(options.options[options.options["item"] == item], rules)


def _category_complaints(given: FloatArray, n_categories: int) -> Iterator[tuple[str, str]]:
    if n_categories < 3:
        return
    counts = np.bincount(given.astype(np.int64), minlength=n_categories)
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        named = ", ".join(str(k) for k in empty)
        yield "unused category", f"has categories that nobody is in: {named}; consider joining categories"


def _option_complaints(table: pd.DataFrame, rules: FlagRules) -> Iterator[tuple[str, str]]:
    key = table[table["is_key"]].iloc[0]
    others = table[~table["is_key"] & ~table["is_blank"]].sort_values("r_rest", ascending=False)
    n = int(table["n"].sum())
    if len(others) and others["r_rest"].notna().any():
        best = others.iloc[0]
        # Twice the standard error of a correlation of zero: attraction that chance does not explain.
        if best["r_rest"] > max(2.0 / n**0.5, 0.0):
            chosen = f"option {best['option']!r} ({100 * best['share']:.0f} %, r = {best['r_rest']:.2f})"
            keyed = f"the key {key['option']!r} ({100 * key['share']:.0f} %, r = {key['r_rest']:.2f})"
            if not best["r_rest"] <= key["r_rest"]:
                yield (
                    "possibly mis-keyed",
                    f"draws stronger learners to {chosen} than to {keyed}; check the key",
                )
            else:
                yield "attractive distractor", f"draws strong learners to {chosen} as well as to {keyed}"
    idle = others[others["share"] < rules.least_chosen]["option"].tolist()
    if idle:
        named = ", ".join(repr(option) for option in idle)
        yield "idle distractor", f"has options that hardly anybody chooses: {named}"
