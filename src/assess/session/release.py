"""A release: a form resolved with everything it pins, checked before a learner meets it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from assess.errors import ActivationRefused, InvalidContent
from assess.irt.adaptive import AdaptiveTest
from assess.irt.models import ItemParameters, ParameterSet
from assess.irt.scoring import Prior
from assess.items import CaseSet, Form, Item, Requirement, needs_rater
from assess.items.reading import Fields
from assess.scale import CutScore, Scale, require_same_scale
from assess.session.lazily import lazy
from assess.standards.blueprint import counts
from assess.standards.records import canonical_json, sha256

if TYPE_CHECKING:
    from assess.irt.composition import Composition
    from assess.irt.confirmation import ConfirmationTest
    from assess.irt.design import BoolArray
    from assess.irt.extension import ExtendedTest
    from assess.irt.multistage import MultistageTest

SCHEMA = "assess.release/1"


@dataclass(frozen=True, slots=True)
class Unit:
    """What is scored as one: an item, or a case set with all its items."""

    reference: str
    items: tuple[Item, ...]
    case_set: CaseSet | None = None

    @property
    def n_categories(self) -> int:
        """Categories of the unit; a case set's category is the sum over its items."""
        return sum(item.n_categories - 1 for item in self.items) + 1


@dataclass(frozen=True, slots=True)
class Course:
    """What a learner is told about the course of a release."""

    id: str
    programme: str
    title: Mapping[str, str]
    objectives: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Release:
    """A form with its items, parameters, cut and policies in hand; immutable, named by its hash.

    Build one with `Release.from_document`. `document` is the canonical JSON
    that the database stores; everything else is derived from it, so a stored
    session can be replayed from the database alone.
    """

    sha256: str
    document: Mapping[str, Any]
    course: Course
    form: Form
    security: str
    units: tuple[Unit, ...]
    pilot: tuple[Item, ...]
    parameter_set: ParameterSet
    cut: CutScore
    ratings: Mapping[str, float]
    prior: Prior
    # Cuts of other levels, each with the judged ratings it rests on.
    further_cuts: tuple[tuple[CutScore, Mapping[str, float]], ...] = ()

    def __repr__(self) -> str:
        return f"<Release {self.sha256[:12]}: {self.form.reference}, {len(self.units)} units>"

    @property
    def scale(self) -> Scale:
        """The scale that parameters and cut share."""
        return self.parameter_set.scale

    @property
    def calibrated(self) -> bool:
        """Whether the parameters come from data."""
        return self.parameter_set.status == "calibrated"

    @property
    def practice(self) -> bool:
        """A form on judged parameters whose items depend on the answers: never accepted for a badge."""
        return self.form.kind != "fixed" and not self.calibrated

    @property
    def holds_results(self) -> bool:
        """Whether a session's result is held when it ends; practice decides nothing, so nothing is held."""
        return self.form.release == "after_standard" and not self.practice

    @property
    def provisional(self) -> bool:
        """Whether its decisions are provisional: judged parameters, or a cut that no panel adopted."""
        return not self.calibrated or self.cut.status != "adopted"

    @lazy
    def items(self) -> Mapping[str, Item]:
        """Every item that can be offered, pilot items included, by reference."""
        found = {item.reference: item for unit in self.units for item in unit.items}
        return found | {item.reference: item for item in self.pilot}

    @lazy
    def unit_of(self) -> Mapping[str, int]:
        """Index of the unit to which an operational item belongs."""
        return {item.reference: u for u, unit in enumerate(self.units) for item in unit.items}

    @lazy
    def row_of(self) -> Mapping[str, int]:
        """Row of each unit among the parameters, by its reference."""
        return {unit.reference: u for u, unit in enumerate(self.units)}

    @lazy
    def section_of_unit(self) -> tuple[int, ...]:
        """Index of the section of each unit, in the order of the units; empty without sections."""
        return tuple(s for s, section in enumerate(self.form.sections) for _ in section.units)

    @lazy
    def parameters(self) -> ItemParameters:
        """Parameters of the units, in their order."""
        return self.parameter_set.parameters.take([unit.reference for unit in self.units])

    @lazy
    def raw_cut(self) -> float:
        """Expected raw score of the just-proficient teacher on the operational items."""
        return self.raw_cut_of(self.ratings)

    def raw_cut_of(self, ratings: Mapping[str, float]) -> float:
        """The raw cut that judged ratings of one level make on the operational items."""
        return math.fsum(ratings[item.reference] for unit in self.units for item in unit.items)

    @lazy
    def raw_maximum(self) -> int:
        """Highest raw score on the operational items."""
        return sum(unit.n_categories - 1 for unit in self.units)

    @lazy
    def order(self) -> tuple[str, ...]:
        """References of the items of all units, in the order of the form."""
        return tuple(item.reference for unit in self.units for item in unit.items)

    @lazy
    def adaptive_test(self) -> AdaptiveTest:
        """The selection kernel of an adaptive form at the first try, built once."""
        from assess.session.selection import adaptive_test

        return adaptive_test(self, self.form.rule)

    def adaptive_test_at(self, try_number: int) -> AdaptiveTest:
        """The kernel of one try: where a later try asks for more, it also goes on until it is that sure."""
        rule = self.form.rule_at(try_number)
        if rule == self.form.rule:
            return self.adaptive_test
        if rule.p_pass not in self._later_tests:
            from assess.session.selection import adaptive_test

            self._later_tests[rule.p_pass] = adaptive_test(self, rule)
        return self._later_tests[rule.p_pass]

    @lazy
    def _later_tests(self) -> dict[float, AdaptiveTest]:
        return {}

    def extended_tests_at(self, try_number: int) -> tuple[ExtendedTest, ...]:
        """What chooses in the extensions of one try; a later one may have to be surer."""
        rule = self.form.rule_at(try_number)
        if rule == self.form.rule:
            return self.extended_tests
        bounds = (rule.p_pass, rule.p_fail)
        return tuple(replace(test, certainty=bounds) for test in self.extended_tests)

    @lazy
    def extended_tests(self) -> tuple[ExtendedTest, ...]:
        """What chooses in the first extension, the second, ...; empty where the form has none."""
        from assess.irt.extension import ExtendedTest, ExtensionRule

        policy, rule = self.form.extension, self.form.rule
        if policy is None:
            return ()
        extension = ExtensionRule(policy.min_units, policy.max_units, policy.most)
        bounds = (rule.p_pass, rule.p_fail)
        return tuple(
            ExtendedTest(self.adaptive_test, extension, bounds, number)
            for number in range(1, policy.most + 1)
        )

    @lazy
    def multistage_test(self) -> MultistageTest:
        """The kernel of a multistage form, built once."""
        from assess.session.multistage import multistage_test

        return multistage_test(self)

    @lazy
    def confirmation_test(self) -> ConfirmationTest:
        """What chooses and decides in the sessions of a confirming form."""
        from assess.irt.confirmation import ConfirmationRule, ConfirmationTest

        policy = self.form.confirms
        assert policy is not None
        rule = ConfirmationRule(policy.loss, policy.alpha, policy.beta)
        return ConfirmationTest(self.adaptive_test, rule)

    @lazy
    def composition(self) -> Composition:
        """What a test of the units of an adaptive form may be composed of."""
        from assess.irt.composition import Composition

        test = self.adaptive_test
        return Composition([unit.reference for unit in self.units], test.constraints, test.enemies)

    @lazy
    def least_closed_tests(self) -> tuple[BoolArray, ...]:
        """Tests that satisfy an adaptive form, of the units that exposure control closes least."""
        from assess.session.selection import least_closed_tests

        return least_closed_tests(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any], sha: str | None = None) -> Release:
        """Resolve a stored or freshly built release document and check that it can be delivered.

        Raises
        ------
        InvalidContent
            A part of the document cannot be read; the place is named.
        ActivationRefused
            The parts are well formed but must not go live together.
        ScaleMismatch
            Parameters and cut live on different scales.
        """
        digest = sha256(canonical_json(document, floats=True))
        if sha is not None and sha != digest:
            raise InvalidContent(f"the stored release {sha} hashes to {digest}; it was altered")
        fields = Fields(document, "release")
        if fields.text("schema") != SCHEMA:
            raise fields.fault("schema", f"this engine reads {SCHEMA}")
        bank = fields.below("bank")
        course = _read_course(fields.below("course"), bank)
        form = Form.from_mapping(fields.raw("form"), "release: form")
        items = {
            reference: Item.from_mapping(mapping, f"release: items: {reference}")
            for reference, mapping in fields.raw("items").items()
        }
        case_sets = {
            reference: CaseSet.from_mapping(mapping, f"release: case_sets: {reference}")
            for reference, mapping in fields.raw("case_sets", {}).items()
        }
        parameter_set = read_parameter_set(fields.below("parameter_set"))
        cut, ratings = read_cut(fields.below("cut"))
        further = tuple(read_cut(below) for below in fields.each("further_cuts", ()))
        fields.finish()
        mean = cut.theta if form.prior.mean is None else form.prior.mean
        release = cls(
            sha256=digest,
            document=document,
            course=course,
            form=form,
            security=bank.choice("security", ("open", "secure")),
            units=tuple(_resolve_unit(reference, items, case_sets) for reference in form.units),
            pilot=tuple(_find(items, reference, "pilot item") for reference in form.pilot),
            parameter_set=parameter_set,
            cut=cut,
            ratings=ratings,
            prior=Prior(mean, 1.0 if form.prior.sd is None else form.prior.sd),
            further_cuts=further,
        )
        release._check()
        return release

    def _check(self) -> None:
        form = self.form
        self._check_cuts()
        known = set(self.parameter_set.parameters.item_ids)
        missing = [unit.reference for unit in self.units if unit.reference not in known]
        if missing:
            raise ActivationRefused(
                f"{form.reference}: parameter set {self.parameter_set.id} has no {missing[0]}"
            )
        for unit, n_categories in zip(self.units, self.parameters.n_categories, strict=True):
            if unit.n_categories != n_categories:
                raise ActivationRefused(
                    f"{form.reference}: {unit.reference} has {unit.n_categories} categories, "
                    f"its parameters {n_categories}"
                )
        references = [item.reference for unit in self.units for item in unit.items] + [
            i.reference for i in self.pilot
        ]
        doubled = [reference for reference, n in Counter(references).items() if n > 1]
        if doubled:
            raise ActivationRefused(f"{form.reference}: {doubled[0]} is used twice")
        for item in self.items.values():
            if item.state not in ("active", "pilot") or (item.state == "pilot" and item not in self.pilot):
                raise ActivationRefused(
                    f"{form.reference}: {item.reference} is {item.state}; only active items count"
                )
            if needs_rater(item) and item not in self.pilot:
                raise ActivationRefused(
                    f"{form.reference}: {item.reference} needs a rater, which no form has yet"
                )
        self._check_rule()
        available = [item for unit in self.units for item in unit.items]
        for requirement in form.blueprint:
            n_found = count_items(available, requirement)
            too_many = (
                form.kind == "fixed" and requirement.maximum is not None and n_found > requirement.maximum
            )
            if n_found < requirement.minimum or too_many:
                wanted = f"{requirement.minimum} to {requirement.maximum or 'any number'}"
                raise ActivationRefused(
                    f"{form.reference}: blueprint {requirement.label} wants {wanted}, found {n_found}"
                )
        if form.multistage is not None:
            from assess.session.multistage import require_paths

            require_paths(self)
        if form.adaptive is not None:
            needed = sum(r.minimum for r in form.blueprint if r.code)
            longest = sum(
                sorted((len(unit.items) for unit in self.units), reverse=True)[: form.adaptive.max_units]
            )
            if needed > longest:
                raise ActivationRefused(
                    f"{form.reference}: the blueprint needs {needed} items, max_units allows {longest}"
                )

    def _check_cuts(self) -> None:
        form, cuts = self.form, [self.cut, *(cut for cut, _ in self.further_cuts)]
        for cut in cuts:
            require_same_scale(self.scale.id, cut.scale_id, doing=f"activating {form.reference}")
        if tuple(cut.id for cut, _ in self.further_cuts) != form.further_cuts:
            named = ", ".join(form.further_cuts) or "none"
            raise ActivationRefused(f"{form.reference}: its further cuts are {named}, and others are given")
        doubled = [level for level, n in Counter(cut.level for cut in cuts).items() if n > 1]
        if doubled:
            raise ActivationRefused(f"{form.reference}: two cuts for the level {doubled[0]}")

    def _check_rule(self) -> None:
        form = self.form
        if form.rule.kind == "raw":
            if form.kind != "fixed":
                raise ActivationRefused(
                    f"{form.reference}: a raw score means nothing over items chosen for the learner"
                )
            for cut, ratings in ((self.cut, self.ratings), *self.further_cuts):
                unrated = [i.reference for u in self.units for i in u.items if i.reference not in ratings]
                if unrated:
                    raise ActivationRefused(
                        f"{form.reference}: cut {cut.id} has no judged rating for {unrated[0]}"
                    )
        elif form.kind == "fixed" and not self.calibrated:
            raise ActivationRefused(
                f"{form.reference}: parameter set {self.parameter_set.id} is provisional; "
                "judged parameters decide by raw score (rule: {kind: raw})"
            )
        elif form.scoring == "WL" and form.rule.kind == "probability":
            raise ActivationRefused(
                f"{form.reference}: the probability rule integrates a posterior, which WL does not have; "
                "say scoring: EAP, or rule: {kind: point}"
            )
        elif form.scoring == "WL" and form.kind != "fixed":
            # It has no value before the first answer either, and a session may end there.
            raise ActivationRefused(
                f"{form.reference}: WL can rise after a wrong answer to a further item; "
                f"a form of kind {form.kind} is scored by EAP"
            )


