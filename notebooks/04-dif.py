# %% [markdown]
# # Do items treat equally able groups alike?
#
# Differential item functioning (DIF): among persons of equal proficiency one group answers an item better.
# Two groups of teachers differ in proficiency here by half a standard deviation, which is no DIF; and three
# of 24 items are made to favour one of them. The last cell asserts what each method finds.

# %%
import numpy as np
import pandas as pd

from assess import irt
from assess.reports import figures

# %matplotlib inline

rng = np.random.default_rng(20261129)

# %% [markdown]
# ## 1. Two groups, three planted faults
#
# `i05` and `i12` are harder for the focal group by 0.8 and 0.6; `i19` separates its members hardly at all.

# %%
names = [f"i{j + 1:02d}" for j in range(24)]
n_reference, n_focal = 1200, 800
group = np.repeat(["home", "abroad"], [n_reference, n_focal])
theta = np.concatenate([rng.standard_normal(n_reference), -0.5 + rng.standard_normal(n_focal)])
a, b = np.exp(rng.normal(0.15, 0.2, 24)), np.linspace(-1.8, 1.6, 24)
for_focal_b = b + 0.8 * (np.array(names) == "i05") + 0.6 * (np.array(names) == "i12")
for_focal_a = np.where(np.array(names) == "i19", 0.25, a)
home = irt.ItemParameters(names, "2PL", a, b[:, None])
abroad = irt.ItemParameters(names, "2PL", for_focal_a, for_focal_b[:, None])
data = pd.DataFrame(
    np.vstack([irt.simulate(home, theta[:n_reference], rng), irt.simulate(abroad, theta[n_reference:], rng)]),
    columns=names,
)
means = data.sum(axis=1).groupby(group).mean()
print(f"difference of mean scores: {means['home'] - means['abroad']:.1f}")

# %% [markdown]
# ## 2. Mantel-Haenszel
#
# Persons of one score are compared. Items with DIF spoil the score, so it is purified. Classes A, B and C of
# the Educational Testing Service say whether a difference matters, not only whether it is sure.

# %%
mh = irt.dif(data, group, reference="home", focal="abroad", purify=True)
mh.sort_values("delta")[["alpha", "delta", "se_delta", "chi2", "p_adjusted", "ets"]].head(4).round(3)

# %%
figures.dif_plot(mh)

# %% [markdown]
# ## 3. Logistic regression
#
# It also sees the item that differs in how well it separates: non-uniform DIF.

# %%
logistic = irt.dif(data, group, "logistic", reference="home", focal="abroad", purify=True)
columns = ["p_uniform", "p_nonuniform", "delta_r2", "zumbo_thomas", "jodoin_gierl", "p_adjusted"]
logistic.sort_values("p_adjusted")[columns].head(4).round(4)

# %% [markdown]
# ## 4. Likelihood ratio
#
# Calibrations in which an item's parameters are equal, or free, in both groups. Mean and SD of the focal
# group are estimated, so that impact is no DIF. The items that stayed clean are the anchors.

# %%
suspects = sorted(set(mh.index[mh["p_adjusted"] < 0.05]) | set(logistic.index[logistic["p_adjusted"] < 0.05]))
anchors = [name for name in names if name not in suspects][::2]
ratio = irt.dif_likelihood_ratio(
    data, group, reference="home", focal="abroad", anchors=anchors, items=[*suspects, "i02", "i23"]
)
ratio.round(4)

# %% [markdown]
# ## 5. When not everybody met every item
#
# After adaptive or booklet administration there is no common summed score; persons are matched on theta. Each
# teacher answers a random half here.

# %%
sparse = data.astype(float).mask(rng.random(data.shape) < 0.5)
scores = irt.score(sparse, irt.calibrate(sparse))
matched = irt.dif(
    sparse, group, "logistic", reference="home", focal="abroad", matching=scores["theta"].to_numpy()
)
matched.sort_values("p_adjusted")[["p", "p_adjusted", "jodoin_gierl"]].head(3).round(4)

# %% [markdown]
# ## 6. Two languages of one item
#
# A translated item keeps the parameters of the original only if it treats readers of both alike. As long as
# that is not shown, the two are two items: here `i05` in its translation is freed, and its own difficulty
# estimated.

# %%
apart = data.astype(float)
apart["i05 (translated)"] = apart["i05"].where(group == "abroad")
apart["i05"] = apart["i05"].where(group == "home")
freed = irt.calibrate(apart, groups=group).to_frame()
gap = freed.loc["i05 (translated)", "b"] - freed.loc["i05", "b"]
print(f"the translation is harder by {gap:.2f}")

# %% [markdown]
# ## What was claimed

# %%
planted = {"i05", "i12", "i19"}
# The large differences of difficulty are of class B or C, no clean item is of class C.
assert {"i05", "i12"} <= set(mh.index[mh["ets"].isin(["B", "C"])])
assert set(mh.index[mh["ets"] == "C"]) <= planted
# Only regression (or freeing the slope) tells that the third item separates badly.
assert logistic.loc["i19", "p_nonuniform"] < 1e-4
assert planted <= set(logistic.index[logistic["p_adjusted"] < 0.05])
# Few clean items are suspected: false discoveries are controlled.
assert len(set(logistic.index[logistic["p_adjusted"] < 0.05]) - planted) <= 2
assert (ratio.loc[sorted(planted & set(ratio.index)), "p_adjusted"] < 0.001).all()
assert (ratio.loc[["i02", "i23"], "p"] > 0.001).all()
# Half of the responses still show the largest.
assert matched["p"].idxmin() in planted
assert matched.loc["i05", "p_adjusted"] < 0.05
# The translation has its own difficulty, about 0.8 above the original's.
assert abs(gap - 0.8) < 0.35
