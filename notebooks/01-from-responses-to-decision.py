# %% [markdown]
# # From responses to a decision
#
# A course assessment of 24 items was taken by 1,500 teachers. This notebook goes the whole way: it
# calibrates the items, carries the panel's judgement to a cut, scores new teachers, decides, says how often
# such decisions are right, and ends at the eligibility for a badge. The data are simulated here, so every
# claim can be checked against the truth; the last cell does that.

# %%
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from assess import irt
from assess.scale import CutScore
from assess.standard_setting import cut_from_ratings
from assess.standards import decisions, eligibility

rng = np.random.default_rng(20261122)

# %% [markdown]
# ## 1. Responses
#
# 21 items are right or wrong; three give up to two points. Persons stand on rows, items on columns, and a
# missing response is an empty cell.

# %%
n_items = 24
true_items = irt.ItemParameters(
    [f"item-{j + 1:02d}" for j in range(n_items)],
    ["2PL"] * 21 + ["GPCM"] * 3,
    np.exp(rng.normal(np.log(0.95), 0.25, n_items)),
    np.column_stack(
        [rng.normal(-0.2, 0.9, n_items), np.where(np.arange(n_items) < 21, np.nan, rng.normal(0.6, 0.3))]
    ),
)
true_theta = rng.standard_normal(1500)
responses = pd.DataFrame(irt.simulate(true_items, true_theta, rng), columns=list(true_items.item_ids)).astype(
    float
)
responses = responses.mask(rng.random(responses.shape) < 0.02)
responses.iloc[:4, :8]

# %% [markdown]
# ## 2. Calibration
#
# Marginal maximum likelihood. The sample is the reference group: mean 0 and standard deviation 1 by
# definition. A calibration says whether it converged, and `publish` refuses one that did not.

# %%
models = dict(zip(true_items.item_ids, true_items.models, strict=True))
calibration = irt.calibrate(responses, models)
calibration

# %%
table = calibration.to_frame()
table.round(3).tail(6)

# %% [markdown]
# Estimates against the true values, with the standard errors that the calibration states.

# %%
truth = true_items.to_frame()
dichotomous = table.index[table["model"] == "2PL"]
z = (table.loc[dichotomous, "b"] - truth.loc[dichotomous, "b"]) / table.loc[dichotomous, "se_b"]
print(f"b: largest deviation {z.abs().max():.1f} standard errors, share within 2: {(z.abs() < 2).mean():.2f}")

# %% [markdown]
# ## 3. The cut
#
# Eight judges said, item by item, which score they expect of the just-proficient teacher. The cut is the
# theta at which the expected score is what they expect; their disagreement gives its standard error.

# %%
at_the_standard = pd.Series(
    {item: float(irt.expected_score(true_items.take([item]), 0.25)[0, 0]) for item in true_items.item_ids}
)
panel = pd.DataFrame(
    [
        (at_the_standard + rng.normal(0.0, 0.06) + rng.normal(0.0, 0.08, n_items)).clip(0.02, 1.98)
        for _ in range(8)
    ],
    index=[f"judge-{i + 1}" for i in range(8)],
)
panel[list(dichotomous)] = panel[list(dichotomous)].clip(upper=0.98)
estimate = cut_from_ratings(panel, calibration.parameters)
cut = CutScore(
    "demo-ka.v1", "KA", estimate.theta, estimate.se, "demo/1", "modified Angoff", "panel-2026", "adopted"
)
print(estimate.summary())

# %%
grid = np.linspace(-3, 3, 121)
expected = irt.test_characteristic(calibration.parameters, grid)
figure, axes = plt.subplots(figsize=(6, 3.2))
axes.plot(grid, expected, color="black")
axes.axvline(cut.theta, color="tab:red", linestyle="--")
axes.axhline(estimate.raw, color="tab:red", linestyle=":")
axes.set(xlabel="theta", ylabel="expected raw score", title="The judged sum, carried to theta")
figure.tight_layout()

# %% [markdown]
# ## 4. Scores and decisions
#
# 400 new teachers. Each gets an estimate with its uncertainty (EAP, the posterior mean, under one prior for
# all), and a decision: passed when the probability of being at or above the cut is at least 0.75, not
# passed at 0.25 or less, and undetermined between the two: a statement about the evidence, not about the
# teacher.

