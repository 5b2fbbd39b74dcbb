"""The one door to girth: transposes, tags and refuses.

girth 0.8.0 wants items x persons and accepts a transposed matrix in silence,
takes an untagged -1 for a category, fails on nan, returns b = 6 for constant
items, reports no convergence, and crashes in its three-parameter model. Its
"partial credit" model estimates a slope per item. So it is called here and
nowhere else, for what it does well, as a second witness.

References
----------
Sanchez, *GIRTH: Item Response Theory estimation in Python*, https://github.com/eribean/girth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from assess.errors import CalibrationError

FloatArray = NDArray[np.float64]

MODELS = ("1PL", "2PL", "GRM", "GPCM")
MAX_ITERATIONS = 200


def estimate(categories: NDArray[np.int8], model: str) -> tuple[FloatArray, FloatArray]:
    """Slopes (J,) and steps (J, K - 1), short rows padded with nan.

    Parameters
    ----------
    categories : int8 array (N, J)
        Persons on rows, categories from 0 without gaps, nothing missing.
    model : str
        1PL, 2PL, GRM or GPCM (girth's `pcm_mml`).

    Raises
    ------
    CalibrationError
        Missing responses, constant items, other models.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> chance = 1.0 / (1.0 + np.exp(-(rng.standard_normal((400, 1)) - np.array([-0.5, 0.0, 0.5]))))
    >>> slopes, steps = estimate((rng.random((400, 3)) < chance).astype(np.int8), "2PL")
    >>> slopes.shape, steps.shape
    ((3,), (3, 1))
    """
    if model not in MODELS:
        raise CalibrationError(
            f"engine 'girth' has no {model} that works, only {', '.join(MODELS)}; use engine='own'"
        )
    if categories.min() < 0:
        person, item = (int(axis[0]) for axis in np.nonzero(categories < 0))
        raise CalibrationError(
            f"engine 'girth' needs complete data; person {person} has no response to item {item}. "
            "Use engine='own'"
        )
    constant = np.flatnonzero(categories.min(axis=0) == categories.max(axis=0))
    if constant.size:
        raise CalibrationError(f"engine 'girth': item {int(constant[0])} is constant; leave it out")
    import girth

    function: Any = {
        "1PL": girth.onepl_mml,
        "2PL": girth.twopl_mml,
        "GRM": girth.grm_mml,
        "GPCM": girth.pcm_mml,
    }[model]
    n_items = categories.shape[1]
    answer = function(
        np.ascontiguousarray(categories.T, dtype=np.int64),
        options={"max_iteration": MAX_ITERATIONS, "quadrature_bounds": (-6, 6)},
    )
    slopes = np.broadcast_to(np.asarray(answer["Discrimination"], dtype=np.float64), (n_items,)).copy()
    steps = np.asarray(answer["Difficulty"], dtype=np.float64).reshape(n_items, -1)
    if not np.all(np.isfinite(slopes)) or not np.all(np.isfinite(steps[:, 0])):
        raise CalibrationError("engine 'girth' returned numbers that are not finite; use engine='own'")
    return slopes, steps
