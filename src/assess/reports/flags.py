"""From responses to one table of flags: every analysis that the data allow, and in words what is wrong.

A flag asks for a look and decides nothing. What could not be analysed is a row
too, with the reason: nothing is left out in silence.
"""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from assess.classical import ItemAnalysis, item_analysis
from assess.errors import AssessError
from assess.irt.calibration import Beta, Calibration, calibrate
from assess.irt.dif import dif
from assess.irt.dif.groups import false_discovery
from assess.irt.dimensionality import parallel_analysis
from assess.irt.fit import (
    ModelFit,
    item_fit,
    local_dependence,
    local_dependence_limit,
    model_fit,
    person_fit,
    person_fit_limits,
)
from assess.irt.scoring import score
from assess.responses import ResponseMatrix, as_matrix

Row = tuple[str, str, str, str]
_WHOLE = "all items"
_COLUMNS = ["item", "analysis", "flag", "sentence"]


@dataclass(frozen=True, slots=True)
class FlagLevels:
    """When fit, dependence, DIF and persons are flagged; `classical.FlagRules` has the rest.

    Parameters
    ----------
    false_discoveries : float
        Level of fit and DIF after control of false discoveries.
    rmsea : float
        Of the whole model, by M2*; above it the model as a whole is flagged.
    dependence_level : float
        Quantile of the largest Q3 under independence, by parametric bootstrap.
    dependence : float
        A pair is flagged above this excess and above the bootstrap's limit.
    lz : float
        Share of fitting persons whose lz* is below the limit, by simulation.
    persons : float
        A larger share of the persons there are is flagged.
    """

    false_discoveries: float = 0.05
    rmsea: float = 0.06
    dependence_level: float = 0.95
    dependence: float = 0.2
    lz: float = 0.01
    persons: float = 0.03


@dataclass(frozen=True, eq=False)
class Flags:
    """What is wrong with a test and its items, in one table.

    Parameters
    ----------
    table : DataFrame
        Columns item, analysis, flag, sentence; a row about the test says "all items",
        and a flag "not done" says why an analysis was not possible.
    classical : ItemAnalysis or None
    calibration : Calibration or None
    model_fit : ModelFit or None
    """

    table: pd.DataFrame = field(repr=False)
    classical: ItemAnalysis | None = field(repr=False)
    calibration: Calibration | None = field(repr=False)
    model_fit: ModelFit | None = field(repr=False)

    def of(self, item: str) -> list[str]:
        """The flags of one item."""
        return self.table.loc[self.table["item"] == item, "flag"].tolist()

    def __repr__(self) -> str:
        done = self.table[self.table["flag"] != "not done"]
        items = done.loc[done["item"] != _WHOLE, "item"].nunique()
        return f"<Flags: {len(done)} flags on {items} items, {len(self.table) - len(done)} analyses not done>"

    def summary(self) -> str:
        """The page: a sentence for each flag."""
        rows = [f"{row.item}: {row.flag}. {row.sentence}" for row in self.table.itertuples()]
        return "\n".join([repr(self)[1:-1], "", *(rows or ["nothing to complain of"])])

    def _repr_html_(self) -> str:
        """For notebooks."""
        return f"<p><strong>{html.escape(repr(self)[1:-1])}</strong></p>{self.table.to_html(index=False)}"