def count_items(items: Iterable[Item], requirement: Requirement) -> int:
    """How many items count for a requirement, as `standards.blueprint` counts them.

    Examples
    --------
    >>> from assess.items import Requirement
    >>> count_items(release.items.values(), Requirement("applied", 3, process="apply"))
    12
    """
    return sum(counts(requirement, item) for item in items)


def read_cut(fields: Fields) -> tuple[CutScore, dict[str, float]]:
    """A cut file or stored cut, with the judged ratings it rests on.

    Examples
    --------
    >>> from assess.items.reading import Fields
    >>> from assess.session.release import read_cut
    >>> cut, ratings = read_cut(Fields({"id": "c", "version": 1, "level": "KA", "theta": 0.2, "scale": "s/1",
    ...                                 "method": "judged", "status": "provisional"}, "cuts/c.v1.yaml"))
    >>> cut.id, cut.theta
    ('c.v1', 0.2)
    """
    version = fields.integer("version", minimum=1)
    cut = CutScore(
        id=f"{fields.text('id')}.v{version}",
        level=fields.text("level"),
        theta=fields.number("theta"),
        se=fields.number("se", math.nan),
        scale_id=fields.text("scale"),
        method=fields.text("method"),
        panel=fields.text("panel", ""),
        status=fields.choice("status", ("provisional", "adopted")),
    )
    ratings = fields.raw("ratings", {})
    for reference, rating in ratings.items():
        if isinstance(rating, bool) or not isinstance(rating, int | float) or rating < 0:
            raise fields.fault(
                f"ratings.{reference}", f"expected an expected score of 0 or more, got {rating!r}"
            )
    for optional in ("course", "notes", "adopted_by", "adopted_at"):
        fields.raw(optional, None)
    fields.finish()
    return cut, {reference: float(rating) for reference, rating in ratings.items()}


