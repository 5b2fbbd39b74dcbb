"""Standard-setting studies on disk: read with a panel's CSV file, kept with a result, adopted as a cut."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assess.errors import InvalidContent, PublishRefused
from assess.items import split_reference
from assess.items.reading import Fields
from assess.publishing.banks import ItemBank, StoredCut
from assess.publishing.files import LOCK_NAME, add_to_lock, read_yaml, write_yaml
from assess.session.release import read_cut
from assess.standard_setting import Study, adopt, adopted_cut, judgements_from_frame, read_study

if TYPE_CHECKING:
    from assess.irt.models import ParameterSet
    from assess.scale import Score


def load_study(path: Path, judgements: Path | None = None) -> Study:
    """A study from its YAML file; its judgements from a CSV file, where the panel's table is one.

    Parameters
    ----------
    judgements : Path, optional
        Columns round, judge, about, value; then the study's own file has none.

    Raises
    ------
    InvalidContent
        With file and place, or the row of the table.
    """
    import pandas as pd

    document = read_yaml(path, path.name)
    if judgements is not None:
        if isinstance(document, Mapping) and document.get("judgements"):
            raise InvalidContent(
                f"the study has judgements of its own beside {judgements.name}", place=path.name
            )
        try:
            frame = pd.read_csv(judgements, dtype={"judge": str, "about": str}, keep_default_na=False)
        except (OSError, ValueError) as fault:
            raise InvalidContent(f"this is no table ({fault})", place=judgements.name) from None
        rows = judgements_from_frame(frame)
        document = {
            **document,
            "judgements": [
                {"round": one.round, "judge": one.judge, "value": one.value}
                | ({"about": one.about} if one.about else {})
                for one in rows
            ],
        }
    return read_study(document, path.name)


def write_study(path: Path, study: Study) -> None:
    """Write a study as a new file; one that is there is never overwritten."""
    document = study.document()
    for judgement in document["judgements"]:
        if not judgement["about"]:
            del judgement["about"]
    for name in ("design", "units"):
        if not document["options"][name]:
            del document["options"][name]
    result = document.get("result")
    if result is not None:
        document["result"] = {name: value for name, value in result.items() if value is not None}
    write_yaml(path, document)


def adopt_study(
    bank: ItemBank,
    study: Study,
    parameter_set: ParameterSet,
    *,
    cut_id: str,
    by: str,
    now: datetime,
    scores: Mapping[str, Score] | None = None,
) -> tuple[Study, StoredCut]:
    """Adopt a study and write its cut as the next version in the bank; nothing changes for learners.

    The ratings of an Angoff panel go with the cut, so that a later scale
    derives it anew from them. A case set was rated as one: its rating is
    spread over its items by what they can earn, which keeps the sum.

    Raises
    ------
    PublishRefused
        Made up, a quota, without a result, of another course, or an id of a cut of another level.
    """
    if study.course != bank.course:
        raise PublishRefused(f"{study.reference} is about {study.course}, the bank serves {bank.course}")
    adopted = adopt(study, by=by, at=now)
    versions = [split_reference(known)[1] for known in bank.cuts if split_reference(known)[0] == cut_id]
    version = max(versions, default=0) + 1
    cut = adopted_cut(adopted, parameter_set, id=f"{cut_id}.v{version}", scores=scores)
    for known in bank.cuts.values():
        if split_reference(known.cut.id)[0] == cut_id and known.cut.level != cut.level:
            raise PublishRefused(f"{known.cut.id} guards {known.cut.level}, the study is about {cut.level}")
    document: dict[str, Any] = {
        "id": cut_id,
        "version": version,
        "course": bank.course,
        "level": cut.level,
        "theta": cut.theta,
        "scale": cut.scale_id,
        "method": cut.method,
        "panel": cut.panel,
        "status": cut.status,
        "adopted_by": by,
        "adopted_at": now.isoformat(timespec="seconds"),
        "ratings": _ratings(bank, study),
    }
    if math.isfinite(cut.se):
        document["se"] = cut.se
    if not document["ratings"]:
        del document["ratings"]
    read, ratings = read_cut(Fields(document, f"cuts/{cut.id}.yaml"))
    name = f"cuts/{cut.id}.yaml"
    write_yaml(bank.folder / name, document, comment="Written by `assess standard adopt`.")
    add_to_lock(bank.folder, [name], f"{bank.programme}/{bank.course}/{LOCK_NAME}")
    return adopted, StoredCut(read, ratings, document)


def _ratings(bank: ItemBank, study: Study) -> dict[str, float]:
    """The panel's mean rating of every item in the last round."""
    if study.method != "modified Angoff":
        return {}
    found: dict[str, float] = {}
    for unit, rating in study.table().mean(axis=0).items():
        items = bank.unit_items(str(unit))
        most = sum(item.n_categories - 1 for item in items)
        for item in items:
            found[item.reference] = round(float(rating) * (item.n_categories - 1) / most, 6)
    return found
