"""Item banks and response files on disk, read into domain types and published from them."""

from __future__ import annotations

from assess.publishing.banks import (
    Freeze,
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
from assess.publishing.calibrated import (
    current_scale,
    newest_parameters,
    plan_calibration,
    publish_calibration,
)
from assess.publishing.checking import Finding, check, seal
from assess.publishing.freezing import plan_freeze
from assess.publishing.judged import judged_parameters, judged_ratings
from assess.publishing.promoting import pilot_record, plan_promotion
from assess.publishing.publication import Planned, Publication
from assess.publishing.responses import (
    ResponseFile,
    open_responses,
    read_column,
    read_key,
    read_options,
    read_responses,
)
from assess.publishing.writing import write_responses

__all__ = [
    "Finding",
    "Freeze",
    "ItemBank",
    "Planned",
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
    "newest_parameters",
    "open_responses",
    "pilot_record",
    "plan_calibration",
    "plan_freeze",
    "plan_promotion",
    "programme_document",
    "publish_calibration",
    "read_column",
    "read_key",
    "read_options",
    "read_responses",
    "release_document",
    "seal",
    "write_responses",
]
