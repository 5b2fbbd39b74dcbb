"""`check` lists every fault, and the seal makes published files final."""

from __future__ import annotations

import pytest
import yaml

from assess.errors import InvalidContent
from assess.publishing import Finding, check, seal
from tests.publishing import small_bank


def _errors(folder):
    return [str(finding) for finding in check(folder) if finding.severity == "error"]


def _change(path, change):
    mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(mapping)
    small_bank.write(path, mapping)


def test_a_good_bank_has_only_the_warning_that_it_is_not_sealed(course):
    findings = check(course.parent.parent)
    assert [finding.severity for finding in findings] == ["warning"]
    assert "bank seal" in findings[0].message
    assert check(course) == check(course.parent) == findings


def test_every_fault_is_listed(course):
    _change(course / "items" / "toy-001.v1.yaml", lambda m: m.update(key="z"))
    _change(course / "items" / "toy-002.v1.yaml", lambda m: m["texts"]["en"]["rationales"].pop("a"))
    _change(course / "items" / "toy-003.v1.yaml", lambda m: m["alignments"][0].update(code="TL.3.z"))
    found = "\n".join(_errors(course))
    for part in (
        "toy-001.v1.yaml: key",
        "toy-002.v1.yaml: texts.en.rationales",
        "toy-003.v1.yaml: alignments",
    ):
        assert part in found


def test_a_code_that_its_framework_does_not_have_is_an_error(course):
    _change(course / "items" / "toy-003.v1.yaml", lambda m: m["alignments"][0].update(version="9"))
    assert any("there is no version '9'" in error for error in _errors(course))


def test_a_blueprint_that_is_not_met_is_an_error(course):
    _change(course / "forms" / "toy-fixed.v1.yaml", lambda m: m["blueprint"][0].update(minimum=9))
    assert any("blueprint objective a wants 9" in error for error in _errors(course))


def test_a_cut_on_another_scale_than_the_parameters_is_an_error(course):
    _change(course / "cuts" / "toy-ka.v1.yaml", lambda m: m.update(scale="toy/1"))
    assert any("needs one scale, got 'toy/0' and 'toy/1'" in error for error in _errors(course))


def test_a_language_without_any_text_is_an_error_and_a_partial_one_a_warning(course):
    _change(course / "forms" / "toy-fixed.v1.yaml", lambda m: m.update(languages=["en", "fr"]))
    assert any("no item has a text in fr" in error for error in _errors(course))
    _change(course / "items" / "toy-001.v1.yaml", lambda m: m["texts"].update(fr=m["texts"]["en"]))
    assert _errors(course) == []
    assert any("10 of 11 items have no text in fr" in str(finding) for finding in check(course))


def test_ratings_name_items_and_stay_in_range(course):
    _change(
        course / "cuts" / "toy-ka.v1.yaml",
        lambda m: m["ratings"].update({"toy-099.v1": 0.5, "toy-001.v1": 1.5}),
    )
    errors = _errors(course)
    assert any("toy-099.v1 is not an item of this bank" in error for error in errors)
    assert any("1.5 is above the item's highest category 1" in error for error in errors)


def test_judged_parameters_that_left_their_judgement_are_a_warning(course):
    _change(course / "parameters" / "toy-judged.v1.yaml", lambda m: m["items"][0].update(b=3.0))
    assert any("does not follow from its judgement" in finding.message for finding in check(course))


def test_a_course_assessed_here_without_a_bank_is_an_error(course):
    _change(course.parent / "programme.yaml", lambda m: m["courses"][1].update(assessed="here"))
    assert any("other is assessed here but has no bank" in error for error in _errors(course.parent))


def test_an_item_of_an_unknown_case_set_is_an_error(course):
    _change(course / "items" / "toy-001.v1.yaml", lambda m: m.update(case_set="nowhere"))
    assert any("there is no case set 'nowhere'" in error for error in _errors(course))


def test_a_broken_header_is_one_error(course):
    (course / "bank.yaml").write_text("id: toy-bank\n")
    assert len(_errors(course)) == 1


def test_a_folder_without_a_programme_is_refused(tmp_path):
    with pytest.raises(InvalidContent, match="holds no programme"):
        check(tmp_path)
    with pytest.raises(InvalidContent, match="no such folder"):
        check(tmp_path / "nowhere")


# --- the seal --------------------------------------------------------------------


def test_a_sealed_bank_has_no_findings(course):
    assert len(seal(course)["toy"]) == 16
    assert check(course) == []
    assert seal(course)["toy"] == ()


