"""The next version of an adaptive form, with probabilities of exposure computed for those who take it.

A table routes learners, so it lives where everything else that routes them
does: in a version of the form, which is reviewed, activated and named by a
hash. It is computed here and written beside the form; nothing changes for
learners until a person activates it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from assess import __version__
from assess.errors import InvalidContent
from assess.items import Form
from assess.progress import Progress, silent
from assess.publishing.banks import ItemBank, release_document
from assess.session import Release, require_feasible
from assess.simulation.exposure import ExposureTable, exposure_table


@dataclass(frozen=True, slots=True)
class Takers:
    """Who takes a form: a normal population on its scale.

    Parameters
    ----------
    mean, sd : float
    source : str
        Where that is known from, in words; it goes into the form.
    """

    mean: float
    sd: float
    source: str = "stated"


def renewed(
    bank: ItemBank,
    form: Form,
    takers: Takers,
    *,
    computed: date,
    seed: int,
    target: float | None = None,
    n_learners: int = 5_000,
    progress: Progress = silent,
) -> tuple[Form, ExposureTable]:
    """The next version of a form under a table that keeps its target; nothing is written.

    The probabilities of the form as it stands are where the search starts from.

    Parameters
    ----------
    computed : date
        The day, which goes into the form.
    target : float, optional
        The largest share of sessions that may meet a unit; that of the form unless given.
    n_learners : int
        Simulated in each round.

    Raises
    ------
    InvalidContent
        The form is not the newest version, states no target while none is given, or no table was found
        that keeps it.
    InvalidParameters
        The form is not adaptive, or no table of its units could keep the target.
    """
    newest = bank.latest_forms()[form.id]
    if newest.version != form.version:
        raise InvalidContent(f"{form.reference} is not the newest version; renew {newest.reference}")
    stated = None if form.adaptive is None else form.adaptive.exposure
    if target is None and stated is None and form.adaptive is not None:
        raise InvalidContent(f"{form.reference} states no target of exposure; say one")
    wanted = target if target is not None else 0.0 if stated is None else stated.target
    release = Release.from_document(release_document(bank, form.reference))
    theta = np.random.default_rng([seed, 0]).normal(takers.mean, takers.sd, n_learners)
    table = exposure_table(release, wanted, theta, seed, progress=progress)
    if not table.converged:
        raise InvalidContent(
            f"{form.reference}: after {table.rounds} rounds some unit is still met by "
            f"{table.exposure.max():.3f} of the sessions, the target is {wanted:g}; add units, or allow more"
        )
    made = {
        **table.rule.made,
        "population": {"mean": takers.mean, "sd": takers.sd, "source": takers.source},
        "after": form.reference,
        "engine": __version__,
        "computed": computed.isoformat(),
    }
    table = replace(table, rule=replace(table.rule, made=made))
    following = table.form(form)
    together = replace(bank, forms={**bank.forms, following.reference: following})
    require_feasible(Release.from_document(release_document(together, following.reference)))
    return following, table
