"""Starting values from counts and item-rest correlations."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from assess.irt.calibration.blocks import Sample
from assess.irt.calibration.layout import Layout
from assess.irt.calibration.options import Beta, Normal, Prior, Priors
from assess.irt.calibration.priors import priors_of

FloatArray = NDArray[np.float64]

PERSONS_USED = 2_000
RARE = 20


def starting_values(sample: Sample, layout: Layout, priors: Priors) -> FloatArray:
    """A natural vector near enough to the maximum for EM to take over.

    Slopes come from the correlation of an item with the rest of the test,
    intercepts from the (cumulative) proportions, group means from the groups'
    standardised mean scores.
    """
    whole = sample
    if sample.n_persons > PERSONS_USED:
        sample = sample.take(np.linspace(0, sample.n_persons - 1, PERSONS_USED).astype(np.int64))
    codes = sample.categories
    given = codes >= 0
    top = np.array([item.n_categories - 1 for item in layout.items])
    answers = np.maximum(given.sum(axis=0), 1)
    share = np.where(given, codes, 0) / top
    mean = share.sum(axis=0) / answers
    deviation = np.where(given, share - mean, 0.0)
    sd = np.sqrt(np.maximum((deviation**2).sum(axis=0) / answers, 1e-4))
    deviation /= sd
    slopes = _slopes(deviation, given)

    eta = np.zeros(layout.n_natural)
    unit = [item.model in ("Rasch", "PCM", "RSM", "1PL") and item.fixed is None for item in layout.items]
    common = float(np.median(np.abs(slopes)))
    for j, item in enumerate(layout.items):
        place = slice(int(layout.offsets[j]), int(layout.offsets[j + 1]))
        if item.fixed is not None:
            eta[place] = item.fixed
            continue
        a = common if unit[j] else float(slopes[j])
        counts = _counts(sample, whole, j, item.n_categories)
        a_in = 1.0 if item.model in ("Rasch", "PCM", "RSM") else a
        held = priors_of(item.id, priors)
        eta[place] = _item_start(item.model, item.n_categories, a_in, a, counts / counts.sum(), held)
    person = deviation.sum(axis=1) / np.sqrt(np.maximum(given.sum(axis=1), 1))
    # the group's mean in units of theta: the standardised sum score's mean over its spread
    spread = float(person.std()) or 1.0
    reference = float(person[sample.group == 0].mean()) if (sample.group == 0).any() else 0.0
    for g in range(len(layout.groups)):
        at = int(layout.offsets[-1]) + 2 * g
        members = sample.group == g
        if g and layout.free_mean[g] and members.any():
            eta[at] = float(np.clip((person[members].mean() - reference) / spread, -3.0, 3.0))
        if layout.free_sd[g] and any(unit):
            eta[at + 1] = np.log(np.clip(common, 0.3, 3.0))
    return layout.restriction.natural(layout.restriction.free(eta))


def _counts(sample: Sample, whole: Sample, j: int, n_categories: int) -> FloatArray:
    """Category counts of an item, from everybody where the sample shows some category rarely."""
    for part in (sample, whole):
        column = part.categories[:, j]
        counts = np.bincount(column[column >= 0], minlength=n_categories)
        if counts.min() >= RARE:
            break
    return np.asarray(counts + 0.25, dtype=np.float64)


def _slopes(deviation: FloatArray, given: NDArray[np.bool_]) -> FloatArray:
    """Slopes from item-rest correlations, sign included."""
    count = given.sum(axis=1)
    total = deviation.sum(axis=1)
    usable = count > 1
    rest = (total[:, None] - deviation) / np.maximum(count[:, None] - 1, 1)
    rest = np.where(given & usable[:, None], rest, 0.0)
    answers = np.maximum((given & usable[:, None]).sum(axis=0), 1)
    centre = rest.sum(axis=0) / answers
    spread = np.sqrt(np.maximum((rest**2).sum(axis=0) / answers - centre**2, 1e-8))
    r = (deviation * rest).sum(axis=0) / answers / spread
    # the rest score is itself unreliable: divide by an index of its reliability
    n_typical = max(float(np.median(count)) - 1.0, 1.0)
    average = float(np.clip(np.mean(np.abs(r)) ** 2, 0.02, 0.6))
    reliability = n_typical * average / (1.0 + (n_typical - 1.0) * average)
    r = np.clip(r / np.sqrt(reliability), -0.85, 0.85)
    slopes = 1.7 * r / np.sqrt(1.0 - r**2)
    small = np.abs(slopes) < 0.3
    return np.where(small, np.where(slopes < -0.05, -0.3, 0.3), slopes)


def _item_start(
    model: str, n_categories: int, slope: float, scale: float, p: FloatArray, priors: Mapping[str, Prior]
) -> FloatArray:
    K = n_categories
    # logits of a population average, stretched to the logit of the average person
    stretch = np.sqrt(1.0 + 0.346 * scale**2)
    if model == "NRM":
        return np.concatenate([slope * np.arange(1, K), np.log(p[1:] / p[0])])
    if model == "GRM" or K == 2:
        above = 1.0 - np.cumsum(p)[:-1]
        lower = _asymptote(priors, "c", 0.15) if model in ("3PL", "4PL") else 0.0
        upper = _asymptote(priors, "d", 0.95) if model == "4PL" else 1.0
        least, most = (0.02 if lower else 1e-6), (0.98 if upper < 1.0 else 1.0 - 1e-6)
        above = np.clip((above - lower) / (upper - lower), least, most)
        tails = {"3PL": [lower], "4PL": [lower, upper]}.get(model, [])
        logits = [float(np.log(c / (1.0 - c))) for c in tails]
        return np.concatenate([[slope], stretch * np.log(above / (1.0 - above)), logits])
    return np.concatenate([[slope], stretch * np.log(p[1:] / p[0])])


def _asymptote(priors: Mapping[str, Prior], letter: str, default: float) -> float:
    prior, logit = priors.get(letter), priors.get(f"logit_{letter}")
    if isinstance(prior, Beta):
        return float(np.clip(prior.alpha / (prior.alpha + prior.beta), 0.02, 0.98))
    if isinstance(prior, Normal):
        return float(np.clip(prior.mean, 0.02, 0.98))
    if isinstance(logit, Normal):
        return float(1.0 / (1.0 + np.exp(-logit.mean)))
    return default
