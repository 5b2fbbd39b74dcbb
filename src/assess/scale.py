"""What theta means, and how it is told to people.

A scale is founded by one calibration: a named reference group with mean 0 and
standard deviation 1. Every later number of the course is linked onto it, and
two numbers are comparable only if their `scale_id` is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from assess.errors import InvalidContent, ScaleMismatch


@dataclass(frozen=True, slots=True)
class Scale:
    """The meaning of theta, and the linear scale on which learners see it.

    .. math:: y = m + s\\,\\theta, \\qquad y \\in [y_{min}, y_{max}]

    Parameters
    ----------
    id : str
        For example ``"twt-3/1"``; compared literally.
    reference_group : str
        Who has mean 0 and standard deviation 1.
    mean, sd : float
        Reporting mean and standard deviation, in score points.
    minimum, maximum : float
        The reported range; scores outside it are reported as its ends.

    Examples
    --------
    >>> scale = Scale("twt-3/1", "teachers of the first window")
    >>> scale.report(0.32)
    532
    >>> scale.report(-9.0)
    200
    """

    id: str
    reference_group: str
    mean: float = 500.0
    sd: float = 100.0
    minimum: float = 200.0
    maximum: float = 800.0

    def __post_init__(self) -> None:
        if not self.id:
            raise InvalidContent("a scale needs an id such as 'twt-3/1'")
        if not self.sd > 0:
            raise InvalidContent(f"scale {self.id!r}: sd is {self.sd}; it must be positive")
        if not self.minimum < self.maximum:
            raise InvalidContent(f"scale {self.id!r}: minimum must be below maximum")

    def report(self, theta: float) -> int:
        """Theta as a whole score point inside the reported range."""
        value = self.mean + self.sd * theta
        return round(min(max(value, self.minimum), self.maximum))

    def report_se(self, standard_error: float) -> int:
        """A standard error of theta in score points."""
        return round(self.sd * standard_error)


def require_same_scale(left: str, right: str, *, doing: str) -> None:
    """Refuse to bring numbers of two scales together.

    Examples
    --------
    >>> require_same_scale("twt-3/1", "twt-3/1", doing="deciding")
    >>> require_same_scale("twt-3/1", "twt-3/2", doing="deciding")
    Traceback (most recent call last):
        ...
    assess.errors.ScaleMismatch: deciding needs one scale, got 'twt-3/1' and 'twt-3/2'; link first
    """
    if left != right:
        raise ScaleMismatch(f"{doing} needs one scale, got {left!r} and {right!r}; link first")
