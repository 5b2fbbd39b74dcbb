"""Where a learner stands against the cut, as a small drawing.

The drawing is a pure function of its numbers and words. Places on the line are
percentages and sizes are left to the style sheet, so that the words keep their
size on a narrow screen and at 400 % zoom, where a scaled drawing would shrink
them. It holds no style of its own: the content security policy allows none.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Words:
    """The words of the figure, in the reader's language.

    `sentence` says all that the drawing shows; it is its text alternative.
    """

    sentence: str
    learner: str
    cut: str
    minimum: str
    maximum: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A score with its 90 % range beside a cut, all on one reporting scale.

    Raises
    ------
    ValueError
        The scale is empty, or low <= value <= high does not hold.
    """

    value: float
    low: float
    high: float
    cut: float
    minimum: float
    maximum: float

    def __post_init__(self) -> None:
        if not self.minimum < self.maximum:
            raise ValueError(f"the scale {self.minimum} to {self.maximum} is empty")
        if not self.low <= self.value <= self.high:
            raise ValueError(f"the score {self.value} lies outside its range {self.low} to {self.high}")

    def place(self, value: float) -> float:
        """Percent of the line from its lower end; values outside the scale stand at its end.

        Examples
        --------
        >>> Standing(532, 497, 567, 500, 200, 800).place(500)
        50.0
        """
        share = (value - self.minimum) / (self.maximum - self.minimum)
        return round(100.0 * min(max(share, 0.0), 1.0), 2)


def standing_figure(standing: Standing, words: Words, *, rtl: bool = False) -> Markup:
    """The figure as inline SVG: the line of all scores, the cut, the score, its range.

    Parameters
    ----------
    rtl : bool
        In a script that runs from right to left, low scores stand at the right.

    Examples
    --------
    >>> words = Words("Your score is 532; the standard is 500.", "You: 532", "Standard: 500", "200", "800")
    >>> figure = standing_figure(Standing(532, 497, 567, 500, 200, 800), words)
    >>> '<line class="f-cut" x1="50.0%"' in figure, "Your score is 532" in figure
    (True, True)
    """

    def x(value: float) -> float:
        place = standing.place(value)
        return round(100.0 - place, 2) if rtl else place

    def box(name: str, start: float, end: float, y: int, height: int) -> str:
        left, right = sorted((x(start), x(end)))
        width = round(right - left, 2)
        shape = f'x="{left}%" y="{y}" width="{width}%" height="{height}" rx="{height // 2}"'
        return f'<rect class="{name}" {shape}/>'

    def text(name: str, value: float, y: int, content: str) -> str:
        place, side = _beside(x(value), len(content))
        anchor = _OTHER[side] if rtl else side
        return f'<text class="{name}" x="{place}%" y="{y}" text-anchor="{anchor}">{escape(content)}</text>'

    cut, learner = x(standing.cut), x(standing.value)
    return Markup(  # noqa: S704 - numbers, fixed names, and words escaped above
        '<svg class="standing" role="img" aria-labelledby="standing-sentence" width="100%" height="126" '
        f'direction="{"rtl" if rtl else "ltr"}" focusable="false">'
        f'<title id="standing-sentence">{escape(words.sentence)}</title>'
        + box("f-line", standing.minimum, standing.maximum, 44, 22)
        + box("f-met", standing.cut, standing.maximum, 44, 22)
        + box("f-range", standing.low, standing.high, 49, 12)
        + f'<line class="f-cut" x1="{cut}%" x2="{cut}%" y1="26" y2="76"/>'
        + f'<circle class="f-dot" cx="{learner}%" cy="55" r="10"/>'
        + text("f-word f-cut-word", standing.cut, 18, words.cut)
        + text("f-word f-you", standing.value, 95, words.learner)
        + text("f-end", standing.minimum, 120, words.minimum)
        + text("f-end", standing.maximum, 120, words.maximum)
        + "</svg>"
    )


# The percentage of the drawing that a letter takes on a screen of 320 px: about 8 px of 241 px.
_LETTER = 3.4
_OTHER = {"start": "end", "middle": "middle", "end": "start"}


def _beside(x: float, n_letters: int) -> tuple[float, str]:
    """Where words about x percent stand, and by which end, so that they do not leave the drawing."""
    width = min(_LETTER * n_letters, 100.0)
    if width / 2 <= x <= 100.0 - width / 2:
        return x, "middle"
    if x < 50.0:
        return round(min(x, 100.0 - width), 2), "start"
    return round(max(x, width), 2), "end"
