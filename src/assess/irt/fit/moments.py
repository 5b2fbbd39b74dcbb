"""Moments of single items and of pairs of items: mean, covariance, derivatives.

Given theta items are independent, so that every moment is a product of
functions of single items. A function is the score of an item or the indicator
of one of its categories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assess.irt.parameters import FloatArray, IntArray, ItemParameters


@dataclass(frozen=True, eq=False)
class Moments:
    """p moments over T rows: nodes of theta, or persons.

    Parameters
    ----------
    probabilities : array (T, J, K)
    functions : array (F, K)
        Value of each function in each category.
    owner : array (F,)
        Item of each function.
    first, second : arrays (p,)
        The functions that a moment multiplies; second is -1 for a single item.
    """

    probabilities: FloatArray
    functions: FloatArray
    owner: IntArray
    first: IntArray
    second: IntArray

    def _values(self) -> FloatArray:
        """Conditional means of the functions, (T, F + 1); the last column is one."""
        means = np.einsum("tfk,fk->tf", self.probabilities[:, self.owner], self.functions)
        return np.concatenate([means, np.ones((len(means), 1))], axis=1)

    def conditional(self) -> FloatArray:
        """Conditional moments, (T, p)."""
        values = self._values()
        return np.asarray(values[:, self.first] * values[:, self.second])

    def mean(self, weights: FloatArray) -> FloatArray:
        """Moments in the population, (p,)."""
        return np.asarray(weights @ self.conditional())

    def presence(self, held: NDArray[np.bool_]) -> FloatArray:
        """Whether each row holds all items of each moment, (T, p)."""
        own = np.concatenate([held[:, self.owner], np.ones((len(held), 1), dtype=bool)], axis=1)
        return np.asarray(own[:, self.first] & own[:, self.second], dtype=np.float64)

    def derivative(self, j: int, shift: FloatArray, weights: FloatArray) -> FloatArray:
        """Derivative of the moments when the probabilities of one item move by `shift` (T, K), (p,)."""
        values = self._values()
        moved = np.zeros_like(values)
        own = np.flatnonzero(self.owner == j)
        moved[:, own] = shift @ self.functions[own].T
        change = np.zeros(len(self.first))
        for one, other in ((self.first, self.second), (self.second, self.first)):
            touched = np.flatnonzero(np.isin(one, own))
            part = moved[:, one[touched]] * values[:, other[touched]]
            change[touched] += weights @ part
        return change

    def covariance(self, weights: FloatArray) -> FloatArray:
        """Covariance of the moments of one person, (p, p)."""
        values = self._values()
        conditional = values[:, self.first] * values[:, self.second]
        mean = weights @ conditional
        out = conditional.T @ (weights[:, None] * conditional)
        owners = np.append(self.owner, -1)
        one, two = owners[self.first], owners[self.second]
        # Where two moments share an item, the mean of the product of its two functions takes the
        # place of the product of their means.
        for j in np.unique(self.owner).tolist():
            own = np.flatnonzero(self.owner == j)
            joint = np.einsum(
                "tk,fk,gk->tfg", self.probabilities[:, j], self.functions[own], self.functions[own]
            )
            members = [
                (
                    np.concatenate([np.flatnonzero(self.first == f), np.flatnonzero(self.second == f)]),
                    np.concatenate([self.second[self.first == f], self.first[self.second == f]]),
                )
                for f in own.tolist()
            ]
            for a, (rows, partners) in enumerate(members):
                for b, (columns, others) in enumerate(members):
                    weighted = (weights * joint[:, a, b])[:, None] * values[:, others]
                    out[np.ix_(rows, columns)] = values[:, partners].T @ weighted
        self._same_pairs(out, weights, one, two)
        return np.asarray(out - np.outer(mean, mean))

    def _same_pairs(self, out: FloatArray, weights: FloatArray, one: IntArray, two: IntArray) -> None:
        """Moments of the same two items share both."""
        pairs = np.flatnonzero(two >= 0)
        key = one[pairs] * (int(self.owner.max()) + 1) + two[pairs]
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.diff(key[order], prepend=-1))
        for block in np.split(pairs[order], starts[1:]):
            i, j = int(one[block[0]]), int(two[block[0]])
            left, right = self.functions[self.first[block]], self.functions[self.second[block]]
            by_left = np.einsum("tk,sk,uk->tsu", self.probabilities[:, i], left, left)
            by_right = np.einsum("tk,sk,uk->tsu", self.probabilities[:, j], right, right)
            out[np.ix_(block, block)] = np.einsum("t,tsu,tsu->su", weights, by_left, by_right)


def conditional_moments(probabilities: FloatArray, word: str, items: ItemParameters) -> Moments:
    """The moments of a statistic: M2*, C2 or M2.

    Parameters
    ----------
    probabilities : array (T, J, K)
        At nodes; or indicators of the categories that persons are in.
    """
    n_categories = items.max_categories
    score = np.arange(n_categories, dtype=np.float64)
    functions: list[FloatArray] = []
    owner: list[int] = []
    single: list[int] = []
    paired: list[list[int]] = []
    for j, count in enumerate(items.n_categories.tolist()):
        indicators = [np.eye(n_categories)[k] for k in range(1, count)]
        own = {"M2*": [score], "M2": indicators, "C2": [*indicators, score]}[word]
        if word == "C2" and count == 2:
            own = [score]
        numbers = list(range(len(functions), len(functions) + len(own)))
        functions += own
        owner += [j] * len(own)
        single += numbers[:-1] if word == "C2" and count > 2 else numbers
        paired.append(numbers[-1:] if word == "C2" else numbers)
    first, second = list(single), [-1] * len(single)
    for j, left in enumerate(paired):
        for right in paired[j + 1 :]:
            first += [f for f in left for _ in right]
            second += list(right) * len(left)
    return Moments(
        probabilities,
        np.array(functions),
        np.array(owner, dtype=np.int64),
        np.array(first, dtype=np.int64),
        np.array(second, dtype=np.int64),
    )
