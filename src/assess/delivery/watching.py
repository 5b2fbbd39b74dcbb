"""Exposure as it is, against the share that a form means no unit to exceed.

A share of few sessions swings, so the alarm is raised where even the lower end
of its 95 % interval (Wilson 1927, doi:10.1080/01621459.1927.10502953), divided
among all units (Bonferroni), lies above the target: a form that keeps its
target raises it in at most one of forty looks.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from scipy.special import ndtri

from assess.delivery.analysis import Database
from assess.delivery.store import exposing
from assess.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    import pandas as pd

_LEVEL = 0.025
FEWEST_SCORES = 200
"""With fewer, the SD of a population is off by more than a twentieth."""


@dataclass(frozen=True, eq=False)
class Watched:
    """Exposure of one form.

    Attributes
    ----------
    form : str
    n_sessions : int
        Ended sessions of the newest delivered release.
    target : float
    units : DataFrame
        Index unit; columns met, share, low (lower bound), alarm; the most exposed first.
    """

    form: str
    n_sessions: int
    target: float
    units: pd.DataFrame

    @property
    def alarms(self) -> list[str]:
        """Units that are met more often than they should be."""
        return [str(unit) for unit in self.units.index[self.units["alarm"]]]


def watch(
    database: Database,
    form_id: str,
    *,
    since: datetime,
    target: float | None = None,
    sandbox: bool = False,
) -> Watched:
    """Count how often each unit of the most delivered release of a form was met.

    Parameters
    ----------
    since : datetime
        Sessions that began from then on.
    target : float, optional
        That of the form unless given.

    Raises
    ------
    NotFound
        No session of the form ended since.
    InvalidRequest
        There is no target, or it is no share.
    """
    import pandas as pd

    counted = database.read(exposing.sessions_by_release, database.tenant, form_id, since, sandbox=sandbox)
    if not counted:
        raise NotFound("ended session of form", form_id)
    sha, n = max(counted.items(), key=lambda entry: (entry[1], entry[0]))
    release = database.release(sha)
    rules = release.form.adaptive
    stated = None if rules is None or rules.exposure is None else rules.exposure.target
    wanted = stated if target is None else target
    if wanted is None:
        raise InvalidRequest(f"{release.form.reference} states no target of exposure; say one", path="target")
    if not 0.0 < wanted < 1.0:
        raise InvalidRequest(f"the target {wanted} is no share between 0 and 1", path="target")
    offers = database.read(exposing.offers_by_item, database.tenant, form_id, since, sandbox=sandbox)
    z = float(ndtri(1.0 - _LEVEL / len(release.units)))
    rows = []
    for unit in release.units:
        # A case set is met with its first item.
        met = offers.get((sha, unit.items[0].reference), 0)
        low = _lower(met, n, z)
        rows.append({"met": met, "share": met / n, "low": low, "alarm": low > wanted})
    index = pd.Index([unit.reference for unit in release.units], name="unit")
    table = pd.DataFrame(rows, index=index).sort_values("share", ascending=False, kind="stable")
    return Watched(release.form.reference, n, wanted, table)


@dataclass(frozen=True, slots=True)
class Seen:
    """Those who took a form: mean and SD of their thetas, from so many scores."""

    mean: float
    sd: float
    n: int


def takers(database: Database, form_id: str, scale: str, *, since: datetime, sandbox: bool = False) -> Seen:
    """Who took a form since, from the scores that stand, on one scale.

    A posterior mean is drawn towards the prior, so that the variance of thetas
    is that of the scores and the mean of their squared standard errors together.

    Parameters
    ----------
    scale : str
        Scores on another one are left out.

    Raises
    ------
    InvalidRequest
        There are fewer than 200 scores.
    """
    stored = database.read(exposing.records_of_form, database.tenant, form_id, since, sandbox=sandbox)
    decisions = (json.loads(record).get("decision", {}) for record in stored)
    found = [
        (float(d["theta"]), float(d["se"]))
        for d in decisions
        if d.get("scale_id") == scale and d.get("theta") is not None and d.get("se") is not None
    ]
    if len(found) < FEWEST_SCORES:
        raise InvalidRequest(
            f"{form_id} has {len(found)} scores on scale {scale} in that time, {FEWEST_SCORES} are needed to "
            "know who takes it; look further back, or state the population"
        )
    mean = math.fsum(theta for theta, _ in found) / len(found)
    variance = math.fsum((theta - mean) ** 2 + se**2 for theta, se in found) / len(found)
    return Seen(mean, math.sqrt(variance), len(found))


def _lower(met: int, n: int, z: float) -> float:
    """Lower end of Wilson's interval for a share.

    Examples
    --------
    >>> round(_lower(50, 100, 1.96), 3)
    0.404
    """
    share = met / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1.0 - share) / n + z * z / (4 * n * n))
    return (centre - half) / (1.0 + z * z / n)
