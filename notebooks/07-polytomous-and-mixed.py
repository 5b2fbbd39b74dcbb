# %% [markdown]
# # Points between wrong and right
#
# Tasks that earn part of the points, Likert scales, case sets scored as one unit: items with more than two
# categories, alone and mixed with right-or-wrong items. Which model, do the steps do their work, how much do
# such items tell, and how does a new one come onto the scale? The last cell asserts what the text claims.

# %%
import numpy as np
import pandas as pd

from assess import classical, irt
from assess.reports import figures

# %matplotlib inline

rng = np.random.default_rng(20261130)

# %% [markdown]
# ## 1. A mixed test
#
# Fourteen right-or-wrong items and six tasks of up to three points. `task-4` has a middle step that nobody
# needs: its second point comes almost by itself with the third.

# %%
choice, tasks = [f"item-{j + 1:02d}" for j in range(14)], [f"task-{j + 1}" for j in range(6)]
names = [*choice, *tasks]
steps = np.full((20, 3), np.nan)
steps[:14, 0] = np.linspace(-1.6, 1.6, 14)
steps[14:] = np.linspace(-0.8, 0.8, 6)[:, None] + np.array([-1.0, 0.0, 1.0])
steps[17] = [-0.6, 1.5, -0.4]
slopes = np.exp(rng.normal(np.where(np.arange(20) < 14, 0.2, -0.1), 0.35))
truth = irt.ItemParameters(names, ["2PL"] * 14 + ["GPCM"] * 6, slopes, steps)
theta = rng.standard_normal(2000)
data = pd.DataFrame(irt.simulate(truth, theta, rng), columns=names)
data.iloc[:4, [0, 1, -2, -1]]

# %%
first = classical.item_analysis(data)
first.items[["p", "item_rest", "biserial_rest"]].round(2).tail(8)

# %% [markdown]
# ## 2. Which model
#
# Partial credit with free slopes (GPCM) and the graded model (GRM) tell different stories: steps between
# neighbours, or chances of reaching a category or more. The information criteria compare them on these
# responses.

# %%
mixed = {item: "2PL" if item in choice else "GPCM" for item in names}
gpcm = irt.calibrate(data, mixed)
grm = irt.calibrate(data, {item: "2PL" if item in choice else "GRM" for item in names})
pcm = irt.calibrate(data, {item: "Rasch" if item in choice else "PCM" for item in names})
pd.DataFrame(
    {name: [one.aic, one.bic] for name, one in (("GPCM", gpcm), ("GRM", grm), ("PCM", pcm))},
    index=["AIC", "BIC"],
).round(0)

# %%
gpcm.to_frame().loc[tasks, ["a", "b1", "b2", "b3", "se_b1", "se_b2", "se_b3"]].round(2)

# %% [markdown]
# Disordered steps are no error of estimation: category 2 of `task-4` is nowhere the most probable one.
# Joining it with its neighbour loses next to nothing.

# %%
figures.item_curves(gpcm, ["task-2", "task-4"], data)

# %%
probability = irt.category_probabilities(gpcm.parameters.take(["task-4"]), np.linspace(-4, 4, 161))[:, 0]
modal = set(probability.argmax(axis=1))
print("categories of task-4 that are somewhere the most probable:", sorted(int(k) for k in modal))

# %% [markdown]
# ## 3. Fit
#
# S-X2 takes items of any number of categories; C2 looks at the model as a whole.

# %%
fit = irt.item_fit(gpcm, data)
whole = irt.model_fit(gpcm, data, statistic="C2")
print(whole)
fit.loc[tasks].round(3)

# %% [markdown]
# ## 4. What a point is worth
#
# A task of three points tells about as much as two or three right-or-wrong items, and over a wider range.

# %%
grid = np.linspace(-3, 3, 121)
information = irt.information(gpcm.parameters, grid)
mean_choice, mean_task = information[:, :14].mean(axis=1), information[:, 14:].mean(axis=1)
ratio = float((mean_task.sum()) / mean_choice.sum())
print(f"a task tells {ratio:.1f} times as much as an item")
figures.information_curve(gpcm)

# %% [markdown]
# ## 5. A new task comes onto the scale
#
# It is shown without counting, to 1,000 of the teachers, and calibrated with everything else held fixed. The
# review says whether it may count: enough responses in every category, small errors, fit, no drift, no clue
# to other items.

# %%
new = irt.ItemParameters(["task-new"], "GPCM", [1.0], [[-0.7, 0.1, 0.9]])
tried = data.iloc[:1000].copy()
tried["task-new"] = irt.simulate(new, theta[:1000], rng)[:, 0]
review = irt.review_pilot(tried, gpcm, pilot=["task-new"], model="GPCM")
print(review.summary())

# %% [markdown]
# ## What was claimed

# %%
assert all(one.converged for one in (gpcm, grm, pcm))
# The model that made the data is preferred.
assert min((gpcm, grm, pcm), key=lambda one: one.bic) is gpcm
# The steps of 18 are found within their errors; about one in twenty intervals misses.
estimates = gpcm.to_frame().loc[tasks]
off = (estimates[["b1", "b2", "b3"]].to_numpy() - steps[14:]) / estimates[
    ["se_b1", "se_b2", "se_b3"]
].to_numpy()
assert (np.abs(off) < 1.96).mean() >= 0.8
assert np.abs(off).max() < 4.0
# The middle category of task-4 is never the most probable.
assert 2 not in modal or 1 not in modal
assert estimates.loc["task-4", "b2"] > estimates.loc["task-4", "b3"]
# The model fits.
assert whole.rmsea < 0.02
assert (fit["p"] < 0.01).sum() <= 1
# A task tells more than an item.
assert 1.3 < ratio < 4.0
# The new task may count, with the parameters it was made with.
row = review.table.loc["task-new"]
assert row["status"] == "passes"
assert abs(row["b"] - 0.1) < 3 * row["se_b"]
assert row["least_category"] >= 15
