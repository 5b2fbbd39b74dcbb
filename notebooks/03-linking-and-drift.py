# %% [markdown]
# # Linking and drift
#
# Two forms share 20 items, the anchors. One was taken by a strong group, the other by the course's reference
# group. How are the two scales brought together, how sure is that, what is a score on one form worth on the
# other? And months later: are the items still what they were published as? One anchor is made to leak here,
# so that the last cell can assert that it is found, in the month when it can be found, and no other.

# %%
import numpy as np
import pandas as pd

from assess import irt
from assess.reports import figures

# %matplotlib inline

rng = np.random.default_rng(20261128)

# %% [markdown]
# ## 1. Two calibrations, two scales
#
# Each calibration calls its own sample 0 and 1. The strong group has mean 0.6 and SD 1.2 on the scale of the
# other; nothing in its own numbers says so.

# %%
anchors = [f"anchor-{j + 1:02d}" for j in range(20)]
own = {form: [f"{form}-{j + 1:02d}" for j in range(15)] for form in "xy"}
names = [*anchors, *own["x"], *own["y"]]
b = np.concatenate([np.linspace(-1.9, 1.9, 20), rng.normal(0.2, 0.9, 15), rng.normal(-0.2, 0.9, 15)])
a = np.exp(rng.normal(0.1, 0.25, len(names)))
truth = irt.ItemParameters(names, "2PL", a, b[:, None])


def sample(items, n, mean=0.0, sd=1.0, bank=truth):
    theta = mean + sd * rng.standard_normal(n)
    return pd.DataFrame(irt.simulate(bank.take(items), theta, rng), columns=items)


strong = irt.calibrate(sample([*anchors, *own["x"]], 2000, 0.6, 1.2))
reference = irt.calibrate(sample([*anchors, *own["y"]], 2000))

# %% [markdown]
# ## 2. Four ways to link
#
# theta of the reference scale = slope * theta of the strong group's scale + intercept: 1.2 and 0.6 are right.
# Standard errors come from the covariances of both calibrations.

# %%
links = {method: irt.link(strong, reference, method) for method in irt.linking.METHODS}
table = pd.DataFrame(
    {
        method: [found.slope, found.se.slope, found.intercept, found.se.intercept]
        for method, found in links.items()
    },
    index=["slope", "se", "intercept", "se"],
).T
table.round(3)

# %%
link = links["Stocking-Lord"]
print(link.summary())

# %% [markdown]
# A chain leads back to the reference group over another form, and loses some certainty on the way.

# %%
third = irt.calibrate(sample([*anchors[:10], *own["x"]], 2000, -0.3, 0.9))
chain = irt.link(third, strong).then(link)
print(chain)

# %% [markdown]
# ## 3. Scores of one form on the other
#
# The true score equivalent: the number of right answers on form Y that the theta behind a score on form X
# would give.

# %%
on_scale = link.parameters(strong.parameters)
form_x, form_y = on_scale.take(own["x"]), reference.parameters.take(own["y"])
equivalents = irt.true_score_equating(form_x, form_y)
equivalents.round(2)

# %% [markdown]
# ## 4. Drift
#
# The reference calibration is published. Three months later and again later the operational responses are
# calibrated anew and every anchor is compared. An alarm needs both: |z| > 2.7, where z is the robust distance
# from the median, and a change of more than 0.3. What alarms leaves the anchors, and the link is made again.
# `anchor-12` leaks: it becomes easier by 0.4 with each check after the first. Of items that stand still up to
# two in a hundred alarm by chance, so somebody looks before anything is frozen.

# %%
checks = {}
for month, moved in (("2027-03", 0.0), ("2027-06", -0.4), ("2027-09", -0.8)):
    today = irt.ItemParameters(names, "2PL", a, (b + moved * (np.array(names) == "anchor-12"))[:, None])
    operational = sample([*anchors, *own["y"]], 3000, 0.2, 1.0, bank=today)
    checks[month] = irt.operational_drift(operational, reference)
    print(month, checks[month])

# %%
figures.drift_over_time(checks)

# %%
figures.anchor_plot(checks["2027-09"])

# %% [markdown]
# In a course the same is `assess drift check COURSE`; what alarms is frozen with `assess drift freeze`, that
# is not offered any more, while scores that rest on it stay. Where more than a fifth of the anchors alarm, or
# fewer than six are left, it is the scale that has moved, and publishing is refused:

# %%
half = irt.ItemParameters(names, "2PL", a, (b - 1.2 * np.isin(names, anchors[::3]))[:, None])
broken = irt.operational_drift(sample(anchors, 1500, bank=half), reference)
print(broken.refusal)

# %% [markdown]
# ## What was claimed

# %%
# All four methods find the transformation within three of their standard errors.
for found in links.values():
    assert abs(found.slope - 1.2) < 3 * found.se.slope
    assert abs(found.intercept - 0.6) < 3 * found.se.intercept
# Curves use more of the information than moments.
assert link.se.intercept < links["mean-sigma"].se.intercept
# The chain ends where it should and is less sure than its last step.
assert abs(chain.intercept + 0.3) < 3 * chain.se.intercept
assert chain.se.intercept > link.se.intercept
# A higher score on X is worth more on Y, and the ends meet.
inner = equivalents["equivalent"].dropna()
assert (inner.diff().dropna() > 0).all()
# The leak is found when it is large enough, with its size; among 34 others at most one alarms by chance.
assert "anchor-12" not in checks["2027-03"].removed
assert "anchor-12" in checks["2027-09"].removed
assert all(len(set(found.removed) - {"anchor-12"}) <= 1 for found in checks.values())
assert abs(checks["2027-09"].table.loc["anchor-12", "d"] + 0.8) < 0.3
assert all(found.refusal == "" for found in checks.values())
assert "the scale, not an item, has moved" in broken.refusal
