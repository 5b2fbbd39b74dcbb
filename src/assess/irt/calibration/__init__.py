"""Calibration: item parameters from responses, by marginal maximum likelihood."""

from __future__ import annotations

from assess.irt.calibration.comparison import Comparison, Reliability, compare, reliability
from assess.irt.calibration.estimate import calibrate
from assess.irt.calibration.options import Beta, CalibrationOptions, LogNormal, NoPrior, Normal, Prior
from assess.irt.calibration.regression import Regression
from assess.irt.calibration.result import Calibration, Population

__all__ = [
    "Beta",
    "Calibration",
    "CalibrationOptions",
    "Comparison",
    "LogNormal",
    "NoPrior",
    "Normal",
    "Population",
    "Prior",
    "Regression",
    "Reliability",
    "calibrate",
    "compare",
    "reliability",
]
