"""The figure of where a learner stands."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.delivery.pages.figure import Standing, Words, standing_figure

WORDS = Words("Your score is 532; the standard is 500.", "You: 532", "Standard: 500", "200", "800")
STANDING = Standing(532, 497, 567, 500, 200, 800)


def _places(figure: str) -> dict[str, float]:
    root = ElementTree.fromstring(figure)
    return {
        "cut": float(root.find("line[@class='f-cut']").get("x1").rstrip("%")),  # type: ignore[union-attr]
        "learner": float(root.find("circle").get("cx").rstrip("%")),  # type: ignore[union-attr]
    }


def test_the_learner_above_the_cut_stands_to_its_right() -> None:
    places = _places(standing_figure(STANDING, WORDS))
    assert places == {"cut": 50.0, "learner": pytest.approx(55.33)}


def test_it_is_mirrored_for_a_script_from_right_to_left() -> None:
    places = _places(standing_figure(STANDING, WORDS, rtl=True))
    assert places == {"cut": 50.0, "learner": pytest.approx(44.67)}


def test_its_text_alternative_is_the_sentence() -> None:
    root = ElementTree.fromstring(standing_figure(STANDING, WORDS))
    assert root.get("role") == "img"
    title = root.find("title")
    assert title is not None
    assert title.text == WORDS.sentence
    assert root.get("aria-labelledby") == title.get("id")


def test_it_holds_no_style_of_its_own() -> None:
    figure = standing_figure(STANDING, WORDS)
    assert "style" not in figure
    assert "fill=" not in figure


def test_words_are_escaped() -> None:
    words = Words("a < b & c", "<script>", "cut", "0", "1")
    figure = standing_figure(STANDING, words)
    assert "<script>" not in figure
    assert "a &lt; b &amp; c" in figure


@given(st.data())
def test_everything_stays_inside_the_drawing(data: st.DataObject) -> None:
    number = st.floats(-1e6, 1e6)
    minimum = data.draw(number)
    maximum = minimum + data.draw(st.floats(1e-3, 1e6))
    low, value, high = sorted(data.draw(st.lists(number, min_size=3, max_size=3)))
    figure = standing_figure(
        Standing(value, low, high, data.draw(number), minimum, maximum), WORDS, rtl=data.draw(st.booleans())
    )
    places = [float(p) for p in re.findall(r'(?:x|x1|x2|cx|width)="(-?[\d.e+]+)%"', figure)]
    assert places
    assert all(0.0 <= place <= 100.0 for place in places)


@given(st.integers(0, 100), st.booleans())
def test_words_stay_inside_a_narrow_drawing(value: int, rtl: bool) -> None:
    words = Words("", "You: 339 (261 to 418)", "Standard: 500", "200", "800")
    figure = standing_figure(Standing(value, value, value, 100 - value, 0, 100), words, rtl=rtl)
    for text in ElementTree.fromstring(figure).iter("text"):
        # Bold letters at .9rem are about 8 px wide; at 320 px the drawing is 241 px wide.
        width = 100 * 8 * len(text.text or "") / 241
        before = {"start": 0.0, "middle": width / 2, "end": width}[text.get("text-anchor", "")]
        left = width - before if rtl else before
        x = float(text.get("x", "").rstrip("%"))
        assert -1.0 <= x - left <= 101.0 - width


@pytest.mark.parametrize(
    ("standing", "words"),
    [((532, 540, 567, 500, 200, 800), "outside its range"), ((5, 4, 6, 5, 9, 9), "is empty")],
)
def test_numbers_that_cannot_be_are_refused(standing: tuple[float, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Standing(*standing)
