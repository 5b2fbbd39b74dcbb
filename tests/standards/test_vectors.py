"""Cases beside the published ones, worked by hand: `vectors.yaml` states each with the reason."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import yaml

from assess.standards.eligibility import evaluate, load_rules
from tests.verification import record

CONTENT = yaml.safe_load(Path(__file__).with_name("vectors.yaml").read_text(encoding="utf-8"))
RULES = {name: load_rules(rules) for name, rules in CONTENT["programmes"].items()}
VECTORS = CONTENT["vectors"]


def answer(vector, facts=None):
    return evaluate(
        RULES[vector["programme"]],
        vector["facts"] if facts is None else facts,
        badge=vector["badge"],
        subject=vector.get("subject", "p1"),
        as_of=vector["as_of"],
        as_known_at=vector.get("as_known_at"),
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['badge']}: {v['why']}")
def test_every_vector_holds(vector):
    assert answer(vector).status == vector["expect"]


def _shuffled(times):
    rng = random.Random(20261128)
    for vector in VECTORS:
        expected = answer(vector)
        for _ in range(times):
            facts = vector["facts"] + rng.choices(vector["facts"], k=3)
            rng.shuffle(facts)
            assert answer(vector, facts) == expected, vector["why"]


def test_order_and_repetition_change_nothing():
    _shuffled(10)


@pytest.mark.verify
def test_a_thousand_shuffles_of_every_vector_change_nothing():
    _shuffled(1000)
    record(
        "our own vectors of badge rules, 1,000 orders of each with three facts twice",
        f"{len(VECTORS)} vectors, {len(VECTORS) * 1000:,} answers, none unlike that of the written order",
        seed=20261128,
    )
