"""Log-prior of the natural parameters, with its derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assess.errors import CalibrationError
from assess.irt.calibration.layout import UNIT_SLOPE, ItemSpec, Layout
from assess.irt.calibration.options import NoPrior, Prior, Priors

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

PARAMETERS = ("a", "b", "c", "d", "intercept", "logit_c", "logit_d")


@dataclass(frozen=True)
class _Term:
    """One prior on one kind of parameter of several items.

    `places` (n, 1) for a, intercepts and logits; (n, 3) for b: slope, intercept,
    and the intercept below it (-1 where there is none).
    """

    prior: Prior
    kind: str
    places: IntArray


class LogPrior:
    """The sum of all log-priors.

    Parameters
    ----------
    layout : Layout
    priors : mapping
        Parameter name to prior, or item id to such a mapping. Names are those
        of the reported parameters a, b, c, d (upper asymptote), and intercept,
        logit_c, logit_d.
    """

    def __init__(self, layout: Layout, priors: Priors) -> None:
        self._layout = layout
        gathered: dict[tuple[Prior, str], list[tuple[int, ...]]] = {}
        shared_slope = False
        for j, item in enumerate(layout.items):
            if item.fixed is not None:
                continue
            for name, prior in priors_of(item.id, priors).items():
                if isinstance(prior, NoPrior):
                    continue
                if name == "a" and item.model == "1PL":
                    # one slope for all: one prior, not one per item
                    if shared_slope:
                        continue
                    shared_slope = True
                for places in _places(item, name, int(layout.offsets[j])):
                    gathered.setdefault((prior, name), []).append(places)
        self._terms = tuple(
            _Term(prior, name, np.array(places, dtype=np.int64)) for (prior, name), places in gathered.items()
        )

    def __bool__(self) -> bool:
        return bool(self._terms)

    def __call__(self, eta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Value, gradient (n_natural,) and second derivatives (n_natural, n_natural)."""
        n = self._layout.n_natural
        value, gradient, hessian = 0.0, np.zeros(n), np.zeros((n, n))
        for term in self._terms:
            x, first, second = _transform(term, eta)
            log_density, slope, bend = term.prior.derivatives(x)
            value += float(log_density.sum())
            # chain rule: f' x' and f'' x' x'' + f' x''
            np.add.at(gradient, term.places, slope[:, None] * first)
            outer = (
                bend[:, None, None] * first[:, :, None] * first[:, None, :] + slope[:, None, None] * second
            )
            np.add.at(hessian, (term.places[:, :, None], term.places[:, None, :]), outer)
        return value, gradient, hessian


def priors_of(item: str, priors: Priors) -> dict[str, Prior]:
    """The priors that hold for one item; its own go before those for all."""
    out = {name: prior for name, prior in priors.items() if isinstance(prior, Prior)}
    own = priors.get(item)
    if isinstance(own, Mapping):
        out.update(own)
    return out


def check_priors(layout: Layout, priors: Priors) -> None:
    """Refuse names that mean nothing and asymptotes that nothing holds."""
    ids = {item.id for item in layout.items}
    for name, prior in priors.items():
        own = prior if isinstance(prior, Mapping) else {name: prior}
        if isinstance(prior, Mapping) and name not in ids:
            raise CalibrationError(
                f"priors: {name!r} is not an item; name an item or one of {', '.join(PARAMETERS)}"
            )
        for key, value in own.items():
            if key not in PARAMETERS:
                raise CalibrationError(f"priors: {key!r} is no parameter; say one of {', '.join(PARAMETERS)}")
            if not isinstance(value, Prior):
                raise CalibrationError(
                    f"priors: {key!r} is {value!r}; give Normal, LogNormal, Beta or NoPrior"
                )
    for item in layout.items:
        if item.fixed is not None:
            continue
        held = priors_of(item.id, priors)
        for letter, models in (("c", ("3PL", "4PL")), ("d", ("4PL",))):
            if item.model in models and not {letter, f"logit_{letter}"} & set(held):
                hint = "Beta(5, 17)" if letter == "c" else "Beta(17, 5)"
                raise CalibrationError(
                    f"item {item.id!r} ({item.model}) needs a prior on {letter}, for example "
                    f"priors={{{letter!r}: {hint}}}; to do without, give NoPrior(reason)"
                )


def _places(item: ItemSpec, name: str, offset: int) -> list[tuple[int, ...]]:
    K = item.n_categories
    if item.model == "NRM" or (name == "a" and item.model in UNIT_SLOPE):
        return []
    if name == "a":
        return [(offset,)]
    if name == "intercept":
        return [(offset + k,) for k in range(1, K)]
    if name == "b":
        cumulative = item.model == "GRM" or K == 2
        # a place equal to the slope's stands for "no intercept below"
        return [(offset, offset + k, offset if cumulative or k == 1 else offset + k - 1) for k in range(1, K)]
    wanted = name if name.startswith("logit_") else f"logit_{name}"
    return [(offset + place,) for place, own in enumerate(item.names) if own == wanted]


def _transform(term: _Term, eta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The parameter x(eta), its gradient (n, m) and second derivatives (n, m, m) in its places."""
    values = eta[term.places]
    n, m = values.shape
    second = np.zeros((n, m, m))
    if term.kind == "b":
        a = values[:, 0]
        below = term.places[:, 2] != term.places[:, 0]
        step = values[:, 1] - np.where(below, values[:, 2], 0.0)
        first = np.stack([step / a**2, -1.0 / a, np.where(below, 1.0 / a, 0.0)], axis=1)
        second[:, 0, 0] = -2.0 * step / a**3
        second[:, 0, 1] = second[:, 1, 0] = 1.0 / a**2
        second[:, 0, 2] = second[:, 2, 0] = np.where(below, -1.0 / a**2, 0.0)
        return -step / a, first, second
    if term.kind in ("c", "d"):
        p = 1.0 / (1.0 + np.exp(-values[:, 0]))
        second[:, 0, 0] = p * (1.0 - p) * (1.0 - 2.0 * p)
        return p, (p * (1.0 - p))[:, None], second
    return values[:, 0], np.ones((n, 1)), second
