"""What an adaptive form says about choosing, estimating, starting, ending and exposure; plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from assess.items.content import split_reference
from assess.items.reading import Fields

SELECTIONS = ("MFI", "MLWI", "MPWI", "KL", "KLP", "MEI", "MEPV", "cut")
ESTIMATES = ("EAP", "MAP", "ML", "WL")
CONTENT = ("priority", "shadow")


@dataclass(frozen=True, slots=True)
class EarlierCourse:
    """What the score of an earlier course says about this one: N(intercept + slope theta, sd).

    Parameters
    ----------
    course : str
        The earlier course.
    scale : str
        The scale of that course on which the regression was made; a score on another says nothing.
    slope, intercept, sd : float
        The regression of this course's theta on that course's, and what is left of the spread.
    """

    course: str
    scale: str
    slope: float
    intercept: float
    sd: float


@dataclass(frozen=True, slots=True)
class StartRule:
    """How the first unit is chosen.

    Parameters
    ----------
    theta : float or None
        Where it has the greatest information; None leaves it to the criterion at the prior.
    among : int or None
        Draw it among this many; `randomesque` unless given.
    earlier : tuple of EarlierCourse
        Units are chosen by the first of these that the learner has a score of. The score of this
        course never sees it.
    """

    theta: float | None = None
    among: int | None = None
    earlier: tuple[EarlierCourse, ...] = ()


@dataclass(frozen=True, slots=True)
class SequentialRule:
    """A sequential test of the cut less delta against the cut plus delta, with its two error rates."""

    delta: float
    alpha: float = 0.05
    beta: float = 0.05


@dataclass(frozen=True, slots=True)
class TimeRule:
    """Expected time of a session, pilot items included, as a bound on what may be chosen."""

    maximum_seconds: int
    seconds_per_item: int
    by_interaction: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExposureRule:
    """How often a unit may be met, and the probabilities that hold it there.

    Parameters
    ----------
    target : float
        The largest share of sessions that is meant to meet any one unit.
    probabilities : mapping of str to float
        By unit reference, the probability that it is open to a session; 1 where it is not named.
    made : mapping
        How the probabilities were computed: method, seed, learners, largest exposure reached.
    """

    target: float
    probabilities: Mapping[str, float] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OverlapRule:
    """Of the units of the last `sessions` of the course, at most `maximum` come again."""

    sessions: int = 1
    maximum: int = 0


@dataclass(frozen=True, slots=True)
class AdaptiveRules:
    """Selection and stopping of an adaptive form, counted in scored units.

    Parameters
    ----------
    selection : str
        The criterion by which units are chosen, as `assess.irt.criteria` lists them.
    randomesque : int
        Choose among this many best units.
    min_units, max_units : int
        Length; an ending before `min_units` is incomplete.
    se : float or None
        Stop when the standard error is at or below it.
    certainty : bool
        Stop when the decision rule already decides.
    updating : str
        The estimate at which units are chosen; the score is the posterior mean whatever it is.
    content : str
        "priority" weights units by the content that is still needed; "shadow" composes a whole test
        that keeps the blueprint before each unit.
    interval : float or None
        Stop when the cut lies outside estimate +- so many standard errors.
    information : float or None
        Stop when no unit that may come has so much information.
    sprt, glr : SequentialRule or None
        Stop when the sequential test decides.
    start : StartRule
        The first unit.
    enemies : tuple of tuples of str
        Units of which a session meets at most one.
    anchors : tuple of str
        Units that every session meets.
    time : TimeRule or None
        A bound on expected time.
    exposure : ExposureRule or None
        How often units may be met.
    overlap : OverlapRule or None
        What may come again in a learner's next session.
    """

    selection: str = "MFI"
    randomesque: int = 4
    min_units: int = 10
    max_units: int = 20
    se: float | None = None
    certainty: bool = True
    updating: str = "EAP"
    content: str = "priority"
    interval: float | None = None
    information: float | None = None
    sprt: SequentialRule | None = None
    glr: SequentialRule | None = None
    start: StartRule = field(default_factory=StartRule)
    enemies: tuple[tuple[str, ...], ...] = ()
    anchors: tuple[str, ...] = ()
    time: TimeRule | None = None
    exposure: ExposureRule | None = None
    overlap: OverlapRule | None = None

    def to_mapping(self) -> dict[str, Any]:
        """The mapping that `read_adaptive_rules` reads back; later rules only where they are stated."""
        out: dict[str, Any] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name in _FIRST or value != _DEFAULTS[entry.name]:
                out[entry.name] = _plain(value)
        return {name: value for name, value in out.items() if value is not None}


# What the first version of a form could say is always written, so that documents keep their hashes.
_FIRST = ("selection", "randomesque", "min_units", "max_units", "se", "certainty")
_DEFAULTS = {entry.name: getattr(AdaptiveRules(), entry.name) for entry in fields(AdaptiveRules)}


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        inner = {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value)}
        return {name: each for name, each in inner.items() if each is not None and each != [] and each != {}}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return dict(value) if isinstance(value, Mapping) else value


def read_adaptive_rules(below: Fields, units: tuple[str, ...]) -> AdaptiveRules:
    """The rules of an adaptive form over these units; what cannot be meant is refused with its place."""
    default = AdaptiveRules()
    rules = AdaptiveRules(
        selection=below.choice("selection", SELECTIONS, "MFI"),
        randomesque=below.integer("randomesque", default.randomesque, minimum=1),
        min_units=below.integer("min_units", default.min_units, minimum=1),
        max_units=below.integer("max_units", default.max_units, minimum=1),
        se=below.number("se", None),
        certainty=below.flag("certainty", True),
        updating=below.choice("updating", ESTIMATES, "EAP"),
        content=below.choice("content", CONTENT, "priority"),
        interval=below.number("interval", None),
        information=below.number("information", None),
        sprt=_read_sequential(below, "sprt"),
        glr=_read_sequential(below, "glr"),
        start=_read_start(below),
        enemies=_read_enemies(below),
        anchors=below.strings("anchors", ()),
        time=_read_time(below),
        exposure=_read_exposure(below, units),
        overlap=_read_overlap(below),
    )
    below.finish()
    for name in ("se", "interval", "information"):
        value = getattr(rules, name)
        if value is not None and value <= 0:
            raise below.fault(name, "must be positive")
    named = {"enemies": [unit for group in rules.enemies for unit in group], "anchors": list(rules.anchors)}
    for key, references in named.items():
        _require_units(below, key, references, units)
    return rules


def _require_units(
    below: Fields, key: str, references: list[str] | tuple[str, ...], units: tuple[str, ...]
) -> None:
    for reference in references:
        if reference not in units:
            raise below.fault(key, f"{reference} is not a unit of this form")


def _read_sequential(fields_: Fields, key: str) -> SequentialRule | None:
    if fields_.raw(key, None) is None:
        return None
    below = fields_.below(key)
    rule = SequentialRule(below.number("delta"), below.number("alpha", 0.05), below.number("beta", 0.05))
    below.finish()
    if rule.delta <= 0:
        raise below.fault("delta", "must be positive: half the width of the zone around the cut, in theta")
    for name in ("alpha", "beta"):
        if not 0.0 < getattr(rule, name) < 0.5:
            raise below.fault(name, f"{getattr(rule, name)} is no error rate; say a number between 0 and 0.5")
    return rule


def _read_start(fields_: Fields) -> StartRule:
    if fields_.raw("start", None) is None:
        return StartRule()
    below = fields_.below("start")
    earlier = []
    for each in below.each("earlier", ()):
        course = EarlierCourse(
            each.text("course"),
            each.text("scale"),
            each.number("slope"),
            each.number("intercept"),
            each.number("sd"),
        )
        each.finish()
        if course.sd <= 0:
            raise each.fault("sd", "must be positive")
        earlier.append(course)
    rule = StartRule(below.number("theta", None), below.integer("among", None, minimum=1), tuple(earlier))
    below.finish()
    if rule.theta is not None and rule.earlier:
        raise below.fault("theta", "a fixed start and one by earlier courses exclude each other; state one")
    return rule


def _read_enemies(fields_: Fields) -> tuple[tuple[str, ...], ...]:
    found = []
    for i, group in enumerate(fields_.raw("enemies", ())):
        if isinstance(group, str) or not all(isinstance(unit, str) for unit in group) or len(set(group)) < 2:
            raise fields_.fault(f"enemies[{i}]", f"expected a list of two units or more, got {group!r}")
        for unit in group:
            split_reference(unit)
        found.append(tuple(group))
    return tuple(found)


def _read_time(fields_: Fields) -> TimeRule | None:
    if fields_.raw("time", None) is None:
        return None
    below = fields_.below("time")
    by_interaction = below.raw("by_interaction", {})
    if not isinstance(by_interaction, Mapping) or not all(
        isinstance(seconds, int) and not isinstance(seconds, bool) and seconds > 0
        for seconds in by_interaction.values()
    ):
        raise below.fault("by_interaction", "expected whole seconds by interaction")
    rule = TimeRule(
        below.integer("maximum_seconds", minimum=1),
        below.integer("seconds_per_item", minimum=1),
        dict(by_interaction),
    )
    below.finish()
    return rule


def _read_exposure(fields_: Fields, units: tuple[str, ...]) -> ExposureRule | None:
    if fields_.raw("exposure", None) is None:
        return None
    below = fields_.below("exposure")
    target = below.number("target")
    probabilities = below.raw("probabilities", {})
    if not isinstance(probabilities, Mapping):
        raise below.fault("probabilities", f"expected a mapping from units, got {probabilities!r}")
    _require_units(below, "probabilities", tuple(probabilities), units)
    for unit, value in probabilities.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value <= 1.0:
            raise below.fault(f"probabilities.{unit}", f"{value!r} is no probability above 0")
    made = below.raw("made", {})
    below.finish()
    if not 0.0 < target <= 1.0:
        raise below.fault("target", f"{target} is no share of sessions; say a number above 0, at most 1")
    return ExposureRule(target, {unit: float(value) for unit, value in probabilities.items()}, dict(made))


def _read_overlap(fields_: Fields) -> OverlapRule | None:
    if fields_.raw("overlap", None) is None:
        return None
    below = fields_.below("overlap")
    rule = OverlapRule(below.integer("sessions", 1, minimum=1), below.integer("maximum", 0, minimum=0))
    below.finish()
    return rule
