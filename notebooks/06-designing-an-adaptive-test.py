# %% [markdown]
# # Designing an adaptive test
#
# A bank of 120 calibrated items, a cut, and a question: which form decides well with few items, and how often
# will it be wrong? Everything is known before a learner sits: learners of known theta are simulated through
# the rules that production uses. The last cell asserts what the text claims.

# %%
import numpy as np
import pandas as pd

from assess import irt
from assess.irt.adaptive import AdaptiveTest, Constraint, StopRule
from assess.irt.assembly import Assembly
from assess.irt.composition import Composition
from assess.irt.decision_accuracy import accuracy_of_outcomes, rule_outcomes
from assess.irt.extension import ExtendedTest, ExtensionRule
from assess.irt.traces import simulate_adaptive
from assess.reports import design_figures as draw

# %matplotlib inline

rng = np.random.default_rng(20261128)
n_items, cut = 120, 0.2
bank = irt.ItemParameters(
    [f"item-{j + 1:03d}" for j in range(n_items)],
    "2PL",
    rng.lognormal(0.1, 0.25, n_items),
    rng.normal(0.0, 1.0, (n_items, 1)),
)
area = np.arange(n_items) % 3
content = [Constraint(f"area {k}", (area == k).astype(float), 3, 10) for k in range(3)]
people = rng.normal(0.0, 1.0, 2000)

# %% [markdown]
# ## 1. Two parallel fixed forms, assembled
#
# The best forms of 24 items that share none, with 8 of every area and never two enemies together. "Best" is
# the least information at the cut, made as large as it can be. Ask for too much, and the conflict is named.

# %%
eight_each = [Constraint(f"area {k}", (area == k).astype(float), 8, 8) for k in range(3)]
enemies = [(0, 3), (10, 20)]
question = Assembly(
    bank, Composition(bank.item_ids, eight_each, enemies), 2, 24, 24, points=[cut], population=irt.Prior()
)
forms = question.solve()
too_much = Assembly(bank, Composition(bank.item_ids, eight_each, enemies), 6, 24, 24, points=[cut])
print(too_much.conflict())
forms.to_frame()

# %% [markdown]
# ## 2. The fixed form and the adaptive one, on the same learners
#
# Both decide by the posterior: passed from 0.8, not passed up to 0.2, else undetermined. The adaptive one
# ends as soon as that is clear, with 8 items at least and 24 at most, and keeps the same areas.

# %%
p_pass, p_fail = 0.8, 0.2
prior = irt.Prior(cut, 1.0)
fixed = bank.take([bank.item_ids[unit] for unit in forms.forms[0]])
by_form = rule_outcomes(
    irt.simulate(fixed, people, rng), fixed, cut, prior=prior, p_pass=p_pass, p_fail=p_fail
)
test = AdaptiveTest(
    bank,
    prior=prior,
    cut=cut,
    constraints=content,
    enemies=enemies,
    stop=StopRule(8, 24, certainty=(p_pass, p_fail)),
    randomesque=5,
)
run = simulate_adaptive(test, people, rng)
first = (run.p_above >= p_pass).astype(np.int8) - (run.p_above <= p_fail)

# %% [markdown]
# ## 3. Undetermined, and the extension
#
# Who was too close to say may go on with 6 to 10 unseen items, chosen at the cut, and once more if need be.
# Each further look can err too, so that the error rates are those of the whole procedure.

# %%
rule, after = ExtensionRule(6, 10, 2), first.copy()
units, categories, n_units = run.units, run.categories, run.n_units.copy()
for number in (1, 2):
    open_ = np.flatnonzero(after == 0)
    more = ExtendedTest(test, rule, (p_pass, p_fail), number)
    added, given, (_, _, above) = more.simulate(units[open_], categories[open_], people[open_], rng)
    after[open_] = (above >= p_pass).astype(np.int8) - (above <= p_fail)
    n_units[open_] += (added >= 0).sum(axis=1)
    wide = np.full((2, len(people), added.shape[1]), -1)
    wide[0, open_], wide[1, open_] = added, given
    units = np.concatenate([units, wide[0]], axis=1)
    categories = np.concatenate([categories, wide[1].astype(np.int8)], axis=1)

procedures = {
    "fixed, 24 items": (by_form, np.full(len(people), 24)),
    "adaptive, 8 to 24": (first, run.n_units),
    "adaptive, extended": (after, n_units),
}
accuracies = {name: accuracy_of_outcomes(people, out, cut) for name, (out, _) in procedures.items()}
far = np.abs(people - cut) >= 1.0
table = pd.DataFrame(
    {
        name: {
            "right": accuracies[name].accuracy,
            "false pass rate": accuracies[name].false_pass_rate,
            "false fail rate": accuracies[name].false_fail_rate,
            "undetermined": accuracies[name].undetermined,
            "items": length.mean(),
            "items far from the cut": length[far].mean(),
        }
        for name, (_, length) in procedures.items()
    }
).T
table.round(3)

# %% [markdown]
# ## 4. Where it errs
#
# Errors live at the cut. Two units away hardly anybody is decided wrongly, with fewer than half the items.

# %%
grid = cut + np.arange(-2.0, 2.01, 0.5)
rows = []
for theta in grid:
    at = simulate_adaptive(test, np.full(200, theta), rng)
    passed, failed = (at.p_above >= p_pass).mean(), (at.p_above <= p_fail).mean()
    rows.append(
        {
            "passed": passed,
            "not_passed": failed,
            "undetermined": 1.0 - passed - failed,
            "wrong": failed if theta >= cut else passed,
            "items": at.n_units.mean(),
        }
    )
by_theta = pd.DataFrame(rows, index=pd.Index(grid, name="theta"))
draw.errors_figure(by_theta, cut)

# %%
draw.length_figure(by_theta, cut)

# %% [markdown]
# ## 5. Exposure and content
#
# `assess design FORM` prints all of this for a form of a bank, with figures and other designs beside it, and
# a form that states a target goes live only on a study that meets it.

# %%
met = np.zeros((len(people), n_items), dtype=bool)
learners, steps = np.nonzero(run.units >= 0)
met[learners, run.units[learners, steps]] = True
exposure = pd.DataFrame({"share": met.mean(axis=0)}, index=bank.item_ids)
counts = met.sum(axis=0)
n = len(people)
overlap = float((counts * (counts - 1)).sum() / (n * (n - 1)) / run.n_units.mean())
held = np.stack([met[:, area == k].sum(axis=1) for k in range(3)], axis=1)
draw.exposure_figure(exposure, overlap, target=0.5)

# %%
assert not set(forms.forms[0]) & set(forms.forms[1])
assert np.ptp(forms.information) < 0.05 * forms.information.mean()
assert "no unit stands in two forms" in str(too_much.conflict())
assert table.loc["adaptive, 8 to 24", "items far from the cut"] <= 12.0
assert table.loc["adaptive, extended", "undetermined"] < 0.7 * table.loc["adaptive, 8 to 24", "undetermined"]
assert table.loc["adaptive, extended", "right"] > table.loc["adaptive, 8 to 24", "right"]
assert by_theta["wrong"].iloc[[0, -1]].max() <= 0.03
assert by_theta["items"].iloc[[0, -1]].max() <= 12.0
assert ((held >= 3) & (held <= 10)).all()
assert not (met[:, 0] & met[:, 3]).any()
