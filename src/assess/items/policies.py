"""Two policies of a form beyond one sitting: how often it may err, and whether it can be extended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assess.items.reading import Fields

AT_LEAST = ("accuracy", "consistency", "kappa")
AT_MOST = ("false_pass_rate", "false_fail_rate", "undetermined")


@dataclass(frozen=True, slots=True)
class AccuracyTarget:
    """What the accuracy of a form must reach before it goes live; None where nothing is asked.

    Parameters
    ----------
    accuracy, consistency, kappa : float or None
        At least.
    false_pass_rate, false_fail_rate, undetermined : float or None
        At most.
    """

    accuracy: float | None = None
    consistency: float | None = None
    kappa: float | None = None
    false_pass_rate: float | None = None
    false_fail_rate: float | None = None
    undetermined: float | None = None

    def missed(self, shares: Mapping[str, float | None]) -> list[str]:
        """What is not reached, in words; a share that is unknown is not reached.

        Examples
        --------
        >>> AccuracyTarget(accuracy=0.9, undetermined=0.2).missed({"accuracy": 0.853, "undetermined": 0.1})
        ['accuracy is 0.853, at least 0.9 is asked']
        """
        found = []
        for names, sign, word in ((AT_LEAST, 1.0, "at least"), (AT_MOST, -1.0, "at most")):
            for name in names:
                asked, reached = getattr(self, name), shares.get(name)
                if asked is None:
                    continue
                if reached is None or reached != reached:
                    found.append(f"{name} is not known, {word} {asked:g} is asked")
                elif sign * reached < sign * asked:
                    found.append(f"{name} is {reached:.3g}, {word} {asked:g} is asked")
        return found

    def to_mapping(self) -> dict[str, float]:
        """What is asked, by name."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ExtensionPolicy:
    """How a learner for whom an adaptive form left undetermined may go on.

    Parameters
    ----------
    min_units, max_units : int
        Unseen units of one extension, chosen at the cut.
    most : int
        Extensions of one session.
    within_days : int
        After the decision, by the server's clock.
    """

    min_units: int = 6
    max_units: int = 10
    most: int = 2
    within_days: int = 7

    def to_mapping(self) -> dict[str, Any]:
        """Plain data that `read_extension` reads back."""
        return {name: getattr(self, name) for name in self.__slots__}


def read_target(fields: Fields) -> AccuracyTarget | None:
    """The target of a form; None where it states none."""
    if fields.raw("target", None) is None:
        return None
    below = fields.below("target")
    target = AccuracyTarget(**{name: below.number(name, None) for name in (*AT_LEAST, *AT_MOST)})
    below.finish()
    stated = target.to_mapping()
    if not stated:
        raise below.fault("accuracy", f"a target asks for one of {', '.join((*AT_LEAST, *AT_MOST))}")
    for name, value in stated.items():
        if not 0.0 < value < 1.0:
            raise below.fault(name, f"{value} is no share; say a number between 0 and 1")
    return target


def read_extension(fields: Fields) -> ExtensionPolicy | None:
    """The extension policy of a form; None where it has none."""
    if fields.raw("extension", None) is None:
        return None
    below, default = fields.below("extension"), ExtensionPolicy()
    policy = ExtensionPolicy(
        min_units=below.integer("min_units", default.min_units, minimum=1),
        max_units=below.integer("max_units", default.max_units, minimum=1),
        most=below.integer("most", default.most, minimum=1),
        within_days=below.integer("within_days", default.within_days, minimum=1),
    )
    below.finish()
    if policy.min_units > policy.max_units:
        raise below.fault("min_units", f"{policy.min_units} exceeds max_units, {policy.max_units}")
    if policy.most > 2:
        # A third look adds more false decisions than right ones are left to find.
        raise below.fault("most", f"{policy.most} extensions; a session has two at most")
    return policy
