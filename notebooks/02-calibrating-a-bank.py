# %% [markdown]
# # Calibrating a bank
#
# A bank of 32 items, most of them right or wrong, some giving up to two or three points, was answered by
# 2,000 teachers. Which model does it need? How sure are the parameters, which items do not behave, where
# does the test measure well? The data are simulated here, and two faults are planted among them: an item
# with a wrong key, and a hard item that three in ten get right by guessing. The last cell asserts what the
# text claims.

# %%
import numpy as np
import pandas as pd

from assess import classical, irt
from assess.reports import figures

# %matplotlib inline

rng = np.random.default_rng(20261123)

# %% [markdown]
# ## 1. The responses
#
# Persons on rows, items on columns, categories from 0; an empty cell is a missing response. `task-` items
# give part of the points for part of the work.

# %%
n_choice, n_task, n_persons = 26, 6, 2000
names = [f"item-{j + 1:02d}" for j in range(n_choice)] + [f"task-{j + 1}" for j in range(n_task)]
n_items = len(names)
steps = np.full((n_items, 3), np.nan)
steps[:, 0] = rng.normal(-0.1, 0.9, n_items)
steps[n_choice:, 0] = rng.normal(-0.8, 0.4, n_task)
steps[n_choice:, 1] = steps[n_choice:, 0] + rng.uniform(0.6, 1.2, n_task)
steps[-2:, 2] = steps[-2:, 1] + rng.uniform(0.6, 1.2, 2)
slope = np.exp(rng.normal(np.log(1.0), 0.3, n_items))
guessed, miskeyed = "item-07", "item-19"
steps[names.index(guessed), 0], slope[names.index(guessed)] = 0.9, 2.0
truth = irt.ItemParameters(
    names,
    ["2PL"] * n_choice + ["GPCM"] * n_task,
    slope,
    steps,
)
true_theta = rng.standard_normal(n_persons)
responses = pd.DataFrame(irt.simulate(truth, true_theta, rng), columns=names).astype(int)

lucky = rng.random(n_persons) < 0.3
responses[guessed] = np.where(lucky, 1, responses[guessed])
responses[miskeyed] = np.where(rng.random(n_persons) < 0.8, 1 - responses[miskeyed], responses[miskeyed])
responses.iloc[:4, [0, 1, 2, -2, -1]]

# %% [markdown]
# ## 2. Before any model
#
# Classical statistics find what no model can mend. A wrong key shows as a negative correlation with the rest.

# %%
first_look = classical.item_analysis(responses)
print(first_look)
for sentence in first_look.flags["sentence"]:
    print("-", sentence)

# %% [markdown]
# Somebody looks at the item, finds another key right, and takes it out until it has been mended. An item that
# measures the opposite would bend the scale for all others.

# %%
responses = responses.drop(columns=miskeyed)
names = list(responses.columns)

# %% [markdown]
# ## 3. Rasch, or slopes of their own?
#
# Rasch and the partial credit model give every item the same slope; the 2PL and its generalisation let each
# have its own. The smaller model is a special case of the larger one, so the likelihood ratio tests whether
# the slopes are needed. The criteria, AIC and BIC, set the gain against the number of parameters.

# %%
is_task = {item: item.startswith("task") for item in names}
rasch = irt.calibrate(responses, {item: "PCM" if is_task[item] else "Rasch" for item in names})
slopes = irt.calibrate(responses, {item: "GPCM" if is_task[item] else "2PL" for item in names})
comparison = irt.compare(rasch, slopes)
print(comparison)
comparison.to_frame().round(1)

# %% [markdown]
# ## 4. Estimates and standard errors
#
# The table has one row per item; `se_` columns come from the observed information. A standard error says how
# far the estimate would scatter over samples like this one; it says nothing about whether the model is right.

# %%
table = slopes.to_frame()
table[["model", "a", "se_a", "b", "se_b", "b1", "se_b1", "b2", "se_b2"]].round(2).iloc[[0, 1, 2, -2, -1]]

# %% [markdown]
# What makes a difficulty uncertain: few persons where the item sits, and a weak slope.

# %%
choice = table[table["model"] == "2PL"]
far = choice["b"].abs() > 1.0
se_far, se_near = choice.loc[far, "se_b"].mean(), choice.loc[~far, "se_b"].mean()
print(f"mean standard error of b: {se_far:.3f} where |b| > 1, {se_near:.3f} elsewhere")

# The sample defines the scale, and the planted guessing belongs to no 2PL: so compare the sound items only.
sound = [item for item in choice.index if item != guessed]
true_b = truth.to_frame().loc[sound, "b"]
z = (choice.loc[sound, "b"] - true_b) / choice.loc[sound, "se_b"]
within = float((z.abs() < 1.96).mean())
print(f"true b within the 95 % interval: {within:.0%} of {len(sound)} items")

