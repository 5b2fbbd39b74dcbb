r"""Parallel fixed forms, assembled beforehand by integer programming.

With :math:`x_{jf}` = 1 where unit j stands in form f, every form keeps the
rows of a `Composition` (content, length, enemies), and the forms together use no
unit more often than they may. Among all that is possible one of three is best:

maximin
    the least information of any form at any point is greatest,
    :math:`\max y : \sum_j I_j(\theta_c) x_{jf} \ge y \; \forall c, f`;
target
    the largest distance from a target is smallest,
    :math:`\min y : |\sum_j I_j(\theta_c) x_{jf} - T_c| \le y \; \forall c, f`;
accuracy
    the form that classifies worst does so best, where
    :math:`A_f = \int \Phi(|\theta - c| \sqrt{I_f(\theta)}) \, g(\theta) \, d\theta`,
    the normal approximation; it is concave in the information, so its tangent
    is maximised again and again from where the last one led.

References
----------
van der Linden (2005), *Linear Models for Optimal Test Design*, doi:10.1007/0-387-29054-0, ch. 5 and 6.
Rudner (2001), *Practical Assessment, Research & Evaluation* 7, 14, doi:10.7275/an9m-2035
(accuracy by the normal approximation).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import ndtr

from assess.errors import InvalidParameters
from assess.irt.composition import Composition, Conflict
from assess.irt.design import BoolArray
from assess.irt.models import information
from assess.irt.parameters import FloatArray, ItemParameters
from assess.irt.program import Program
from assess.irt.quadrature import Prior

if TYPE_CHECKING:
    import pandas as pd

Objective = Literal["maximin", "target", "accuracy"]
OBJECTIVES: tuple[Objective, ...] = ("maximin", "target", "accuracy")
_GAP = 0.005
_MOST_TANGENTS = 6
_REACH, _N_POINTS = 4.0, 81


@dataclass(frozen=True, eq=False)
class Assembled:
    """Forms that were assembled together.

    Attributes
    ----------
    forms : tuple of tuple of int
        Units of each form, in their order in the bank.
    points : array (C,)
    information : array (F, C)
        Of each form at each point.
    accuracy : array (F,)
        Classification at the first point, by the normal approximation, over the population.
    objective : str
    """

    forms: tuple[tuple[int, ...], ...]
    points: FloatArray
    information: FloatArray
    accuracy: FloatArray
    objective: Objective

    def __repr__(self) -> str:
        least = float(self.information.min())
        return f"<Assembled: {len(self.forms)} forms, least information {least:.3f}, by {self.objective}>"

    def to_frame(self) -> pd.DataFrame:
        """One row per form: its length, information at each point, accuracy."""
        import pandas as pd

        table = pd.DataFrame(
            self.information, columns=[f"information at {point:g}" for point in self.points.tolist()]
        )
        table.insert(0, "units", [len(form) for form in self.forms])
        table["accuracy"] = self.accuracy
        table.index = pd.Index(range(1, len(self.forms) + 1), name="form")
        return table


@dataclass(frozen=True, eq=False)
class Assembly:
    """The question: which units, into how many forms, under what.

    Parameters
    ----------
    parameters : ItemParameters
        The J units that may be used.
    composition : Composition
        What each form must keep.
    n_forms : int
    min_units, max_units : int
        Length of each form.
    points : sequence of float
        Where information counts; the first is the cut of the objective "accuracy".
    max_overlap : int
        Units that two forms may share.
    common : collection of int
        Units that stand in every form, an anchor for instance; they do not count as overlap.
    population : Prior
        Over which accuracy is meant.

    Examples
    --------
    >>> bank = ItemParameters(["i1", "i2", "i3", "i4"], "2PL", [1.0, 2.0, 1.9, 1.1], [[0.0]] * 4)
    >>> question = Assembly(bank, Composition(bank.item_ids), n_forms=2, min_units=2, max_units=2)
    >>> found = question.solve()
    >>> sorted(sorted(form) for form in found.forms)
    [[0, 1], [2, 3]]
    """

    parameters: ItemParameters
    composition: Composition
    n_forms: int
    min_units: int
    max_units: int
    points: Sequence[float] = (0.0,)
    max_overlap: int = 0
    common: Collection[int] = ()
    population: Prior = field(default_factory=Prior)

    def __post_init__(self) -> None:
        n_units = len(self.parameters)
        if len(self.composition.names) != n_units:
            raise InvalidParameters(
                f"the composition is of {len(self.composition.names)} units, the parameters of {n_units}"
            )
        if self.n_forms < 1 or not 1 <= self.min_units <= self.max_units:
            raise InvalidParameters(
                f"{self.n_forms} forms of {self.min_units} to {self.max_units} units cannot be assembled"
            )
        if not len(self.points) or not np.isfinite(np.asarray(self.points, dtype=float)).all():
            raise InvalidParameters(f"points {list(self.points)}: name one finite theta or more")
        if self.max_overlap < 0:
            raise InvalidParameters(f"max_overlap is {self.max_overlap}; at least 0")
        wrong = [unit for unit in self.common if not 0 <= unit < n_units]
        if wrong:
            raise InvalidParameters(f"common unit {wrong[0]} is outside 0..{n_units - 1}")

    def solve(self, objective: Objective = "maximin", *, target: Sequence[float] | None = None) -> Assembled:
        """The best forms.

        Parameters
        ----------
        objective : str
            maximin, target or accuracy.
        target : sequence of float, optional
            Information wanted at each point, for "target".

        Raises
        ------
        InvalidParameters
            No such forms exist; the message is the conflict, in the words of the labels.
        """
        if objective not in OBJECTIVES:
            raise InvalidParameters(f"objective {objective!r} is not known; say {', '.join(OBJECTIVES)}")
        if (objective == "target") != (target is not None) or (
            target is not None and len(target) != len(self.points)
        ):
            raise InvalidParameters("the objective 'target', and no other, wants one number per point")
        conflict = self.conflict()
        if conflict is not None:
            raise InvalidParameters(str(conflict))
        if objective == "target":
            assert target is not None
            return self._assembled(self._nearest(np.asarray(target, dtype=float)), objective)
        marks = self._maximin(self._information)
        if objective == "accuracy":
            marks = self._most_accurate(marks)
        return self._assembled(marks, objective)

    def conflict(self) -> Conflict | None:
        """The smallest set of demands that cannot be met together; None where such forms exist."""
        alone = self.composition.conflict(self.min_units, self.max_units)
        if alone is not None:
            return alone
        clash = self._program.clash()
        return Conflict(tuple(self._said(label) for label in clash)) if clash else None

    # --- the program ----------------------------------------------------------

    @cached_property
    def _information(self) -> FloatArray:
        """Of each unit at each point, (J, C)."""
        return information(self.parameters, np.asarray(self.points, dtype=float)).T

    @cached_property
    def _pairs(self) -> list[tuple[int, int]]:
        """Pairs of forms, where they may share units."""
        return [(f, g) for f in range(self.n_forms) for g in range(f)] if self.max_overlap else []

    @cached_property
    def _program(self) -> Program:
        """Rows over x (F blocks of J columns) and, with overlap, over pairs."""
        n_units, n_forms, pairs = len(self.parameters), self.n_forms, self._pairs
        n_columns = n_units * (n_forms + len(pairs))
        given = np.zeros(n_columns)
        for f in range(n_forms):
            given[[f * n_units + unit for unit in self.common]] = 1.0
        program = Program(n_columns, given)
        for f in range(n_forms):
            block = slice(f * n_units, (f + 1) * n_units)
            for constraint in self.composition.rows:
                row = np.zeros(n_columns)
                row[block] = constraint.coefficients
                length = constraint.label == "length"
                program.add(
                    constraint.label,
                    row,
                    self.min_units if length else constraint.minimum,
                    self.max_units if length else constraint.maximum,
                )
        own = [unit for unit in range(n_units) if unit not in set(self.common)]
        for unit in own:
            at = [f * n_units + unit for f in range(n_forms)]
            if not pairs:
                row = np.zeros(n_columns)
                row[at] = 1.0
                program.add("overlap", row, 0.0, 1.0)
            for p, (f, g) in enumerate(pairs):
                # Both forms hold the unit: then the pair's column must be 1.
                row = np.zeros(n_columns)
                row[[at[f], at[g]]] = 1.0
                row[(n_forms + p) * n_units + unit] = -1.0
                program.add("overlap", row, -1.0, 1.0)
        for p in range(len(pairs)):
            row = np.zeros(n_columns)
            row[[(n_forms + p) * n_units + unit for unit in own]] = 1.0
            program.add("overlap", row, 0.0, float(self.max_overlap))
        return program

    def _said(self, label: str) -> str:
        """A demand in numbers that an author can count himself."""
        if label == "overlap":
            if self.max_overlap:
                return f"no two forms share more than {self.max_overlap} units"
            return "no unit stands in two forms"
        of = f"in each of {self.n_forms} forms"
        if label == "length":
            return f"{self.min_units} to {self.max_units} units {of}; there are {len(self.parameters)} units"
        row = next(row for row in self.composition.rows if row.label == label)
        return f"{row.demand} {of}; the units hold {row.coefficients.sum():g}"

    def _marks(self, columns: BoolArray) -> BoolArray:
        """Units of each form, (F, J)."""
        n_units = len(self.parameters)
        return columns[: self.n_forms * n_units].reshape(self.n_forms, n_units)

    def _of_forms(self, worth: FloatArray) -> FloatArray:
        """One row per form and column of worth (J, C): its sum over the form."""
        n_units = len(self.parameters)
        rows = np.zeros((self.n_forms * worth.shape[1], n_units * (self.n_forms + len(self._pairs))))
        for f in range(self.n_forms):
            for c in range(worth.shape[1]):
                rows[f * worth.shape[1] + c, f * n_units : (f + 1) * n_units] = worth[:, c]
        return rows

    def _maximin(self, worth: FloatArray) -> BoolArray:
        rows = self._of_forms(worth)
        return self._marks(self._program.best(rows, np.zeros(len(rows)), gap=_GAP))

    def _nearest(self, target: FloatArray) -> BoolArray:
        rows, wanted = self._of_forms(self._information), np.tile(target, self.n_forms)
        return self._marks(self._program.nearest(rows, wanted, gap=_GAP))

    # --- accuracy -------------------------------------------------------------

    @cached_property
    def _people(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Thetas of the population with their weights, and the information of each unit there, (J, T)."""
        mean, sd = self.population.mean, self.population.sd
        theta = np.linspace(mean - _REACH * sd, mean + _REACH * sd, _N_POINTS)
        weight = np.exp(self.population.log_density(theta))
        return theta, weight / weight.sum(), information(self.parameters, theta).T

    def classification(self, marks: BoolArray) -> FloatArray:
        """Share of right decisions of each form at the first point, by the normal approximation, (F,)."""
        theta, weight, table = self._people
        held = marks.astype(float) @ table
        return np.asarray(ndtr(np.abs(theta - self.points[0]) * np.sqrt(held)) @ weight)

    def _most_accurate(self, marks: BoolArray) -> BoolArray:
        theta, weight, table = self._people
        distance = np.abs(theta - self.points[0])
        best, least = marks, float(self.classification(marks).min())
        for _ in range(_MOST_TANGENTS):
            held = (best.astype(float) @ table).mean(axis=0)
            root = np.sqrt(np.maximum(held, 1e-12))
            density = np.exp(-0.5 * (distance * root) ** 2) / math.sqrt(2.0 * math.pi)
            slope = weight * density * distance / (2.0 * root)
            # In units of the first: a tangent is tiny, the solver's tolerances are not.
            tangent = table @ slope
            found = self._maximin((tangent / tangent.max())[:, None])
            reached = float(self.classification(found).min())
            if reached <= least + 1e-9:
                break
            best, least = found, reached
        return best

    def _assembled(self, marks: BoolArray, objective: Objective) -> Assembled:
        return Assembled(
            forms=tuple(tuple(np.flatnonzero(row).tolist()) for row in marks),
            points=np.asarray(self.points, dtype=float),
            information=marks.astype(float) @ self._information,
            accuracy=self.classification(marks),
            objective=objective,
        )