def flags(
    responses: pd.DataFrame | ResponseMatrix,
    *,
    key: Mapping[str, object] | None = None,
    omitted_options: Collection[object] = (),
    group: ArrayLike | None = None,
    model: str = "auto",
    levels: FlagLevels | None = None,
    rng: np.random.Generator | None = None,
) -> Flags:
    """Run classical analysis, calibration, fit, dependence, dimensionality, DIF and person fit.

    Parameters
    ----------
    responses : DataFrame (persons x items) or ResponseMatrix
        Categories; or with a key the raw options.
    key, omitted_options
        As in `classical.item_analysis`.
    group : array (N,), optional
        Labels: the largest group is compared with each other one.
    model : str
        As in `irt.calibrate`; "auto" is 2PL, and GPCM where there are more points.
    levels : FlagLevels, optional
    rng : numpy.random.Generator, optional
        For the bootstrap; seed 1 unless given.

    Examples
    --------
    >>> rng = np.random.default_rng(2)
    >>> theta = rng.standard_normal((400, 1))
    >>> b = np.linspace(-1, 1, 8)
    >>> data = pd.DataFrame((rng.random((400, 8)) < 1 / (1 + np.exp(1.3 * (b - theta)))).astype(int))
    >>> data.columns = [f"i{j}" for j in range(8)]
    >>> data["i5"] = 1 - data["i5"]
    >>> "negative discrimination" in flags(data).of("i5")
    True
    """
    levels, rng = levels or FlagLevels(), rng or np.random.default_rng(1)
    rows: list[Row] = []
    classical = _attempt(
        rows, "classical", lambda: item_analysis(responses, key=key, omitted_options=omitted_options)
    )
    if classical is not None:
        rows += [
            (row.item, "classical", row.flag, row.sentence) for row in classical.flags.itertuples(index=False)
        ]
    matrix = _attempt(rows, "responses", lambda: _scored(responses, classical))
    if matrix is None:
        return Flags(pd.DataFrame(rows, columns=_COLUMNS), classical, None, None)
    empty = int((matrix.categories < 0).all(axis=1).sum())
    if empty:
        rows.append((_WHOLE, "responses", "empty rows", f"{empty} persons answered no item"))
    useful = _attempt(rows, "calibration", lambda: matrix.informative_items(exclude=True))
    if useful is None:
        return Flags(pd.DataFrame(rows, columns=_COLUMNS), classical, None, None)
    calibration = _attempt(rows, "calibration", lambda: _calibrated(useful, model))
    if calibration is None:
        return Flags(pd.DataFrame(rows, columns=_COLUMNS), classical, None, None)
    if not calibration.converged:
        rows.append(
            (_WHOLE, "calibration", "not converged", "the calibration did not converge; trust no fit")
        )
    rows += [
        (item, "calibration", "not held by the data", f"item {item!r} has parameters that run away")
        for item in calibration.unbounded
    ]
    whole = _attempt(rows, "model fit", lambda: model_fit(calibration, useful))
    if whole is not None and whole.rmsea > levels.rmsea:
        said = f"RMSEA is {whole.rmsea:.3f} by {whole.statistic}"
        rows.append((_WHOLE, "model fit", "model misfit", said))
    for name, found in (
        ("item fit", lambda: list(_misfits(calibration, useful, levels))),
        ("dependence", lambda: list(_dependent(calibration, useful, levels, rng))),
        ("dimensions", lambda: list(_dimensions(useful, rng))),
        ("persons", lambda: list(_persons(calibration, useful, levels, rng))),
    ):
        rows += _attempt(rows, name, found) or []
    if group is not None:
        for compared in _pairs(np.asarray(group), useful.n_persons, rows):
            found = partial(_dif, calibration, useful, compared, levels)
            rows += _attempt(rows, "DIF", found) or []
    return Flags(pd.DataFrame(rows, columns=_COLUMNS), classical, calibration, whole)


# --- inside -----------------------------------------------------------------


