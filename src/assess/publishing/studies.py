"""Standard-setting studies on disk: read with a panel's CSV file, kept with a result, adopted as a cut."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assess.errors import InvalidContent, PublishRefused
from assess.items import split_reference
from assess.items.reading import Fields
from assess.publishing.banks import ItemBank, StoredCut
from assess.publishing.files import LOCK_NAME, add_to_lock, read_yaml, write_yaml
from assess.session.release import read_cut
from assess.standard_setting import (
    Study,
    adopt,
    adopted_cut,
    judgements_from_frame,
    read_study,
    scores_from_frame,
)

if TYPE_CHECKING:
    import pandas as pd

    from assess.irt.models import ParameterSet
    from assess.scale import Score


def load_study(path: Path, judgements: Path | None = None, scores: Path | None = None) -> Study:
    """A study from its YAML file; what the panel said, and learners' scores, from CSV files where they are.

    Parameters
    ----------
    judgements : Path, optional
        Columns round, judge, about, value; then the study's own file has none.
    scores : Path, optional
        Of the judged learners: columns learner, theta, scale, method; then the study's own file has none.

    Raises
    ------
    InvalidContent
        With file and place, or the row of the table.
    """
    document = read_yaml(path, path.name)
    for name, table in (("judgements", judgements), ("scores", scores)):
        if table is not None and isinstance(document, Mapping) and document.get(name):
            raise InvalidContent(f"the study has {name} of its own beside {table.name}", place=path.name)
    if judgements is not None:
        rows = judgements_from_frame(_table(judgements, "judge", "about"))
        document = {
            **document,
            "judgements": [
                {"round": one.round, "judge": one.judge, "value": one.value}
                | ({"about": one.about} if one.about else {})
                for one in rows
            ],
        }
    study = read_study(document, path.name)
    if scores is None:
        return study
    known, judged = scores_from_frame(_table(scores, "learner")), {one.about for one in study.judgements}
    # Whoever nobody judged does not belong into the study's file.
    return replace(study, scores=replace(known, theta=tuple(s for s in known.theta if s[0] in judged)))


def cohort_scores(path: Path) -> list[float]:
    """The scores of a cohort from a CSV file: its column score, else theta.

    Raises
    ------
    InvalidContent
        Neither column, or a value that is no number, with its row.
    """
    frame = _table(path)
    name = next((name for name in ("score", "theta") if name in frame.columns), None)
    if name is None:
        raise InvalidContent("no column 'score'; give each learner's score", place=path.name)
    found = []
    for row, value in enumerate(frame[name]):
        try:
            found.append(float(value))
        except (TypeError, ValueError):
            raise InvalidContent(f"{name} is {value!r}; give a number", place=f"{path.name}[{row}]") from None
    return found


def _table(path: Path, *texts: str) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(path, dtype=dict.fromkeys(texts, str), keep_default_na=False)
    except (OSError, ValueError) as fault:
        raise InvalidContent(f"this is no table ({fault})", place=path.name) from None


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
