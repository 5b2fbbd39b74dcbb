"""Figures of a design study: what a form does to learners of each theta, to its units, and to its content.

Each takes a table of `assess.simulation.Design` and is told without colour: lines
carry their names, dots their marks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from assess.errors import InvalidRequest
from assess.reports.looks import (
    MARKERS,
    SMALL,
    Theme,
    blank_figure,
    dress,
    font,
    head,
    inches,
    spread,
    theme_called,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

THETA = "Proficiency θ (SD of the reference group)"
_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))


def decisions_figure(by_theta: pd.DataFrame, cut: float, *, theme: str = "print") -> Figure:
    """Draw the share that is passed, undetermined and not passed at each theta.

    Examples
    --------
    >>> table = pd.DataFrame({"passed": [0.1, 0.9], "undetermined": [0.2, 0.1], "not_passed": [0.7, 0.0]},
    ...                      index=pd.Index([-1.0, 1.0], name="theta"))
    >>> len(decisions_figure(table, 0.0).axes)
    1
    """
    curves = {"passed": "passed", "undetermined": "undetermined", "not_passed": "not passed"}
    return _curves(
        by_theta,
        {name: curve for name, curve in curves.items() if (by_theta[name] > 0.0).any()},
        cut,
        "Decisions by theta",
        "Share of the learners of each theta",
        theme,
    )


def errors_figure(by_theta: pd.DataFrame, cut: float, *, theme: str = "print") -> Figure:
    """Draw the share of wrong decisions at each theta: false passes below the cut, false fails from it on."""
    _require(by_theta, ["wrong"])
    left, right = by_theta.index < cut, by_theta.index >= cut
    table = pd.DataFrame({"false_pass": by_theta["wrong"].where(left)}, index=by_theta.index)
    table["false_fail"] = by_theta["wrong"].where(right)
    return _curves(
        table,
        {"false_pass": "wrongly passed", "false_fail": "wrongly failed"},
        cut,
        "Errors by theta",
        "Share of the learners of each theta",
        theme,
    )


def precision_figure(by_theta: pd.DataFrame, cut: float, *, theme: str = "print") -> Figure:
    """Draw bias and root mean squared error of theta, beside the standard error that is reported."""
    return _curves(
        by_theta,
        {"rmse": "RMSE", "se": "standard error reported", "bias": "bias"},
        cut,
        "Precision by theta",
        "In SD of the reference group",
        theme,
    )


def length_figure(by_theta: pd.DataFrame, cut: float, *, theme: str = "print") -> Figure:
    """Draw the mean number of items at each theta."""
    _require(by_theta, ["items"])
    if by_theta["items"].nunique() < 2:
        raise InvalidRequest("every test of this form has the same length", path="by_theta")
    return _curves(
        by_theta, {"items": "items"}, cut, "Length by theta", "Items, unscored ones included", theme
    )


def ends_figure(by_theta: pd.DataFrame, cut: float, *, theme: str = "print") -> Figure:
    """Draw the share of tests that were cut off by their length, and that were extended."""
    known = {
        name: word
        for name, word in (("truncated", "ended by length"), ("extended", "extended"))
        if name in by_theta and by_theta[name].notna().any()
    }
    if not known:
        raise InvalidRequest("no test of this form ends early or is extended", path="by_theta")
    return _curves(by_theta, known, cut, "How tests end", "Share of the learners of each theta", theme)


def time_figure(by_theta: pd.DataFrame, cut: float, *, theme: str = "print") -> Figure:
    """Draw the expected time at each theta."""
    _require(by_theta, ["minutes"])
    if by_theta["minutes"].isna().all():
        raise InvalidRequest("no time per item is known; state one", path="by_theta")
    return _curves(by_theta, {"minutes": "minutes"}, cut, "Expected time by theta", "Minutes", theme)


def lengths_figure(lengths: pd.Series[float], *, theme: str = "print") -> Figure:
    """Draw how the lengths of tests are distributed in the population."""
    if len(lengths) < 2:
        raise InvalidRequest("every test of this form has the same length", path="lengths")
    look = theme_called(theme)
    figure = blank_figure(6.4, 3.6, look)
    axes = figure.subplots()
    dress(axes, look, xlabel="Items, unscored ones included", ylabel="Share of the population")
    axes.bar(lengths.index.to_numpy(dtype=float), lengths.to_numpy(), width=0.8, color=look.series[0])
    axes.set_ylim(0.0, None)
    axes.locator_params(axis="x", integer=True)
    head(axes, look, "Lengths in the population")
    return figure


def exposure_figure(
    exposure: pd.DataFrame, overlap: float, *, target: float | None = None, theme: str = "print"
) -> Figure:
    """Draw the share of learners who meet each unit, the most exposed first, and the overlap of two tests.

    Parameters
    ----------
    exposure : DataFrame
        Column share; index unit.
    overlap : float
        Share of units that two learners have in common, named in the subtitle.
    target : float, optional
        The share that no unit should exceed.
    """
    _require(exposure, ["share"])
    if (exposure["share"] == 1.0).all():
        raise InvalidRequest("every learner meets every unit of this form", path="exposure")
    look = theme_called(theme)
    figure = blank_figure(6.4, 3.6, look)
    axes = figure.subplots()
    dress(axes, look, xlabel="Units, the most exposed first", ylabel="Share of the population that meets it")
    shares = exposure["share"].sort_values(ascending=False)
    axes.bar(np.arange(1, len(shares) + 1), shares.to_numpy(), width=0.85, color=look.series[0])
    axes.set_ylim(0.0, 1.02)
    axes.set_xlim(0.2, len(shares) + 0.8)
    if target is not None:
        axes.axhline(target, color=look.series[1], linewidth=1.4, linestyle=_DASHES[1])
        said = f"target {target:g}"
        write(axes, look, said, len(shares), target, offset=(0.0, 4.0), ha="right", size=SMALL)
    never = int((shares == 0.0).sum())
    words = f"Two learners have {100 * overlap:.0f} % of their units in common; {never} are never met"
    head(axes, look, "Exposure of the units", words)
    return figure


def content_figure(content: pd.DataFrame, *, theme: str = "print") -> Figure:
    """Draw what learners meet of each requirement between its bounds.

    Parameters
    ----------
    content : DataFrame
        Columns minimum, maximum (nan without one), lowest, mean, highest, violated; index label.
    """
    _require(content, ["minimum", "maximum", "lowest", "mean", "highest", "violated"])
    if not len(content):
        raise InvalidRequest("this form has no blueprint", path="content")
    look = theme_called(theme)
    labels = [_short(str(label)) for label in content.index]
    figure = blank_figure(6.9, 1.5 + 0.34 * len(content), look)
    axes = figure.subplots()
    dress(axes, look, xlabel="Items", grid="x")
    rows = np.arange(len(content))[::-1]
    for y, (_, row) in zip(rows, content.iterrows(), strict=True):
        top = row["maximum"] if np.isfinite(row["maximum"]) else max(row["highest"], row["minimum"])
        axes.plot([row["minimum"], top], [y, y], color=look.line, linewidth=9.0, solid_capstyle="butt")
        bad = row["violated"] > 0.0
        colour = look.series[1] if bad else look.series[0]
        axes.plot([row["lowest"], row["highest"]], [y, y], color=colour, linewidth=2.2)
        axes.plot(
            [row["mean"]],
            [y],
            MARKERS[3 if bad else 0],
            color=colour,
            markersize=6.5,
            zorder=4,
            clip_on=False,
        )
    axes.set_yticks(rows, labels)
    axes.set_ylim(-0.6, len(content) - 0.4)
    worst = float(content["violated"].max())
    said = "no test breaks a bound"
    if worst > 0.0:
        said = f"up to {100 * worst:.1f} % of tests break one (diamonds)"
    elif (content["highest"] > content["maximum"]).any():
        said = "an extension moves the upper ones"
    head(axes, look, "Content", f"Bounds grey, range and mean of tests; {said}")
    return figure


def compared_figure(
    table: pd.DataFrame, columns: Mapping[str, str], title: str, *, theme: str = "print"
) -> Figure:
    """Draw some columns of a table of designs or groups beside each other, one row for each.

    Parameters
    ----------
    table : DataFrame
        One row per design or group.
    columns : mapping
        Column -> its name above the panel.
    """
    _require(table, columns)
    look = theme_called(theme)
    drawn = [name for name in columns if table[name].notna().any()]
    names = [_short(str(name)) for name in table.index]
    label_width = max(inches(name, SMALL) for name in names)
    figure = blank_figure(0.5 + label_width + 1.25 * len(drawn), 1.5 + 0.36 * len(table), look)
    panels = np.atleast_1d(figure.subplots(1, len(drawn), sharey=True))
    rows = np.arange(len(table))[::-1]
    for axes, name in zip(panels, drawn, strict=True):
        dress(axes, look, grid="xy")
        values = table[name].to_numpy(dtype=float)
        axes.plot(values, rows, "o", color=look.series[0], markersize=6.5, clip_on=False)
        axes.plot(values[:1], rows[:1], "D", color=look.series[1], markersize=7.0, clip_on=False)
        for value, y in zip(values, rows, strict=True):
            if np.isfinite(value):
                said = f"{value:.1f}" if np.nanmax(values) > 2.0 else f"{value:.2f}"
                write(axes, look, said, value, y, offset=(0.0, 6.0), ha="center", size=SMALL)
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        room = max(0.35 * (high - low), 0.02 * max(abs(high), 1.0))
        axes.set_xlim(low - room, high + room)
        axes.locator_params(axis="x", nbins=2)
        # Every dot says its value; numbers below would run into those of the next panel.
        axes.tick_params(axis="x", labelbottom=False)
        axes.set_title(columns[name], loc="center", pad=14.0, **font(look, SMALL))
    panels[0].set_yticks(rows, names)
    panels[0].set_ylim(-0.6, len(table) - 0.2)
    figure.suptitle(title, x=0.02, ha="left", **font(look, 12.0, fontweight="bold"))
    return figure


# --- inside -------------------------------------------------------------------


def _require(table: pd.DataFrame, columns: Sequence[str] | Mapping[str, str]) -> None:
    missing = [name for name in columns if name not in table]
    if missing:
        raise InvalidRequest(f"column {missing[0]!r} is missing; take the tables of a design", path="table")


def _short(label: str, most: int = 40) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"


def _curves(
    table: pd.DataFrame, curves: Mapping[str, str], cut: float, title: str, ylabel: str, theme: str
) -> Figure:
    """Lines over theta with their names at the right, and the cut."""
    _require(table, curves)
    look = theme_called(theme)
    figure = blank_figure(6.9, 3.8, look)
    axes = figure.subplots()
    dress(axes, look, xlabel=THETA, ylabel=ylabel)
    theta = table.index.to_numpy(dtype=float)
    values = table[list(curves)].to_numpy(dtype=float)
    low, high = min(0.0, float(np.nanmin(values))), float(np.nanmax(values))
    margin = 0.05 * max(high - low, 1e-9)
    axes.set_ylim(low - (margin if low < 0.0 else 0.0), high + 2 * margin)
    axes.axvline(cut, color=look.quiet, linewidth=1.0)
    write(axes, look, "cut", cut, high + 2 * margin, offset=(4.0, -2.0), va="top", size=SMALL)
    for k, name in enumerate(curves):
        axes.plot(theta, table[name], color=look.series[k], linestyle=_DASHES[k], linewidth=2.0)
    _name_curves(axes, look, theta, table, curves)
    axes.set_xlim(theta[0], theta[-1] + (0.02 * (theta[-1] - theta[0])))
    head(axes, look, title)
    return figure


def _name_curves(
    axes: Axes, look: Theme, theta: np.ndarray, table: pd.DataFrame, curves: Mapping[str, str]
) -> None:
    """The name of each line at its right end, in a margin as wide as the longest, out of each other's way."""
    bottom, top = axes.get_ylim()
    ends = [float(table[name].dropna().iloc[-1]) for name in curves]
    at = [float(table[name].dropna().index[-1]) for name in curves]
    inside = [x < theta[-1] for x in at]
    places = spread(ends, 0.075 * (top - bottom), bottom, top)
    for k, (name, place) in enumerate(zip(curves.values(), places, strict=True)):
        if inside[k]:
            # It ends at the cut: its name stands over its highest point.
            column = table[list(curves)[k]].dropna()
            write(axes, look, name, float(column.index[-1]), float(column.iloc[-1]), offset=(-8.0, 0.0),
                  ha="right", va="bottom", size=SMALL)  # fmt: skip
            continue
        axes.plot([theta[-1]], [ends[k]], MARKERS[k], color=look.series[k], markersize=5.5, clip_on=False)
        write(axes, look, name, theta[-1], place, offset=(9.0, 0.0), ha="left", va="center", size=SMALL)
