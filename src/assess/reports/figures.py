"""Figures for the psychometrician: curves, information, maps, distributions.

Every figure has a twin that ends in ``_data`` and gives the numbers behind it
as a DataFrame. Figures are matplotlib figures made without pyplot: save them
with ``figure.savefig("name.svg")``, or leave one as the last line of a cell
after ``%matplotlib inline``. ``theme`` is "print" or "dark". Colours are told
apart without colour vision (Okabe & Ito 2008), and nothing is told by colour
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from assess.classical import Distractors
from assess.errors import InvalidRequest
from assess.irt.parameters import ItemParameters, ParameterSet
from assess.irt.scoring import Source, resolved
from assess.reports.comparisons import (
    anchor_plot,
    anchor_plot_data,
    dif_plot,
    dif_plot_data,
    drift_over_time,
    drift_over_time_data,
    fit_plot,
    fit_plot_data,
)
from assess.reports.figure_data import (
    STATUSES,
    distractor_curves_data,
    information_data,
    item_curves_data,
    observed_categories_data,
    score_distribution_data,
    wright_map_data,
)
from assess.reports.looks import (
    LARGE,
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
from assess.responses import ResponseMatrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "anchor_plot",
    "anchor_plot_data",
    "dif_plot",
    "dif_plot_data",
    "distractor_curves",
    "distractor_curves_data",
    "drift_over_time",
    "drift_over_time_data",
    "fit_plot",
    "fit_plot_data",
    "information_curve",
    "information_data",
    "item_curves",
    "item_curves_data",
    "observed_categories_data",
    "score_distribution",
    "score_distribution_data",
    "wright_map",
    "wright_map_data",
]

THETA = "Proficiency θ (SD of the reference group)"


def item_curves(
    source: Source,
    items: str | Sequence[str],
    responses: pd.DataFrame | ResponseMatrix | None = None,
    *,
    n_groups: int = 11,
    theta_label: str = THETA,
    theme: str = "print",
) -> Figure:
    """Draw the probability of every category, with the shares observed in groups of theta.

    An item of two categories shows the curve of the upper one. Bars are 95 %
    intervals of the observed shares (see `observed_categories_data`).

    Parameters
    ----------
    source : calibration, ItemParameters or ParameterSet
    items : str or sequence of str
        One panel each, up to three in a row.
    responses : DataFrame (persons x items) or ResponseMatrix, optional
        Adds the observed points.
    n_groups : int
    theta_label : str
        What theta is, and its unit.
    theme : str

    Examples
    --------
    >>> bank = ItemParameters(["i1"], "2PL", [1.0], [[0.5]])
    >>> len(item_curves(bank, "i1").axes)
    1
    """
    look = theme_called(theme)
    names = [items] if isinstance(items, str) else list(items)
    if not names:
        raise InvalidRequest("no item was named; name at least one", path="items")
    parameters = resolved(source, None)[0].take(names)
    n_columns = 2 if len(names) in (2, 4) else min(3, len(names))
    n_rows = -(-len(names) // n_columns)
    width, height = (5.6, 3.9) if len(names) == 1 else (3.5 * n_columns, 3.1 * n_rows)
    figure = blank_figure(width, height, look)
    grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    for axes, item in zip(grid.flat, names, strict=False):
        _draw_item(axes, look, source, parameters.take([item]))
        if responses is not None:
            _draw_observed(axes, look, observed_categories_data(source, responses, item, n_groups=n_groups))
    for axes in grid.flat[len(names) :]:
        axes.remove()
    for axes in grid.flat[max(0, len(names) - n_columns) : len(names)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel(theta_label, **font(look, color=look.soft))
    figure.supylabel("Probability", **font(look, color=look.soft))
    return figure


def information_curve(
    source: Source,
    *,
    cut: float | None = None,
    theta_label: str = THETA,
    theme: str = "print",
) -> Figure:
    """Draw test information, and below it the standard error that follows from it.

    Parameters
    ----------
    source : calibration, ItemParameters or ParameterSet
        A calibration's population is drawn behind the standard error.
    cut : float, optional
        Where the decision falls; the standard error there is written out.
    theta_label, theme : str

    Examples
    --------
    >>> bank = ItemParameters(["i1"], "2PL", [1.0], [[0.5]])
    >>> len(information_curve(bank, cut=0.0).axes)
    2
    """
    look = theme_called(theme)
    frame = information_data(source)
    theta, total, error = (frame[name].to_numpy() for name in ("theta", "information", "se"))
    figure = blank_figure(6.0, 5.2, look)
    above, below = figure.subplots(2, 1, sharex=True)
    dress(above, look, ylabel="Information (1 / θ²)")
    dress(below, look, xlabel=theta_label, ylabel="Standard error of θ")
    above.fill_between(theta, total, color=look.series[0], alpha=0.15, linewidth=0.0)
    above.plot(theta, total, color=look.series[0], linewidth=2.0)
    best = int(total.argmax())
    items, population = resolved(source, None)
    # The standard error of an easy corner may be endless; what matters is near the test.
    top = min(float(error[np.isfinite(error)].max(initial=1.0)), 4.0 * float(error.min()))
    below.plot(theta, error, color=look.series[1], linewidth=2.0)
    above.set(ylim=(0.0, float(total.max()) * 1.18), xlim=(theta[0], theta[-1]))
    below.set_ylim(0.0, top * 1.05)
    head(
        above,
        look,
        "Where the test measures",
        f"{len(items)} items; most precise at θ = {_number(theta[best])}, SE {_number(error[best])}",
    )
    if not isinstance(source, ItemParameters | ParameterSet):
        density = np.exp(population.log_density(theta))
        below.fill_between(theta, 0.3 * top * density, color=look.quiet, alpha=0.22, linewidth=0.0)
        peak = int(density.argmax())
        write(below, look, "population", theta[peak], 0.0, offset=(0, 7), ha="center", fontsize=SMALL)
    if cut is not None:
        at = float(np.interp(cut, theta, error))
        for axes in (above, below):
            axes.axvline(cut, color=look.ink, linewidth=1.0, linestyle=(0, (4, 3)))
        below.plot(
            [cut], [at], marker="o", color=look.series[1], markeredgecolor=look.background, markersize=7
        )
        write(below, look, f"SE {_number(at)} at the cut {_number(cut)}", cut, at, offset=(8, -17))
    return figure


def wright_map(source: Source, theta: ArrayLike, *, theta_label: str = THETA, theme: str = "print") -> Figure:
    """Draw persons and items on one scale.

    Parameters
    ----------
    source : calibration, ItemParameters or ParameterSet
    theta : array (N,)
        Estimates of the persons.
    theta_label, theme : str

    Examples
    --------
    >>> bank = ItemParameters(["i1"], "2PL", [1.0], [[0.5]])
    >>> len(wright_map(bank, [0.1, 0.2]).axes)
    2
    """
    look = theme_called(theme)
    frame = wright_map_data(source, theta)
    persons, items = frame[frame["side"] == "persons"], frame[frame["side"] == "items"].sort_values("theta")
    places = items["theta"].to_numpy()
    low = min(float(places.min()), float(persons["theta"].min())) - 0.4
    high = max(float(places.max()), float(persons["theta"].max())) + 0.4
    several = set(items.loc[items["step"] > 1, "item"])
    words = [
        f"{item} ({step})" if item in several else str(item)
        for item, step in zip(items["item"], items["step"], strict=True)
    ]
    # Columns of labels: each goes to the first column where the label below leaves it room.
    height, margins = 6.4, 1.4
    room = (high - low) / (height - margins) * SMALL * 1.35 / 72.0
    column, tops = [], list[float]()
    for place in places.tolist():
        free = next((c for c, last in enumerate(tops) if place - last >= room), len(tops))
        tops[free : free + 1] = [place]
        column.append(free)
    title, subtitle = "Persons and items on one scale", _map_words(int(persons["n"].sum()), bool(several))
    # In inches, since the labels are: a layout engine would not know how wide the columns are.
    pitch = 0.3 + max(inches(word, SMALL) for word in words)
    headed = max(inches(title, LARGE, "bold"), inches(subtitle))
    span = max(pitch * len(tops), headed - 1.6, 3.2)
    total = 0.75 + 1.6 + span + 0.15
    figure = blank_figure(total, height, look)
    figure.set_layout_engine("none")
    bottom, tall = 0.6 / height, (height - margins) / height
    left = figure.add_axes((0.75 / total, bottom, 1.6 / total, tall))
    right = figure.add_axes((2.35 / total, bottom, span / total, tall), sharey=left)
    dress(left, look, ylabel=theta_label, xlabel="Persons", grid="y")
    dress(right, look, xlabel="Items", grid="y")
    width = 0.25
    left.barh(persons["theta"], persons["n"], height=width * 0.88, color=look.series[0], linewidth=0.0)
    left.invert_xaxis()
    right.tick_params(labelleft=False)
    right.set(xlim=(-0.12, span - 0.12), xticks=[], ylim=(low, high))
    right.spines["left"].set(visible=True, color=look.quiet)
    for place, c, step, word in zip(places, column, items["step"], words, strict=True):
        hue, marker = look.series[1 + (step - 1) % 3], MARKERS[(step - 1) % len(MARKERS)]
        right.plot([c * pitch + 0.06], [place], marker=marker, color=hue, markersize=5, linestyle="none")
        write(right, look, word, c * pitch + 0.06, place, offset=(6, 0), va="center", fontsize=SMALL)
    for axes in (left, right):
        axes.xaxis.set_label_coords(0.5, -0.3 / (height - margins))
    head(left, look, title, subtitle)
    return figure


def score_distribution(
    theta: ArrayLike,
    cut: float,
    status: ArrayLike | None = None,
    *,
    theta_label: str = THETA,
    theme: str = "print",
) -> Figure:
    """Draw how persons spread over the scale, where the cut lies, and what was decided.

    Parameters
    ----------
    theta : array (N,)
    cut : float
    status : array (N,) of str, optional
        As in `score_distribution_data`.
    theta_label, theme : str

    Examples
    --------
    >>> len(score_distribution([-1.0, 0.2, 0.7], 0.0).axes)
    1
    """
    look = theme_called(theme)
    frame = score_distribution_data(theta, cut, status)
    table = frame.pivot_table(index="low", columns="status", values="n", aggfunc="sum")
    low, width = table.index.to_numpy(), float(frame["high"].iloc[0] - frame["low"].iloc[0])
    figure = blank_figure(6.4, 4.0, look)
    axes = figure.subplots()
    dress(axes, look, xlabel=theta_label, ylabel="Persons")
    fills = dict(zip(STATUSES, (look.series[1], look.quiet, look.series[4], look.series[0]), strict=True))
    hatches = {"undetermined": "////", "incomplete": "...."}
    floor, total = np.zeros(len(low)), float(frame["n"].sum())
    words, wanted = [], []
    for word in (name for name in STATUSES if name in table):
        counts = table[word].to_numpy(dtype=np.float64)
        axes.bar(
            low,
            counts,
            width,
            floor,
            align="edge",
            color=fills[word],
            edgecolor=look.background,
            linewidth=0.7,
            hatch=hatches.get(word),
        )
        floor += counts
        words.append((word, f"{word.replace('_', ' ')}\n{counts.sum() / total:.0%}"))
        wanted.append(float(((low + width / 2) * counts).sum() / counts.sum()))
    left, right = min(float(low[0]), cut) - width, max(float(low[-1]), cut) + 2 * width
    top = float(floor.max())
    axes.set(xlim=(left, right), ylim=(0.0, top * 1.3))
    axes.axvspan(cut, right, color=look.series[0], alpha=0.07, linewidth=0.0, zorder=0)
    axes.plot([cut, cut], [0.0, top * 1.05], color=look.ink, linewidth=1.3, linestyle=(0, (4, 3)))
    span = right - left
    places = spread(wanted, span * 0.17, left + span * 0.09, right - span * 0.09)
    for place, (word, text) in zip(places, words, strict=True):
        write(
            axes, look, text, place, top * 1.11, ha="center", va="bottom", fontweight="bold", linespacing=1.3
        )
        axes.plot(
            [place - span * 0.05, place + span * 0.05],
            [top * 1.085] * 2,
            color=fills[word],
            linewidth=3.5,
            solid_capstyle="butt",
        )
    head(
        axes,
        look,
        "Scores and decisions",
        f"{total:,.0f} persons; shaded: at or above the cut, θ = {_number(cut)}",
    )
    return figure


def distractor_curves(analysis: Distractors, item: str, *, theme: str = "print") -> Figure:
    """Draw who chooses which option: the key should rise, every other option fall.

    Parameters
    ----------
    analysis : Distractors
        From `classical.distractors`.
    item, theme : str

    Examples
    --------
    >>> from assess.classical import distractors
    >>> raw = pd.DataFrame({"i1": list("aabb"), "i2": list("ccdd"), "i3": list("eefe")})
    >>> found = distractors(raw, {"i1": "a", "i2": "c", "i3": "e"}, n_groups=2)
    >>> len(distractor_curves(found, "i1").axes)
    1
    """
    look = theme_called(theme)
    frame = distractor_curves_data(analysis, item)
    figure = blank_figure(5.8, 4.0, look)
    axes = figure.subplots()
    dress(axes, look, xlabel="Score on the other items (% of points)", ylabel="Chose the option (%)")
    curves = sorted(frame.groupby("option", sort=True), key=lambda pair: not pair[1]["is_key"].any())
    ends = spread([float(curve["share"].iloc[-1]) * 100 for _, curve in curves], 6.5, 1.0, 99.0)
    right = float(frame["rest"].max()) * 100
    for number, (end, (option, curve)) in enumerate(zip(ends, curves, strict=True)):
        is_key = bool(curve["is_key"].iloc[0])
        hue = look.series[number % len(look.series)]
        axes.plot(
            curve["rest"] * 100,
            curve["share"] * 100,
            color=hue,
            linewidth=2.6 if is_key else 1.5,
            marker=MARKERS[number % len(MARKERS)],
            markersize=6,
            markeredgecolor=look.background,
            linestyle="-" if is_key else (0, (5, 2)),
            zorder=3 if is_key else 2,
            clip_on=False,
        )
        words = f"{option} (key)" if is_key else str(option)
        last = float(curve["share"].iloc[-1]) * 100
        axes.annotate(
            words,
            (right, last),
            xytext=(right + 0.045 * (right - float(frame["rest"].min()) * 100), end),
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": hue, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 6},
            **font(look, fontweight="bold" if is_key else "normal"),
        )
    axes.set(ylim=(0.0, 100.0))
    groups = frame.drop_duplicates("group")
    head(axes, look, item, f"{int(groups['n'].sum()):,} persons in {len(groups)} groups by score")
    return figure


# --- inside -----------------------------------------------------------------


def _draw_item(axes: Axes, look: Theme, source: Source, own: ItemParameters) -> None:
    item = own.item_ids[0]
    dress(axes, look)
    for category, curve in _shown(item_curves_data(source, item)):
        theta, p = curve["theta"].to_numpy(), curve["probability"].to_numpy()
        hue = look.series[category % len(look.series)]
        axes.plot(theta, p, color=hue, linewidth=2.0, zorder=2)
        if len(own.n_categories) and own.n_categories[0] > 2:
            best = int(p.argmax())
            side = "left" if best == 0 else "right" if best == len(p) - 1 else "center"
            words = f"{category} point{'' if category == 1 else 's'}"
            shift = {"left": 4, "right": -4, "center": 0}[side]
            write(axes, look, words, theta[best], p[best], offset=(shift, 8), ha=side, fontsize=SMALL)
    axes.set(xlim=(theta[0], theta[-1]), ylim=(-0.02, 1.12), yticks=np.linspace(0, 1, 6))
    head(axes, look, item, _item_words(own))


def _draw_observed(axes: Axes, look: Theme, observed: pd.DataFrame) -> None:
    for category, points in _shown(observed):
        share = points["observed"].to_numpy()
        bars = np.vstack([share - points["low"], points["high"] - share]).clip(min=0.0)
        axes.errorbar(
            points["theta"],
            share,
            bars,
            fmt=MARKERS[category % len(MARKERS)],
            color=look.series[category % len(look.series)],
            markersize=5,
            markeredgecolor=look.background,
            markeredgewidth=0.7,
            elinewidth=1.0,
            zorder=3,
        )


def _shown(frame: pd.DataFrame) -> list[tuple[int, pd.DataFrame]]:
    """All categories; of two, the upper one says it all."""
    categories = sorted(set(frame["category"].tolist()))
    return [(k, frame[frame["category"] == k]) for k in (categories if len(categories) != 2 else [1])]


def _item_words(own: ItemParameters) -> str:
    model = own.models[0]
    if model == "NRM":
        return f"{model}, {own.n_categories[0]} categories"
    steps = ", ".join(_number(step) for step in own.steps[0] if np.isfinite(step))
    guess = f", c {_number(own.lower[0])}" if own.lower[0] > 0.0 else ""
    return f"{model}: a {_number(own.slopes[0])}, b {steps}{guess}"


def _map_words(n: int, several: bool) -> str:
    more = "; (k): of k points or more" if several else ""
    return f"{n:,} persons; an item stands where its chance is one half{more}"


def _number(value: float) -> str:
    """Two decimals, with a real minus."""
    return f"{value + 0.0:.2f}".replace("-", "−")
