r"""A form before its launch: what it would do to thousands of learners.

Learners of known theta go through the production kernel and the production
rule, with every extension that the form allows. At fixed thetas their errors
are seen one by one,

.. math:: \text{bias}(\theta) = E[\hat\theta - \theta \mid \theta], \qquad
          \text{RMSE}(\theta) = E[(\hat\theta - \theta)^2 \mid \theta]^{1/2},

and in a stated population what the form does as a whole: accuracy, lengths,
how often each unit is met. Overlap is the share of units that two learners have
in common, over all pairs: with :math:`m_i` of N learners who met unit i and a
mean length L,

.. math:: \text{overlap} = \frac{\sum_i m_i (m_i - 1)}{N (N - 1) L} .

Judged parameters are taken as true where there are no others, and the basis
says so: such a study compares designs, and defends no number.

References
----------
Chen, Ankenmann & Spray (2003), *Journal of Educational Measurement* 40, 129-145,
doi:10.1111/j.1745-3984.2003.tb01100.x (exposure and overlap).
Thompson & Weiss (2011), *Practical Assessment, Research & Evaluation* 16, 1, doi:10.7275/wqzt-9427
(simulation before launch).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from assess.errors import InvalidParameters
from assess.irt.decision_accuracy import RuleAccuracy, accuracy_of_outcomes
from assess.irt.parameters import FloatArray
from assess.irt.scoring import Prior
from assess.progress import Progress, silent
from assess.session import Release, count_items, path_lengths
from assess.simulation.form_runs import NOT_PASSED, PASSED, UNDETERMINED, FormRun, run_form, with_estimates
from assess.simulation.module_paths import module_table, path_table

if TYPE_CHECKING:
    import pandas as pd

_AT_A_TIME = 1_000
_REACH, _STEP = 3.0, 0.25


@dataclass(frozen=True, slots=True)
class DesignOptions:
    """How a form is studied.

    Parameters
    ----------
    n : int
        Learners of the population; each takes the form twice.
    n_at : int
        Learners at each theta of the grid, which reaches 3 to either side of the cut.
    population : Prior
        Who takes the form, on its scale.
    groups : mapping
        Name -> population of a subgroup; each is studied with n learners of its own.
    seconds_per_item : float or None
        Expected time of an item; unless given, the form's allowance over its greatest length.
    """

    n: int = 5_000
    n_at: int = 400
    population: Prior = field(default_factory=Prior)
    groups: Mapping[str, Prior] = field(default_factory=dict)
    seconds_per_item: float | None = None

    def __post_init__(self) -> None:
        if self.n < 2 or self.n_at < 2:
            raise InvalidParameters(
                f"n is {self.n} and n_at {self.n_at}; two learners or more are needed for a standard error"
            )
        if self.seconds_per_item is not None and not 0.0 < self.seconds_per_item < math.inf:
            raise InvalidParameters(f"seconds_per_item is {self.seconds_per_item}; say a positive number")


@dataclass(frozen=True, eq=False)
class Design:
    """What a form does, in numbers.

    Attributes
    ----------
    form, release, kind : str
    cut : float
    accuracy : RuleAccuracy
        Of the rule in force with its extensions, in the population.
    by_theta : DataFrame
        Index theta; columns n, bias, rmse, se (mean of what is reported), passed, not_passed, undetermined,
        wrong (shares), items (mean length, unscored ones included), truncated, extended, minutes.
    by_group : DataFrame
        One row per population: its mean and SD, the shares of its accuracy, items, minutes.
    exposure : DataFrame
        Index unit; columns items, share (of the learners who met it).
    content : DataFrame
        Index label; columns minimum, maximum, lowest, mean, highest (items found), violated (share).
    lengths : Series
        Share of the population by length in items.
    overlap, mean_items, truncated, extended, minutes : float
        Means over the population; nan where it has no meaning.
    alternatives : DataFrame
        One row per design that was compared, the form as it stands first.
    missed : tuple of str
        What the form's stated target asks and the accuracy does not reach.
    basis : str
        Population, method and what was taken as known, in a sentence.
    paths, modules : DataFrame
        Of a multistage form, what `assess.simulation.module_paths` tells of them; empty for others.
    exposure_target : float or None
        The share of sessions that the form means no unit to exceed.
    """

    form: str
    release: str
    kind: str
    cut: float
    accuracy: RuleAccuracy
    by_theta: pd.DataFrame = field(repr=False)
    by_group: pd.DataFrame = field(repr=False)
    exposure: pd.DataFrame = field(repr=False)
    content: pd.DataFrame = field(repr=False)
    lengths: pd.Series[float] = field(repr=False)
    overlap: float
    mean_items: float
    truncated: float
    extended: float
    minutes: float
    alternatives: pd.DataFrame = field(repr=False)
    missed: tuple[str, ...]
    basis: str
    paths: pd.DataFrame = field(repr=False)
    modules: pd.DataFrame = field(repr=False)
    exposure_target: float | None = None

    def __repr__(self) -> str:
        return f"<Design {self.form}: {self.accuracy.summary()}>"

    def summary(self) -> str:
        """The design on half a page."""
        most = self.exposure["share"].max()
        return (
            f"{self.form} ({self.kind}): {self.accuracy.summary()}\n"
            f"{self.mean_items:.1f} items on average, overlap {self.overlap:.2f}, most exposed {most:.2f}\n"
            f"{self.basis}"
        )

    def to_mapping(self) -> dict[str, Any]:
        """Plain data, six digits: what stands behind the figures, and what an activation keeps."""
        return {
            "form": self.form,
            "release": self.release,
            "cut": _plain(self.cut),
            "accuracy": {name: _plain(value) for name, value in self.accuracy.shares.items()},
            "overlap": _plain(self.overlap),
            "mean_items": _plain(self.mean_items),
            "truncated": _plain(self.truncated),
            "extended": _plain(self.extended),
            "minutes": _plain(self.minutes),
            "max_exposure": _plain(float(self.exposure["share"].max())),
            "violated": _plain(float(self.content["violated"].max()) if len(self.content) else 0.0),
            "by_theta": _rows(self.by_theta),
            "by_group": _rows(self.by_group),
            "missed": list(self.missed),
            "basis": self.basis,
        } | ({"paths": _rows(self.paths), "modules": _rows(self.modules)} if len(self.paths) else {})


def design(
    release: Release,
    rng: np.random.Generator,
    *,
    options: DesignOptions | None = None,
    alternatives: Mapping[str, Release] | None = None,
    progress: Progress = silent,
) -> Design:
    """Study a form by simulation.

    Parameters
    ----------
    release : Release
    rng : numpy.random.Generator
        Parts of the study draw from generators of their own, so that one more group changes no other number.
    options : DesignOptions, optional
    alternatives : mapping of str to Release, optional
        Other designs to compare with; see `assess.simulation.alternatives`.
    progress : callable

    Examples
    --------
    >>> found = design(release, np.random.default_rng(1), options=DesignOptions(n=200, n_at=20))
    >>> found.mean_items, bool(found.by_theta["passed"].iloc[-1] > 0.9)
    (12.0, True)
    """
    import pandas as pd

    chosen = options or DesignOptions()
    others = dict(alternatives or {})
    rngs = rng.spawn(2 + len(chosen.groups) + len(others))
    grid = release.cut.theta + np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
    n_learners = len(grid) * chosen.n_at + 2 * chosen.n * (1 + len(chosen.groups) + len(others))
    counted = _Counted(progress, n_learners)

    at = np.repeat(grid, chosen.n_at)
    runs = _run(release, at, rngs[0], counted, "learners at each theta")
    seconds = _seconds(release, chosen)
    by_theta = pd.DataFrame(
        [_at_theta(release, runs, rows, theta, seconds) for theta, rows in _by(at, grid)],
        index=pd.Index(np.round(grid, 9), name="theta"),
    )
    whole = _population(release, chosen.population, chosen.n, rngs[1], counted, "the population")
    groups = {"everybody": (chosen.population, whole)}
    for (name, people), own in zip(chosen.groups.items(), rngs[2:], strict=False):
        groups[name] = people, _population(release, people, chosen.n, own, counted, f"group {name}")
    compared = {"as it stands": (release, whole)}
    for (name, other), own in zip(others.items(), rngs[2 + len(chosen.groups) :], strict=True):
        compared[name] = other, _population(other, chosen.population, chosen.n, own, counted, name)

    accuracy = _accuracy(release, whole)
    shares = _exposure(release, whole)
    target = release.form.target
    return Design(
        form=release.form.reference,
        release=release.sha256,
        kind=release.form.kind,
        cut=release.cut.theta,
        accuracy=accuracy,
        by_theta=by_theta,
        by_group=pd.DataFrame(
            [_group_row(release, people, found, seconds) for people, found in groups.values()],
            index=pd.Index(list(groups), name="group"),
        ),
        exposure=pd.DataFrame(
            {"items": [len(unit.items) for unit in release.units], "share": shares},
            index=pd.Index([unit.reference for unit in release.units], name="unit"),
        ),
        content=_content(release, whole),
        lengths=pd.Series(_n_items(release, whole.first)).value_counts(normalize=True).sort_index(),
        overlap=_overlap(release, whole),
        mean_items=float(_n_items(release, whole.first).mean()),
        truncated=_truncated(release, whole.first),
        extended=_extended(release, whole.first),
        minutes=float(_n_items(release, whole.first).mean() * seconds / 60.0),
        alternatives=pd.DataFrame(
            [_alternative_row(other, found, seconds) for other, found in compared.values()],
            index=pd.Index(list(compared), name="design"),
        ),
        missed=() if target is None else tuple(target.missed(accuracy.shares)),
        basis=_basis(release, chosen),
        paths=path_table(release, whole.first, whole.theta),
        modules=module_table(release, whole.first),
        exposure_target=_exposure_target(release),
    )


# --- runs ---------------------------------------------------------------------


class _Counted:
    """Progress over the learners of all parts."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def add(self, n: int, message: str) -> None:
        self._done += n
        self._progress(self._done, self._total, message)


