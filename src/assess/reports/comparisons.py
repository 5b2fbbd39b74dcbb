"""Figures that hold items against an expectation: their fit, two groups, two calibrations, many checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from assess.errors import InvalidRequest
from assess.irt.linking import AnchorDrift
from assess.reports.looks import (
    MARKERS,
    SMALL,
    Theme,
    blank_figure,
    dress,
    families,
    head,
    spread,
    theme_called,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Borders of the ETS classes A, B, C (Dorans & Holland 1993), in delta units.
_ETS = (1.0, 1.5)


def fit_plot_data(fit: pd.DataFrame, *, level: float = 0.01) -> pd.DataFrame:
    """Misfit of every item, worst first, with p-values corrected for the number of items (Holm 1979).

    Parameters
    ----------
    fit : DataFrame
        From `irt.item_fit` with S-X2: index item, columns p and rmsea. Items
        without a test (nan) are left out.
    level : float
        An item is flagged where its corrected p is smaller.

    Returns
    -------
    DataFrame
        Columns item, rmsea, p, p_holm, flagged.

    Raises
    ------
    InvalidRequest
        A column is missing, or no item has a test.

    Examples
    --------
    >>> fit = pd.DataFrame({"p": [0.004, 0.3], "rmsea": [0.04, 0.01]}, index=["i1", "i2"])
    >>> fit_plot_data(fit)[["item", "p_holm", "flagged"]].values.tolist()
    [['i1', 0.008, True], ['i2', 0.3, False]]
    """
    _columns(fit, ("p", "rmsea"), "irt.item_fit(..., method='S-X2')")
    p = fit["p"].dropna().sort_values()
    if p.empty:
        raise InvalidRequest("no item has a fit statistic; there is nothing to draw", path="fit")
    holm = (p * np.arange(len(p), 0, -1)).cummax().clip(upper=1.0)
    frame = pd.DataFrame(
        {"rmsea": fit["rmsea"].reindex(p.index), "p": p, "p_holm": holm, "flagged": holm < level}
    )
    frame = frame.rename_axis("item").reset_index()
    return frame.sort_values(["rmsea", "item"], ascending=[False, True], ignore_index=True)


def fit_plot(fit: pd.DataFrame, *, level: float = 0.01, theme: str = "print") -> Figure:
    """Draw the size of misfit of every item; filled and bold where the test says it is no accident.

    Examples
    --------
    >>> fit = pd.DataFrame({"p": [0.004, 0.3], "rmsea": [0.04, 0.01]}, index=["i1", "i2"])
    >>> len(fit_plot(fit).axes)
    1
    """
    look = theme_called(theme)
    frame = fit_plot_data(fit, level=level)
    figure, axes = _dots(look, frame["item"].tolist(), frame["flagged"].tolist(), "RMSEA of S-X2 (no unit)")
    for place, (size, flagged) in enumerate(zip(frame["rmsea"], frame["flagged"], strict=True)):
        hue = look.series[1] if flagged else look.series[0]
        axes.plot([0.0, size], [place, place], color=hue, linewidth=1.2, zorder=2)
        axes.plot(
            [size],
            [place],
            "D" if flagged else "o",
            color=hue if flagged else look.background,
            markeredgecolor=hue,
            markersize=6,
            clip_on=False,
            zorder=3,
        )
    axes.set_xlim(0.0, max(0.05, float(frame["rmsea"].max()) * 1.1))
    n = int(frame["flagged"].sum())
    head(
        axes,
        look,
        "Fit of the items",
        f"{n} of {len(frame)} items misfit: p < {level:g} after Holm's correction (diamonds)",
    )
    return figure


def dif_plot_data(table: pd.DataFrame) -> pd.DataFrame:
    """Mantel-Haenszel differences with 95 % intervals, from harder to easier for the focal group.

    Parameters
    ----------
    table : DataFrame
        From `irt.dif` with MH: index item, columns delta, se_delta, ets. Items
        without an estimate are left out.

    Returns
    -------
    DataFrame
        Columns item, delta, low, high, ets.

    Raises
    ------
    InvalidRequest
        A column is missing, or no item has an estimate.

    Examples
    --------
    >>> table = pd.DataFrame({"delta": [-1.0], "se_delta": [0.5], "ets": ["A"]}, index=["i1"])
    >>> dif_plot_data(table).round(2).values.tolist()
    [['i1', -1.0, -1.98, -0.02, 'A']]
    """
    _columns(table, ("delta", "se_delta", "ets"), "irt.dif(..., method='MH')")
    known = table[np.isfinite(table["delta"]) & np.isfinite(table["se_delta"])]
    if known.empty:
        raise InvalidRequest("no item has an estimate of DIF; there is nothing to draw", path="table")
    half = 1.959963984540054 * known["se_delta"]
    frame = pd.DataFrame(
        {
            "delta": known["delta"],
            "low": known["delta"] - half,
            "high": known["delta"] + half,
            "ets": known["ets"],
        }
    )
    return frame.rename_axis("item").reset_index().sort_values(["delta", "item"], ignore_index=True)


def dif_plot(table: pd.DataFrame, *, theme: str = "print") -> Figure:
    """Draw for which group an item is harder, against the borders of the ETS classes.

    References
    ----------
    Dorans & Holland (1993), in Holland & Wainer (eds.), *Differential Item Functioning*, 35-66.

    Examples
    --------
    >>> table = pd.DataFrame({"delta": [-1.0], "se_delta": [0.5], "ets": ["A"]}, index=["i1"])
    >>> len(dif_plot(table).axes)
    1
    """
    look = theme_called(theme)
    frame = dif_plot_data(table)
    label = "harder for the focal group  ←  MH difference (delta units)  →  easier"
    figure, axes = _dots(look, frame["item"].tolist(), (frame["ets"] == "C").tolist(), label)
    reach = max(2.0, float(frame[["low", "high"]].abs().max().max()) * 1.08)
    axes.axvspan(-_ETS[0], _ETS[0], color=look.series[0], alpha=0.07, linewidth=0.0)
    for border in _ETS:
        for side in (-border, border):
            axes.axvline(side, color=look.quiet, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.axvline(0.0, color=look.ink, linewidth=1.0)
    looks = {"A": (look.series[0], "o"), "B": (look.series[2], "s"), "C": (look.series[1], "D")}
    for place, (delta, low, high, ets) in enumerate(
        zip(frame["delta"], frame["low"], frame["high"], frame["ets"], strict=True)
    ):
        hue, marker = looks.get(str(ets), (look.quiet, "x"))
        axes.plot([low, high], [place, place], color=hue, linewidth=1.4)
        axes.plot([delta], [place], marker, color=hue, markeredgecolor=look.background, markersize=6.5)
        write(axes, look, str(ets), reach, place, va="center", fontsize=SMALL, offset=(5, 0))
    axes.set_xlim(-reach, reach)
    n = int((frame["ets"] == "C").sum())
    head(
        axes, look, "Two groups of equal ability", f"{n} of {len(frame)} items of ETS class C; 95 % intervals"
    )
    return figure


def anchor_plot_data(drift: AnchorDrift) -> pd.DataFrame:
    """Difficulties of the anchors in both calibrations, on one scale.

    Returns
    -------
    DataFrame
        Columns item, b_onto, b_new, d (difference), z (robust), drifts.
    """
    frame = drift.table.rename_axis("item").reset_index()
    return frame[["item", "b_onto", "b_new", "d", "z", "drifts"]]


def anchor_plot(drift: AnchorDrift, *, theme: str = "print") -> Figure:
    """Draw the anchors of a link: those on the line stayed, those named have moved.

    Parameters
    ----------
    drift : AnchorDrift
        From `irt.anchor_drift`.
    theme : str
    """
    look = theme_called(theme)
    frame = anchor_plot_data(drift)
    figure = blank_figure(5.2, 5.4, look)
    axes = figure.subplots()
    dress(
        axes,
        look,
        xlabel="Difficulty on the scale (θ)",
        ylabel="Difficulty now, linked onto the scale (θ)",
        grid="xy",
    )
    low = float(frame[["b_onto", "b_new"]].min().min()) - 0.4
    high = float(frame[["b_onto", "b_new"]].max().max()) + 0.4
    ends, band = np.array([low, high]), drift.rules.difference
    axes.fill_between(ends, ends - band, ends + band, color=look.series[0], alpha=0.09, linewidth=0.0)
    axes.plot(ends, ends, color=look.quiet, linewidth=1.2)
    for moved, marker, hue in ((False, "o", look.series[0]), (True, "D", look.series[1])):
        own = frame[frame["drifts"] == moved]
        axes.plot(
            own["b_onto"],
            own["b_new"],
            marker,
            color=hue,
            markeredgecolor=look.background,
            markersize=7,
            linestyle="none",
        )
    gone = frame[frame["drifts"]]
    for item, x, y, d in zip(gone["item"], gone["b_onto"], gone["b_new"], gone["d"], strict=True):
        # Away from the line, where there are no other points.
        side, shift = ("right", -8) if d > 0 else ("left", 8)
        words = f"{item} ({'+' if d > 0 else '−'}{abs(d):.2f})"
        write(axes, look, words, x, y, offset=(shift, 0), ha=side, va="center")
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    head(
        axes,
        look,
        "Anchors then and now",
        f"{len(gone)} of {len(frame)} drift; band: ±{band:g}; {drift.link.method}",
    )
    return figure


def drift_over_time_data(checks: Mapping[str, AnchorDrift]) -> pd.DataFrame:
    """Change of every anchor in a row of checks.

    Parameters
    ----------
    checks : mapping
        When -> `irt.operational_drift` or `irt.anchor_drift`, in the order of time.

    Returns
    -------
    DataFrame
        Columns check, item, d, z, drifts; one row per check and anchor.

    Raises
    ------
    InvalidRequest
        Without a check.
    """
    if not checks:
        raise InvalidRequest("no check was given; give one at least", path="checks")
    return pd.concat(
        [
            found.table.rename_axis("item").reset_index()[["item", "d", "z", "drifts"]].assign(check=when)
            for when, found in checks.items()
        ],
        ignore_index=True,
    )[["check", "item", "d", "z", "drifts"]]


def drift_over_time(checks: Mapping[str, AnchorDrift], *, theme: str = "print") -> Figure:
    """Draw how far anchors have moved from where they were published, check by check.

    Parameters
    ----------
    checks : mapping
        As in `drift_over_time_data`.
    theme : str
    """
    look = theme_called(theme)
    frame = drift_over_time_data(checks)
    figure = blank_figure(6.4, 4.4, look)
    axes = figure.subplots()
    dress(axes, look, xlabel="Check", ylabel="Change of difficulty (θ), above 0: harder", grid="y")
    place = {when: x for x, when in enumerate(checks)}
    band = next(iter(checks.values())).rules.difference
    axes.axhspan(-band, band, color=look.series[0], alpha=0.09, linewidth=0.0)
    alarmed = list(dict.fromkeys(frame.loc[frame["drifts"], "item"]))
    for item, own in frame.groupby("item", sort=False):
        if item not in alarmed:
            axes.plot(own["check"].map(place), own["d"], ".-", color=look.quiet, linewidth=0.9, alpha=0.7)
    ends: list[float] = []
    for number, item in enumerate(alarmed):
        own = frame[frame["item"] == item]
        hue, x = look.series[1 + number % (len(look.series) - 1)], own["check"].map(place)
        axes.plot(x, own["d"], color=hue, linewidth=1.8)
        gone = own["drifts"]
        axes.plot(
            x[gone], own.loc[gone, "d"], MARKERS[number % len(MARKERS)], color=hue,
            markeredgecolor=look.background, markersize=8, linestyle="none",
        )  # fmt: skip
        ends.append(float(own["d"].iloc[-1]))
    low, high = float(min(frame["d"].min(), -band)) - 0.15, float(max(frame["d"].max(), band)) + 0.15
    last = len(place) - 1
    for item, y in zip(alarmed, spread(ends, 0.06 * (high - low), low, high), strict=True):
        write(axes, look, str(item), last, y, offset=(9, 0), ha="left", va="center")
    axes.set_xticks(list(place.values()), list(place))
    axes.set(ylim=(low, high), xlim=(-0.25, last + (0.8 if alarmed else 0.25)))
    n = frame["item"].nunique()
    head(axes, look, "Drift over time", f"{len(alarmed)} of {n} anchors alarm (marked); band: ±{band:g}")
    return figure


# --- inside -----------------------------------------------------------------


def _dots(look: Theme, names: list[str], bold: list[bool], xlabel: str) -> tuple[Figure, Axes]:
    """Axes with one row per item, the first on top."""
    figure = blank_figure(6.0, 1.5 + 0.235 * max(len(names), 4), look)
    axes = figure.subplots()
    dress(axes, look, xlabel=xlabel, grid="x")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", pad=8.0)
    axes.set_ylim(len(names) - 0.3, -0.7)
    for label, heavy in zip(axes.get_yticklabels(), bold, strict=True):
        label.set(family=families(), color=look.ink, fontweight="bold" if heavy else "normal")
    return figure, axes


def _columns(frame: pd.DataFrame, wanted: tuple[str, ...], source: str) -> None:
    absent = [name for name in wanted if name not in frame.columns]
    if absent:
        raise InvalidRequest(
            f"column {absent[0]!r} is missing; give the table of {source}, which has {', '.join(wanted)}",
            path=absent[0],
        )