def test_an_edited_published_file_is_an_error(course):
    seal(course)
    path = course / "items" / "toy-001.v1.yaml"
    path.write_text(path.read_text().replace("tool number", "great tool number"))
    assert any("toy-001.v1.yaml: was published and edited" in error for error in _errors(course))


def test_a_deleted_published_file_is_an_error(course):
    seal(course)
    (course / "forms" / "toy-adaptive.v1.yaml").unlink()
    assert any("toy-adaptive.v1.yaml: was published and deleted" in error for error in _errors(course))


def test_other_line_ends_are_not_an_edit(course):
    seal(course)
    path = course / "items" / "toy-001.v1.yaml"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert _errors(course) == []


def test_a_draft_is_not_sealed(course):
    small_bank.write(course / "items" / "toy-030.v1.yaml", small_bank.item(30, state="draft"))
    assert "items/toy-030.v1.yaml" not in seal(course)["toy"]


def test_a_bank_with_errors_is_not_sealed(course):
    _change(course / "items" / "toy-001.v1.yaml", lambda m: m.update(key="z"))
    with pytest.raises(InvalidContent, match="nothing was sealed"):
        seal(course)
    assert not (course / "published.lock").exists()


def test_a_lock_with_a_broken_line_is_an_error(course):
    seal(course)
    path = course / "published.lock"
    path.write_text(path.read_text() + "hello\n")
    assert any("published.lock" in error and "line" in error for error in _errors(course))


def test_a_finding_reads_as_a_sentence():
    assert str(Finding("error", "a.yaml", "is bad")) == "error: a.yaml: is bad"


# --- a placement -------------------------------------------------------------------------


def _placement(course, *, rule="placement", **stated):
    part = small_bank.form("adaptive", id="toy-placement", rule={"kind": rule})
    small_bank.write(course / "forms" / "toy-placement.v1.yaml", part)
    placement = {
        "title": {"en": "Where to start"},
        "parts": [{"course": "toy", "form": "toy-placement"}],
    } | stated
    _change(course.parent / "programme.yaml", lambda m: m.update(placement=placement))


def test_a_placement_whose_parts_are_forms_of_its_banks_is_good(course):
    _placement(course)
    assert _errors(course.parent) == []


def test_a_part_of_a_placement_is_a_form_of_its_bank_with_the_placement_rule(course):
    _placement(course, rule="probability")
    assert "toy-placement decides by probability; a part says rule: placement" in _errors(course.parent)[0]
    _placement(course, parts=[{"course": "toy", "form": "toy-nothing"}])
    assert "toy-nothing is not a form of the bank of toy" in _errors(course.parent)[0]


def test_a_part_that_the_programme_does_not_name_is_a_warning(course):
    _placement(course)
    _change(course.parent / "programme.yaml", lambda m: m.pop("placement"))
    assert any("does not name it" in finding.message for finding in check(course.parent))


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"parts": []}, "at least one part"),
        ({"parts": [{"course": "toy", "form": "toy-placement"}] * 2}, "course 'toy' stands in two parts"),
        ({"parts": [{"course": "other", "form": "x"}]}, "'other' is not a course that is assessed here"),
        ({"wait_days": -1}, "below 0"),
        ({"window_hours": 0}, "below 1"),
        ({"partz": 1}, "unknown field 'partz'"),
    ],
)
def test_a_faulty_placement_is_an_error_with_its_place(course, stated, message):
    _placement(course, **stated)
    (error,) = _errors(course.parent)
    assert "programme.yaml: placement" in error
    assert message in error


def test_a_confirming_form_that_could_not_go_live_is_a_warning_and_one_of_nothing_an_error(course):
    confirms = {"forms": ["toy-fixed"], "loss": 1.0, "alpha": 0.05, "beta": 0.1}
    rules = {"min_units": 3, "max_units": 6, "certainty": False}
    stated = {"id": "toy-confirming", "adaptive": rules, "confirms": confirms}
    mapping = small_bank.form("adaptive", **stated)
    del mapping["rule"]
    place = course / "forms" / "toy-confirming.v1.yaml"
    small_bank.write(place, mapping)
    found = [str(finding) for finding in check(course)]
    assert any("warning" in one and "cannot go live" in one and "judged" in one for one in found)
    assert not _errors(course)
    small_bank.write(place, mapping | {"confirms": confirms | {"forms": ["toy-other"]}})
    assert any("toy-other is not a form of the bank of toy" in error for error in _errors(course))