@dataclass(frozen=True, eq=False)
class _Population:
    theta: FloatArray
    first: FormRun
    second: FormRun


def _run(
    release: Release, theta: FloatArray, rng: np.random.Generator, counted: _Counted, message: str
) -> FormRun:
    parts = []
    for start in range(0, len(theta), _AT_A_TIME):
        part = theta[start : start + _AT_A_TIME]
        parts.append(with_estimates(release, run_form(release, part, rng)))
        counted.add(len(part), message)
    return FormRun(
        units=np.concatenate([part.units for part in parts]),
        categories=np.concatenate([part.categories for part in parts]),
        outcomes=np.concatenate([part.outcomes for part in parts]),
        theta=np.concatenate([part.theta for part in parts]),
        se=np.concatenate([part.se for part in parts]),
        reasons=tuple(reason for part in parts for reason in part.reasons),
        extensions=np.concatenate([part.extensions for part in parts]),
        path=np.concatenate([part.path for part in parts]),
    )


def _population(
    release: Release, people: Prior, n: int, rng: np.random.Generator, counted: _Counted, message: str
) -> _Population:
    theta = rng.normal(people.mean, people.sd, n)
    first, second = (_run(release, theta, rng, counted, message) for _ in range(2))
    return _Population(theta, first, second)


