# %% [markdown]
# # Setting a cut
#
# Which score does a teacher need? Numbers cannot say; a panel can. This notebook goes through the four
# methods that ask what the just-proficient teacher can do, on a form whose items are known, with panels
# whose standard is known: each method must find that standard again. Then it shows what a cut would do, why
# a wanted pass rate is advice and never a cut, and how a study is kept, adopted, and found out when it is
# edited. All data are made here.

# %%
import io
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from assess import irt
from assess.errors import InvalidContent, PublishRefused
from assess.irt import ParameterSet, expected_score
from assess.scale import Scale
from assess.standard_setting import (
    Panelist,
    Study,
    adopt,
    adopted_cut,
    angoff,
    beuk,
    bookmark,
    borderline_group,
    contrasting_groups,
    hofstee,
    impact,
    judgements_from_frame,
    ordered_booklet,
    with_result,
)

rng = np.random.default_rng(20261128)
standard = 0.3  # where the just-proficient teacher stands; every panel below knows it and nothing else

# %% [markdown]
# ## 1. A form
#
# Twenty items are right or wrong, four give up to two points.

# %%
n_items = 24
items = irt.ItemParameters(
    [f"item-{j + 1:02d}" for j in range(n_items)],
    ["2PL"] * 20 + ["GPCM"] * 4,
    np.exp(rng.normal(0.0, 0.25, n_items)),
    np.column_stack([rng.normal(-0.2, 0.9, n_items), np.where(np.arange(n_items) < 20, np.nan, 0.7)]),
)
judges = [f"judge-{n + 1}" for n in range(8)]

# %% [markdown]
# ## 2. Modified Angoff
#
# Every judge says which score to expect of the just-proficient teacher on every item: in the first round
# alone, in the second after a discussion. Judges differ in how strict they are and in how they read an
# item.


# %%
def ratings(apart: float) -> pd.DataFrame:
    """What eight judges expect: around the truth, `apart` in units of theta, and on average right."""
    strictness = rng.normal(0.0, apart, (8, 1))
    reading = rng.normal(0.0, apart, (8, n_items))
    theta = standard + strictness - strictness.mean() + reading - reading.mean(axis=0)
    rows = [[float(expected_score(items, at)[0, j]) for j, at in enumerate(row)] for row in theta]
    return pd.DataFrame(rows, index=judges, columns=list(items.item_ids))


first, second = ratings(0.5), ratings(0.2)
rounds = angoff([first, second], items)
rounds.to_frame().round(3)

# %% [markdown]
# The standard errors are named by what could have been otherwise: other judges, or other judges and other
# items.

# %%
pd.DataFrame(
    [(e.design, e.theta, e.raw) for e in rounds.estimate.errors], columns=["design", "theta", "raw"]
).round(3)

# %% [markdown]
# Judges who rate exactly what the just-proficient teacher can be expected to earn must lead back to where
# that teacher stands.

# %%
exact = pd.DataFrame(
    np.repeat(expected_score(items, standard), 8, axis=0), index=judges, columns=list(items.item_ids)
)
cut_angoff = angoff([exact], items).estimate

# %% [markdown]
# ## 3. Bookmark
#
# The items stand in a booklet from easy to hard. A judge lays the bookmark at the first one that the just-
# proficient teacher would not master; what "master" means is the response probability (RP67 here). The cut
# lies between two pages, so a long booklet is a fine ruler.

# %%
n_long = 400
long_form = irt.ItemParameters(
    [f"page-{j:03d}" for j in range(n_long)],
    ["2PL"] * n_long,
    np.exp(rng.normal(0.0, 0.25, n_long)),
    rng.normal(-0.5, 1.2, n_long)[:, None],
)
booklet = ordered_booklet(long_form, response_probability=0.67)
page = 1 + int((booklet["location"] < standard).sum())
cut_bookmark = bookmark(dict.fromkeys(judges, page), long_form, response_probability=0.67)

# %% [markdown]
# ## 4. Contrasting groups and borderline group
#
# Here judges look at teachers whom they know, not at items. Some are proficient and some are not; or some
# are just at the border.

