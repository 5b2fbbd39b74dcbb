from __future__ import annotations

import re

from tests.simulation import shipped_forms


def test_the_page_tells_of_the_newest_version_of_every_form() -> None:
    told = re.findall(r"^### (\S+)$", shipped_forms.PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert told == list(shipped_forms.forms()), "make it again: python -m tests.simulation.shipped_forms"


def test_a_form_is_told_by_distance_from_the_cut() -> None:
    document = shipped_forms.forms()["twt-1-adaptive.v1"]
    found = shipped_forms.studied(document, 0, n=60, n_at=20)
    text = shipped_forms.page([found], day="1 January 2026", commit="abc")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in rows[0][1:]] == [
        f"{d:+g}" if d else "0" for d in shipped_forms.DISTANCES
    ]
    by_name = {row[0].strip(): [float(cell) for cell in row[1:]] for row in rows[2:]}
    # Far from the cut nobody is wrong and tests are short; at it they are not.
    assert by_name["wrong"][0] == by_name["wrong"][-1] == 0.0
    assert by_name["wrong"][5] > 0.2
    assert by_name["items"][5] > max(by_name["items"][0], by_name["items"][-1])
    assert by_name["cut off by length"][5] > by_name["cut off by length"][0]
    assert "# What the shipped forms do" in text
    assert "parameters judged; cut at" in text