def _by(at: FloatArray, grid: FloatArray) -> list[tuple[float, slice]]:
    n_at = len(at) // len(grid)
    return [(float(theta), slice(k * n_at, (k + 1) * n_at)) for k, theta in enumerate(grid)]


# --- numbers ------------------------------------------------------------------


def _seconds(release: Release, options: DesignOptions) -> float:
    """Per item: as stated, else the form's allowance over its greatest length; nan without a clock."""
    if options.seconds_per_item is not None:
        return options.seconds_per_item
    form = release.form
    if form.time_limit_minutes is None:
        return math.nan
    sizes = sorted((len(unit.items) for unit in release.units), reverse=True)
    longest = sum(sizes[: form.adaptive.max_units]) if form.adaptive else sum(sizes)
    if form.multistage is not None:
        longest = max(path_lengths(release))
    return 60.0 * form.time_limit_minutes / (longest + form.pilot_slots)


def _n_items(release: Release, run: FormRun) -> FloatArray:
    """Items that each learner was shown, unscored ones included, (N,)."""
    sizes = np.array([len(unit.items) for unit in release.units], dtype=float)
    return np.asarray(run.given(len(sizes)) @ sizes + release.form.pilot_slots)


def _ends_early(release: Release) -> bool:
    rules = release.form.adaptive
    return rules is not None and release.adaptive_test.stop.ends_early


def _truncated(release: Release, run: FormRun, rows: slice = slice(None)) -> float:
    """Share of tests that ended by length, or because no unit was left, before their rule for an end held."""
    if not _ends_early(release):
        return math.nan
    cut_off = [reason in ("length", "exhausted") for reason in run.reasons[rows]]
    return float(np.mean(cut_off))


def _extended(release: Release, run: FormRun, rows: slice = slice(None)) -> float:
    return float((run.extensions[rows] > 0).mean()) if release.extended_tests else math.nan


