"""Figures and page of a design: within their edges, in both themes, with words for who does not see them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from assess.errors import InvalidRequest
from assess.reports import design_figures as draw
from assess.reports.design_report import design_figures, write_design
from assess.reports.looks import THEMES
from assess.simulation import DesignOptions, design
from tests import synthetic

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def found():
    form = {"extension": {}, "target": {"accuracy": 0.99, "undetermined": 0.5}}
    release = synthetic.release(kind="adaptive", calibrated=True, n_items=24, form=form)
    return design(release, np.random.default_rng(1), options=DesignOptions(n=100, n_at=10))


@pytest.mark.parametrize("theme", THEMES)
def test_every_figure_draws_within_its_edges(found, theme, caplog):
    figures = design_figures(found, theme=theme)
    assert set(figures) == {
        "errors", "decisions", "groups", "precision", "length", "lengths", "ends", "exposure", "content",
        "time", "alternatives",
    }  # fmt: skip
    for name, (figure, words) in figures.items():
        figure.draw_without_rendering()
        inked, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert inked.x0 >= -0.01, name
        assert inked.y0 >= -0.01, name
        assert inked.x1 <= width + 0.01, name
        assert inked.y1 <= height + 0.01, name
        assert words.endswith("."), name
    assert caplog.records == []


def test_what_says_nothing_of_a_form_is_left_out():
    release = synthetic.release(form={"time_limit_minutes": None})
    made = design(release, np.random.default_rng(1), options=DesignOptions(n=20, n_at=4))
    assert not {"ends", "content", "time", "length", "lengths", "exposure"} & set(design_figures(made))


def test_the_page_names_every_figure_and_what_was_missed(found, tmp_path):
    page = write_design(
        found, tmp_path / "report", target={"accuracy": 0.99}, refused={"at most <1> unit": "too short"}
    )
    text = page.read_text(encoding="utf-8")
    assert "The stated target is not met" in text
    assert "accuracy is" in text
    assert "at most &lt;1&gt; unit: too short" in text
    for name in design_figures(found):
        assert f'src="{name}-print.svg" alt="' in text
        assert (page.parent / f"{name}-print.svg").is_file()
        assert (page.parent / f"{name}-dark.svg").is_file()
    kept = json.loads((page.parent / "design.json").read_text())
    assert kept["release"] == found.release
    table = pd.read_csv(page.parent / "by-theta.csv", index_col="theta")
    assert table["items"].to_numpy() == pytest.approx(found.by_theta["items"].to_numpy())


def test_tables_of_something_else_are_refused(found):
    with pytest.raises(InvalidRequest, match="column 'wrong' is missing"):
        draw.errors_figure(found.by_theta.drop(columns="wrong"), 0.0)
    with pytest.raises(InvalidRequest, match="no blueprint"):
        draw.content_figure(found.content.iloc[:0])
    with pytest.raises(InvalidRequest, match="no time per item"):
        draw.time_figure(found.by_theta.assign(minutes=np.nan), 0.0)
    with pytest.raises(InvalidRequest, match="theme"):
        draw.length_figure(found.by_theta, 0.0, theme="sepia")


def test_a_target_of_exposure_is_drawn(found):
    texts = draw.exposure_figure(found.exposure, found.overlap, target=0.3).axes[0].texts
    assert any(text.get_text() == "target 0.3" for text in texts)
