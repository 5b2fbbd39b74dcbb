"""The matrix of standards shows what open forms measure, and nothing of how they are answered."""

from __future__ import annotations

import re

from tests.delivery.world import World


def test_the_matrix_counts_the_items_of_open_forms_and_names_gaps(world: World) -> None:
    page = world.client.get("/standards")
    assert page.status_code == 200
    assert "UNESCO ICT Competency Framework for Teachers" in page.text
    assert re.search(r"<strong>\d+ items?</strong>", page.text)
    assert "No items" in page.text
    assert 'href="/courses/' in page.text


def test_a_framework_that_no_item_is_aligned_to_is_left_out(world: World) -> None:
    assert "DigCompEdu" not in world.client.get("/standards").text


def test_the_page_speaks_the_languages_of_the_other_pages(world: World) -> None:
    assert "cases vides" in world.client.get("/standards", params={"lang": "fr"}).text
    assert 'dir="rtl"' in world.client.get("/standards", params={"lang": "ar"}).text
