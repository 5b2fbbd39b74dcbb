"""Frameworks as data: complete, sourced, licensed, and linked only to what exists."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from assess.errors import InvalidContent
from assess.items import Alignment
from assess.standards import frameworks
from tests.shared import needs_shared, shared

ALL = [frameworks.load(*key) for key in frameworks.available()]


def counts(framework):
    return Counter(competency.kind for competency in framework.competencies)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (("unesco-ict-cft", "3"), {"aspect": 6, "competency": 18, "objective": 64}),
        (("unesco-ict-cft", "2"), {"aspect": 6, "competency": 18, "objective": 64}),
        (("iste-educators", "2017"), {"standard": 7, "indicator": 24}),
        (("iste-t", "2008"), {"standard": 5, "indicator": 20}),
        (("digcompedu", "2017"), {"area": 6, "competency": 22}),
    ],
)
def test_a_framework_has_all_its_parts(key, expected):
    assert counts(frameworks.load(*key)) == expected


@pytest.mark.parametrize("framework", ALL, ids=repr)
def test_every_part_has_a_home_a_name_and_a_source(framework):
    codes = [competency.code for competency in framework.competencies]
    assert len(set(codes)) == len(codes)
    levels = {level.code for level in framework.levels}
    assert not levels & set(codes)
    for competency in framework.competencies:
        assert not competency.parent or competency.parent in codes
        assert not competency.level or competency.level in levels
        assert competency.title or competency.text
        assert competency.source
        assert competency.confidence
        assert bool(competency.text) == bool(competency.text_is) == bool(competency.text_source)
        assert next(framework.lineage(competency.code)) == competency
    assert framework.licence
    assert framework.file_licence
    assert framework.sources


def test_the_matrix_of_ict_cft_is_six_aspects_by_three_levels():
    for version, levels in (("2", "TL KD KC"), ("3", "KA KD KC")):
        framework = frameworks.load("unesco-ict-cft", version)
        cells = {c.code for c in framework.competencies if c.kind == "competency"}
        assert cells == {f"{level}.{aspect}" for level in levels.split() for aspect in range(1, 7)}


def test_wording_is_ours_except_where_the_licence_allows():
    for framework in ALL:
        recalled = [c for c in framework.competencies if c.text_is not in ("", "paraphrase")]
        assert all(framework.licence == "CC BY-SA 3.0 IGO" and framework.attribution for _ in recalled)
    for id_ in ("iste-educators", "iste-t"):
        assert all(c.text_is in ("", "paraphrase") for c in frameworks.load(id_).competencies)


def test_objectives_of_version_3_say_that_their_letters_are_not_verified():
    objectives = [c for c in frameworks.load("unesco-ict-cft", "3").competencies if c.kind == "objective"]
    assert not any(c.code_verified for c in objectives)


def test_the_changes_of_2024_name_the_indicators_they_touch():
    framework = frameworks.load("iste-educators", "2017")
    touched = {code for change in framework.changes if change.version == "2024" for code in change.codes}
    assert touched == {"2.1.a", "2.2.b", "2.2.c", "2.3.a", "2.3.b", "2.3.c"}
    assert touched <= set(framework.by_code)


def test_every_link_joins_codes_that_exist():
    links = frameworks.crosswalk()
    assert len(links) == 107
    assert len({link.id for link in links}) == 107
    for link in links:
        for end in (link.from_, link.to):
            assert frameworks.resolve(end).code == end.code
        assert link.strength in ("strong", "partial")
        assert not link.from_.primary
        assert not link.to.primary


def test_links_can_be_asked_for_by_strength():
    start = Alignment("unesco-ict-cft", "3", "KA.2")
    every, strong = frameworks.links_from(start), frameworks.links_from(start, strength="strong")
    assert set(strong) < set(every)
    assert {link.strength for link in strong} == {"strong"}


@needs_shared
@pytest.mark.parametrize(
    ("key", "file", "lists"),
    [
        (("unesco-ict-cft", "3"), "unesco-ict-cft-v3.json", ("aspects", "competencies", "objectives")),
        (("unesco-ict-cft", "2"), "unesco-ict-cft-v2.json", ("aspects", "competencies", "objectives")),
        (("iste-educators", "2017"), "iste-educators-2017.json", ("standards", "indicators")),
        (("iste-t", "2008"), "iste-t-2008.json", ("standards", "indicators")),
        (("digcompedu", "2017"), "digcompedu.json", ("areas", "competences")),
    ],
)
def test_codes_titles_and_texts_agree_with_the_reference(key, file, lists):
    reference = json.loads(shared("frameworks", file).read_text())
    expected = {
        row["code"]: (
            row.get("title") or row.get("short_title") or "",
            row.get("statement") or row.get("paraphrase") or "",
            row.get("parent") or "",
        )
        for name in lists
        for row in reference[name]
    }
    framework = frameworks.load(*key)
    assert {c.code: (c.title, c.text, c.parent) for c in framework.competencies} == expected


@pytest.mark.parametrize(
    ("alignment", "message"),
    [
        (Alignment("unesco-ict-cft", "2", "TL.3.x"), r"no code 'TL\.3\.x'; did you mean TL\.3\."),
        (Alignment("unesco-ict-cft", "3", "TL.3.a"), r"no code 'TL\.3\.a'"),
        (Alignment("unesco-ict-cft", "4", "KA.1"), r"no version '4'; say 2 or 3"),
        (Alignment("unesco-ictcft", "3", "KA.1"), r"did you mean unesco-ict-cft"),
        (Alignment("unesco-ict-cft", "3", "KD"), r"'KD' is a level"),
        (Alignment("iste-educators", "2017", "5b"), r"no code '5b'"),
        (Alignment("common-core", "1", "x"), r"did you mean digcompedu or"),
    ],
)
def test_an_alignment_that_points_nowhere_is_refused_with_what_is_near(alignment, message):
    with pytest.raises(InvalidContent, match=message):
        frameworks.resolve(alignment)


def test_a_version_must_be_named_where_there_are_several():
    assert frameworks.load("digcompedu").version == "2017"
    with pytest.raises(InvalidContent, match="no version is named; say 2 or 3"):
        frameworks.load("unesco-ict-cft")


def test_parts_can_be_walked_downwards():
    framework = frameworks.load("unesco-ict-cft", "2")
    assert [c.code for c in framework.children("TL.4")] == [f"TL.4.{letter}" for letter in "abcdefghijk"]
    assert [c.code for c in framework.children("")] == list("123456")