def _attempt(rows: list[Row], name: str, what: Callable[[], Any]) -> Any:
    """What an analysis finds; a refusal or a warning becomes a row, and a refusal gives None."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found = what()
        except AssessError as fault:
            found = None
            rows.append((_WHOLE, name, "not done", str(fault)))
    rows += [(_WHOLE, name, "warning", text) for text in dict.fromkeys(str(w.message) for w in said)]
    return found


def _scored(responses: pd.DataFrame | ResponseMatrix, classical: ItemAnalysis | None) -> ResponseMatrix:
    if classical is not None and classical.distractors is not None:
        return classical.distractors.scored
    return as_matrix(responses)


def _calibrated(matrix: ResponseMatrix, model: str) -> Calibration:
    if model != "auto":
        priors = {"c": Beta(5.0, 17.0)} if model == "3PL" else None
        return calibrate(matrix, model, priors=priors)
    counts = zip(matrix.item_ids, matrix.n_categories.tolist(), strict=True)
    return calibrate(matrix, {item: "2PL" if n == 2 else "GPCM" for item, n in counts})


def _misfits(calibration: Calibration, matrix: ResponseMatrix, levels: FlagLevels) -> Iterator[Row]:
    found = item_fit(calibration, matrix)
    adjusted = false_discovery(found["p"].to_numpy(dtype=np.float64))
    for (item, row), p in zip(found.iterrows(), adjusted.tolist(), strict=True):
        if p < levels.false_discoveries:
            numbers = f"S-X2 {row['statistic']:.1f} on {row['df']:.0f} df, adjusted {_p(p)}"
            yield str(item), "item fit", "misfit", f"item {item!r} does not follow its model ({numbers})"


def _p(value: float) -> str:
    return f"p {value:.4f}" if value >= 0.0001 else "p below 0.0001"


def _dependent(
    calibration: Calibration, matrix: ResponseMatrix, levels: FlagLevels, rng: np.random.Generator
) -> Iterator[Row]:
    q3 = local_dependence(calibration, matrix).to_numpy()
    limit = local_dependence_limit(calibration, matrix, rng, n_replications=20, level=levels.dependence_level)
    first, second = np.triu_indices(len(q3), 1)
    excess = q3[first, second] - np.nanmean(q3[first, second])
    for j, k, value in zip(first.tolist(), second.tolist(), excess.tolist(), strict=True):
        if value > max(limit, levels.dependence):
            one, other = matrix.item_ids[j], matrix.item_ids[k]
            yield (
                one,
                "dependence",
                "local dependence",
                f"items {one!r} and {other!r} share more than theta (Q3 {value:.2f} above the mean)",
            )


def _dimensions(matrix: ResponseMatrix, rng: np.random.Generator) -> Iterator[Row]:
    # Pearson's correlations: only their number is asked for, and polychoric ones take long.
    n = int(parallel_analysis(matrix, rng, correlation="Pearson")["retained"].sum())
    if n > 1:
        yield (
            _WHOLE,
            "dimensions",
            "more than one dimension",
            f"{n} factors stand above chance by parallel analysis",
        )


def _persons(
    calibration: Calibration, matrix: ResponseMatrix, levels: FlagLevels, rng: np.random.Generator
) -> Iterator[Row]:
    # In a short test not even lz* has its normal table. A few thousand persons tell a quantile well enough.
    limit = person_fit_limits(
        calibration, matrix, rng, level=levels.lz, n_replications=1 + 2_000 // matrix.n_persons
    )["lz_star"]
    lz = person_fit(calibration, matrix)["lz_star"]
    share = float((lz < limit).sum() / max(int(lz.notna().sum()), 1))
    if share > levels.persons:
        expected = f"{100 * levels.lz:g} % are to be expected"
        said = f"{100 * share:.1f} % of persons have lz* below {limit:.2f}; {expected}"
        yield _WHOLE, "persons", "persons that do not fit", said


def _pairs(labels: NDArray[Any], n: int, rows: list[Row]) -> Iterator[tuple[str, str, list[str]]]:
    """Each other group against the largest: focal, reference, and everybody's label."""
    if labels.shape != (n,):
        rows.append((_WHOLE, "DIF", "not done", f"group has shape {labels.shape}; give {n} labels"))
        return
    words = ["" if label is None or label != label else str(label) for label in labels.tolist()]
    names, counts = np.unique([word for word in words if word], return_counts=True)
    order = names[np.argsort(-counts, kind="stable")].tolist()
    if len(order) < 2:
        rows.append((_WHOLE, "DIF", "not done", f"group has the labels {order}; two groups are compared"))
    for focal in order[1:]:
        yield focal, order[0], words


def _dif(
    calibration: Calibration,
    matrix: ResponseMatrix,
    compared: tuple[str, str, list[str]],
    levels: FlagLevels,
) -> list[Row]:
    """Logistic regression on the summed score, or on theta where responses are missing."""
    focal, reference, labels = compared
    whole = bool((matrix.recode() >= 0).all())
    matching = None if whole else score(matrix, calibration)["theta"].to_numpy()
    table = dif(matrix, labels, "logistic", reference=reference, focal=focal, matching=matching, purify=whole)
    rows: list[Row] = []
    for item, row in table.iterrows():
        if row["p_adjusted"] < levels.false_discoveries and row["jodoin_gierl"] in ("B", "C"):
            size = "large" if row["jodoin_gierl"] == "C" else "moderate"
            numbers = f"R2 {row['delta_r2']:.3f}, adjusted {_p(row['p_adjusted'])}"
            said = f"item {item!r} treats {focal} otherwise than {reference} at the same score ({numbers})"
            rows.append((str(item), "DIF", f"{size} DIF", said))
    return rows
