"""`calibrate`: from responses to a Calibration, by one engine or the other."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

import assess
from assess.errors import CalibrationError, ConvergenceWarning
from assess.irt.calibration.covariance import Covariance, covariance
from assess.irt.calibration.fit import Fit, fit, fit_histogram, point_fit, tolerance, too_steep
from assess.irt.calibration.intake import Stream, refuse_with_chunks, take_in
from assess.irt.calibration.layout import Layout, to_natural, to_parameters
from assess.irt.calibration.options import CalibrationOptions, Prior, Priors
from assess.irt.calibration.prepare import Prepared, prepare
from assess.irt.calibration.priors import check_priors
from assess.irt.calibration.regression import Regression
from assess.irt.calibration.result import Calibration, Population
from assess.irt.calibration.workers import Workers
from assess.irt.models import ItemParameters
from assess.progress import Progress, silent
from assess.responses import ResponseMatrix

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

# how far below the maximum a solution of girth may lie, in units of log-likelihood
GIRTH_TOLERANCE = 0.1


def calibrate(
    responses: pd.DataFrame | ResponseMatrix | Iterable[ResponseMatrix],
    model: str | Mapping[str, str] = "2PL",
    *,
    engine: Literal["own", "girth"] = "own",
    groups: ArrayLike | None = None,
    covariates: pd.DataFrame | None = None,
    anchors: ItemParameters | Calibration | pd.DataFrame | None = None,
    priors: Priors | None = None,
    weights: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    options: CalibrationOptions | None = None,
    progress: Progress | None = None,
) -> Calibration:
    r"""Estimate item parameters by marginal maximum likelihood.

    .. math:: \max_\xi \sum_i w_i \log \int g(\theta) \prod_j P_{j x_{ij}}(\theta; \xi)\, d\theta
              + \log \mathrm{prior}(\xi)

    Parameters
    ----------
    responses : DataFrame (N, J), ResponseMatrix, or a re-iterable of ResponseMatrix
        Persons on rows, categories from 0, empty = missing (at random or by design).
        Chunks have the same items; beyond `options.memory_bytes` they are read again
        for every pass.
    model : str or mapping
        Rasch 1PL 2PL 3PL 4PL GRM PCM GPCM RSM NRM, or item id to one of them.
    engine : "own" or "girth"
        girth takes complete data of one group for 1PL, 2PL, GRM and PCM (as GPCM).
    groups : array (N,), optional
        Labels. The reference group has mean 0 (and SD 1 unless slopes are
        fixed); means and SDs of the others are estimated.
    covariates : DataFrame (N, P), optional
        Numbers known of every person, in the order of the responses: the mean of
        theta is linear in them, its residual variance the same for all (and 1
        unless slopes are fixed, or anchors). Combinations that occur are groups
        in the estimation, 1,000 at most: round continuous covariates.
    anchors : ItemParameters, Calibration or DataFrame, optional
        Items held at these values, model included. The population's mean and
        SD are then estimated.
    priors : mapping, optional
        Parameter name (a, b, c, d, intercept, logit_c, logit_d) to a prior, or
        item id to such a mapping. 3PL and 4PL need one on each asymptote.
    weights : array (N,), optional
        Frequencies, or sampling weights (`options.weights`).
    clusters : array (N,), optional
        Labels of persons that are not independent (classes, repeated sessions);
        standard errors become the cluster sandwich.
    options : CalibrationOptions, optional
    progress : callable, optional
        ``(done, total, message) -> None``; may raise to cancel.

    Returns
    -------
    Calibration

    Raises
    ------
    InvalidResponses, CalibrationError
        Naming the item that cannot be calibrated and what would be right.

    Warns
    -----
    ConvergenceWarning
        The optimiser did not reach the maximum, or an item has none.
    DataWarning
        Unused categories were closed up, or items set aside.

    Notes
    -----
    Peak memory beyond the responses, in bytes (eight instead of four below
    4,000 persons): for 1PL, 2PL, Rasch, PCM, GPCM and RSM items 4 N J for complete
    data or large booklets, 8 N J for scattered missing responses; else 4 N sum(K). Of
    the latter two no more than 512 MB are kept and the rest made anew in each pass.
    To this come about six P x P matrices of 8 P^2 for P parameters, and for the
    standard errors 4 sum(K) bytes for each of 16,384 persons.

    Examples
    --------
    >>> import numpy as np
    >>> from assess.responses import ResponseMatrix
    >>> rng = np.random.default_rng(1)
    >>> theta = rng.standard_normal(500)
    >>> chance = 1.0 / (1.0 + np.exp(-(theta[:, None] - np.array([-1.0, 0.0, 1.0]))))
    >>> calibrate(ResponseMatrix((rng.random(chance.shape) < chance).astype(int)), "Rasch").converged
    True

    References
    ----------
    Bock & Aitkin (1981), *Psychometrika* 46, 443-459, doi:10.1007/BF02293801.
    """
    options = options or CalibrationOptions()
    if engine not in ("own", "girth"):
        raise CalibrationError(f"engine is {engine!r}; say 'own' or 'girth'")
    fixed = _anchors(anchors)
    intake = take_in(responses, options, allow_wide=options.allow_wide or fixed is not None)
    if intake.stream is not None:
        refuse_with_chunks(groups=groups, covariates=covariates, weights=weights, clusters=clusters)
    prepared = prepare(
        intake,
        model,
        groups=groups,
        covariates=covariates,
        anchors=fixed,
        weights=weights,
        options=options,
    )
    priors = priors or {}
    check_priors(prepared.layout, priors)
    provenance = {
        "engine": engine,
        "data_sha256": intake.sha256,
        "options": options.to_dict(),
        "priors": _priors_record(priors),
        "versions": _versions(engine),
    }
    others = (fixed, groups, covariates, weights)
    if engine == "girth" and (priors or any(one is not None for one in others)):
        raise CalibrationError(
            "engine 'girth' takes no groups, covariates, anchors, priors or weights; use engine='own'"
        )
    cluster = None
    if clusters is not None:
        labels = np.asarray(clusters)
        if labels.shape != (intake.n_persons,):
            raise CalibrationError(f"clusters have shape {labels.shape}; give one label for each person")
        cluster = np.unique(labels, return_inverse=True)[1].ravel().astype(np.int64)
        cluster = cluster if prepared.rows is None else cluster[prepared.rows]
    if options.density != "normal":
        _refuse_density(engine, stream=intake.stream is not None, covariates=covariates is not None)
    stream = None
    if intake.stream is not None:
        stream = Stream(intake.stream, prepared.recoding, prepared.layout, intake.n_persons)
        if engine == "girth" or options.standard_errors not in ("observed", None):
            raise CalibrationError("chunks larger than memory take engine='own' and observed standard errors")
    with Workers(options.n_threads) as workers:
        if engine == "girth":
            prepared, fitted = _with_girth(prepared, options, workers)
            enough = GIRTH_TOLERANCE
        else:
            listen = progress or silent
            fitted = fit(prepared.sample, prepared.layout, priors, options, workers, listen, stream=stream)
            if options.density == "empirical-histogram":
                fitted = fit_histogram(fitted, options, intake.n_persons, listen)
                prepared = replace(prepared, layout=fitted.objective.likelihood.layout)
            enough = tolerance(fitted.objective, options, intake.n_persons)
        kind = options.standard_errors
        if kind is not None and (
            cluster is not None or (weights is not None and options.weights == "sampling")
        ):
            kind = "sandwich"
        errors = None
        if kind is not None:
            sampling = options.weights == "sampling"
            errors = covariance(fitted, kind, prepared.sample.weights, cluster, sampling=sampling)
    return _result(prepared, fitted, errors, enough, {**provenance, "standard_errors": kind})


def _refuse_density(engine: str, *, stream: bool, covariates: bool) -> None:
    reasons = {
        "engine='girth'": engine == "girth",
        "chunks larger than memory": stream,
        "covariates, whose regression has a normal residual": covariates,
    }
    for reason, given in reasons.items():
        if given:
            raise CalibrationError(f"density 'empirical-histogram' is not to be had with {reason}")


def _anchors(anchors: ItemParameters | Calibration | pd.DataFrame | None) -> ItemParameters | None:
    if anchors is None or isinstance(anchors, ItemParameters):
        return anchors
    if isinstance(anchors, Calibration):
        return anchors.parameters
    return ItemParameters.from_frame(anchors)


def _priors_record(priors: Priors) -> dict[str, Any]:
    return {
        name: prior.to_dict()
        if isinstance(prior, Prior)
        else {key: own.to_dict() for key, own in prior.items()}
        for name, prior in priors.items()
    }


@cache
def _version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def _versions(engine: str) -> dict[str, str]:
    names = ["numpy", "scipy", *(["girth"] if engine == "girth" else [])]
    return {"assess": assess.__version__, **{name: _version(name) for name in names}}


def _result(
    prepared: Prepared,
    fitted: Fit,
    errors: Covariance | None,
    enough: float,
    provenance: Mapping[str, Any],
) -> Calibration:
    layout, optimum = prepared.layout, fitted.optimum
    eta = fitted.eta
    expectation = optimum.point.expectation
    decrement = optimum.decrement if errors is None else min(errors.decrement, optimum.decrement)
    unbounded = too_steep(layout, eta)
    saddle = errors is not None and not errors.is_maximum
    lost = [] if errors is None else _undetermined(layout, errors)
    converged = optimum.converged and not unbounded and not saddle and not lost and decrement <= 10.0 * enough
    if not converged:
        what = (
            f"the data do not hold the slopes of {', '.join(unbounded[:5])}: leave out, or give a prior on a"
            if unbounded
            else "stopped at a saddle, not at a maximum: the model asks more than the data hold"
            if saddle
            else f"the data do not determine {', '.join(lost[:5])}: the information there is empty"
            if lost and optimum.converged
            else f"stopped about {decrement:.2g} below the maximum after {fitted.n_iterations} iterations"
        )
        warnings.warn(f"calibration did not converge: {what}", ConvergenceWarning, stacklevel=3)
    values = {item.id: eta[layout.offsets[j] : layout.offsets[j + 1]] for j, item in enumerate(layout.items)}
    n_persons = float(expectation.group_mass.sum())
    population, regression = _populations(layout, eta, errors)
    reversed_items = [
        item.id
        for item in layout.items
        if item.model != "NRM" and item.fixed is None and values[item.id][0] < 0.0
    ]
    notes = list(prepared.notes)
    if reversed_items:
        notes.append(f"negative slope, check the key: {', '.join(reversed_items)}")
    n_parameters = layout.restriction.n_free
    if (histogram := fitted.histogram) is not None:
        population = population.shaped(histogram)
        n_parameters += math.ceil(histogram.n_effective - 1e-6)
        notes.append(
            f"the population's density is estimated, worth {histogram.n_effective:.1f} parameters; "
            "the standard errors take it as known"
        )
    parameters = to_parameters(layout.items, values)
    if prepared.anchors is not None:
        # as they were given, to the last digit
        free = [item.id for item in layout.items if item.fixed is None]
        parameters = ItemParameters.concat([parameters.take(free), prepared.anchors])
        parameters = parameters.take(item.id for item in layout.items)
    return Calibration(
        parameters=parameters,
        errors={} if errors is None else errors.errors,
        model=prepared.model,
        log_likelihood=expectation.log_likelihood,
        log_prior=optimum.point.value - expectation.log_likelihood,
        n_parameters=n_parameters,
        n_persons=round(n_persons),
        converged=converged,
        n_iterations=fitted.n_iterations,
        newton_decrement=decrement,
        gradient_norm=float(np.max(np.abs(optimum.point.gradient), initial=0.0)),
        condition=float("nan") if errors is None else errors.condition,
        population=population,
        regression=regression,
        vcov_names=() if errors is None else errors.names,
        vcov_matrix=None if errors is None else errors.reported,
        unbounded=unbounded,
        notes=tuple(notes),
        collapsed=prepared.collapsed,
        provenance={
            **provenance,
            "excluded": list(prepared.excluded),
            "n_nodes": int(expectation.state.theta.size),
        },
    )


def _populations(
    layout: Layout, eta: FloatArray, errors: Covariance | None
) -> tuple[Population, Regression | None]:
    """The groups; or, with covariates, all persons together and the regression."""
    means, log_sds = layout.population(eta).T
    if layout.design is None:
        groups, sds, regression = layout.groups, np.exp(log_sds), None
    else:
        found, sd, explained = layout.design.summary(means, float(log_sds[0]))
        se = np.full(found.size, np.nan) if errors is None else errors.regression
        groups, means, sds = ("population",), found[:1], np.array([sd])
        regression = Regression(
            layout.design.names,
            tuple(found[1:].tolist()),
            tuple(se[:-1].tolist()),
            float(np.exp(log_sds[0])),
            float(se[-1]),
            explained,
        )
    se = np.full((len(groups), 2), np.nan) if errors is None else errors.population
    columns = (means, sds, se[:, 0], se[:, 1])
    return Population(groups, *(tuple(column.tolist()) for column in columns)), regression


def _undetermined(layout: Layout, errors: Covariance) -> list[str]:
    """Free items about whose location the information matrix says nothing."""
    out = []
    for item in layout.items:
        letter = "c" if item.model == "NRM" else "b"
        located = [error for name, error in errors.errors[item.id].items() if name.startswith(letter)]
        if item.fixed is None and bool(np.isnan(located).any()):
            out.append(item.id)
    return out


def _with_girth(prepared: Prepared, options: CalibrationOptions, workers: Workers) -> tuple[Prepared, Fit]:
    """Girth's solution, as a point of our own likelihood: judged and given errors by it."""
    from assess.irt._girth import estimate

    layout = prepared.layout
    models = sorted({item.model for item in layout.items})
    if len(models) > 1:
        raise CalibrationError(
            f"engine 'girth' takes one model for all items, not {', '.join(models)}; use engine='own'"
        )
    model = models[0]
    notes: tuple[str, ...] = (
        "estimated by girth, which reports no convergence; judged by the derivatives of our likelihood there",
    )
    if model == "PCM":
        # its partial credit model has a slope per item, which is what we call GPCM
        model = "GPCM"
        notes = (*notes, "girth's partial credit model estimates a slope for every item: reported as GPCM")
        items = tuple(replace(item, model=model) for item in layout.items)
        layout = replace(layout, items=items, free_sd=(False,))
    slopes, steps = estimate(prepared.sample.categories, model)
    parameters = ItemParameters([item.id for item in layout.items], model, slopes, steps)
    eta = np.zeros(layout.n_natural)
    for j, item in enumerate(layout.items):
        eta[layout.offsets[j] : layout.offsets[j + 1]] = to_natural(parameters, j, item.n_categories)
    return replace(prepared, layout=layout, model=model, notes=(*prepared.notes, *notes)), point_fit(
        prepared.sample, layout, eta, options, workers
    )
