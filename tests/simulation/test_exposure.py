from __future__ import annotations

import numpy as np
import pytest

from assess.errors import InvalidParameters
from assess.irt import Prior
from assess.items import Form
from assess.session import answer as give
from assess.session import count_items, fold, start, step, with_ending, with_offer, with_response
from assess.simulation.exposure import exposure_of, exposure_table, simulate_sessions
from tests import synthetic
from tests.session.driving import NOON
from tests.verification import record, replications

PLAIN = {"min_units": 5, "max_units": 8, "randomesque": 2}
EXPOSURE = {"target": 0.6, "probabilities": {f"x-{n:03d}.v1": 0.6 for n in range(4, 12)}, "made": {}}


def release(n_items=15, with_case_set=True, **adaptive):
    return synthetic.release(
        kind="adaptive",
        calibrated=True,
        n_items=n_items,
        with_case_set=with_case_set,
        form={"adaptive": PLAIN | adaptive, "time_limit_minutes": 600},
    )


def stepped(found, seed, answers):
    """One session of the engine whose learner earns answers[unit] on each unit: units, and its last state."""
    state = fold(found, start(found, session="s", learner="l", seed=seed, now=NOON), (), ())
    left: dict[int, int] = {}
    units: list[int] = []
    while True:
        due = step(state, NOON)
        if due.ending is not None:
            return units, with_ending(state, due.ending)
        assert due.offer is not None
        state = with_offer(state, due.offer, NOON)
        unit = found.unit_of[due.offer]
        if unit not in left:
            units.append(unit)
            left[unit] = int(answers[unit])
        item = found.items[due.offer]
        right = left[unit] > 0
        left[unit] -= right
        given = give(
            state,
            position=state.position,
            item=item.id,
            revision=1,
            raw="b" if right else "a",
            now=NOON,
            salt="0" * 32,
        )
        state = with_response(state, given)


RULES = [
    {},
    {"exposure": EXPOSURE, "enemies": [["x-001.v1", "x-002.v1"]], "se": 0.5},
    {"selection": "KLP", "updating": "WL", "start": {"among": 3}, "exposure": EXPOSURE},
    {"content": "shadow", "sprt": {"delta": 0.4}, "randomesque": 1},
]


def disagreements(rules, n_learners, seed):
    """How many of so many sessions differ from the same learner in a batch, step by step."""
    found = release(**rules)
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=n_learners)
    seeds = [rng.bytes(16).hex() for _ in range(n_learners)]
    batch = simulate_sessions(found, theta, seeds, np.random.default_rng(seed + 1))
    differ = 0
    for i in range(n_learners):
        own = batch.units[i][batch.units[i] >= 0].tolist()
        answers = np.zeros(len(found.units), dtype=int)
        answers[own] = batch.categories[i][: len(own)]
        units, state = stepped(found, seeds[i], answers)
        last = found.adaptive_test.next_unit(state.complete, u=0.0)
        same = units == own and abs(last.theta - batch.theta[i]) < 1e-9
        differ += not (same and abs(last.p_above - batch.p_above[i]) < 1e-9)
    return differ


@pytest.mark.parametrize("rules", RULES)
def test_a_batch_gives_each_learner_what_the_engine_gives_step_by_step(rules):
    assert disagreements(rules, 25, 7) == 0


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_a_thousand_in_a_batch_are_a_thousand_sessions():
    found = replications("batch and engine", 40, lambda r: disagreements(RULES[r % 4], 25, 100 + r), seed=100)
    record(
        "1,000 learners in a batch against 1,000 sessions of the engine, four kinds of rules",
        f"{sum(found)} differ in any unit, theta or probability",
        seed=100,
    )
    assert sum(found) == 0


