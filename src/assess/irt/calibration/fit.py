"""One fit: nodes, a subsample to start on, the optimiser, and widening of the nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve

from assess.errors import CalibrationError
from assess.irt.calibration.blocks import Block, Sample, ScoreBlock, build_blocks
from assess.irt.calibration.histogram import Histogram, with_histogram
from assess.irt.calibration.information import cross_products, missing_information
from assess.irt.calibration.intake import Stream
from assess.irt.calibration.layout import UNIT_SLOPE, Layout
from assess.irt.calibration.likelihood import Likelihood
from assess.irt.calibration.optimiser import Metric, Objective, Optimum, Point, maximise, positive
from assess.irt.calibration.options import CalibrationOptions, Priors
from assess.irt.calibration.priors import LogPrior
from assess.irt.calibration.spread import first_order_information
from assess.irt.calibration.starts import starting_values
from assess.irt.calibration.state import MOST_SPREADS
from assess.irt.calibration.workers import Workers
from assess.progress import Progress

FloatArray = NDArray[np.float64]

HALF_WIDTH = 6.0
SPACING = 0.2
SUBSAMPLE = 10_000
SUBSAMPLE_FROM = 20_000
RARELY_SEEN = 100
ROUGHLY = 1e-2
LARGE_DECREMENT = 1e-5
EXACT_UP_TO = 5e8
PERSONS_PER_PARAMETER = 8
FIRST_ORDER_CALLS = 6
ROUNDS = 4
FINEST = 0.05
STEEPEST = 15.0
RUNAWAY = 1.4


@dataclass(frozen=True, eq=False)
class Fit:
    """The end of an optimisation, with what is needed to compute errors."""

    objective: Objective
    optimum: Optimum
    n_iterations: int
    histogram: Histogram | None = None

    @property
    def eta(self) -> FloatArray:
        """Natural parameters at the solution."""
        return self.optimum.point.expectation.state.eta


def nodes(
    layout: Layout, eta: FloatArray, options: CalibrationOptions, spacing: float | None = None
) -> FloatArray:
    """Equally spaced nodes that reach six standard deviations of every group."""
    step = spacing or 2.0 * HALF_WIDTH / (options.n_nodes - 1)
    if options.theta_range is not None:
        low, high = options.theta_range
        size = options.n_nodes if spacing is None else int(np.ceil((high - low) / step)) + 1
        return np.linspace(low, high, size)
    population = layout.population(eta)
    mean, sd = population[:, 0], np.exp(population[:, 1])
    low = min(-HALF_WIDTH, float(np.min(mean - HALF_WIDTH * sd)))
    high = max(HALF_WIDTH, float(np.max(mean + HALF_WIDTH * sd)))
    size = round((high - low) / step + 0.499) + 1
    return np.linspace(low, high, min(size, 2_001))


def fit(
    sample: Sample,
    layout: Layout,
    priors: Priors,
    options: CalibrationOptions,
    workers: Workers,
    progress: Progress,
    start: FloatArray | None = None,
    stream: Stream | None = None,
) -> Fit:
    """Fit a layout to a sample.

    Large samples are first fitted on an evenly spread subsample, from where a
    few Newton steps on all persons suffice. With a `stream`, the sample is that
    subsample, and all persons come from the stream at every pass.
    """
    prior = LogPrior(layout, priors)
    part = _subsample(sample, layout) if stream is None else sample
    n_persons = sample.n_persons if stream is None else stream.n_persons
    if start is None:
        start = _start(part or sample, layout, priors, options, workers)
    n_iterations = 0
    em_steps = options.em_steps + 2 * any(item.model in ("3PL", "4PL") for item in layout.items)
    small: Likelihood | None = None
    metric: Metric | None = None
    if part is not None:
        loose = replace(options, newton_decrement=max(options.newton_decrement, 1e-3))
        objective = _objective(part, layout, prior, nodes(layout, start, options), workers)
        first = _maximise(objective, start, None, part.n_persons, loose, em_steps, progress, 0)
        if first is not None:
            n_iterations, em_steps = first.n_iterations, 0
            start = first.point.expectation.state.eta
            small = objective.likelihood
    blocks: Iterable[Block] = build_blocks(sample, layout) if stream is None else stream
    theta = nodes(layout, start, options)
    objective = Objective(Likelihood(layout, theta, blocks, workers, double=stream is not None), prior)
    if stream is None and single_precision(objective):
        rough = _maximise(objective, start, small, n_persons, options, em_steps, progress, n_iterations)
        likelihood = objective.likelihood
        precise = Likelihood(layout, likelihood.theta, likelihood.blocks, workers, double=True)
        objective, metric = Objective(precise, prior), None
        if rough is not None:
            n_iterations, em_steps, metric = n_iterations + rough.n_iterations, 0, rough.metric
            start = rough.point.expectation.state.eta
    optimum: Optimum | None = None
    for _ in range(ROUNDS):
        optimum = _maximise(
            objective, start, small, n_persons, options, em_steps, progress, n_iterations, metric
        )
        if optimum is None:
            raise CalibrationError(
                "no likelihood at the starting values; are anchors or priors contradictory?"
            )
        n_iterations += optimum.n_iterations
        start, em_steps, metric = optimum.point.expectation.state.eta, 0, optimum.metric
        better = _better_nodes(optimum.point, layout, objective.likelihood.theta, options, sample)
        ended = not optimum.converged or n_iterations >= options.max_iterations
        if better is None or ended or too_steep(layout, start):
            break
        finer = Likelihood(layout, better, objective.likelihood.blocks, workers, double=True)
        objective = Objective(finer, prior)
    assert optimum is not None
    return Fit(objective, _upright(objective, optimum), n_iterations)


def fit_histogram(normal: Fit, options: CalibrationOptions, n_persons: int, progress: Progress) -> Fit:
    """The same items in populations of any shape, from a normal fit on."""
    enough = tolerance(normal.objective, options, n_persons)
    metric: Metric | None = None

    def items(objective: Objective, at: FloatArray) -> Optimum | None:
        nonlocal metric
        found = _maximise(objective, at, None, n_persons, options, 0, progress, 0, metric)
        metric = None if found is None else found.metric
        return found

    objective, optimum, histogram, n_iterations = with_histogram(normal.objective, normal.eta, items, enough)
    return Fit(objective, optimum, normal.n_iterations + n_iterations, histogram)


def point_fit(
    sample: Sample, layout: Layout, eta: FloatArray, options: CalibrationOptions, workers: Workers
) -> Fit:
    """A solution from elsewhere as a point of this likelihood, with its Newton decrement."""
    objective = _objective(sample, layout, LogPrior(layout, {}), nodes(layout, eta, options), workers)
    point = objective(objective.restriction.free(eta))
    if point is None:
        raise CalibrationError("the solution of the other engine is not a possible one; use engine='own'")
    factor = positive(_newton_matrix(objective, None)(point), objective.complete(point))
    decrement = 0.5 * float(point.gradient @ cho_solve(factor, point.gradient))
    return Fit(objective, Optimum(point, True, 0, decrement, None), 0)


def _objective(
    sample: Sample, layout: Layout, prior: LogPrior, theta: FloatArray, workers: Workers
) -> Objective:
    return Objective(Likelihood(layout, theta, build_blocks(sample, layout), workers), prior)


def _maximise(
    objective: Objective,
    start: FloatArray,
    small: Likelihood | None,
    n_persons: int,
    options: CalibrationOptions,
    em_steps: int,
    progress: Progress,
    done: int,
    metric: Metric | None = None,
) -> Optimum | None:
    point = objective(objective.restriction.free(start))
    if point is None:
        return None
    layout = objective.likelihood.layout

    def report(iteration: int, value: float, decrement: float) -> None:
        progress(
            done + iteration, None, f"log-likelihood {value:,.3f}, about {decrement:.2g} below its maximum"
        )

    single = not objective.likelihood.double and single_precision(objective)
    size = max(1.0, n_persons / 10_000)
    return maximise(
        objective,
        point,
        _newton_matrix(objective, small),
        tolerance=ROUGHLY * size if single else tolerance(objective, options, n_persons),
        max_iterations=max(options.max_iterations - done, 1),
        em_steps=em_steps,
        noise=1e-4 * np.sqrt(n_persons) if single else 1e-11 * abs(point.value),
        report=report,
        runaway=lambda point: bool(too_steep(layout, point.expectation.state.eta, RUNAWAY * STEEPEST)),
        metric=metric,
    )


def single_precision(objective: Objective) -> bool:
    """Whether some block prefers single precision."""
    return any(
        not isinstance(block, ScoreBlock) and block.precision is np.float32
        for block in objective.likelihood.blocks
    )


def tolerance(objective: Objective, options: CalibrationOptions, n_persons: int) -> float:
    """The Newton decrement at which to stop, in units of log-likelihood."""
    least = LARGE_DECREMENT if single_precision(objective) else 0.0
    return max(options.newton_decrement, least) * max(1.0, n_persons / 10_000)


def _newton_matrix(objective: Objective, small: Likelihood | None) -> Callable[[Point], FloatArray]:
    """Minus the Hessian for Newton steps: exact where that is cheap, else to first order.

    The exact one on a subsample if there is one. Should the first-order matrix not
    lead on, because posteriors are too wide or patterns of missing too odd, later
    calls sum the cross-products of the persons' scores.
    """
    likelihood = small or objective.likelihood
    coded = sum(block.n_persons for block in likelihood.blocks if not isinstance(block, ScoreBlock))
    persons = sum(block.n_persons for block in likelihood.blocks)
    n_free = objective.restriction.n_free
    dear = coded * likelihood.theta.size * float(n_free) ** 2 > EXACT_UP_TO
    # of all persons, whose blocks may be of another kind than those of the subsample; never of a stream
    blocks = objective.likelihood.blocks
    first_order = (
        dear
        and isinstance(blocks, tuple)
        and len(blocks) < MOST_SPREADS
        and not any(isinstance(block, ScoreBlock) for block in blocks)
    )
    crossed = dear and coded == persons > PERSONS_PER_PARAMETER * n_free
    weight = sum(
        block.n_persons if block.weights is None else float(block.weights.sum())
        for block in likelihood.blocks
    )
    n_calls = 0

    def matrix(point: Point) -> FloatArray:
        nonlocal n_calls
        n_calls += 1
        expectation, state = point.expectation, point.expectation.state
        scale = float(expectation.group_mass.sum()) / weight
        if first_order and n_calls <= FIRST_ORDER_CALLS:
            information = first_order_information(objective.likelihood, expectation)
        elif crossed:
            information = cross_products(likelihood, state) * scale
        else:
            complete = expectation.complete_information(observed=True)
            information = complete - missing_information(likelihood, state) * scale
        pulled = objective.restriction.pull_matrix(information)
        return pulled - objective.prior_curvature(point) if objective.prior else pulled

    return matrix


def _subsample(sample: Sample, layout: Layout) -> Sample | None:
    if sample.n_persons <= SUBSAMPLE_FROM:
        return None
    rows = np.linspace(0, sample.n_persons - 1, SUBSAMPLE).astype(np.int64)
    part = sample.take(rows)
    for j, item in enumerate(layout.items):
        seen = np.bincount(part.categories[part.categories[:, j] >= 0, j], minlength=item.n_categories)
        if item.fixed is None and seen.min() < min(RARELY_SEEN, 20):
            return None
    if len(layout.groups) > 1 and np.bincount(part.group, minlength=len(layout.groups)).min() < RARELY_SEEN:
        return None
    return part


def _better_nodes(
    point: Point, layout: Layout, theta: FloatArray, options: CalibrationOptions, sample: Sample
) -> FloatArray | None:
    """Finer or wider nodes where the solution asks for them, else None."""
    state = point.expectation.state
    spacing = float(theta[1] - theta[0])
    answered = int((sample.categories[:: max(1, sample.n_persons // 5_000)] >= 0).sum(axis=1).max())
    slope = np.gradient(state.log_p, theta, axis=1)
    information = (np.exp(state.log_p) * slope**2).sum(axis=0) * (answered / layout.n_items)
    busy = point.expectation.group_mass.sum(axis=0) > 0.5
    sharpest = float(information[busy].max(initial=0.0)) ** -0.5 if busy.any() else np.inf
    finer = None
    if spacing > 1.02 * max(sharpest, FINEST):
        finer = max(0.9 * sharpest, FINEST)
    if finer is None and options.theta_range is not None:
        return None
    wanted = nodes(layout, state.eta, options, finer or spacing)
    beyond = wanted[0] < theta[0] - 0.5 or wanted[-1] > theta[-1] + 0.5
    return wanted if finer is not None or beyond else None


def _start(
    sample: Sample, layout: Layout, priors: Priors, options: CalibrationOptions, workers: Workers
) -> FloatArray:
    eta = starting_values(sample, layout, priors)
    quiet = replace(options, newton_decrement=0.01, max_iterations=50)
    if layout.free_mean[0]:
        eta = _anchored_start(sample, layout, eta, quiet, workers)
    if any(item.model == "NRM" and item.fixed is None for item in layout.items):
        # from anywhere else the nominal model likes to end in a local maximum
        items = tuple(
            replace(item, model="GPCM") if item.model == "NRM" and item.fixed is None else item
            for item in layout.items
        )
        easier = replace(layout, items=items)
        plain = {name: prior for name, prior in priors.items() if name in ("c", "d", "logit_c", "logit_d")}
        ordered = fit(sample, easier, {**priors, **plain}, quiet, workers, _silent)
        for item, old, new in zip(
            layout.items, layout.offsets[:-1].tolist(), easier.offsets[:-1].tolist(), strict=True
        ):
            size = len(item.names)
            if item.model == "NRM" and item.fixed is None:
                K = item.n_categories
                a, d = ordered.eta[new], ordered.eta[new + 1 : new + K]
                eta[old : old + size] = np.concatenate([a * np.arange(1, K), d])
            else:
                eta[old : old + size] = ordered.eta[new : new + size]
        eta[layout.offsets[-1] :] = ordered.eta[easier.offsets[-1] :]
    return eta


def too_steep(layout: Layout, eta: FloatArray, limit: float = STEEPEST) -> tuple[str, ...]:
    """Items whose slope ran away: in units of the population's spread no item is that steep."""
    sd = float(np.exp(layout.population(eta)[:, 1]).max())
    places, items, n_slopes = layout.free_slopes
    steep = np.abs(eta[places]) * sd > limit * n_slopes
    return tuple(layout.items[j].id for j in np.unique(items[steep]).tolist()) if steep.any() else ()


