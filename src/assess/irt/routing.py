r"""Where a panel of modules routes: at crossings of information, or by shares of a population.

Of two modules the harder one is worth more from the theta on where the curves
of their information cross, :math:`I_{hard}(\theta) = I_{easy}(\theta)`: the
approximate maximum information method. Defined population intervals send stated
shares of a population to each module instead. A theta :math:`\theta^*` becomes
the raw score from which the harder module follows by the expected raw score on
the modules so far, :math:`\lceil \sum_j E(x_j \mid \theta^*) \rceil`.

References
----------
Luecht, Brumfield & Breithaupt (2006), *Applied Measurement in Education* 19, 189-202,
doi:10.1207/s15324818ame1903_2 (both methods).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from assess.errors import InvalidParameters
from assess.irt.models import category_probabilities, information
from assess.irt.multistage import Branch, Path, Routing
from assess.irt.parameters import ItemParameters
from assess.irt.quadrature import Prior

_REACH, _N_POINTS = 6.0, 2401
# An expected score that is a whole number up to rounding is that number.
_EXACT = 1e-9


def crossing(parameters: ItemParameters, easier: Sequence[int], harder: Sequence[int]) -> float:
    """Theta from which on the harder of two modules has more information.

    Where the curves cross upwards more than once, the crossing that loses least information over all
    thetas.

    Parameters
    ----------
    parameters : ItemParameters
    easier, harder : sequences of int
        Units of the two modules.

    Raises
    ------
    InvalidParameters
        The curves do not cross between -6 and 6.

    Examples
    --------
    >>> bank = ItemParameters(["i1", "i2"], "Rasch", [1.0, 1.0], [[-1.0], [2.0]])
    >>> round(crossing(bank, [0], [1]), 9)
    0.5
    """
    from scipy.optimize import brentq

    def gain(theta: float) -> float:
        table = information(parameters, np.array([theta]))[0]
        return float(table[list(harder)].sum() - table[list(easier)].sum())

    grid = np.linspace(-_REACH, _REACH, _N_POINTS)
    table = information(parameters, grid)
    gains = table[:, list(harder)].sum(axis=1) - table[:, list(easier)].sum(axis=1)
    rising = np.flatnonzero((gains[:-1] < 0.0) & (gains[1:] >= 0.0))
    if not len(rising):
        raise InvalidParameters(
            f"the information of the two modules does not cross between {-_REACH:g} and {_REACH:g}; "
            "widen the spread, or route by shares of a population"
        )
    onwards = np.cumsum(gains[::-1])[::-1]
    cell = int(rising[onwards[rising + 1].argmax()])
    return float(brentq(gain, grid[cell], grid[cell + 1], xtol=1e-12))


def population_points(population: Prior, shares: Sequence[float]) -> tuple[float, ...]:
    """Thetas between modules that stated shares of a population are to meet, the easiest first.

    Raises
    ------
    InvalidParameters
        The shares are not positive, or do not add up to 1.

    Examples
    --------
    >>> [round(point, 3) for point in population_points(Prior(0.0, 1.0), [0.25, 0.5, 0.25])]
    [-0.674, 0.674]
    """
    from scipy.special import ndtri

    if not shares or min(shares) <= 0.0 or abs(math.fsum(shares) - 1.0) > 1e-6:
        raise InvalidParameters(f"shares {list(shares)}: positive numbers that add up to 1, one per module")
    reached = np.cumsum(shares)[:-1]
    return tuple(population.mean + population.sd * float(z) for z in ndtri(reached))


def raw_threshold(parameters: ItemParameters, units: Sequence[int], theta: float) -> int:
    """The least raw score on some units that is at or above the one expected at theta.

    Examples
    --------
    >>> bank = ItemParameters(["i1", "i2", "i3"], "Rasch", [1.0] * 3, [[-1.0], [0.0], [1.0]])
    >>> raw_threshold(bank, [0, 1, 2], 0.0)
    2
    """
    own = category_probabilities(parameters, np.array([theta]))[0][list(units)]
    expected = float((own * np.arange(own.shape[1])).sum())
    return math.ceil(expected - _EXACT)


def ways(stages: Sequence[Sequence[int]]) -> dict[Path, Path]:
    """Which modules may follow each path that goes on: no harder or easier than by one step.

    Parameters
    ----------
    stages : sequence of sequences of int
        Modules of each stage, the easiest first.

    Examples
    --------
    >>> found = ways([[0], [1, 2, 3], [4, 5, 6]])
    >>> found[(0,)], found[(0, 1)], found[(0, 2)]
    ((1, 2, 3), (4, 5), (4, 5, 6))
    """
    found: dict[Path, Path] = {}
    going: list[tuple[Path, float | None]] = [((module,), None) for module in stages[0]]
    before = len(stages[0])
    for stage in stages[1:]:
        step, onwards = 1.0 / max(before - 1, len(stage) - 1, 1), []
        for path, place in going:
            own = [
                (module, k / (len(stage) - 1) if len(stage) > 1 else None) for k, module in enumerate(stage)
            ]
            near = [
                (module, other)
                for module, other in own
                if place is None or other is None or abs(other - place) <= step + _EXACT
            ]
            found[path] = tuple(module for module, _ in near)
            onwards += [((*path, module), other) for module, other in near]
        going, before = onwards, len(stage)
    return found


def branches(
    parameters: ItemParameters,
    modules: Sequence[Sequence[int]],
    stages: Sequence[Sequence[int]],
    routing: Routing = "raw",
    *,
    points: Sequence[Sequence[float]] | None = None,
    names: Sequence[str] | None = None,
) -> dict[Path, Branch]:
    """Routes of a panel.

    Parameters
    ----------
    parameters : ItemParameters
    modules : sequence of sequences of int
        Units of each module.
    stages : sequence of sequences of int
        Modules of each stage, the easiest first.
    routing : str
        "raw" or "theta".
    points : sequence of sequences of float, optional
        Thetas between the modules of each stage after the first; where their information crosses
        unless given.
    names : sequence of str, optional
        What the modules are called in messages; their numbers unless given.

    Raises
    ------
    InvalidParameters
        Curves that do not cross, or not in the order of the modules; too few points for so many routes.

    Examples
    --------
    >>> bank = ItemParameters(list("abcd"), "Rasch", [1.0] * 4, [[-0.5], [0.5], [-1.0], [1.0]])
    >>> branches(bank, [[0, 1], [2], [3]], [[0], [1, 2]])
    {(0,): Branch(to=(1, 2), thresholds=(1,))}
    """
    called = names or [str(module) for module in range(len(modules))]
    between: dict[tuple[int, int], float] = {}
    for s, stage in enumerate(stages[1:]):
        pairs = list(pairwise(stage))
        if points is not None:
            thetas = [float(point) for point in points[s]]
        else:
            thetas = []
            for easier, harder in pairs:
                try:
                    thetas.append(crossing(parameters, modules[easier], modules[harder]))
                except InvalidParameters as fault:
                    raise InvalidParameters(f"{called[easier]} and {called[harder]}: {fault}") from None
        if sorted(set(thetas)) != thetas:
            raise InvalidParameters(
                f"{', '.join(called[m] for m in stage)}: the thetas between them, {_said(thetas)}, do not "
                "rise; they are too much alike. Widen the spread, or route by shares of a population"
            )
        between |= dict(zip(pairs, thetas, strict=True))
    found = {}
    for path, to in ways(stages).items():
        thresholds: tuple[float, ...] = tuple(between[pair] for pair in pairwise(to))
        if routing == "raw":
            given = [unit for module in path for unit in modules[module]]
            thresholds = tuple(raw_threshold(parameters, given, theta) for theta in thresholds)
            highest = int((parameters.n_categories[given] - 1).sum())
            if sorted(set(thresholds)) != list(thresholds) or any(not 1 <= t <= highest for t in thresholds):
                raise InvalidParameters(
                    f"after {' > '.join(called[m] for m in path)}, of {highest} points in all, raw scores of "
                    f"{_said(thresholds)} do not tell {len(to)} modules apart; make the stage longer, or "
                    "route by theta"
                )
        found[path] = Branch(to, thresholds)
    return found


def _said(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:.3g}" for number in numbers)