def kept(n_items, rules, target, n_table, n_check, seed):
    """What fresh learners meet under a table: repeats, violations, enemies together, the largest exposure."""
    group = [f"x-{n:03d}.v1" for n in range(n_items // 2, n_items // 2 + 3)]
    codes = [
        {"label": code, "minimum": 2, "maximum": rules["max_units"] // 2, "code": code}
        | {"framework": "unesco-ict-cft", "version": "2"}
        for code in synthetic.CODES
    ]
    form = {"adaptive": rules | {"enemies": [group]}, "blueprint": codes, "time_limit_minutes": 600}
    found = synthetic.release(kind="adaptive", calibrated=True, n_items=n_items, form=form)
    rng = np.random.default_rng(seed)
    table = exposure_table(found, target, rng.normal(size=n_table), seed=seed)
    next_form = table.form(found.form)
    assert next_form.version == 2
    assert Form.from_mapping(next_form.to_mapping(), "form") == next_form
    under = synthetic.release(
        kind="adaptive", calibrated=True, n_items=n_items, form=next_form.to_mapping() | {"version": 2}
    )
    fresh = rng.normal(size=n_check)
    run = simulate_sessions(under, fresh, [rng.bytes(16).hex() for _ in fresh], rng)
    repeats = violations = together = 0
    enemies = {under.unit_of[reference] for reference in group}
    for units in run.units:
        own = units[units >= 0].tolist()
        repeats += len(own) - len(set(own))
        together += len(enemies & set(own)) > 1
        items = [item for unit in own for item in under.units[unit].items]
        violations += any(
            not r.minimum <= count_items(items, r) <= (r.maximum or 0) for r in under.form.blueprint
        )
    return table, repeats, violations, together, float(exposure_of(run, n_items).max())


def test_the_exposure_stays_below_its_target_and_content_and_enemies_are_kept():
    rules = PLAIN | {"certainty": False}
    table, repeats, violations, together, largest = kept(40, rules, 0.4, 600, 1_000, 3)
    assert table.converged
    assert (repeats, violations, together) == (0, 0, 0)
    # Fresh learners: the tolerance of the table, and three Monte Carlo errors for the table and the check.
    assert largest <= 0.4 + 0.01 + 3.0 * np.sqrt(0.24 * (1 / 600 + 1 / 1_000))
    without = release(40, with_case_set=False, certainty=False)
    rng = np.random.default_rng(3)
    before = simulate_sessions(without, rng.normal(size=500), [rng.bytes(16).hex() for _ in range(500)], rng)
    assert exposure_of(before, 40).max() > 0.5


@pytest.mark.verify
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("content", ["priority", "shadow"])
def test_ten_thousand_learners_on_five_hundred_units_keep_everything(content):
    rules = {"min_units": 15, "max_units": 20, "randomesque": 2, "certainty": False, "content": content}
    n_table, n_check = (10_000, 10_000) if content == "priority" else (2_000, 10_000)
    table, repeats, violations, together, largest = kept(500, rules, 0.2, n_table, n_check, 77)
    record(
        f"10,000 learners x 20 of 500 units, full blueprint, exposure 0.2, content by {content}",
        f"{repeats} repeated units, {violations} violations, {together} with enemies together, "
        f"largest exposure {largest:.3f}; table of {n_table:,} learners in {table.rounds} rounds",
        seed=77,
    )
    assert (repeats, violations, together) == (0, 0, 0)
    assert largest <= 0.2 + 0.01


def test_a_shadow_form_keeps_its_exposure_too():
    found = release(24, with_case_set=False, certainty=False, content="shadow", randomesque=1)
    theta = np.random.default_rng(1).normal(size=150)
    table = exposure_table(found, 0.55, theta, seed=2, tolerance=0.05, max_rounds=8)
    assert table.converged
    assert repr(table).startswith("<ExposureTable: target 0.55 reached, largest exposure 0.")


def test_what_no_table_can_keep_is_refused():
    with pytest.raises(InvalidParameters, match=r"share of 0\.333"):
        exposure_table(release(with_case_set=False), 0.3, [0.0], seed=1)
    with pytest.raises(InvalidParameters, match="is not adaptive"):
        exposure_table(synthetic.release(calibrated=True), 0.5, [0.0], seed=1)
    with pytest.raises(InvalidParameters, match="2 seeds for 1 learners"):
        simulate_sessions(release(), [0.0], ["00" * 16] * 2, np.random.default_rng(1))


def test_a_prior_by_which_units_are_chosen_serves_many_as_it_serves_one():
    from assess.irt.batch import Answers, Kernel

    found = release(24, with_case_set=False, start={"theta": None, "among": 1}, selection="MPWI")
    test = found.adaptive_test
    priors = [Prior(-1.0, 0.5), Prior(1.0, 0.5)]
    draws = np.full((2, 8, 2), 0.3)
    units = Kernel(test).run(Answers(test.parameters), np.zeros(2), draws, choosing=priors)[0]
    for row, prior in enumerate(priors):
        assert test.next_unit([], u=0.3, choosing=prior).unit == units[row, 0]
