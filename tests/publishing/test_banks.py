"""Reading a bank: domain types, release documents, and every fault with its place."""

from __future__ import annotations

import math

import numpy as np
import pytest
import yaml

from assess.errors import InvalidContent
from assess.irt.models import test_characteristic
from assess.publishing import (
    judged_parameters,
    load_bank,
    load_programme,
    programme_document,
    release_document,
)
from assess.publishing.judged import judged_record
from assess.session.release import Release
from assess.standards.records import canonical_json
from tests.publishing import small_bank


def test_a_bank_is_read_with_all_it_holds(course):
    bank = load_bank(course)
    assert (bank.course, bank.programme, bank.security) == ("toy", "toys", "open")
    assert len(bank.items) == 11
    assert list(bank.case_sets) == ["toy-set.v1"]
    assert set(bank.forms) == {"toy-fixed.v1", "toy-adaptive.v1"}
    assert bank.cuts["toy-ka.v1"].ratings["toy-001.v1"] == 0.85
    assert repr(bank) == "<ItemBank toy-bank.v1: toy, 11 items, 2 forms, open>"


@pytest.mark.parametrize("form", ["toy-fixed.v1", "toy-adaptive.v1"])
def test_a_release_document_resolves_to_a_release(course, form):
    release = Release.from_document(release_document(load_bank(course), form))
    assert release.form.reference == form
    assert len(release.units) == 10
    assert release.scale.id == "toy/0"
    assert release.provisional


def test_a_release_document_is_the_same_every_time(course):
    first, second = (
        canonical_json(release_document(load_bank(course), "toy-fixed.v1"), floats=True) for _ in range(2)
    )
    assert first == second


def test_an_item_the_form_does_not_use_leaves_its_release_alone(course):
    before = release_document(load_bank(course), "toy-fixed.v1")
    small_bank.write(course / "items" / "toy-020.v1.yaml", small_bank.item(20))
    assert release_document(load_bank(course), "toy-fixed.v1") == before


def test_the_programme_document_is_the_file_with_its_schema(course):
    document = programme_document(load_programme(course.parent))
    assert document["schema"] == "assess.programme/1"
    assert [entry["id"] for entry in document["courses"]] == ["toy", "other"]


# --- judged parameters ---------------------------------------------------------


def test_judged_parameters_expect_the_judged_score_at_the_cut(course):
    bank = load_bank(course)
    release = Release.from_document(release_document(bank, "toy-fixed.v1"))
    assert float(test_characteristic(release.parameters, 0.0)[0]) == pytest.approx(release.raw_cut, abs=1e-5)


def test_a_single_item_has_the_location_of_its_judgement(course):
    bank = load_bank(course)
    record = judged_record("toy-001.v1", bank.unit_items("toy-001.v1"))
    assert record["b"] == pytest.approx(-math.log(0.85 / 0.15) / 0.9, abs=1e-6)
    assert (record["model"], record["a"]) == ("2PL", 0.9)


def test_a_case_set_is_one_unit_with_the_sum_of_its_items(course):
    record = judged_record("toy-set.v1", load_bank(course).unit_items("toy-set.v1"))
    assert (record["model"], record["n_categories"]) == ("GPCM", 3)
    # Both points 0.6 and 0.5: P = (0.2, 0.5, 0.3).
    steps = -np.log([0.5 / 0.2, 0.3 / 0.5]) / record["a"]
    assert [record["b1"], record["b2"]] == pytest.approx(steps, abs=1e-6)


@pytest.mark.parametrize("judged", [0.0, 1.0])
def test_a_judgement_without_a_finite_location_is_refused(course, judged):
    path = course / "items" / "toy-001.v1.yaml"
    small_bank.write(path, small_bank.item(1, judged=judged))
    with pytest.raises(InvalidContent, match=r"toy-001\.v1: .*both excluded"):
        judged_parameters(load_bank(course))


# --- faults --------------------------------------------------------------------


def _break(course, name, change):
    path = course / name
    mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(mapping)
    small_bank.write(path, mapping)


def test_a_file_that_is_not_utf8_is_named_with_its_line(course):
    path = course / "items" / "toy-001.v1.yaml"
    path.write_bytes(path.read_bytes().replace(b"Which one?", b"Which \xe9?"))
    with pytest.raises(
        InvalidContent, match=r"toys/toy/items/toy-001\.v1\.yaml: line \d+: byte 0xe9 is not UTF-8"
    ):
        load_bank(course)


def test_a_doubled_key_is_named_with_its_line(course):
    path = course / "items" / "toy-001.v1.yaml"
    path.write_text(path.read_text() + "state: retired\n")
    with pytest.raises(InvalidContent, match=r"toy-001\.v1\.yaml: line \d+: the key 'state' stands twice"):
        load_bank(course)


def test_text_that_is_not_yaml_is_named_with_its_line(course):
    (course / "items" / "toy-001.v1.yaml").write_text("id: [toy\nversion: 1\n")
    with pytest.raises(InvalidContent, match=r"toy-001\.v1\.yaml: line"):
        load_bank(course)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 10)}]\n" for n in range(12)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "line 6: with its aliases followed, the file holds more than 500,000 values"),
        ("id: &a [*a]\n", r"line 1: \*a stands inside what it names"),
        # libyaml's own reader would end the process with this, and take a minute to get there.
        ("id: " + "[" * 100_000 + "]" * 100_000, "line 1: more than 128 levels stand in one another"),
        ("id:\n" + "".join(" " * n + "- \n" for n in range(1, 200)), "line 129: more than 128 levels"),
    ],
)
@pytest.mark.parametrize(
    "name", ["toy/items/toy-001.v1.yaml", "toy/forms/toy-fixed.v1.yaml", "toy/bank.yaml"]
)
def test_a_file_that_would_overwhelm_its_reader_is_named_with_its_line(course, name, text, message):
    (course.parent / name).write_text(text)
    with pytest.raises(InvalidContent, match=rf"toys/{name}: {message}"):
        load_bank(course)


