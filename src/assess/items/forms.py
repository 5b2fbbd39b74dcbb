"""Forms: what one administration draws on, as ids and plain rules.

A form pins versions of items, a parameter set and a cut, and states every
policy that touches a learner. `session.Release` holds the same, resolved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from assess.items.adaptive_rules import AdaptiveRules, read_adaptive_rules
from assess.items.confirming import ConfirmationPolicy, check_confirming, read_confirmation
from assess.items.content import read_id, split_reference
from assess.items.multistage_rules import MultistageRules, read_multistage_rules
from assess.items.policies import AccuracyTarget, ExtensionPolicy, read_extension, read_target
from assess.items.reading import Fields

_WAITING_CAP_SECONDS = 30
# What a placement part may grant a course on: nobody has studied for it, and nobody has to take it.
PLACEMENT_P_PASS = 0.95


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """How a score becomes a decision.

    Parameters
    ----------
    kind : str
        "probability" (p at or above the cut against two bounds), "point" (the
        estimate against the cut), "raw" (raw score against the judged raw cut), or
        "placement" (passed at `p_pass`, else nothing is decided).
    p_pass, p_fail : float
        Bounds of the probability rule; a placement part gives up at `p_fail`.
    """

    kind: str = "probability"
    p_pass: float = 0.75
    p_fail: float = 0.25


@dataclass(frozen=True, slots=True)
class PriorSpec:
    """The one prior for all learners; a mean of None is the cut, an sd of None the scale's."""

    mean: float | None = None
    sd: float | None = None


@dataclass(frozen=True, slots=True)
class Requirement:
    """Required coverage of one code (framework) or one process, by number of items."""

    label: str
    minimum: int
    maximum: int | None = None
    framework: str = ""
    version: str = ""
    code: str = ""
    process: str = ""
    interaction: str = ""


@dataclass(frozen=True, slots=True)
class RetakePolicy:
    """When a course may be tried again, and what a try then asks; hours and days by the server's clock.

    Parameters
    ----------
    p_pass_by_try : tuple of float
        The probability that the first, second, ... try asks; the last one
        holds for all later tries. Empty: every try asks what the rule asks.
    """

    first_wait_hours: int = 24
    wait_days: int = 14
    max_tries: int = 5
    period_days: int = 365
    p_pass_by_try: tuple[float, ...] = ()

    def p_pass_at(self, try_number: int) -> float | None:
        """The probability that one try asks; None where every try asks the same."""
        asked = self.p_pass_by_try
        return asked[min(max(try_number, 1), len(asked)) - 1] if asked else None


