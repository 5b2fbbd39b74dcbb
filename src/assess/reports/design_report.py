"""The report of a design study: a folder with one page, its figures, its tables, and the numbers as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from assess.errors import InvalidRequest
from assess.reports import design_figures as draw
from assess.simulation import Design

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem; }
h1, h2 { line-height: 1.2; } figure { margin: 1.5rem 0; } img { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #8886; }
th:first-child, td:first-child { text-align: left; }
.missed { border-inline-start: .3rem solid #D55E00; padding-inline-start: .8rem; }
.met { border-inline-start: .3rem solid #009E73; padding-inline-start: .8rem; }
"""
_SHARES = {
    "accuracy": "right",
    "consistency": "same twice",
    "false_pass_rate": "false pass",
    "false_fail_rate": "false fail",
    "undetermined": "undetermined",
}


def design_figures(design: Design, *, theme: str = "print") -> dict[str, tuple[Figure, str]]:
    """Every figure of a design by name, with the words that stand for it where it is not seen.

    A figure that would say nothing of this form is left out: the ends of tests
    that all have one length, the content of a form without a blueprint, a time that nobody knows.
    """
    table, cut = design.by_theta, design.cut
    groups = {**_SHARES, "items": "items"}
    compared = {**groups, "max_exposure": "most exposed", "overlap": "overlap"}
    made: dict[str, tuple[Callable[[], Figure], str]] = {
        "errors": (
            lambda: draw.errors_figure(table, cut, theme=theme),
            f"Wrong decisions by theta; at most {table['wrong'].max():.2f}.",
        ),
        "decisions": (
            lambda: draw.decisions_figure(table, cut, theme=theme),
            "Shares passed, undetermined and not passed by theta.",
        ),
        "groups": (
            lambda: draw.compared_figure(design.by_group, groups, "By group", theme=theme),
            "Accuracy, consistency, false pass and false fail rate, share undetermined, length, by group.",
        ),
        "precision": (
            lambda: draw.precision_figure(table, cut, theme=theme),
            "Bias, root mean squared error and reported standard error by theta.",
        ),
        "length": (
            lambda: draw.length_figure(table, cut, theme=theme),
            f"Items by theta, {table['items'].min():.1f} to {table['items'].max():.1f}.",
        ),
        "lengths": (
            lambda: draw.lengths_figure(design.lengths, theme=theme),
            f"Distribution of lengths; {design.mean_items:.1f} items on average.",
        ),
        "ends": (lambda: draw.ends_figure(table, cut, theme=theme), "Shares ended by length and extended."),
        "exposure": (
            lambda: draw.exposure_figure(
                design.exposure, design.overlap, target=design.exposure_target, theme=theme
            ),
            f"Share of learners who meet each unit; overlap {design.overlap:.2f}.",
        ),
        "content": (
            lambda: draw.content_figure(design.content, theme=theme),
            "What learners meet of each requirement.",
        ),
        "time": (lambda: draw.time_figure(table, cut, theme=theme), "Expected minutes by theta."),
        "alternatives": (
            lambda: draw.compared_figure(design.alternatives, compared, "Other designs", theme=theme),
            "The form as it stands beside other designs.",
        ),
    }
    found = {}
    for name, (make, words) in made.items():
        try:
            found[name] = make(), words
        except InvalidRequest:
            continue
    return found


def write_design(
    design: Design,
    folder: Path,
    *,
    target: Mapping[str, float] | None = None,
    refused: Mapping[str, str] | None = None,
) -> Path:
    """Write the report into a folder and return the path of its page.

    Parameters
    ----------
    target : mapping, optional
        What the form asks of its accuracy, by name.
    refused : mapping, optional
        Alternatives that could not be, with the reason.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words: dict[str, str] = {}
    for theme in ("print", "dark"):
        for name, (figure, said) in design_figures(design, theme=theme).items():
            figure.savefig(folder / f"{name}-{theme}.svg", metadata={"Date": None})
            words[name] = said
    tables = {
        "by-theta": design.by_theta,
        "by-group": design.by_group,
        "exposure": design.exposure,
        "content": design.content,
        "alternatives": design.alternatives,
        **({"paths": design.paths, "modules": design.modules} if len(design.paths) else {}),
    }
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv")
    (folder / "design.json").write_text(
        json.dumps(design.to_mapping(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    page = folder / "index.html"
    page.write_text(_page(design, words, dict(target or {}), dict(refused or {})), encoding="utf-8")
    return page


def _page(
    design: Design, words: Mapping[str, str], target: Mapping[str, float], refused: Mapping[str, str]
) -> str:
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Design of {escape(design.form)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>Design of {escape(design.form)}</h1>",
        f"<p>{escape(design.accuracy.summary())}</p>",
        f"<p>{escape(design.basis)}.</p>",
        _said_of_target(design, target),
        _html(design.by_theta.iloc[::2], "By theta"),
    ]
    for name, said in words.items():
        parts.append(
            f'<figure><picture><source srcset="{name}-dark.svg" media="(prefers-color-scheme: dark)">'
            f'<img src="{name}-print.svg" alt="{escape(said)}"></picture></figure>'
        )
    parts += [
        _html(design.by_group[["mean", "sd", *_SHARES, "items", "minutes"]], "By group"),
        _html(design.paths, "Paths"),
        _html(design.modules, "Modules"),
        _html(design.content, "Content"),
        _html(design.alternatives, "Other designs"),
    ]
    if refused:
        said = "".join(
            f"<li>{escape(name)}: {escape(reason)}</li>" for name, reason in sorted(refused.items())
        )
        parts.append(f"<p>Designs that could not go live:</p><ul>{said}</ul>")
    parts.append("</body></html>\n")
    return "\n".join(parts)


def _said_of_target(design: Design, target: Mapping[str, float]) -> str:
    if not target:
        return "<p>The form states no target.</p>"
    asked = ", ".join(f"{name} {value:g}" for name, value in target.items())
    if not design.missed:
        return f'<p class="met">The stated target is met: {escape(asked)}.</p>'
    said = "".join(f"<li>{escape(line)}</li>" for line in design.missed)
    return f'<div class="missed"><p>The stated target is not met:</p><ul>{said}</ul></div>'


def _html(frame: pd.DataFrame, title: str) -> str:
    if not len(frame):
        return ""
    known = frame.dropna(axis=1, how="all").rename_axis(None)
    known.columns = known.columns.str.replace("_", " ")
    body = known.to_html(float_format=lambda value: f"{value:.3f}", na_rep="", border=0, escape=True)
    return f"<h2>{escape(title)}</h2>\n{body}"