def _silent(done: int, total: int | None, message: str) -> None:
    """No progress from within a start."""


def _anchored_start(
    sample: Sample, layout: Layout, eta: FloatArray, options: CalibrationOptions, workers: Workers
) -> FloatArray:
    """Place the populations by the anchors alone, and move the other items along."""
    fixed = [j for j, item in enumerate(layout.items) if item.fixed is not None]
    only = replace(layout, items=tuple(layout.items[j] for j in fixed))
    part = Sample(sample.categories[:, fixed], sample.group, sample.weights)
    begin = np.concatenate([*(layout.items[j].fixed for j in fixed), eta[layout.offsets[-1] :]])
    placed = fit(part, only, {}, options, workers, _silent, start=begin).eta[only.offsets[-1] :]
    out = eta.copy()
    out[layout.offsets[-1] :] = placed
    mean, sd = float(placed[0]), float(np.exp(placed[1]))
    if not (np.isfinite(mean) and 0.05 < sd < 20.0):
        return eta
    for batch in layout.batches:
        free = np.array([layout.items[j].fixed is None for j in batch.rows.tolist()])
        if batch.shape == "nominal":
            continue
        places = batch.natural[free]
        a = out[places[:, 0]] / sd
        ladder = (
            np.arange(1, batch.n_categories)
            if batch.shape == "partial credit"
            else np.ones(batch.n_categories - 1)
        )
        out[places[:, 0]] = a
        out[places[:, 1 : batch.n_categories]] -= a[:, None] * mean * ladder
    return layout.restriction.natural(layout.restriction.free(out))


def _upright(objective: Objective, optimum: Optimum) -> Optimum:
    """The same solution with most slopes positive, where nothing fixed the sign."""
    layout = objective.likelihood.layout
    if any(item.fixed is not None or item.model in UNIT_SLOPE for item in layout.items):
        return optimum
    eta = optimum.point.expectation.state.eta
    last_slope = [item.n_categories - 2 if item.model == "NRM" else 0 for item in layout.items]
    if np.sign(eta[layout.offsets[:-1] + np.array(last_slope)]).sum() >= 0:
        return optimum
    flipped = eta.copy()
    for batch in layout.batches:
        n_slopes = batch.n_categories - 1 if batch.shape == "nominal" else 1
        flipped[batch.natural[:, :n_slopes]] *= -1.0
    flipped[layout.offsets[-1] :: 2] *= -1.0
    point = objective(objective.restriction.free(flipped))
    return optimum if point is None else replace(optimum, point=point)
