"""Looking back on the items after the end, where the form allows it."""

from __future__ import annotations

from assess.delivery.pages.language import language
from assess.delivery.pages.result_page import looked_back
from assess.delivery.schemas import Choice, Rationale, ShownItem


def test_an_item_is_shown_with_the_answer_and_the_reasons() -> None:
    item = ShownItem(
        id="x-1",
        version=1,
        type="single_choice",
        stem_html="<p>Which?</p>",
        options=[Choice(id="a", html="This"), Choice(id="b", html="<em>That</em>")],
        stimulus_html=None,
        targets=None,
        language="en",
    )
    found = Rationale(
        position=3, item=item, answer="b", right=False, rationales=[Choice(id="b", html="Because.")]
    )
    shown = looked_back(found, language("en"))
    assert shown["words"] == "Item 3: not right"
    assert shown["lines"] == [
        {"html": "This", "chosen": False, "rationale": None},
        {"html": "<em>That</em>", "chosen": True, "rationale": "Because."},
    ]