def read_scale(fields: Fields) -> Scale:
    """A scale definition.

    Examples
    --------
    >>> from assess.items.reading import Fields
    >>> from assess.session.release import read_scale
    >>> read_scale(Fields({"id": "s/1", "reference_group": "all"}, "here")).mean
    500.0
    """
    scale = Scale(
        id=fields.text("id"),
        reference_group=fields.text("reference_group"),
        mean=fields.number("mean", 500.0),
        sd=fields.number("sd", 100.0),
        minimum=fields.number("minimum", 200.0),
        maximum=fields.number("maximum", 800.0),
    )
    fields.finish()
    return scale


def read_parameter_set(fields: Fields) -> ParameterSet:
    """A parameter file or stored parameter set.

    Examples
    --------
    >>> from assess.items.reading import Fields
    >>> from assess.session.release import read_parameter_set
    >>> read_parameter_set(Fields(release.document["parameter_set"], "here")).id
    'x-parameters.v1'
    """
    version = fields.integer("version", minimum=1)
    parameter_set = ParameterSet(
        id=f"{fields.text('id')}.v{version}",
        course=fields.text("course"),
        scale=read_scale(fields.below("scale")),
        parameters=ItemParameters.from_records(fields.raw("items")),
        status=fields.choice("status", ("provisional", "calibrated")),
        provenance=fields.raw("provenance", {}),
    )
    fields.finish()
    return parameter_set


def _read_course(fields: Fields, bank: Fields) -> Course:
    course = Course(
        id=fields.text("id"),
        programme=fields.text("programme"),
        title=fields.texts("title"),
        objectives={code: below.texts("text") for code, below in bank.named("objectives", {})},
    )
    fields.finish()
    return course


def _find(items: Mapping[str, Item], reference: str, what: str) -> Item:
    if reference not in items:
        raise ActivationRefused(f"{what} {reference} is not in the release")
    return items[reference]


def _resolve_unit(reference: str, items: Mapping[str, Item], case_sets: Mapping[str, CaseSet]) -> Unit:
    if reference in case_sets:
        case_set = case_sets[reference]
        return Unit(
            reference, tuple(_find(items, r, f"case set {reference}: item") for r in case_set.items), case_set
        )
    item = _find(items, reference, "unit")
    if item.case_set:
        raise ActivationRefused(
            f"{reference} belongs to case set {item.case_set}; the form names the set, not its items"
        )
    return Unit(reference, (item,))
