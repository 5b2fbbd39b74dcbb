"""Simulated teachers: cohorts who answer real items, so that a whole house can be tried before people come.

A cohort draws true abilities and true item parameters once, and every
teacher's answers from them. An answer is a raw one, an option or an order, that
earns the drawn category when it is graded like anybody's. Teachers are made
one by one from the seed and their number, so that the same teacher answers
the same whatever else happens.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from assess.errors import InvalidParameters
from assess.irt.models import ItemParameters
from assess.irt.simulate import simulate
from assess.items import (
    Item,
    Matching,
    MultipleResponse,
    Numeric,
    Ordering,
    RawAnswer,
    ShortText,
    SingleChoice,
)
from assess.session import (
    Ending,
    Release,
    SessionState,
    answer,
    fold,
    start,
    step,
    with_ending,
    with_offer,
    with_response,
)

FloatArray = NDArray[np.float64]
# An interaction with more answers than this is searched by chance instead of listed.
_MOST_LISTED = 5_000


def true_parameters(
    judged: ItemParameters,
    rng: np.random.Generator,
    *,
    sd_location: float = 0.6,
    mean_log_slope: float = math.log(0.9),
    sd_log_slope: float = 0.3,
) -> ItemParameters:
    r"""What the items turn out to be, somewhere around what experts judged.

    .. math:: b_{jk} = b^{judged}_{jk} + \delta_j,\quad \delta_j \sim N(0, 0.6^2),\qquad
              a_j \sim LN(\ln 0.9, 0.3^2)\; a^{judged}_j / 0.9

    A unit judged with a smaller slope keeps its proportion.

    Examples
    --------
    >>> judged = ItemParameters(["i1"], "2PL", [0.9], [[0.0]])
    >>> true_parameters(judged, np.random.default_rng(1)) != judged
    True
    """
    n_items = len(judged)
    shift = rng.normal(0.0, sd_location, n_items)
    slopes = (
        judged.slopes / math.exp(mean_log_slope) * np.exp(rng.normal(mean_log_slope, sd_log_slope, n_items))
    )
    return ItemParameters(judged.item_ids, judged.models, slopes, judged.steps + shift[:, None])


def answers_by_category(interaction: object, rng: np.random.Generator) -> dict[int, list[RawAnswer]]:
    """Every answer of a closed interaction (a sample of many), sorted by what it earns.

    Examples
    --------
    >>> answers_by_category(SingleChoice(("a", "b", "c"), {"b": 1}), np.random.default_rng(1))
    {0: ['a', 'c'], 1: ['b']}
    """
    by_category: dict[int, list[RawAnswer]] = {}
    for candidate in _candidates(interaction, rng):
        checked = interaction.check(candidate)  # type: ignore[attr-defined]
        category = interaction.grade(checked)  # type: ignore[attr-defined]
        by_category.setdefault(0 if category is None else category, []).append(checked)
    return dict(sorted(by_category.items()))


def _candidates(interaction: object, rng: np.random.Generator) -> Iterator[RawAnswer]:
    match interaction:
        case SingleChoice():
            yield from interaction.options
        case MultipleResponse():
            sizes = range(1, len(interaction.options) + 1)
            every = (list(c) for size in sizes for c in itertools.combinations(interaction.options, size))
            yield from itertools.islice(every, _MOST_LISTED)
        case Ordering():
            if math.factorial(len(interaction.options)) <= _MOST_LISTED:
                yield from map(list, itertools.permutations(interaction.options))
            else:
                yield list(interaction.key)
                for _ in range(_MOST_LISTED):
                    yield [interaction.options[i] for i in rng.permutation(len(interaction.options))]
        case Matching():
            options, targets = interaction.options, interaction.targets
            if len(targets) ** len(options) <= _MOST_LISTED:
                for choice in itertools.product(targets, repeat=len(options)):
                    yield dict(zip(options, choice, strict=True))
            else:
                yield dict(interaction.key)
                for _ in range(_MOST_LISTED):
                    yield {option: targets[int(rng.integers(len(targets)))] for option in options}
        case Numeric():
            yield interaction.key
            yield str(float(interaction.key) + 2.0 * float(interaction.tolerance) + 1.0)
        case ShortText():
            yield interaction.accepted[0]
            yield "something else entirely"
        case _:
            yield "I would plan the lesson around the aim first."


@dataclass(frozen=True)
class Teacher:
    """One simulated teacher: an ability, and what he or she answers to each item.

    Parameters
    ----------
    number : int
        From 0; with the cohort's seed it says everything else.
    theta : float
        True ability, in units of the scale of the true parameters.
    categories : mapping
        Item reference -> the category that the answer will earn; None is left blank.
    patience : int or None
        How many items are answered before the teacher walks away; None finishes.
    """

    number: int
    theta: float
    categories: Mapping[str, int | None] = field(repr=False)
    patience: int | None = None


@dataclass(frozen=True)
class Cohort:
    """A population of simulated teachers over the units of a bank.

    Parameters
    ----------
    units : mapping
        Unit reference -> its items.
    parameters : ItemParameters
        True parameters of the units.
    seed : int
    mean, sd : float
        Of true ability.
    p_blank : float
        Probability that an item is left blank.
    p_walk_away : float
        Probability that a teacher stops somewhere before the end.
    """

    units: Mapping[str, Sequence[Item]] = field(repr=False)
    parameters: ItemParameters
    seed: int
    mean: float = 0.0
    sd: float = 1.0
    p_blank: float = 0.01
    p_walk_away: float = 0.02
    _answers: dict[str, dict[int, list[RawAnswer]]] = field(default_factory=dict, repr=False, compare=False)

    def rng(self, number: int) -> np.random.Generator:
        """The chance of one teacher, independent of all others."""
        return np.random.default_rng([self.seed, number])

    def teacher(self, number: int) -> Teacher:
        """One teacher, the same every time."""
        rng = self.rng(number)
        theta = float(rng.normal(self.mean, self.sd))
        drawn = simulate(self.parameters, [theta], rng)[0]
        categories: dict[str, int | None] = {}
        for unit, category in zip(self.parameters.item_ids, drawn.tolist(), strict=True):
            for item, points in _share(self.units[unit], category, rng):
                categories[item.reference] = None if rng.random() < self.p_blank else points
        patience = int(rng.integers(3, 20)) if rng.random() < self.p_walk_away else None
        return Teacher(number, theta, categories, patience)

    def answer(self, teacher: Teacher, item: Item) -> RawAnswer | None:
        """A raw answer that earns the teacher's category, one of several; None leaves the item blank.

        Raises
        ------
        InvalidParameters
            The bank of the cohort does not hold the item, or no answer earns the category.
        """
        if item.reference not in teacher.categories:
            raise InvalidParameters(f"{item.reference} is not an item of this cohort's bank")
        category = teacher.categories[item.reference]
        if category is None:
            return None
        if item.reference not in self._answers:
            self._answers[item.reference] = answers_by_category(
                item.interaction, np.random.default_rng(self.seed)
            )
        found = self._answers[item.reference].get(category)
        if not found:
            raise InvalidParameters(f"{item.reference}: no answer earns category {category}")
        # Of the item alone: the answer does not depend on the order in which items are offered.
        digest = hashlib.sha256(f"{self.seed}:{teacher.number}:{item.reference}".encode()).digest()
        return found[int.from_bytes(digest[:7], "big") % len(found)]


def _share(items: Sequence[Item], category: int, rng: np.random.Generator) -> list[tuple[Item, int]]:
    """Spread a unit's points over its items by chance; one item has them all."""
    slots = [j for j, item in enumerate(items) for _ in range(item.n_categories - 1)]
    points = [0] * len(items)
    for slot in rng.permutation(len(slots))[:category]:
        points[slots[slot]] += 1
    return list(zip(items, points, strict=True))


