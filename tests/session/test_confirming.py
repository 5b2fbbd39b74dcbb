"""A confirming session chooses unseen units, ends by its own test, and leaves a record that says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from assess.errors import ActivationRefused, InvalidParameters, RescoreRefused, ScaleMismatch
from assess.irt.confirmation import FirstScore
from assess.scale import Score
from assess.session import (
    Ending,
    FirstDecision,
    SessionState,
    StartRecord,
    confirmation,
    fold,
    require_rescorable,
    require_unseen,
    start,
    with_ending,
)
from tests import synthetic
from tests.session.driving import NOON, SEED, begin, respond

FORM = synthetic.confirming()
FIRST = FirstDecision.of("dec_1", "0f" * 32, "ses_0", Score(1.0, 0.25, "WL", ()))
FIXED: dict[str, Any] = {"calibrated": True, "form": {"rule": {"kind": "probability"}}}


def _run(pattern: str, **options: Any) -> SessionState:
    state = begin(FORM, confirms=FIRST, **options)
    while state.ending is None:
        state = respond(state, pattern[(state.position - 1) % len(pattern)])
    return state


# --- a session ------------------------------------------------------------------------


@pytest.mark.parametrize(("pattern", "outcome"), [("b", "consistent"), ("a", "inconsistent")])
def test_it_ends_as_soon_as_its_test_decides(pattern: str, outcome: str) -> None:
    state = _run(pattern)
    found = confirmation(state, decided_at=NOON)
    assert found.outcome == outcome
    assert 3 <= state.position < 12
    assert state.ending is not None
    assert state.ending.how == "completed"
    assert found.record["evidence"]["stopped_by"] == outcome
    assert found.record["evidence"]["blueprint"][0]["met"]


def test_it_is_undecided_at_its_longest() -> None:
    state = _run("ba")
    found = confirmation(state, decided_at=NOON)
    assert (found.outcome, state.position) == ("undecided", 12)
    assert found.record["evidence"]["stopped_by"] == "length"


@pytest.mark.parametrize("how", ["submitted", "timed_out"])
def test_one_that_stopped_early_is_undecided_whatever_was_answered(how: str) -> None:
    state = begin(FORM, confirms=FIRST)
    for _ in range(2):
        state = respond(state, "a")
    ended = with_ending(state, Ending(how, NOON + timedelta(minutes=9)))
    found = confirmation(ended, decided_at=NOON)
    assert found.outcome == "undecided"
    # What was shown and not answered is named, and does not count.
    assert [unit["counts"] for unit in found.record["units"]] == [True, True, False]


def test_nothing_that_was_seen_is_shown() -> None:
    seen = tuple(f"x-{n:03d}.v1" for n in range(1, 25))
    state = _run("ba", excluded=seen)
    assert not {offer.item for offer in state.offers} & set(seen)


def test_its_units_are_informative_half_a_loss_below_the_first_score() -> None:
    state = begin(FORM, confirms=FIRST)
    first = FORM.unit_of[state.offers[0].item]
    difficulty = float(FORM.parameters.steps[first, 0])
    # 40 difficulties over 3 units of theta: two best ones lie within 0.08 of 1.0 - 0.5.
    assert difficulty == pytest.approx(0.5, abs=0.08)


def test_the_start_record_holds_all_of_it_and_the_fold_replays() -> None:
    state = _run("ab")
    stored = StartRecord.from_mapping(state.start.to_mapping())
    assert (stored.try_number, stored.confirms is not None) == (0, True)
    again = fold(FORM, stored, state.offers, state.responses, ending=state.ending)
    assert (
        confirmation(again, decided_at=NOON).record_bytes == confirmation(state, decided_at=NOON).record_bytes
    )


def test_an_altered_first_score_gives_another_record() -> None:
    state = _run("ab")
    mapping = state.start.to_mapping()
    mapping["confirms"]["low"] -= 0.1
    altered = fold(
        FORM, StartRecord.from_mapping(mapping), state.offers, state.responses, ending=state.ending
    )
    own, other = (confirmation(one, decided_at=NOON).record for one in (state, altered))
    assert own["first"]["distribution_sha256"] != other["first"]["distribution_sha256"]
    assert own["log_ratio"] != other["log_ratio"]


def test_the_stored_distribution_is_the_posterior_to_nine_digits() -> None:
    nodes = np.linspace(-5.0, 5.0, 61)
    weights = np.exp(-0.5 * ((nodes - 0.7) / 0.4) ** 2)
    weights /= weights.sum()
    score = Score(0.7, 0.4, "EAP", (), nodes=nodes, posterior=weights)
    kept = FirstDecision.of("d", "0" * 64, "s", score).score
    assert kept.basis == "posterior"
    np.testing.assert_allclose(kept.nodes, nodes, atol=1e-14)
    np.testing.assert_allclose(kept.weights, weights, rtol=1e-8)
    assert isinstance(kept, FirstScore)


def test_a_confirming_form_and_no_other_is_given_what_it_confirms() -> None:
    plain = synthetic.release(kind="adaptive", n_items=12)
    for release, first in ((FORM, None), (plain, FIRST)):
        with pytest.raises(InvalidParameters, match="a confirming form, and no other"):
            start(release, session="s", learner="l", seed=SEED, now=NOON, confirms=first)


def test_it_is_not_scored_again() -> None:
    with pytest.raises(RescoreRefused, match="decides nothing that could be scored again"):
        require_rescorable(FORM, FORM)


# --- going live -----------------------------------------------------------------------


def _refused(first: Any, said: str, **changes: Any) -> None:
    with pytest.raises(ActivationRefused, match=said):
        require_unseen(synthetic.confirming(**changes), [first])


def test_a_bank_with_enough_that_the_first_form_does_not_use_is_enough() -> None:
    require_unseen(FORM, [synthetic.release(n_items=24, **FIXED)])


def test_a_bank_that_a_session_of_the_first_form_uses_up_is_refused() -> None:
    first = synthetic.release(n_items=24, **FIXED)
    _refused(first, "may have 6 unseen units left of 30; the form needs 12", n_items=30)


def test_an_adaptive_first_form_uses_up_what_one_session_shows() -> None:
    policy = {"id": "x-fixed", "extension": {"min_units": 2, "max_units": 4, "most": 2}}
    first = synthetic.release(kind="adaptive", calibrated=True, n_items=40, form=policy)
    # 8 units, and 4 in each of two extensions.
    require_unseen(synthetic.confirming(n_items=28), [first])
    _refused(first, "may have 11 unseen units left of 27", n_items=27)


def test_a_requirement_that_a_session_may_use_up_is_refused() -> None:
    first = synthetic.release(n_items=24, **FIXED)
    code = {"label": "all of TL.3.a", "framework": "unesco-ict-cft", "version": "2", "code": "TL.3.a"}
    said = "may have 5 unseen items left for all of TL.3.a, which wants 6"
    _refused(first, said, blueprint=[code | {"minimum": 6}])


def test_a_first_form_that_is_not_live_is_named() -> None:
    with pytest.raises(ActivationRefused, match="confirms x-fixed, which is not live"):
        require_unseen(FORM, [])


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ({"n_items": 6}, "x-fixed.v1 rests on judged parameters"),
        (
            {"calibrated": True, "form": {"rule": {"kind": "raw"}}},
            "raw score, which has no theta",
        ),
    ],
)
def test_a_first_form_without_a_theta_is_refused(first: dict[str, Any], said: str) -> None:
    _refused(synthetic.release(**first), said)


def test_judged_parameters_confirm_nothing() -> None:
    stated = {"id": "x-confirming", **FORM.form.to_mapping()}
    judged = synthetic.release(kind="adaptive", n_items=40, form=stated)
    with pytest.raises(ActivationRefused, match="no error rates of a confirmation could be defended"):
        require_unseen(judged, [synthetic.release(n_items=12, **FIXED)])


def test_forms_on_unequal_scales_are_refused() -> None:
    made = synthetic.document(n_items=12, **FIXED)
    made["parameter_set"]["scale"]["id"] = made["cut"]["scale"] = "twt-3/2"
    from assess.session import Release

    with pytest.raises(ScaleMismatch, match=r"confirming x-fixed\.v1"):
        require_unseen(FORM, [Release.from_document(made)])