@dataclass(frozen=True, slots=True)
class Section:
    """A labelled run of units of a fixed form, with a clock of its own if `time_limit_seconds` says so.

    Sections are gone through in order; who has left one does not come back to it.
    """

    title: Mapping[str, str]
    units: tuple[str, ...]
    time_limit_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """What one administration draws on: items and rules, with everything it pins by id.

    Parameters
    ----------
    kind : str
        "fixed" (these units, in this order), "adaptive" (chosen from these units) or "multistage" (modules
        of these units, one after the other).
    units : tuple of str
        Versioned references of items and case sets.
    pilot : tuple of str
        Unscored items; `pilot_slots` of them are placed at random for each learner.
    review : str
        "allowed" or "none"; an adaptive form never allows it.
    feedback : str
        "objectives" or "rationales", after the end.
    omitted : str
        "zero": for a decision, omitted and not-reached operational items score 0.
    sections : tuple of Section
        Runs that cover the units of a fixed form in their order; empty for a form in one piece.
    item_time_limit_seconds : int or None
        Allowance of every single item, from its offer on.
    further_cuts : tuple of str
        Cuts of other levels of the course; each gets a decision of its own beside that of `cut`.
    waiting_cap_seconds : int
        At most so much of the time that a learner waited for the server is given back per item.
    target : AccuracyTarget or None
        What its accuracy must reach before it goes live.
    extension : ExtensionPolicy or None
        How an undetermined session of an adaptive form may go on.
    multistage : MultistageRules or None
        Modules, panels and routes of a multistage form.
    confirms : ConfirmationPolicy or None
        Whose passes it confirms under supervision; such a form decides nothing else.
    release : str
        "immediate": a session is decided when it ends. "after_standard": its result is held until the
        results of the form are released, by the cut that a panel has adopted by then.
    """

    id: str
    version: int
    course: str
    kind: str
    title: Mapping[str, str]
    units: tuple[str, ...]
    parameter_set: str
    cut: str
    languages: tuple[str, ...] = ("en",)
    pilot: tuple[str, ...] = ()
    pilot_slots: int = 0
    prior: PriorSpec = field(default_factory=PriorSpec)
    rule: DecisionRule = field(default_factory=DecisionRule)
    scoring: str = "EAP"
    review: str = "none"
    feedback: str = "objectives"
    omitted: str = "zero"
    time_limit_minutes: int | None = None
    late_grace_seconds: int = 15
    window_hours: int = 168
    adaptive: AdaptiveRules | None = None
    blueprint: tuple[Requirement, ...] = ()
    retake: RetakePolicy = field(default_factory=RetakePolicy)
    consent_version: str = "1"
    sections: tuple[Section, ...] = ()
    item_time_limit_seconds: int | None = None
    waiting_cap_seconds: int = _WAITING_CAP_SECONDS
    target: AccuracyTarget | None = None
    extension: ExtensionPolicy | None = None
    confirms: ConfirmationPolicy | None = None
    further_cuts: tuple[str, ...] = ()
    release: str = "immediate"
    multistage: MultistageRules | None = None

    @property
    def reference(self) -> str:
        """Id and version as releases and status answers name it."""
        return f"{self.id}.v{self.version}"

    @property
    def placement(self) -> bool:
        """Whether it is a part of a placement, which grants a course or decides nothing."""
        return self.rule.kind == "placement"

    def rule_at(self, try_number: int) -> DecisionRule:
        """The rule of one try, where the retake policy asks more of later ones."""
        asked = self.retake.p_pass_at(try_number)
        return self.rule if asked is None else replace(self.rule, p_pass=asked)

    @classmethod
    def from_mapping(cls, mapping: object, place: str) -> Form:
        """Parse one form file or stored form; every fault is named with its place."""
        fields = Fields(mapping, place)
        kind = fields.choice("kind", ("fixed", "adaptive", "multistage"))
        adaptive, multistage = None, None
        if fields.raw("adaptive", None) is not None:
            adaptive = read_adaptive_rules(fields.below("adaptive"), fields.strings("units"))
        if fields.raw("multistage", None) is not None:
            multistage = read_multistage_rules(fields.below("multistage"), fields.strings("units"))
        for name, rules in (("adaptive", adaptive), ("multistage", multistage)):
            if (kind == name) != (rules is not None):
                raise fields.fault(name, f"a form of kind {name}, and no other, states its {name} rules")
        form = cls(
            id=read_id(fields),
            version=fields.integer("version", minimum=1),
            course=read_id(fields, "course"),
            kind=kind,
            title=fields.texts("title"),
            units=fields.strings("units"),
            parameter_set=fields.text("parameter_set"),
            cut=fields.text("cut"),
            languages=fields.strings("languages", ("en",)),
            pilot=fields.strings("pilot", ()),
            pilot_slots=fields.integer("pilot_slots", 0, minimum=0),
            prior=_read_prior(fields),
            rule=_read_rule(fields),
            scoring=fields.choice("scoring", ("EAP", "WL"), "EAP"),
            review=fields.choice("review", ("allowed", "none"), "none"),
            feedback=fields.choice("feedback", ("objectives", "rationales"), "objectives"),
            omitted=fields.choice("omitted", ("zero",), "zero"),
            time_limit_minutes=fields.integer("time_limit_minutes", None, minimum=1),
            late_grace_seconds=fields.integer("late_grace_seconds", 15, minimum=0),
            window_hours=fields.integer("window_hours", 168, minimum=1),
            adaptive=adaptive,
            blueprint=tuple(read_requirement(below) for below in fields.each("blueprint", ())),
            retake=_read_retake(fields),
            consent_version=fields.text("consent_version", "1"),
            sections=tuple(_read_section(below) for below in fields.each("sections", ())),
            item_time_limit_seconds=fields.integer("item_time_limit_seconds", None, minimum=5),
            waiting_cap_seconds=fields.integer("waiting_cap_seconds", _WAITING_CAP_SECONDS, minimum=0),
            target=read_target(fields),
            extension=read_extension(fields),
            confirms=read_confirmation(fields),
            further_cuts=fields.strings("further_cuts", ()),
            release=fields.choice("release", ("immediate", "after_standard"), "immediate"),
            multistage=multistage,
        )
        fields.finish()
        form._check(fields)
        form._check_clocks(fields)
        return form

    def _check(self, fields: Fields) -> None:
        for key, references in (("units", self.units), ("pilot", self.pilot)):
            for reference in references:
                split_reference(reference)
            doubled = sorted({r for r in references if references.count(r) > 1})
            if doubled:
                raise fields.fault(key, f"{doubled[0]} is listed twice")
        if not self.units:
            raise fields.fault("units", "a form needs at least one unit")
        cuts = (self.cut, *self.further_cuts)
        if len(set(cuts)) != len(cuts):
            raise fields.fault("further_cuts", "every cut is named once, that of `cut` included")
        if self.kind != "fixed" and self.review == "allowed":
            raise fields.fault(
                "review", f"a form of kind {self.kind} never allows review: going back would undo its routing"
            )
        if self.extension is not None and self.kind != "adaptive":
            raise fields.fault(
                "extension", "only an adaptive form has items left to go on with, so only it is extended"
            )
        if self.extension is not None and self.rule.kind != "probability":
            raise fields.fault(
                "extension", "only the rule {kind: probability} leaves a session undetermined to go on with"
            )
        if self.pilot_slots > len(self.pilot):
            raise fields.fault("pilot_slots", f"{self.pilot_slots} slots for {len(self.pilot)} pilot items")
        if self.adaptive is not None and self.adaptive.min_units > min(
            self.adaptive.max_units, len(self.units)
        ):
            raise fields.fault("adaptive", "min_units exceeds max_units or the number of units")
        if self.placement and (self.kind != "adaptive" or not self.blueprint or self.pilot_slots):
            raise fields.fault(
                "rule", "a part of a placement is adaptive, has a blueprint, and tries no items out"
            )
        if self.release == "after_standard" and self.feedback == "rationales":
            raise fields.fault(
                "feedback", "rationales tell what is right, and results that are held tell nothing yet"
            )
        self._check_rising(fields)
        if self.confirms is not None:
            check_confirming(self, fields)

    def _check_rising(self, fields: Fields) -> None:
        asked = self.retake.p_pass_by_try
        if not asked:
            return
        if self.rule.kind != "probability":
            raise fields.fault(
                "retake.p_pass_by_try",
                f"only a probability rule has a probability that rises, not {self.rule.kind}",
            )
        if asked[0] != self.rule.p_pass or list(asked) != sorted(asked) or not asked[-1] < 1.0:
            raise fields.fault(
                "retake.p_pass_by_try",
                f"begins with the rule's own {self.rule.p_pass}, never falls, is below 1; got {list(asked)}",
            )

    def _check_clocks(self, fields: Fields) -> None:
        if self.sections:
            if self.kind != "fixed":
                raise fields.fault(
                    "sections", "only a form of kind fixed knows its items, so only it has them"
                )
            run = tuple(unit for section in self.sections for unit in section.units)
            if run != self.units:
                wrong = next(
                    (unit for unit, wanted in zip(run, self.units, strict=False) if unit != wanted),
                    f"{len(run)} units, not {len(self.units)}",
                )
                raise fields.fault(
                    "sections", f"they must name the form's units in their order; {wrong} differs"
                )
        timed = any(section.time_limit_seconds is not None for section in self.sections)
        if self.review == "allowed" and (timed or self.item_time_limit_seconds is not None):
            raise fields.fault(
                "review",
                "with a clock for a section or an item nobody can go back: a clock that is over is over",
            )

    def to_mapping(self) -> dict[str, Any]:
        """The mapping that `from_mapping` reads back as an equal form.

        What a form of an earlier version could not say is left out where it
        says nothing, so that documents keep their hashes.
        """
        out: dict[str, Any] = {
            "id": self.id,
            "version": self.version,
            "course": self.course,
            "kind": self.kind,
            "title": dict(self.title),
            "languages": list(self.languages),
            "units": list(self.units),
            "pilot": list(self.pilot),
            "pilot_slots": self.pilot_slots,
            "parameter_set": self.parameter_set,
            "cut": self.cut,
            "prior": _without_none({"mean": self.prior.mean, "sd": self.prior.sd}),
            "rule": {"kind": self.rule.kind, "p_pass": self.rule.p_pass, "p_fail": self.rule.p_fail},
            "scoring": self.scoring,
            "review": self.review,
            "feedback": self.feedback,
            "omitted": self.omitted,
            "time_limit_minutes": self.time_limit_minutes,
            "late_grace_seconds": self.late_grace_seconds,
            "window_hours": self.window_hours,
            "blueprint": [
                {name: getattr(r, name) for name in r.__slots__ if getattr(r, name) not in ("", None)}
                for r in self.blueprint
            ],
            "retake": {
                name: list(value) if isinstance(value, tuple) else value
                for name in self.retake.__slots__
                if (value := getattr(self.retake, name)) != ()
            },
            "consent_version": self.consent_version,
        }
        if self.adaptive is not None:
            out["adaptive"] = self.adaptive.to_mapping()
        if self.multistage is not None:
            out["multistage"] = self.multistage.to_mapping()
        if self.sections:
            out["sections"] = [
                _without_none(
                    {
                        "title": dict(section.title),
                        "units": list(section.units),
                        "time_limit_seconds": section.time_limit_seconds,
                    }
                )
                for section in self.sections
            ]
        out["item_time_limit_seconds"] = self.item_time_limit_seconds
        if self.waiting_cap_seconds != _WAITING_CAP_SECONDS:
            out["waiting_cap_seconds"] = self.waiting_cap_seconds
        if self.target is not None:
            out["target"] = self.target.to_mapping()
        if self.extension is not None:
            out["extension"] = self.extension.to_mapping()
        if self.confirms is not None:
            out["confirms"] = self.confirms.to_mapping()
        if self.further_cuts:
            out["further_cuts"] = list(self.further_cuts)
        if self.release != "immediate":
            out["release"] = self.release
        return _without_none(out)


