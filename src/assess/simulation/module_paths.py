"""What simulated learners met of a multistage form: paths and modules, and how often each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from assess.irt.models import information
from assess.session import Release, path_lengths
from assess.simulation.form_runs import PASSED, UNDETERMINED, FormRun

if TYPE_CHECKING:
    import pandas as pd

    from assess.irt.parameters import FloatArray


def path_table(release: Release, run: FormRun, theta: FloatArray) -> pd.DataFrame:
    """Every path: how often it was taken, by whom, and what it tells where it is taken.

    Parameters
    ----------
    release : Release
    run : FormRun
    theta : array (N,)
        Of the learners.

    Returns
    -------
    DataFrame
        Index path (panel and modules); columns share, items, theta (mean of who took it), rmse, passed,
        undetermined, information (at that mean), at_cut (information at the cut). Empty for other forms.

    Examples
    --------
    >>> from assess.simulation.form_runs import run_form
    >>> from tests import synthetic
    >>> staged = synthetic.release(kind="multistage", calibrated=True)
    >>> theta = np.repeat([-2.0, 2.0], 200)
    >>> path_table(staged, run_form(staged, theta, np.random.default_rng(1)), theta).index.tolist()
    ['a: a-1 > a-2-1', 'a: a-1 > a-2-2']
    """
    import pandas as pd

    columns = ["share", "items", "theta", "rmse", "passed", "undetermined", "information", "at_cut"]
    rules = release.form.multistage
    if rules is None:
        return pd.DataFrame(columns=columns, index=pd.Index([], name="path"))
    test, names = release.multistage_test, list(rules.modules)

    def told(units: list[int], at: float) -> float:
        return float(information(release.parameters, np.array([at]))[0][units].sum())

    rows, labels = [], []
    for k, ((panel, path), n_items) in enumerate(zip(test.paths, path_lengths(release), strict=True)):
        took, units = run.path == k, test.units_of(path)
        row = {"share": float(took.mean()), "items": float(n_items), "at_cut": told(units, release.cut.theta)}
        if took.any():
            mean, error = float(theta[took].mean()), run.theta[took] - theta[took]
            row |= {
                "theta": mean,
                "rmse": float(np.sqrt((error**2).mean())),
                "passed": float((run.outcomes[took] == PASSED).mean()),
                "undetermined": float((run.outcomes[took] == UNDETERMINED).mean()),
                "information": told(units, mean),
            }
        rows.append(row)
        labels.append(f"{rules.panels[panel].id}: {' > '.join(names[m] for m in path)}")
    return pd.DataFrame(rows, columns=columns, index=pd.Index(labels, name="path"))


def module_table(release: Release, run: FormRun) -> pd.DataFrame:
    """Every module: its units and items, its information at the cut, and the share of learners who met it.

    Examples
    --------
    >>> from assess.simulation.form_runs import run_form
    >>> from tests import synthetic
    >>> staged = synthetic.release(kind="multistage", calibrated=True)
    >>> module_table(staged, run_form(staged, np.zeros(50), np.random.default_rng(1)))["share"].iloc[0]
    np.float64(1.0)
    """
    import pandas as pd

    columns = ["units", "items", "at_cut", "share"]
    rules = release.form.multistage
    if rules is None:
        return pd.DataFrame(columns=columns, index=pd.Index([], name="module"))
    test = release.multistage_test
    at_cut = information(release.parameters, np.array([release.cut.theta]))[0]
    rows = []
    for m, units in enumerate(test.modules):
        through = [k for k, (_, path) in enumerate(test.paths) if m in path]
        rows.append(
            {
                "units": float(len(units)),
                "items": float(sum(len(release.units[u].items) for u in units)),
                "at_cut": float(at_cut[list(units)].sum()),
                "share": float(np.isin(run.path, through).mean()),
            }
        )
    return pd.DataFrame(rows, columns=columns, index=pd.Index(list(rules.modules), name="module"))
