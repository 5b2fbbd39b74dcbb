"""Items on trial become operational, and items that changed stop being offered, by the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import assess as package
from assess import irt
from assess.delivery.store import reading
from assess.irt import ItemParameters
from assess.publishing import check, load_bank, publish_calibration, seal
from assess.publishing.judged import judged_parameters
from assess.responses import ResponseMatrix
from tests.publishing import small_bank

TRIED = "toy-012.v1"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    bank = load_bank(small_bank.write_bank(tmp_path_factory.mktemp("banks")))
    true = ItemParameters.from_records(judged_parameters(bank)["items"])
    rng = np.random.default_rng(5)
    matrix = ResponseMatrix(
        irt.simulate(true, rng.standard_normal(1500), rng), None, true.item_ids, true.n_categories
    )
    counts = zip(matrix.item_ids, matrix.n_categories, strict=True)
    return irt.calibrate(matrix, {unit: "2PL" if n == 2 else "GPCM" for unit, n in counts})


@pytest.fixture
def course(banks, calibration) -> Path:
    """The small bank on a scale of its own, with an item on trial in its adaptive form."""
    folder = banks / "toys" / "toy"
    small_bank.write(folder / "items" / f"{TRIED}.yaml", small_bank.item(12, state="pilot"))
    adaptive = small_bank.form("adaptive", pilot=[TRIED], pilot_slots=1)
    small_bank.write(folder / "forms" / "toy-adaptive.v1.yaml", adaptive)
    seal(folder)
    publish_calibration(
        load_bank(folder), calibration, set_id="toy-2026-11", reference_group="1,500 simulated teachers",
        reason="first", by="R. Reader", now=NOW,
    )  # fmt: skip
    return folder


def answers(course: Path, tmp_path: Path, *, n: int = 700, moved: str = "", by: float = 0.0, seed: int = 9):
    """A file of answers to the published units and to the item on trial; one unit may have moved."""
    published = load_bank(course).parameter_sets["toy-2026-11.v1"].parameters
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal(n)
    today = published
    if moved:
        shift = np.where(np.array(published.item_ids) == moved, by, 0.0)[:, None]
        today = ItemParameters(
            published.item_ids, published.models, published.slopes, published.steps + shift
        )
    frame = pd.DataFrame(irt.simulate(today, theta, rng), columns=list(published.item_ids))
    frame[TRIED] = irt.simulate(ItemParameters([TRIED], "2PL", [1.1], [[0.2]]), theta, rng)[:, 0]
    frame.insert(0, "language", np.where(rng.random(n) < 0.4, "fr", "en"))
    frame.insert(0, "person", [f"p{i}" for i in range(n)])
    path = tmp_path / "answers.csv"
    frame.to_csv(path, index=False)
    return path


def the_record(folder: Path) -> Path:
    (path,) = folder.glob("*.json")
    return path


# --- pilot -----------------------------------------------------------------------


def reviewed(assess, course, tmp_path, *more) -> Path:
    path = answers(course, tmp_path)
    done = assess(
        "pilot", "review", path, "--course", "toy", "--group", "language", "--by", "R. Reader", *more
    )
    assert done.code == 0, done.err
    return the_record(tmp_path / "var" / "pilots")


def test_an_item_that_passes_is_promoted_by_another_person_and_offered(assess, course, tmp_path):
    path = reviewed(assess, course, tmp_path)
    found = json.loads(path.read_text())
    assert found["table"][TRIED]["status"] == "passes"
    assert found["table"][TRIED]["dif"] in ("fr: A", "fr: B")
    assert (found["parameter_set"], found["reviewed_by"]) == ("toy-2026-11.v1", "R. Reader")

    done = assess("pilot", "promote", path, "--by", "r. reader", "--reason", "good")
    assert (done.code, "another person must promote" in done.err) == (2, True)

    before = sorted(course.rglob("*.yaml"))
    done = assess("pilot", "promote", path, "--by", "S. Second", "--reason", "good", "--preview")
    assert done.code == 0, done.err
    assert "nothing was written" in done.out
    assert "toy-adaptive.v3, simulated, against toy-adaptive.v2" in done.out
    assert sorted(course.rglob("*.yaml")) == before

    done = assess("pilot", "promote", path, "--by", "S. Second", "--reason", "good")
    assert done.code == 0, done.err
    bank = load_bank(course)
    form = bank.forms["toy-adaptive.v3"]
    assert form.units[-1] == "toy-012.v2"
    assert (form.pilot, form.pilot_slots) == ((), 0)
    old, new = bank.parameter_sets["toy-2026-11.v1"], bank.parameter_sets[form.parameter_set]
    assert new.id == "toy-2026-11.v2"
    assert new.parameters.take(old.parameters.item_ids).to_records() == old.parameters.to_records()
    assert new.provenance["promoted"] == {"toy-012.v2": TRIED}
    assert new.provenance["pilot_review"]["by"] == "R. Reader"
    assert set(new.provenance["standard_errors"]["toy-012.v2"]) == {"a", "b"}
    # The version on trial is not touched: what was shown can always be shown again.
    assert (bank.items[TRIED].state, bank.items["toy-012.v2"].state) == ("pilot", "active")
    assert check(course) == []
    assert assess("activate", "toys", "--reason", "x").code == 0
    assert assess("activate", "toy-adaptive", "--reason", "with the new item").code == 0
    assert assess("simulate", "toy", "--learners", 20, "--form", "toy-adaptive").code == 0
    with package.connect() as database:
        assert "toy-012.v2" in database.matrix("toy", sandbox=True).item_ids
    assert assess("replay", "--verify-chain").code == 0


def test_an_item_is_promoted_once(assess, course, tmp_path):
    path = reviewed(assess, course, tmp_path)
    promote = ("pilot", "promote", path, "--by", "S. Second", "--reason", "good")
    assert assess(*promote).code == 0
    done = assess(*promote)
    assert (done.code, "has a newer version, toy-012.v2" in done.err) == (2, True)


def test_an_item_that_still_collects_is_not_promoted(assess, course, tmp_path):
    path = reviewed(assess, course, tmp_path, "--looks", "1000")
    done = assess("pilot", "promote", path, TRIED, "--by", "S. Second", "--reason", "good")
    assert done.code == 2
    assert f"{TRIED} cannot be promoted; it still collects responses (700 so far)" in done.err
    done = assess("pilot", "promote", path, "--by", "S. Second", "--reason", "good")
    assert (done.code, "nothing to promote" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--looks", "many"), "give whole numbers"),
        (("--looks", "500,250"), "rising numbers"),
        (("--group", "sex"), "no column is called 'sex'"),
        (("--parameters", "toy-x.v1"), "'toy-x.v1' is no parameter set of toy"),
    ],
)
def test_reviews_that_cannot_be_meant_are_one_sentence(assess, course, tmp_path, arguments, message):
    done = assess("pilot", "review", answers(course, tmp_path, n=20), "--course", "toy", *arguments)
    assert (done.code, message in done.err) == (2, True), done.err


def test_a_file_without_its_course_or_an_item_on_trial_is_refused(assess, course, tmp_path):
    path = answers(course, tmp_path, n=20)
    done = assess("pilot", "review", path)
    assert (done.code, "add --course" in done.err) == (2, True)
    pd.read_csv(path).drop(columns=TRIED).to_csv(path, index=False)
    done = assess("pilot", "review", path, "--course", "toy")
    assert (done.code, "nobody was shown an item of toy" in done.err) == (2, True)
    done = assess("pilot", "promote", path, "--by", "S", "--reason", "x")
    assert (done.code, "no record that `assess pilot review` wrote" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("command", "writer"), [(("pilot", "promote"), "pilot review"), (("drift", "freeze"), "drift check")]
)
def test_a_record_that_is_nested_too_deeply_is_one_sentence(assess, tmp_path, command, writer):
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    done = assess(*command, path, "--by", "S", "--reason", "x")
    assert (done.code, f"no record that `assess {writer}` wrote" in done.err) == (2, True)


def test_before_the_first_calibration_there_is_no_scale_to_try_items_on(assess, banks, tmp_path):
    (tmp_path / "a.csv").write_text("person,toy-001.v1\np1,1\n")
    done = assess("pilot", "review", tmp_path / "a.csv", "--course", "toy")
    assert (done.code, "the first calibration founds its scale" in done.err) == (2, True)


# --- drift -----------------------------------------------------------------------


def test_an_item_that_moved_is_found_frozen_and_no_longer_offered(assess, course, tmp_path):
    path = answers(course, tmp_path, n=1500, moved="toy-003.v1", by=-1.2)
    pd.read_csv(path).drop(columns=["language", TRIED]).to_csv(path, index=False)
    done = assess("drift", "check", path, "--course", "toy")
    assert done.code == 1, done.err
    record = the_record(tmp_path / "var" / "drift")
    found = json.loads(record.read_text())["drift"]
    assert found["removed"] == ["toy-003.v1"]
    assert found["anchors"]["toy-003.v1"]["d"] == pytest.approx(-1.2, abs=0.35)
    assert found["refusal"] == ""

    assert assess("activate", "toys", "--reason", "x").code == 0
    assert assess("activate", "toy-fixed.v2", "--reason", "calibrated").code == 0
    assert assess("simulate", "toy", "--learners", 6, "--form", "toy-fixed").code == 0

    done = assess("drift", "freeze", record, "--reason", "its answer was in the news", "--by", "R. Reader")
    assert done.code == 0, done.err
    bank = load_bank(course)
    assert bank.frozen == {"toy-003.v1"}
    freeze = bank.freezes["toy-freeze.v1"]
    assert (freeze.by, freeze.evidence["drift"]["toy-003.v1"]["drifts"]) == ("R. Reader", True)
    assert "toy-003.v1" not in bank.forms["toy-fixed.v3"].units
    assert check(course) == []

    done = assess("activate", "toy-fixed.v2", "--reason", "again")
    assert done.code == 2
    assert "toy-fixed.v2 offers toy-003.v1, which is frozen; toy-fixed.v3 goes without" in done.err
    assert assess("activate", "toy-fixed", "--reason", "without the frozen item").code == 0
    with package.connect() as database:
        # What the database knows, the API refuses too.
        assert database.read(reading.frozen_units, database.tenant, "toy") == {"toy-003.v1"}
    assert assess("simulate", "toy", "--learners", 6, "--seed", 2, "--form", "toy-fixed").code == 0
    with package.connect() as database:
        decisions = database.decisions("toy")
        assert decisions["form"].value_counts().to_dict() == {"toy-fixed.v2": 6, "toy-fixed.v3": 6}
        assert (database.matrix("toy", sandbox=True).to_frame()["toy-003.v1"].notna().sum()) == 6
    # Past scores stay: every decision is still explained by its own release.
    assert "0 differences" in assess("replay", "--verify-chain").out

    done = assess("drift", "freeze", record, "--reason", "again")
    assert (done.code, "toy-003.v1 is frozen already" in done.err) == (2, True)


def test_items_that_stand_are_not_alarming(assess, course, tmp_path):
    path = answers(course, tmp_path, n=1500)
    pd.read_csv(path).drop(columns=["language", TRIED]).to_csv(path, index=False)
    done = assess("drift", "check", path, "--course", "toy")
    assert done.code == 0, done.out
    assert "link stands" in done.out
    record = the_record(tmp_path / "var" / "drift")
    done = assess("drift", "freeze", record, "--reason", "x")
    assert (done.code, "no unit drifts in this record" in done.err) == (2, True)


def test_a_form_that_would_miss_its_blueprint_is_named_and_keeps_its_version(assess, course):
    singles = [f"toy-{n:03d}.v1" for n in (1, 4, 7)]
    done = assess("drift", "freeze", "toy", *singles, "toy-set.v1", "toy-002.v1", "--reason", "leaked")
    assert done.code == 0, done.err
    bank = load_bank(course)
    assert len(bank.frozen) == 5
    left = bank.latest_forms()["toy-fixed"]
    assert (left.reference, bool(set(left.units) & bank.frozen)) == ("toy-fixed.v2", True)
    assert "set aside: toy-fixed.v2 cannot go on without it, and needs another item" in done.out
    assert "blueprint objective b wants 1" in done.out
    done = assess("activate", "toy-fixed", "--reason", "x")
    assert (done.code, done.err.strip()) == (
        2,
        "error: toy-fixed.v2 offers toy-001.v1, which is frozen",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("toy", "toy-999.v1", "--reason", "x"), "neither an item nor a case set"),
        (("toy", "--reason", "x"), "name the record"),
        (("toy", "toy-001.v1", "--reason", " "), "who freezes and why"),
        (("nothing.json", "--reason", "x"), "no record that `assess drift check` wrote"),
    ],
)
def test_freezes_that_cannot_be_meant_are_refused(assess, course, arguments, message):
    done = assess("drift", "freeze", *arguments)
    assert (done.code, message in done.err) == (2, True), done.err


def test_a_calibration_on_anchors_lets_go_of_what_drifts_and_says_so(assess, course, tmp_path):
    path = answers(course, tmp_path, n=1500, moved="toy-003.v1", by=-1.2)
    pd.read_csv(path).drop(columns=["language", TRIED]).to_csv(path, index=False)
    done = assess("calibrate", path, "--course", "toy", "--anchors", "toy-2026-11.v1")
    assert done.code == 0, done.err
    assert "toy-003.v1 drifts and is estimated anew" in done.out
    stored = the_record(tmp_path / "var" / "calibrations")
    found = json.loads(stored.read_text())
    assert found["provenance"]["drift"]["removed"] == ["toy-003.v1"]
    rows = {row["item"]: row for row in found["items"]}
    published = load_bank(course).parameter_sets["toy-2026-11.v1"].parameters
    assert rows["toy-004.v1"] == published.take(["toy-004.v1"]).to_records()[0]
    assert rows["toy-003.v1"]["b"] < published.take(["toy-003.v1"]).steps[0, 0] - 0.8
    done = assess("publish", stored, "--reason", "later", "--id", "toy-later", "--preview")
    assert done.code == 0, done.err
    assert "toy-fixed.v3, simulated, against toy-fixed.v2" in done.out
    assert "nothing was written" in done.out
    assert assess("publish", stored, "--reason", "later", "--id", "toy-later").code == 0


def test_too_few_responses_to_check_the_anchors_block_publishing(assess, course, tmp_path):
    path = answers(course, tmp_path, n=150)
    pd.read_csv(path).drop(columns=["language", TRIED]).to_csv(path, index=False)
    done = assess("calibrate", path, "--course", "toy", "--anchors", "toy-2026-11.v1")
    assert "this calibration cannot be published" in done.out
    stored = the_record(tmp_path / "var" / "calibrations")
    done = assess("publish", stored, "--reason", "later", "--id", "toy-later")
    assert (done.code, "the scale is not held" in done.err) == (2, True)


def test_without_files_the_database_is_read(assess, course, tmp_path):
    """The languages of the sessions are the groups; with so few, everything says so."""
    assert assess("activate", "toys", "--reason", "x").code == 0
    assert assess("activate", "toy-adaptive", "--reason", "x").code == 0
    assert assess("simulate", "toy", "--learners", 12, "--form", "toy-adaptive").code == 0
    with package.connect() as database:
        spoken = database.languages("toy", sandbox=True)
        assert set(spoken) == {"en"}
        assert list(spoken.index) == list(database.matrix("toy", sandbox=True).person_ids)
    done = assess("pilot", "review", "toy", "--sandbox")
    assert done.code == 0, done.err
    assert "collecting" in done.out
    done = assess("drift", "check", "toy", "--sandbox")
    assert (done.code, "no item can be an anchor" in done.err) == (2, True)