def _without_none(mapping: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if value is not None}


def _read_prior(fields: Fields) -> PriorSpec:
    if fields.raw("prior", None) is None:
        return PriorSpec()
    below = fields.below("prior")
    spec = PriorSpec(below.number("mean", None), below.number("sd", None))
    below.finish()
    if spec.sd is not None and spec.sd <= 0:
        raise below.fault("sd", "must be positive")
    return spec


def _read_rule(fields: Fields) -> DecisionRule:
    if fields.raw("rule", None) is None:
        return DecisionRule()
    below = fields.below("rule")
    kind = below.choice("kind", ("probability", "point", "raw", "placement"))
    rule = DecisionRule(
        kind,
        below.number("p_pass", PLACEMENT_P_PASS if kind == "placement" else 0.75),
        below.number("p_fail", 0.25),
    )
    below.finish()
    if kind == "placement" and rule.p_pass < PLACEMENT_P_PASS:
        raise below.fault(
            "p_pass", f"a placement grants a course at {PLACEMENT_P_PASS} or more, not at {rule.p_pass}"
        )
    if not 0.0 < rule.p_fail < rule.p_pass < 1.0:
        raise below.fault("p_pass", f"0 < p_fail < p_pass < 1 must hold; got {rule.p_fail} and {rule.p_pass}")
    return rule


