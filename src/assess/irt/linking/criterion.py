"""The criteria of Haebara and of Stocking and Lord: their minimum, and how it moves with the parameters.

The minimum solves g(A, B; parameters) = 0, so by the implicit function theorem
its derivatives are -H^-1 dg/dparameters. Both H and the mixed derivatives are
exact in theta; only the step along an item parameter is a difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import least_squares

from assess.irt.linking.curves import Curves, Variation, curves
from assess.irt.parameters import FloatArray, ItemParameters
from assess.irt.quadrature import Prior

_NODES = np.linspace(-4.0, 4.0, 41)

Jacobian = Callable[[Variation], FloatArray]


class Solution(NamedTuple):
    """Constants, and how they move with the parameters of either side, (2, P)."""

    slope: float
    intercept: float
    criterion: float
    by_new: Jacobian
    by_onto: Jacobian


class Criterion:
    """A characteristic-curve criterion, its minimum, and how the minimum moves."""

    def __init__(
        self,
        x: ItemParameters,
        y: ItemParameters,
        by_category: bool,
        fixed: bool,
        onto_population: Prior,
        new_population: Prior | None,
    ) -> None:
        self.x, self.y, self.by_category = x, y, by_category
        self.free = np.array([not fixed, True])
        weights = np.exp(-0.5 * _NODES**2)
        self.weights = (weights / weights.sum())[:, None, None]
        self.nodes_onto = onto_population.mean + onto_population.sd * _NODES
        self.onto_at_nodes = curves(y, self.nodes_onto, by_category)
        self.nodes_new = None
        if new_population is not None:
            self.nodes_new = new_population.mean + new_population.sd * _NODES
            self.new_at_nodes = curves(x, self.nodes_new, by_category)

    # One part per direction. In each, a residual r = onto - new, where one of the
    # two curves stands still and the other is read at a moving argument.

    def _parts(self, slope: float, intercept: float) -> list[_Part]:
        at = (self.nodes_onto - intercept) / slope
        moves = np.stack([-at / slope, np.full_like(at, -1.0 / slope)])
        bends = np.array([[2.0 * at, np.ones_like(at)], [np.ones_like(at), np.zeros_like(at)]]) / slope**2
        parts = [_Part(self.onto_at_nodes, curves(self.x, at, self.by_category), moves, bends, at, "new")]
        if self.nodes_new is not None:
            s = slope * self.nodes_new + intercept
            moves = np.stack([self.nodes_new, np.ones_like(s)])
            moving = curves(self.y, s, self.by_category)
            parts.append(_Part(moving, self.new_at_nodes, moves, np.zeros((2, 2, len(s))), s, "onto"))
        return parts

    def _first(self, part: _Part) -> tuple[FloatArray, FloatArray]:
        """Residual (Q, R, C) and its derivatives by slope and intercept (2, Q, R, C)."""
        residual = self._summed(part.onto.value - part.new.value)
        moving = part.new if part.moving == "new" else part.onto
        sign = -1.0 if part.moving == "new" else 1.0
        return residual, sign * part.moves[:, :, None, None] * self._summed(moving.first)

    def _summed(self, values: FloatArray) -> FloatArray:
        """Stocking-Lord compares sums over items."""
        return values if self.by_category else np.asarray(values.sum(axis=1, keepdims=True))

    def solve(self) -> Solution:
        root = np.sqrt(self.weights)

        def unpack(beta: FloatArray) -> tuple[float, float]:
            return (float(np.exp(beta[0])), float(beta[1])) if self.free[0] else (1.0, float(beta[0]))

        def residuals(beta: FloatArray) -> FloatArray:
            parts = self._parts(*unpack(beta))
            return np.concatenate([(root * self._first(part)[0]).ravel() for part in parts])

        def derivatives(beta: FloatArray) -> FloatArray:
            slope, intercept = unpack(beta)
            rows = [
                (root * self._first(part)[1]).reshape(2, -1) * np.array([[slope], [1.0]])
                for part in self._parts(slope, intercept)
            ]
            return np.asarray(np.concatenate(rows, axis=1)[self.free].T)

        # A curve criterion can have a second, flat minimum far away; the best of several starts is near
        # the right one.
        slopes = (0.7, 1.0, 1.4) if self.free[0] else (1.0,)
        starts = [np.array([np.log(a), b])[self.free] for a in slopes for b in self._intercepts()]
        start = min(starts, key=lambda beta: float((residuals(beta) ** 2).sum()))
        best = least_squares(residuals, start, derivatives, xtol=1e-12, ftol=1e-12, gtol=1e-12)
        slope, intercept = unpack(best.x)
        parts = self._parts(slope, intercept)
        hessian = sum((self._hessian(part) for part in parts), np.zeros((2, 2)))
        inverse = np.zeros((2, 2))
        free = np.ix_(self.free, self.free)
        inverse[free] = np.linalg.inv(hessian[free])

        def jacobian(side: Literal["new", "onto"]) -> Jacobian:
            return lambda moved: (
                -inverse
                @ sum((self._mixed(part, side, moved) for part in parts), np.zeros((2, len(moved.rows))))
            )

        return Solution(slope, intercept, 2.0 * float(best.cost), jacobian("new"), jacobian("onto"))

    def _intercepts(self) -> list[float]:
        located = ~np.isnan(self.x.steps)
        shift = float(self.y.steps[located].mean() - self.x.steps[located].mean()) if located.any() else 0.0
        return [shift, shift - 1.0, shift + 1.0]

    def _hessian(self, part: _Part) -> FloatArray:
        """Half the second derivatives of the criterion."""
        residual, first = self._first(part)
        moving = part.new if part.moving == "new" else part.onto
        sign = -1.0 if part.moving == "new" else 1.0
        pull = (self.weights * residual * self._summed(moving.first)).sum(axis=(1, 2))
        bend = (self.weights * residual * self._summed(moving.second)).sum(axis=(1, 2))
        outer = np.einsum("uqrc,vqrc->uv", first, self.weights * first)
        curved = np.einsum("q,uq,vq->uv", bend, part.moves, part.moves) + part.bends @ pull
        return np.asarray(outer + sign * curved)

    def _mixed(self, part: _Part, side: str, moved: Variation) -> FloatArray:
        """Half the derivatives of the gradient by the parameters of one side, (2, P)."""
        residual, first = self._first(part)
        nodes = part.at if side == part.moving else None
        if nodes is None:
            nodes = self.nodes_new if side == "new" else self.nodes_onto
        assert nodes is not None
        shift = moved.curves(nodes, self.by_category)
        sign = -1.0 if side == "new" else 1.0
        rows = moved.rows if self.by_category else np.zeros(len(moved.rows), dtype=np.int64)
        value = sign * np.einsum("uqpc,qpc->up", (self.weights * first)[:, :, rows], shift.value)
        if side != part.moving:
            return np.asarray(value)
        weighted = (self.weights * residual)[:, rows] * shift.first
        return np.asarray(value + sign * np.einsum("uq,qpc->up", part.moves, weighted))


class _Part(NamedTuple):
    """One direction of a criterion: curves of both sides, and the argument that moves."""

    onto: Curves
    new: Curves
    moves: FloatArray
    bends: FloatArray
    at: FloatArray
    moving: Literal["new", "onto"]
