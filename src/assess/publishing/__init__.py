"""Item banks and response files on disk, read into domain types and published from them."""

from __future__ import annotations

from assess.publishing.banks import (
    ItemBank,
    Programme,
    StoredCut,
    bank_folders,
    find_programmes,
    load_bank,
    load_programme,
    programme_document,
    release_document,
)
from assess.publishing.calibrated import Publication, current_scale, publish_calibration
from assess.publishing.checking import Finding, check, seal
from assess.publishing.judged import judged_parameters, judged_ratings
from assess.publishing.responses import ResponseFile, open_responses, read_key, read_responses

__all__ = [
    "Finding",
    "ItemBank",
    "Programme",
    "Publication",
    "ResponseFile",
    "StoredCut",
    "bank_folders",
    "check",
    "current_scale",
    "find_programmes",
    "judged_parameters",
    "judged_ratings",
    "load_bank",
    "load_programme",
    "open_responses",
    "programme_document",
    "publish_calibration",
    "read_key",
    "read_responses",
    "release_document",
    "seal",
]
