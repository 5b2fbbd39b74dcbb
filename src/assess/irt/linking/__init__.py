"""Linking: from the scale of one calibration onto that of another, and what follows from it."""

from __future__ import annotations

from assess.irt.linking.constants import METHODS, Link, LinkErrors, Method, link
from assess.irt.linking.drift import AnchorDrift, DriftRules, anchor_drift, operational_drift
from assess.irt.linking.equating import observed_score_equating, true_score_equating

__all__ = [
    "METHODS",
    "AnchorDrift",
    "DriftRules",
    "Link",
    "LinkErrors",
    "Method",
    "anchor_drift",
    "link",
    "observed_score_equating",
    "operational_drift",
    "true_score_equating",
]