# %%
theta = rng.normal(size=200_000)
proficient = rng.random(len(theta)) < 1.0 / (1.0 + np.exp(-4.0 * (theta - standard)))
cut_groups = contrasting_groups(theta, proficient)
cut_border = borderline_group(theta[np.abs(theta - standard) < 0.05])
found = {
    "modified Angoff": cut_angoff.theta,
    "bookmark": cut_bookmark.theta,
    "contrasting groups": cut_groups.theta,
    "borderline group": cut_border.theta,
}
pd.Series(found, name="cut").round(3).to_frame()

# %% [markdown]
# ## 5. What a cut would do
#
# Beside each candidate: how many would pass, how often that is right, and the same one standard error lower
# and higher.

# %%
effect = impact(
    {"first round": rounds.rounds[0], "second round": rounds.rounds[1]}, items, n_simulees=4_000, rng=rng
)
effect[["theta", "passed", "undetermined", "accuracy", "false_pass", "false_fail"]].round(3)

# %% [markdown]
# ## 6. How many may fail is advice
#
# Hofstee and Beuk look for a compromise with a wanted pass rate. What a teacher must be able to do cannot
# depend on who else took the test: an advice has no theta, and no study can adopt it.

# %%
scores = irt.simulate(items, rng.normal(size=2_000), rng).sum(axis=1)
limits = pd.DataFrame(
    {"lowest_cut": 12.0, "highest_cut": 20.0, "lowest_fail_rate": 0.2, "highest_fail_rate": 0.7}, index=judges
)
wanted = pd.DataFrame(
    {"cut": rng.normal(15.0, 1.5, 8), "pass_rate": rng.normal(0.6, 0.1, 8).clip(0.0, 1.0)}, index=judges
)
advice = [hofstee(limits, scores), beuk(wanted, scores)]
[one.summary() for one in advice]

# %% [markdown]
# ## 7. A study
#
# The panel's table comes as a CSV file. The study keeps who judged what, the definition they agreed on, and
# the result; whoever adopts it signs its hash. A made-up study says so and cannot be adopted, and one that
# was edited after its adoption cannot even be read.

# %%
csv = io.StringIO()
pd.concat(
    [
        table.rename_axis("judge").reset_index().melt("judge", var_name="about").assign(round=number)
        for number, table in ((1, first), (2, second))
    ]
)[["round", "judge", "about", "value"]].to_csv(csv, index=False)
csv.seek(0)
parameter_set = ParameterSet("demo.v1", "demo", Scale("demo/1", "teachers of 2026"), items, "calibrated")
study = Study(
    id="demo-ka-panel",
    version=1,
    course="demo",
    level="KA",
    method="modified Angoff",
    definition="Plans and teaches a lesson in which a common tool serves the aim, and can say why.",
    panel=tuple(Panelist(judge, "teaches, and was trained for the panel") for judge in judges),
    judgements=judgements_from_frame(pd.read_csv(csv)),
)
board = adopt(
    with_result(study, parameter_set), by="examinations board", at=datetime(2026, 11, 28, tzinfo=UTC)
)
cut = adopted_cut(board, parameter_set, id="demo-ka.v1")
board.summary()


# %%
def refused(attempt) -> str:
    """What is said to somebody who should not."""
    try:
        attempt()
    except (PublishRefused, InvalidContent) as fault:
        return str(fault)
    return ""


made_up = refused(
    lambda: adopt(
        with_result(replace(study, synthetic=True), parameter_set),
        by="anyone",
        at=datetime(2026, 11, 28, tzinfo=UTC),
    )
)
edited = refused(lambda: replace(board, definition="Something easier."))
[made_up, edited]

# %% [markdown]
# ## What this showed

# %%
assert all(abs(at - standard) < 0.01 for at in found.values()), found
assert abs(cut.theta - standard) < 3 * cut.se + 0.02
assert rounds.spread[1] < rounds.spread[0], "the discussion brought the judges together"
assert effect.loc["second round"]["passed"].is_monotonic_decreasing, "a higher cut passes fewer"
assert (cut.status, cut.panel, cut.scale_id) == ("adopted", "demo-ka-panel.v1", "demo/1")
assert not any(hasattr(one, "theta") for one in advice), "a quota is never a cut"
assert "synthetic: true" in made_up
assert "edited after its adoption" in edited
