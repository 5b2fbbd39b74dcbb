r"""What an adaptive test must hold, asked for classes of units instead of for every unit.

Units that add the same to every constraint are one class, and content tells
classes apart, never the units within one: a bank of a thousand units under six
codes and three processes has eighteen. So the rules below look at a handful of
columns, and a test of one examinee spends its time on information instead.

The factor of a class is the product of f over its constraints. While the
minimum l of a constraint is not met, :math:`f = 1 + (l - x)/l` for the x already
given; then :math:`f = (u - x)/u` of its maximum u (see `assess.irt.adaptive`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np

from assess.irt.design import BoolArray, Constraint, StopRule
from assess.irt.parameters import FloatArray, IntArray

# Up to so many classes and coefficients of classes, plain numbers are faster than arrays for one examinee.
_MOST_MARKS = 400


@dataclass(frozen=True, eq=False)
class Content:
    """The constraints of an adaptive test over J units in G classes.

    Parameters
    ----------
    constraints : sequence of Constraint
        R of them.
    n_units : int
        J.
    stop : StopRule
        By which length the minima must be met.

    Examples
    --------
    >>> area = Constraint("area a", np.array([1.0, 0.0, 1.0]), 1, 1)
    >>> content = Content([area], 3, StopRule(1, 2))
    >>> content.class_of.tolist()
    [1, 0, 1]
    >>> counts, given = np.array([[1.0]]), np.array([1])
    >>> content.allowed(np.array([[True, True]]), counts, given).tolist()
    [[True, False]]
    >>> content.factor(counts).tolist()
    [[1.0, 0.0]]
    """

    constraints: Sequence[Constraint]
    n_units: int
    stop: StopRule

    # --- classes --------------------------------------------------------------

    @cached_property
    def coefficients(self) -> FloatArray:
        """What each unit adds, (R, J)."""
        rows = [constraint.coefficients for constraint in self.constraints]
        return np.array(rows).reshape(len(rows), self.n_units)

    @cached_property
    def by_unit(self) -> FloatArray:
        """The same with a row per unit, (J, R)."""
        return np.ascontiguousarray(self.coefficients.T)

    @cached_property
    def minima(self) -> FloatArray:
        """(R,)."""
        return np.array([constraint.minimum for constraint in self.constraints])

    @cached_property
    def maxima(self) -> FloatArray:
        """(R,), infinite where there is none."""
        return np.array([constraint.maximum for constraint in self.constraints])

    @cached_property
    def class_of(self) -> IntArray:
        """Class of each unit, (J,)."""
        return self._classes[1]

    @cached_property
    def order(self) -> IntArray:
        """The units class by class, in each as they stand in the parameters, (J,)."""
        return np.argsort(self.class_of, kind="stable")

    @cached_property
    def starts(self) -> IntArray:
        """Where each class begins in `order`, (G,)."""
        return np.searchsorted(self.class_of[self.order], np.arange(len(self._classes[0])))

    def left(self, available: BoolArray) -> BoolArray:
        """Whether a unit of each class is available, (N, G) from (N, J)."""
        return np.logical_or.reduceat(available.take(self.order, axis=1), self.starts, axis=1)

    # --- rules ----------------------------------------------------------------

    def factor(self, counts: FloatArray) -> FloatArray:
        """Product of f over the constraints of each class, (N, G) from counts (N, R)."""
        need = 2.0 - counts / self._minimum_divisors
        room = 1.0 - counts / self._maximum_divisors
        f = np.ones((len(counts), len(self.constraints) + 1))
        f[:, :-1] = np.where(counts < self.minima, need, room)
        first, *others = self._members
        out = f[:, first]
        for members in others:
            out *= f[:, members]
        return out

    def allowed(self, left: BoolArray, counts: FloatArray, n_units: IntArray) -> BoolArray:
        """Classes that exceed no maximum and leave room for every open minimum, (N, G).

        A test that may end early meets its minima by its minimum length, any
        other by its maximum length. Where that is no longer possible, the classes
        that leave the least to do come first.

        Parameters
        ----------
        left : array (N, G) of bool
            Whether a unit of each class is available.
        counts : array (N, R)
            What was given of each constraint.
        n_units : array (N,)
            How many units were given.
        """
        if not self.constraints:
            return left
        allowed = left & self._below_maxima(counts)
        if not self._minimum_families:
            return allowed
        needed = self._needed_of_marks(allowed, counts) if self._are_marks and len(counts) > 1 else None
        if needed is None:
            needed = self._needed(allowed, counts)
        places = (self.stop.min_units if self.stop.ends_early else self.stop.max_units) - n_units
        room = self.maxima - counts
        for group, smallest in zip(self._maximum_families, self._smallest_steps, strict=True):
            places = np.minimum(places, np.add.reduce(room[:, group], axis=1) / smallest)
        least = np.where(allowed, needed, np.inf).min(axis=1)
        return np.asarray(allowed & (needed <= np.maximum(places - 1, least)[:, None]))

    # --- one examinee ---------------------------------------------------------

    def counts_of(self, units: Sequence[int]) -> Sequence[float]:
        """What units hold of each constraint, (R,).

        Examples
        --------
        >>> area = Constraint("area a", np.array([1.0, 0.0, 1.0]), 1, 1)
        >>> Content([area], 3, StopRule(1, 2)).counts_of([0, 1])
        [1.0]
        """
        if self._whole is None:
            found = np.add.reduce(self.by_unit.take(list(units), axis=0), axis=0)
            return [float(count) for count in found]
        return self._whole.counts_of(units)

    def left_without(self, gone: Iterable[int]) -> list[int]:
        """How many units of each class are left without these, each named once, (G,).

        Examples
        --------
        >>> area = Constraint("area a", np.array([1.0, 0.0, 1.0]), 1, 1)
        >>> Content([area], 3, StopRule(1, 2)).left_without([0])
        [1, 1]
        """
        left, class_of = self._sizes.copy(), self._class_list
        for unit in gone:
            left[class_of[unit]] -= 1
        return left

    def weights_of(self, left: Sequence[int], counts: Sequence[float], n_units: int) -> Sequence[float]:
        """`factor` of the classes that are `allowed` to one examinee, -1 for the others, (G,).

        Parameters
        ----------
        left : sequence of int (G,)
            How many units of each class are left.
        counts : sequence of float (R,)
            What was given of each constraint.
        n_units : int
            How many units were given.

        Examples
        --------
        >>> area = Constraint("area a", np.array([1.0, 0.0, 1.0]), 1, 1)
        >>> Content([area], 3, StopRule(1, 2)).weights_of([1, 1], [1.0], 1)
        [1.0, -1.0]
        """
        if self._whole is not None:
            return self._whole.weights_of(left, counts, n_units)
        row = np.array([counts])
        allowed = self.allowed(np.array([left]) > 0, row, np.array([n_units]))[0]
        return [float(weight) for weight in np.where(allowed, self.factor(row)[0], -1.0)]

    # --- inside ---------------------------------------------------------------

    def _below_maxima(self, counts: FloatArray) -> BoolArray:
        if self._are_marks:
            full = (counts + 1.0 > self.maxima).astype(float)
            kept = np.logical_and.reduce(counts <= self.maxima, axis=1)
            return np.asarray((full @ self._columns < 0.5) & kept[:, None])
        after = counts[:, :, None] + self._columns
        return np.asarray((after <= self.maxima[:, None]).all(axis=1))

    def _needed(self, allowed: BoolArray, counts: FloatArray) -> FloatArray:
        """How many units the minima still need after one of each class, (N, G)."""
        largest = np.where(allowed[:, None, :], self._columns, 0.0).max(axis=2)
        still_open = np.maximum(self.minima[:, None] - (counts[:, :, None] + self._columns), 0.0)
        needed = np.ceil(still_open / np.maximum(largest, 1e-9)[:, :, None])
        sums = [np.add.reduce(needed[:, group], axis=1) for group in self._minimum_families]
        return np.asarray(reduce(np.maximum, sums))

    def _needed_of_marks(self, allowed: BoolArray, counts: FloatArray) -> FloatArray | None:
        """`_needed` of many where every coefficient is 0 or 1: products of small matrices.

        None where a minimum cannot be met any more, for which the general rule has its answer.
        """
        need = np.maximum(self.minima - counts, 0.0)
        if ((allowed.astype(float) @ self._columns.T < 0.5) & (need > 0.0)).any():
            return None
        is_open = (need > 0.0).astype(float)
        sums = [
            np.add.reduce(need[:, group], axis=1)[:, None] - is_open[:, group] @ self._columns[group]
            for group in self._minimum_families
        ]
        return np.asarray(reduce(np.maximum, sums))

    @cached_property
    def _classes(self) -> tuple[IntArray, IntArray]:
        """The first unit of each class, and the class of each unit."""
        if not self.constraints:
            return np.zeros(1, dtype=np.int64), np.zeros(self.n_units, dtype=np.int64)
        _, first, of_unit = np.unique(self.coefficients.T, axis=0, return_index=True, return_inverse=True)
        return first, of_unit.reshape(-1)

    @cached_property
    def _columns(self) -> FloatArray:
        """What a unit of each class adds, (R, G)."""
        return np.ascontiguousarray(self.coefficients[:, self._classes[0]])

    @cached_property
    def _members(self) -> tuple[IntArray, ...]:
        """The constraints of each class, one array (G,) for the first, the second, ...; R for none."""
        own = [np.flatnonzero(column).tolist() for column in self._columns.T]
        width = max(1, *map(len, own))
        padded = [constraints + [len(self.constraints)] * (width - len(constraints)) for constraints in own]
        return tuple(np.array(column) for column in zip(*padded, strict=True))

    @cached_property
    def _sizes(self) -> list[int]:
        """Units of each class, (G,)."""
        return [int(n) for n in np.bincount(self.class_of, minlength=len(self._classes[0]))]

    @cached_property
    def _class_list(self) -> list[int]:
        return [int(number) for number in self.class_of]

    @cached_property
    def _whole(self) -> _Whole | None:
        """The rules for one examinee on plain numbers; None where arrays are faster, or sums not exact."""
        bounds = np.concatenate([self.minima, self.maxima[np.isfinite(self.maxima)]])
        are_whole = all(np.all(numbers == np.floor(numbers)) for numbers in (self._columns, bounds))
        few = np.count_nonzero(self._columns) + self._columns.shape[1] <= _MOST_MARKS
        return _Whole(self) if are_whole and few and np.isfinite(self.minima).all() else None

    @cached_property
    def _are_marks(self) -> bool:
        """Whether every coefficient is 0 or 1, and every minimum a whole number."""
        whole = np.all(self.minima == np.floor(self.minima))
        return bool(whole and np.all((self._columns == 0.0) | (self._columns == 1.0)))

    @cached_property
    def _minimum_divisors(self) -> FloatArray:
        return np.where(self.minima > 0.0, self.minima, 1.0)

    @cached_property
    def _maximum_divisors(self) -> FloatArray:
        return np.where(self.maxima > 0.0, self.maxima, 1.0)

    @cached_property
    def _minimum_families(self) -> tuple[IntArray, ...]:
        """Constraints with a minimum in groups within which no unit counts twice: their needs add up."""
        return self._disjoint(np.flatnonzero(self.minima > 0.0))

    @cached_property
    def _maximum_families(self) -> tuple[IntArray, ...]:
        """The same for maxima, where a group covers every unit: the rooms add up to the test."""
        groups = self._disjoint(np.flatnonzero(np.isfinite(self.maxima)))
        return tuple(group for group in groups if (self._columns[group] > 0.0).any(axis=0).all())

    @cached_property
    def _smallest_steps(self) -> tuple[float, ...]:
        """Per group of maxima, the least that any unit adds to its largest constraint."""
        return tuple(float(self._columns[group].max(axis=0).min()) for group in self._maximum_families)

    def _disjoint(self, constraints: IntArray) -> tuple[IntArray, ...]:
        member = self._columns > 0.0
        groups: list[list[int]] = []
        for k in constraints.tolist():
            for group in groups:
                if not np.any(member[group] & member[k]):
                    group.append(k)
                    break
            else:
                groups.append([k])
        return tuple(np.array(group) for group in groups)


# So many places are remembered, some hundred bytes each.
_PLACES = 4096


class _Whole:
    """The rules of content for one examinee, where everything is counted in whole numbers.

    A dozen calls on arrays of nine numbers take ten times as long as the
    arithmetic, so this is that arithmetic. Sums of whole numbers are exact in any
    order: what it says is what `Content.allowed` and `Content.factor` say, to the bit.
    A *move* is an amount of one constraint that a class adds. Each is a bit, and a class is the bits of
    its own and the lowest, which all have.
    """

    def __init__(self, content: Content) -> None:
        columns, stop = content._columns, content.stop
        classes = [[(int(k), float(column[k])) for k in np.flatnonzero(column)] for column in columns.T]
        moves = sorted({move for own in classes for move in own}, reverse=True)
        bits = {move: 2 << n for n, move in enumerate(moves)}
        self._members = [tuple(k for k, _ in own) for own in classes]
        self._masks = [1 + sum(bits[move] for move in own) for own in classes]
        self._classes = classes
        self._adds = [classes[number] for number in content.class_of.tolist()]
        self._minima, self._maxima = content.minima.tolist(), content.maxima.tolist()
        # Of each constraint, the largest first.
        self._moves = [
            [(bits[move], move[1]) for move in moves if move[0] == k] for k in range(len(self._minima))
        ]
        self._divisors = list(
            zip(content._minimum_divisors.tolist(), content._maximum_divisors.tolist(), strict=True)
        )
        # What a constraint says at a count never changes: it is worked out once.
        self._said: list[dict[float, tuple[float, float, int]]] = [{} for _ in self._minima]
        self._known: dict[tuple[float, ...], list[float]] = {}
        self._length = float(stop.min_units if stop.ends_early else stop.max_units)
        self._needs = [group.tolist() for group in content._minimum_families]
        self._rooms = [
            (group.tolist(), float(content.maxima[group].sum()), smallest)
            for group, smallest in zip(content._maximum_families, content._smallest_steps, strict=True)
        ]

    def counts_of(self, units: Sequence[int]) -> list[float]:
        """See `Content.counts_of`."""
        counts = [0.0] * len(self._minima)
        for unit in units:
            for k, amount in self._adds[unit]:
                counts[k] += amount
        return counts

    def weights_of(self, left: Sequence[int], counts: Sequence[float], n_units: int) -> list[float]:
        """See `Content.weights_of`."""
        # Examinees who were given the same classes stand at the same place, whatever they answered.
        place = (n_units, *left, *counts)
        known = self._known.get(place)
        if known is None:
            known = self._weights_of(left, counts, n_units)
            if len(self._known) >= _PLACES:
                self._known.clear()
            self._known[place] = known
        return known.copy()

    def _weights_of(self, left: Sequence[int], counts: Sequence[float], n_units: int) -> list[float]:
        weights = [-1.0] * len(self._masks)
        factors, needs, unfit = [], [], 0
        for k, count in enumerate(counts):
            said = self._said[k].get(count)
            if said is None:
                said = self._said[k][count] = self._says(k, count)
            factors.append(said[0])
            needs.append(said[1])
            unfit |= said[2]
        allowed = [n for n, mask in enumerate(self._masks) if left[n] and not mask & unfit]
        if any(needs):
            allowed = self._leaving_room(allowed, needs, counts, n_units)
        for number in allowed:
            weight = 1.0
            for k in self._members[number]:
                weight *= factors[k]
            weights[number] = weight
        return weights

    def _says(self, k: int, count: float) -> tuple[float, float, int]:
        """Of one constraint at a count: f, what its minimum still needs, and the classes that it shuts."""
        least, most = self._minima[k], self._maxima[k]
        if count > most:
            return 0.0, 0.0, 1
        low, high = self._divisors[k]
        unfit = sum(bit for bit, amount in self._moves[k] if count + amount > most)
        if count < least:
            return 2.0 - count / low, least - count, unfit
        return 1.0 - count / high, 0.0, unfit

    def _leaving_room(
        self, allowed: list[int], needs: list[float], counts: Sequence[float], n_units: int
    ) -> list[int]:
        """The classes that leave places for every open minimum, or the least to do where none does."""
        places, present = self._length - n_units, 0
        for group, most, smallest in self._rooms:
            places = min(places, (most - sum([counts[k] for k in group])) / smallest)
        for number in allowed:
            present |= self._masks[number]
        # How many units each minimum needs, if each adds as much as any can.
        wanted: list[int] = [0] * len(needs)
        largest: list[float] = [1e-9] * len(needs)
        for k, need in enumerate(needs):
            if need:
                for bit, amount in self._moves[k]:
                    if bit & present:
                        largest[k] = amount
                        break
                wanted[k] = math.ceil(need / largest[k])
        limit, kept, masks = places - 1.0, allowed, self._masks
        for group in self._needs:
            total = sum([wanted[k] for k in group])
            if total > limit:
                good = 0
                for k in group:
                    for bit, amount in self._moves[k]:
                        after = math.ceil(max(needs[k] - amount, 0.0) / largest[k])
                        if total - wanted[k] + after <= limit:
                            good |= bit
                kept = [number for number in kept if masks[number] & good]
        return kept or self._least(allowed, needs, largest)

    def _least(self, allowed: list[int], needs: list[float], largest: list[float]) -> list[int]:
        """The classes that leave the least to do."""
        left = []
        for number in allowed:
            after = list(needs)
            for k, amount in self._classes[number]:
                after[k] = max(needs[k] - amount, 0.0)
            units = [math.ceil(need / most) for need, most in zip(after, largest, strict=True)]
            left.append(max([sum([units[k] for k in group]) for group in self._needs]))
        least = min(left, default=0)
        return [number for number, units_left in zip(allowed, left, strict=True) if units_left == least]