# %%
prior = irt.Prior(cut.theta, 1.0)
new_theta = rng.standard_normal(400)
new_responses = irt.simulate(true_items, new_theta, rng)
rows = []
for answered in new_responses.tolist():
    score = irt.score_one(
        dict(zip(true_items.item_ids, answered, strict=True)),
        calibration.parameters,
        method="EAP",
        prior=prior,
    )
    # A score says on which scale it lives; only equal scales are compared.
    score = replace(score, scale_id="demo/1", parameter_set="demo.v1")
    decision = decisions.decide(score, cut)
    rows.append(
        {"theta": score.theta, "se": score.se, "p": decision.p_at_or_above_cut, "status": decision.status}
    )
decided = pd.DataFrame(rows)
decided["master"] = new_theta >= cut.theta
decided.groupby("status").agg(
    teachers=("p", "size"), share_of_masters=("master", "mean"), mean_p=("p", "mean")
).round(2)

# %%
decision.summary()

# %% [markdown]
# The stated probability means what it says: among teachers with a stated probability near *p*, a share near
# *p* is truly at or above the cut.

# %%
bands = pd.cut(decided["p"], [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0], include_lowest=True)
decided.groupby(bands, observed=True).agg(
    stated=("p", "mean"), true=("master", "mean"), n=("p", "size")
).round(2)

# %% [markdown]
# ## 5. How good are such decisions?
#
# Before anyone is tested again: the probability that a decision by the raw score is right (Lee's method),
# over the reference group, and what the decisions above did.

# %%
nodes = np.linspace(-4, 4, 81)
weights = np.exp(-0.5 * nodes**2)
raw_cut = float(np.ceil(estimate.raw))
accuracy = irt.lee(calibration.parameters, [raw_cut], nodes, weights / weights.sum())
certain = decided[decided["status"] != "undetermined"]
right = ((certain["status"] == "passed") == certain["master"]).mean()
print(
    f"by raw score: accuracy {accuracy.accuracy:.2f}, consistency {accuracy.consistency:.2f}, "
    f"kappa {accuracy.kappa:.2f}"
)
print(f"by the probability rule: {len(certain) / len(decided):.2f} decided, of these {right:.2f} rightly")

# %% [markdown]
# ## 6. From decisions to a badge
#
# A badge rule speaks of courses, never of scores. The evaluator answers with reasons, and with what is
# missing.

# %%
rules = eligibility.load_rules(
    {
        "courses": [{"id": "demo", "assessed": "here"}, {"id": "other", "assessed": "external"}],
        "badges": [
            {"id": "DEMO", "rule": {"all_of": [{"pass": {"course": "demo"}}, {"pass": {"course": "other"}}]}}
        ],
    }
)
passed = decided.index[decided["status"] == "passed"][0]
facts = [
    {"t": "decision", "s": f"teacher-{passed}", "at": "2026-11-20", "course": "demo", "outcome": "passed"},
    {
        "t": "decision",
        "s": f"teacher-{passed}",
        "at": "2026-11-21",
        "course": "other",
        "outcome": "undetermined",
    },
]
before = eligibility.evaluate(rules, facts, badge="DEMO", subject=f"teacher-{passed}", as_of="2026-11-22")
facts.append(
    {"t": "decision", "s": f"teacher-{passed}", "at": "2026-11-22", "course": "other", "outcome": "passed"}
)
after = eligibility.evaluate(rules, facts, badge="DEMO", subject=f"teacher-{passed}", as_of="2026-11-22")
print(before.status, "->", after.status)

# %% [markdown]
# ## What was claimed

# %%
assert calibration.converged
# Of 21 estimates about one lies beyond two standard errors; none should lie beyond four.
assert z.abs().max() < 4.0
assert (z.abs() < 2).mean() >= 0.8
# The judges aimed at 0.25; their mean and the calibration each leave about 0.1.
assert abs(cut.theta - 0.25) < 0.35
assert estimate.se < 0.25
# Stated and true probability agree within the error of 400 Bernoulli trials.
assert abs(decided["p"].mean() - decided["master"].mean()) < 3 * 0.5 / np.sqrt(400)
assert decided.loc[decided["status"] == "passed", "master"].mean() > 0.8
assert decided.loc[decided["status"] == "not_passed", "master"].mean() < 0.2
# Not deciding the close cases is what makes the others surer than every raw score is.
assert right > accuracy.accuracy
assert (before.status, after.status) == ("undetermined", "eligible")
