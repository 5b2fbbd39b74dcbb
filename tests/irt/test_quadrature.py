from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.irt import ItemParameters, Prior
from assess.irt.quadrature import TailMass, chunks, default_nodes, moments, posterior
from assess.scale import upper_tail


@given(mean=st.floats(-4, 4), sd=st.floats(0.25, 2.0), cut=st.floats(-7, 7), n=st.integers(20, 90))
def test_the_mass_above_a_cut_is_that_of_the_decision(mean, sd, cut, n):
    nodes = np.linspace(-6.0, 6.0, n)
    log_density = -0.5 * ((nodes - mean) / sd) ** 2
    log_density -= log_density.max()
    assert TailMass(nodes, cut).above(log_density[None])[0] == pytest.approx(
        upper_tail(nodes, np.exp(log_density), cut), abs=1e-12
    )


def test_the_mass_above_a_cut_of_a_normal_density_is_the_normal_one():
    nodes = np.linspace(-6.0, 6.0, 61)
    log_density = -0.5 * ((nodes - 0.3) / 0.5) ** 2
    expected = 0.5 * math.erfc((0.77 - 0.3) / 0.5 / math.sqrt(2.0))
    found = TailMass(nodes, 0.77).above((log_density - log_density.max())[None])[0]
    assert found == pytest.approx(expected, abs=1e-6)


@given(mean=st.floats(-3, 3), sd=st.floats(0.2, 4.0))
def test_nodes_span_six_standard_deviations_of_the_prior_and_integrate_it(mean, sd):
    items = ItemParameters(["i"], "2PL", [1.0], [[0.0]])
    prior = Prior(mean, sd)
    nodes = default_nodes(items, prior)
    assert nodes[[0, -1]] == pytest.approx([mean - 6 * sd, mean + 6 * sd])
    assert len(nodes) % 2 == 1
    weights = posterior(np.array([-1]), items, prior, nodes)
    assert moments(nodes, weights) == pytest.approx((mean, sd), rel=1e-6, abs=1e-9)


def test_chunks_cover_everybody_once():
    covered = [row for rows in chunks(10, 4) for row in range(10)[rows]]
    assert covered == list(range(10))