def test_a_programme_that_would_overwhelm_its_reader_is_named_with_its_line(course):
    (course.parent / "programme.yaml").write_text(BOMB)
    with pytest.raises(InvalidContent, match=r"toys/programme\.yaml: line 6: with its aliases followed"):
        load_programme(course.parent)


def test_the_language_no_is_text_and_not_false(course):
    def norwegian(mapping):
        mapping["texts"]["no"] = mapping["texts"]["en"]

    _break(course, "items/toy-001.v1.yaml", norwegian)
    path = course / "items" / "toy-001.v1.yaml"
    text = path.read_text().replace("'no'", "no")
    assert "no: *" in text  # an alias: what is written once may be named again
    path.write_text(text)
    assert load_bank(course).items["toy-001.v1"].languages == ("en", "no")


def test_a_file_name_that_differs_from_its_content_is_refused(course):
    (course / "items" / "toy-001.v1.yaml").rename(course / "items" / "toy-001.v2.yaml")
    with pytest.raises(InvalidContent, match=r"toy-001\.v2\.yaml: holds toy-001\.v1"):
        load_bank(course)


def test_a_second_file_with_the_same_id_is_refused(course):
    source = course / "items" / "toy-001.v1.yaml"
    (course / "items" / "toy-copy.v1.yaml").write_text(source.read_text())
    with pytest.raises(InvalidContent, match=r"toy-copy\.v1\.yaml: a second file holds toy-001\.v1"):
        load_bank(course)


def test_a_file_of_another_kind_is_refused(course):
    (course / "items" / "notes.txt").write_text("hello")
    with pytest.raises(InvalidContent, match=r"items/notes\.txt: only"):
        load_bank(course)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("items/toy-001.v1.yaml", lambda m: m.update(key="e"), r"key: 'e' is not one of the options"),
        ("items/toy-001.v1.yaml", lambda m: m.update(alignments=[]), r"alignments: an item is aligned"),
        ("items/toy-001.v1.yaml", lambda m: m.update(colour="red"), r"unknown field 'colour'"),
        (
            "items/toy-001.v1.yaml",
            lambda m: m["texts"]["en"]["rationales"].pop("c"),
            r"texts\.en\.rationales: option 'c' has no rationale",
        ),
        (
            "items/toy-001.v1.yaml",
            lambda m: m["texts"]["en"]["rationales"].update(z="no"),
            r"'z' is not an option of this item",
        ),
        (
            "items/toy-set.v1.yaml",
            lambda m: m.update(items=["toy-010.v1", "toy-099.v1"]),
            r"toy-099\.v1 is not an item",
        ),
        (
            "items/toy-set.v1.yaml",
            lambda m: m.update(items=["toy-010.v1", "toy-001.v1"]),
            r"belongs to no case set",
        ),
        ("items/toy-set.v1.yaml", lambda m: m.update(kind="testlet"), r"neither item nor case_set"),
        ("forms/toy-fixed.v1.yaml", lambda m: m.update(units=[]), r"units: a form needs at least one unit"),
        ("parameters/toy-judged.v1.yaml", lambda m: m["items"][0].update(a=0.0), r"items: .*slope is 0"),
        ("cuts/toy-ka.v1.yaml", lambda m: m.update(status="adopted"), r"names the panel's study"),
        ("bank.yaml", lambda m: m.update(course="other"), r"not the name of its folder"),
        ("bank.yaml", lambda m: m.update(security="hidden"), r"security: 'hidden' is not one of"),
        ("bank.yaml", lambda m: m.pop("licence"), r"the field 'licence' is missing"),
    ],
)
def test_a_fault_names_file_and_path(course, name, change, message):
    _break(course, name, change)
    with pytest.raises(InvalidContent, match=message) as caught:
        load_bank(course)
    assert str(caught.value).startswith(f"toys/toy/{name}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(id="game"), "not the name of its folder"),
        (lambda m: m["badges"][0].update(rule={"pass": {"course": "toi"}}), "toi"),
        (lambda m: m.update(time_zone="Mars/Base"), "time zone"),
        (lambda m: m.update(on_loss="forget"), "on_loss: 'forget' is not one of"),
        (lambda m: m["courses"][0].update(assessed="maybe"), "'maybe' is not one of here, external"),
    ],
)
def test_a_fault_of_the_programme_names_it(course, change, message):
    _break(course.parent, "programme.yaml", change)
    with pytest.raises(InvalidContent, match=message) as caught:
        load_programme(course.parent)
    assert str(caught.value).startswith("toys/programme.yaml")


def test_a_form_that_pins_what_is_not_there_is_refused(course):
    _break(course, "forms/toy-fixed.v1.yaml", lambda m: m.update(cut="toy-ka.v7"))
    with pytest.raises(InvalidContent, match=r"toy-ka\.v7 is not in the bank; it has toy-ka\.v1"):
        release_document(load_bank(course), "toy-fixed.v1")


def test_a_form_that_is_not_there_is_refused(course):
    with pytest.raises(InvalidContent, match=r"its forms: toy-adaptive\.v1, toy-fixed\.v1"):
        release_document(load_bank(course), "toy-fixed.v9")
