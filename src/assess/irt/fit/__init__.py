"""Fit: of items, of the model as a whole, of pairs of items, of persons."""

from __future__ import annotations

from assess.irt.fit.items import item_fit
from assess.irt.fit.limited import ModelFit, model_fit
from assess.irt.fit.pairs import local_dependence, local_dependence_limit
from assess.irt.fit.persons import guttman_fit, person_fit
from assess.irt.fit.simulated import cusum, item_fit_bootstrap, person_fit_limits

__all__ = [
    "ModelFit",
    "cusum",
    "guttman_fit",
    "item_fit",
    "item_fit_bootstrap",
    "local_dependence",
    "local_dependence_limit",
    "model_fit",
    "person_fit",
    "person_fit_limits",
]