def read_requirement(below: Fields) -> Requirement:
    """One entry of a blueprint; it counts one code, process or interaction."""
    requirement = Requirement(
        label=below.text("label"),
        minimum=below.integer("minimum", minimum=0),
        maximum=below.integer("maximum", None, minimum=0),
        framework=below.text("framework", ""),
        version=below.text("version", ""),
        code=below.text("code", ""),
        process=below.text("process", ""),
        interaction=below.text("interaction", ""),
    )
    below.finish()
    if requirement.maximum is not None and requirement.maximum < requirement.minimum:
        raise below.fault("maximum", f"{requirement.maximum} is below the minimum {requirement.minimum}")
    if bool(requirement.code) + bool(requirement.process) + bool(requirement.interaction) != 1:
        raise below.fault(
            "label", "a requirement counts one of: code (with framework, version), process, interaction"
        )
    if requirement.code and not (requirement.framework and requirement.version):
        raise below.fault("code", "a code needs its framework and version: KD.3.a differs between editions")
    return requirement


def _read_section(below: Fields) -> Section:
    section = Section(
        below.texts("title"),
        below.strings("units"),
        below.integer("time_limit_seconds", None, minimum=10),
    )
    below.finish()
    if not section.units:
        raise below.fault("units", "a section needs at least one unit")
    if not section.title:
        raise below.fault("title", "a section needs a title, by language")
    return section


def _read_retake(fields: Fields) -> RetakePolicy:
    if fields.raw("retake", None) is None:
        return RetakePolicy()
    below = fields.below("retake")
    default = RetakePolicy()
    policy = RetakePolicy(
        first_wait_hours=below.integer("first_wait_hours", default.first_wait_hours, minimum=0),
        wait_days=below.integer("wait_days", default.wait_days, minimum=0),
        max_tries=below.integer("max_tries", default.max_tries, minimum=1),
        period_days=below.integer("period_days", default.period_days, minimum=1),
        p_pass_by_try=_read_rising(below),
    )
    below.finish()
    return policy


def _read_rising(below: Fields) -> tuple[float, ...]:
    asked = below.raw("p_pass_by_try", ())
    if not isinstance(asked, list | tuple) or any(
        isinstance(p, bool) or not isinstance(p, float) for p in asked
    ):
        raise below.fault("p_pass_by_try", f"expected probabilities, one per try, got {asked!r}")
    return tuple(asked)
