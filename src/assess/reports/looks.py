"""How every figure looks: colours, type, axes, and labels that keep out of each other's way.

matplotlib comes with the extra `notebooks`, so it is imported where a figure is
made. A figure carries its own fonts and colours; nothing global is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from assess.errors import InvalidRequest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The first that is installed; DejaVu Sans comes with matplotlib and has every sign we write.
_FONTS = (
    "Source Sans 3",
    "Inter",
    "Helvetica Neue",
    "Helvetica",
    "Segoe UI",
    "Arial",
    "Liberation Sans",
)
SMALL, NORMAL, LARGE = 8.5, 9.5, 12.0


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of one medium.

    The series are those of Okabe and Ito (2008), in the order that keeps the
    best contrast with the background; words are never written in them.
    """

    background: str
    ink: str
    soft: str
    line: str
    quiet: str
    series: tuple[str, ...]


THEMES = {
    "print": Theme(
        "#ffffff",
        "#1a1a1a",
        "#595959",
        "#c9c9c9",
        "#9a9a9a",
        ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
    ),
    "dark": Theme(
        "#14181d",
        "#f2f2f2",
        "#b3bac2",
        "#414a54",
        "#7d8791",
        ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#ffffff"),
    ),
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def theme_called(name: str) -> Theme:
    """The theme of this name."""
    if name not in THEMES:
        raise InvalidRequest(f"theme {name!r} is not known; say {' or '.join(THEMES)}", path="theme")
    return THEMES[name]


def blank_figure(width: float, height: float, theme: Theme) -> Figure:
    """An empty figure of this size in inches, independent of pyplot.

    Raises
    ------
    ModuleNotFoundError
        Where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise ModuleNotFoundError(
            "figures need matplotlib, which is not installed; type: pip install 'assess[notebooks]'. "
            "The functions that end in _data give the numbers without it"
        ) from error
    return Figure(
        figsize=(width, height),
        dpi=150,
        facecolor=theme.background,
        layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1, wspace=0.03, hspace=0.04),
    )


@cache
def families() -> tuple[str, ...]:
    """Fonts to write with, those that are installed only: matplotlib complains about any other."""
    from matplotlib import font_manager

    known = set(font_manager.get_font_names())
    return (*(name for name in _FONTS if name in known), "DejaVu Sans")


def font(theme: Theme, size: float = NORMAL, **more: Any) -> dict[str, Any]:
    """Keywords for a text."""
    return {"family": families(), "fontsize": size, "color": theme.ink} | more


def inches(words: str, size: float = NORMAL, weight: str = "normal") -> float:
    """How wide words are; fonts differ by a fifth between machines, so that no number of letters says it."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    chosen = FontProperties(family=list(families()), weight=weight)
    return float(TextPath((0.0, 0.0), words, size=size, prop=chosen).get_extents().width) / 72.0


def dress(axes: Axes, theme: Theme, *, xlabel: str = "", ylabel: str = "", grid: str = "y") -> None:
    """Give axes their type and lines; `grid` names the directions that get one."""
    axes.set_facecolor(theme.background)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(theme.quiet)
        spine.set_linewidth(0.8)
    axes.tick_params(
        colors=theme.soft,
        labelsize=SMALL,
        labelfontfamily=families(),
        length=3.0,
        width=0.8,
        color=theme.quiet,
    )
    axes.tick_params(axis="y", length=0.0)
    axes.set_xlabel(xlabel, **font(theme, color=theme.soft), labelpad=5.0)
    axes.set_ylabel(ylabel, **font(theme, color=theme.soft), labelpad=6.0)
    axes.set_axisbelow(True)
    for direction in grid:
        axes.grid(axis=direction, color=theme.line, linewidth=0.6)  # type: ignore[arg-type]


def head(axes: Axes, theme: Theme, title: str, subtitle: str = "") -> None:
    """Write a title, and under it a line in a softer voice, above the axes on the left."""
    axes.set_title(title, loc="left", pad=24.0 if subtitle else 10.0, **font(theme, LARGE, fontweight="bold"))
    axes.annotate(
        subtitle,
        (0.0, 1.0),
        xycoords="axes fraction",
        xytext=(0.0, 9.0),
        textcoords="offset points",
        **font(theme, NORMAL, color=theme.soft),
    )


def write(axes: Axes, theme: Theme, words: str, x: float, y: float, **more: Any) -> None:
    """Write words at a place in the data, legible over lines.

    `offset` moves them by points; other keywords are those of a text.
    """
    from matplotlib.patheffects import withStroke

    axes.annotate(
        words,
        (x, y),
        xytext=more.pop("offset", (0.0, 0.0)),
        textcoords="offset points",
        annotation_clip=False,
        zorder=6,
        path_effects=[withStroke(linewidth=3.0, foreground=theme.background)],
        **font(theme, **more),
    )


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places as near as possible to those wanted, at least `gap` apart, within [low, high].

    Neighbours that collide are pooled and centred on the mean of what they
    wanted (isotonic regression), so that the sum of squared moves is least.
    Where there is no room for all, the gap shrinks.

    Examples
    --------
    >>> spread([0.5, 0.5, 0.9], 0.2, 0.0, 1.0)
    [0.4, 0.6, 0.9]
    >>> spread([0.0, 0.0], 0.2, 0.0, 1.0)
    [0.0, 0.2]
    """
    n = len(wanted)
    if n > 1:
        gap = min(gap, (high - low) / (n - 1))
    order = np.argsort(wanted, kind="stable")
    blocks: list[tuple[float, int]] = []
    for rank, i in enumerate(order.tolist()):
        blocks.append((wanted[i] - rank * gap, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (mean, count), (other, more) = blocks[-2:]
            blocks[-2:] = [((mean * count + other * more) / (count + more), count + more)]
    pooled = np.repeat([mean for mean, _ in blocks], [count for _, count in blocks])
    placed = np.clip(pooled, low, high - (n - 1) * gap) + gap * np.arange(n)
    result = np.empty(n)
    result[order] = placed
    return [round(float(place), 12) for place in result]