def _at_theta(release: Release, run: FormRun, rows: slice, theta: float, seconds: float) -> dict[str, float]:
    error, outcomes = run.theta[rows] - theta, run.outcomes[rows]
    items = float(_n_items(release, run)[rows].mean())
    wrong = NOT_PASSED if theta >= release.cut.theta else PASSED
    return {
        "n": len(outcomes),
        "bias": float(error.mean()),
        "rmse": math.sqrt(float((error**2).mean())),
        "se": float(run.se[rows].mean()),
        "passed": float((outcomes == PASSED).mean()),
        "not_passed": float((outcomes == NOT_PASSED).mean()),
        "undetermined": float((outcomes == UNDETERMINED).mean()),
        "wrong": float((outcomes == wrong).mean()),
        "items": items,
        "truncated": _truncated(release, run, rows),
        "extended": _extended(release, run, rows),
        "minutes": items * seconds / 60.0,
    }


def _accuracy(release: Release, found: _Population) -> RuleAccuracy:
    outcomes = np.stack([found.first.outcomes, found.second.outcomes], axis=1)
    method = f"simulated {release.form.kind} form, {_rule(release)}"
    return accuracy_of_outcomes(found.theta, outcomes, release.cut.theta, method=method)


def _rule(release: Release) -> str:
    kind = release.form.rule.kind
    if release.form.kind != "fixed" and not release.calibrated:
        kind = "point"
    return f"{kind} rule" + (", extended where undetermined" if release.extended_tests else "")


def _group_row(release: Release, people: Prior, found: _Population, seconds: float) -> dict[str, float]:
    items = float(_n_items(release, found.first).mean())
    return {
        "mean": people.mean,
        "sd": people.sd,
        **_accuracy(release, found).shares,
        "items": items,
        "minutes": items * seconds / 60.0,
    }


def _exposure(release: Release, found: _Population) -> FloatArray:
    return np.asarray(found.first.given(len(release.units)).mean(axis=0))


def _exposure_target(release: Release) -> float | None:
    rules = release.form.adaptive
    return None if rules is None or rules.exposure is None else rules.exposure.target


def _overlap(release: Release, found: _Population) -> float:
    met = found.first.given(len(release.units)).sum(axis=0).astype(float)
    n = len(found.theta)
    return float((met * (met - 1.0)).sum() / (n * (n - 1.0)) / (met.sum() / n))


def _content(release: Release, found: _Population) -> pd.DataFrame:
    """What the learners met of each requirement; a maximum is that of the test as far as it was extended."""
    import pandas as pd

    given = found.first.given(len(release.units)).astype(float)
    rows, labels = [], []
    for k, requirement in enumerate(release.form.blueprint):
        held = given @ np.array([float(count_items(unit.items, requirement)) for unit in release.units])
        maxima = [math.inf if requirement.maximum is None else float(requirement.maximum)]
        maxima += [extended.test.constraints[k].maximum for extended in release.extended_tests]
        allowed = np.array(maxima)[found.first.extensions]
        rows.append(
            {
                "minimum": requirement.minimum,
                "maximum": math.nan if requirement.maximum is None else float(requirement.maximum),
                "lowest": float(held.min()),
                "mean": float(held.mean()),
                "highest": float(held.max()),
                "violated": float(((held < requirement.minimum) | (held > allowed)).mean()),
            }
        )
        labels.append(requirement.label)
    columns = ["minimum", "maximum", "lowest", "mean", "highest", "violated"]
    return pd.DataFrame(rows, index=pd.Index(labels, name="label"), columns=columns)


def _alternative_row(release: Release, found: _Population, seconds: float) -> dict[str, float]:
    shares = _accuracy(release, found).shares
    items = float(_n_items(release, found.first).mean())
    names = ("accuracy", "consistency", "false_pass_rate", "false_fail_rate", "undetermined")
    return {name: shares[name] for name in names} | {
        "items": items,
        "minutes": items * seconds / 60.0,
        "truncated": _truncated(release, found.first),
        "max_exposure": float(_exposure(release, found).max()),
        "overlap": _overlap(release, found),
    }


def _basis(release: Release, options: DesignOptions) -> str:
    people = options.population
    known = "items and cut taken as known"
    if not release.calibrated:
        known += "; the judged parameters are taken as true, which defends no number"
    time = (
        f"; {options.seconds_per_item:g} s per item"
        if options.seconds_per_item is not None
        else "; time per item as the form allows it"
    )
    return (
        f"{options.n:,} simulated learners of a normal population, mean {people.mean:g} and "
        f"SD {people.sd:g}, each twice, and {options.n_at:,} at each theta; {known}{time}"
    )


def _plain(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    out = []
    for label, row in frame.iterrows():
        name = _plain(label) if isinstance(label, float) else str(label)
        out.append({str(frame.index.name): name} | {str(k): _plain(float(v)) for k, v in row.items()})
    return out