def administer(
    release: Release, cohort: Cohort, number: int, *, session: str, seed: str, now: datetime
) -> SessionState:
    """One whole session in memory: a teacher answers what the engine offers, a minute an item.

    A teacher who walks away lets the time run out; without a time limit the
    session's window ends it.

    Parameters
    ----------
    number : int
        Which teacher of the cohort.
    session, seed : str
        Id and 128 secret bits (32 hexadecimal digits) of the session.
    now : datetime
        When the session starts.

    Examples
    --------
    >>> units = {unit.reference: unit.items for unit in release.units}
    >>> cohort = Cohort(units, release.parameters, seed=1)
    >>> state = administer(release, cohort, 0, session="ses_1", seed="0f" * 16, now=noon)
    >>> state.ending.how, len(state.responses) == len(release.units)
    ('completed', True)
    """
    teacher = cohort.teacher(number)
    record = start(release, session=session, learner=f"simulated-{number}", seed=seed, now=now)
    state = fold(release, record, (), ())
    while True:
        following = step(state, now)
        if following.ending is not None:
            return with_ending(state, following.ending)
        if following.offer is not None:
            state = with_offer(state, following.offer, now)
            continue
        offer = state.awaiting
        if offer is None:
            return with_ending(state, Ending("submitted", now))
        if len(state.responses) == teacher.patience:
            now = state.closes_at + timedelta(seconds=1)
            continue
        now += timedelta(seconds=60)
        if state.closing is not None:
            # The simulated teachers know how to answer in time; only their patience ends a session early.
            now = min(now, state.closing.at)
        item = release.items[offer.item]
        response = answer(
            state,
            position=offer.position,
            item=item.id,
            revision=1,
            raw=cohort.answer(teacher, item),
            now=now,
            salt=hashlib.sha256(f"{seed}:{offer.position}".encode()).hexdigest()[:32],
        )
        state = with_response(state, response)