# %% [markdown]
# ## 5. Fit, item by item
#
# S-X2 compares, among persons of one summed score, what was seen with what the model expects. Over 31 items
# one or two p-values below 0.05 are to be expected, so we ask for p < 0.01 after Holm's correction, and look
# at the size of the misfit (RMSEA) as well.

# %%
fit = irt.item_fit(slopes, responses)
behind = figures.fit_plot_data(fit, level=0.01).set_index("item")
flagged = behind[behind["flagged"]]
print("flagged under 2PL and GPCM:", ", ".join(flagged.index) or "none")
behind.head(4).round(4)

# %%
figures.fit_plot(fit, level=0.01)

# %%
rasch_fit = irt.item_fit(rasch, responses)
share = {"Rasch and PCM": (rasch_fit["p"] < 0.05).mean(), "2PL and GPCM": (fit["p"] < 0.05).mean()}
print("share of items with p < 0.05:", ", ".join(f"{model} {value:.0%}" for model, value in share.items()))

# %% [markdown]
# Pictures say how an item fails. Points are the shares seen in groups of theta, bars their 95 % intervals.
# On the left the guessed item lies above its curve: weak teachers are right more often than a curve
# without a floor allows.

# %%
figures.item_curves(slopes, [guessed, "item-01", "task-1", "task-6"], responses)

# %%
seen = figures.observed_categories_data(slopes, responses, guessed)
weak = seen[(seen["category"] == 1) & (seen["theta"] < -1.2)]
excess = float(np.average(weak["observed"] - weak["expected"], weights=weak["n"]))
print(f"{guessed}: weak teachers are right {excess:+.2f} more often than expected")

# %% [markdown]
# A floor for this one item, with a named prior on it (a fifth to a third is what guessing among four options
# gives), mends the fit. One item's model changes; the others keep theirs.

# %%
mended = irt.calibrate(
    responses,
    {item: "3PL" if item == guessed else slopes.parameters.models[j] for j, item in enumerate(names)},
    priors={"c": irt.Beta(5, 17)},
)
mended_fit = irt.item_fit(mended, responses).loc[guessed]
floor = mended.to_frame().loc[guessed]
print(f"c = {floor['c']:.2f} (SE {floor['se_c']:.2f}); S-X2 p = {mended_fit['p']:.2f}")

# %%
figures.item_curves(mended, guessed, responses)

# %% [markdown]
# ## 6. Where the test measures

# %%
figures.information_curve(mended, cut=0.25)

# %%
scores = irt.score(responses, mended)
figures.wright_map(mended, scores["theta"])

# %% [markdown]
# ## 7. How reliable the scores are
#
# One number for a population; which one it is has to be said. Alpha knows no model, and the EAP reliability
# uses the pattern of each teacher.

# %%
eap = irt.reliability(mended, responses)
marginal = irt.reliability(mended, method="marginal")
alpha = classical.item_analysis(responses).reliability.alpha
squared = float(np.corrcoef(scores["theta"], true_theta)[0, 1] ** 2)
print(eap, marginal, f"alpha {alpha:.3f}", f"squared correlation with the truth {squared:.3f}", sep="\n")

# %% [markdown]
# ## 8. A small sample asks for a smaller model
#
# The same bank after 200 teachers: the standard errors of the slopes are about three times as large, and the
# calibration says what such a sample bears.

# %%
few = responses.iloc[:200]
early = irt.calibrate(few, {item: "GPCM" if is_task[item] else "2PL" for item in names})
print(*early.notes, sep="\n")
ratio = float((early.to_frame()["se_a"] / table["se_a"]).median())
print(f"standard errors of the slopes are {ratio:.1f} times as large; the root of the ratio is {10**0.5:.1f}")

# %% [markdown]
# ## What was claimed

# %%
assert all(one.converged for one in (rasch, slopes, mended))
# The wrong key is found before any model; nothing else has a negative correlation.
negative = first_look.items.index[first_look.items["item_rest"] < 0]
assert list(negative) == [miskeyed]
assert miskeyed in set(first_look.flags["item"])
# Slopes differ, and every way of asking says so.
assert comparison.p < 1e-6
assert slopes.aic < rasch.aic
assert slopes.bic < rasch.bic
assert share["Rasch and PCM"] > share["2PL and GPCM"]
# Standard errors mean what they say: of 24 intervals about one misses.
assert within >= 0.85
assert z.abs().max() < 4.0
assert se_far > se_near
# The guessed item is flagged, alone; it lies above its curve on the left; a floor mends it.
assert list(flagged.index) == [guessed]
assert excess > 0.02
assert mended_fit["p"] > 0.01
assert abs(floor["c"] - 0.3) < 3 * floor["se_c"]
# Reliability is the squared correlation with the truth, estimated without knowing it.
assert abs(eap.value - squared) < 0.03
assert abs(eap.value - marginal.value) < 0.03
# A tenth of the sample: about the square root of ten.
assert 2.2 < ratio < 4.5
