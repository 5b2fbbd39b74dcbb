"""Item banks on disk, as domain types and as the documents that are activated.

::

    item_banks/<programme>/programme.yaml
    item_banks/<programme>/<course>/bank.yaml
                                   items/       <id>.v<version>.yaml, items and case sets
                                   forms/  parameters/  cuts/  freezes/

A file is named by what it holds, id and version; nothing of a bank is edited
after publication, so a folder holds every version that was ever live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from assess.errors import ActivationRefused, AssessError, InvalidContent, InvalidParameters, InvalidRule
from assess.irt.models import ParameterSet
from assess.items import CaseSet, Form, Item, Placement, Requirement, split_reference
from assess.items.content import read_id
from assess.items.forms import read_requirement
from assess.items.reading import Fields
from assess.publishing.files import read_yaml
from assess.scale import CutScore
from assess.session.release import SCHEMA as RELEASE_SCHEMA
from assess.session.release import read_cut, read_parameter_set
from assess.standards.eligibility import load_rules

PROGRAMME_SCHEMA = "assess.programme/1"
ON_LOSS = ("suspend", "withdraw", "keep")
# What the bank should hold as a whole, and who read its items, is not part of what is delivered.
_NOT_DELIVERED = ("blueprint", "readings")
_FOLDERS = ("items", "forms", "parameters", "cuts", "freezes")
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Programme:
    """A set of courses with badge rules, as its file states it."""

    id: str
    folder: Path = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)
    course_titles: Mapping[str, Mapping[str, str]]
    assessed_here: tuple[str, ...]
    placement: Placement | None = None

    @property
    def title(self) -> Mapping[str, str]:
        """Its name by language."""
        return dict(self.document["title"])

    @property
    def forms(self) -> frozenset[str]:
        """Ids of the forms that its courses offer, and of the parts of its placement."""
        courses = self.document["courses"]
        entries = courses.values() if isinstance(courses, Mapping) else courses
        offered = {form for entry in entries if entry for form in entry.get("forms", ())}
        parts = () if self.placement is None else self.placement.parts
        return frozenset(offered | {part.form for part in parts})


@dataclass(frozen=True, eq=False)
class StoredCut:
    """A cut with the judged ratings it rests on, item by item."""

    cut: CutScore
    ratings: Mapping[str, float]
    document: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Freeze:
    """Units that are not offered as operational any more, who said so and why; past scores stay.

    Parameters
    ----------
    id : str
        Versioned reference of its file.
    units : tuple of str
        Versioned references of items and case sets.
    evidence : mapping
        What speaks for it, such as the drift of each unit.
    """

    id: str
    units: tuple[str, ...]
    reason: str
    by: str
    at: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ItemBank:
    """Everything that a course has ever published, by versioned reference.

    Parameters
    ----------
    id, version : str, int
        Of the bank.
    course, programme : str
        The course it serves, and the programme to which that belongs.
    security : str
        "open" (its keys are public, and every decision says so) or "secure".
    header : mapping
        bank.yaml as it stands.
    blueprint : tuple of Requirement
        What the bank as a whole should hold, where bank.yaml says so.
    """

    id: str
    version: int
    course: str
    programme: str
    title: Mapping[str, str]
    security: str
    folder: Path = field(repr=False)
    header: Mapping[str, Any] = field(repr=False)
    items: Mapping[str, Item] = field(repr=False)
    case_sets: Mapping[str, CaseSet] = field(repr=False)
    forms: Mapping[str, Form] = field(repr=False)
    parameter_sets: Mapping[str, ParameterSet] = field(repr=False)
    cuts: Mapping[str, StoredCut] = field(repr=False)
    freezes: Mapping[str, Freeze] = field(repr=False, default_factory=dict)
    blueprint: tuple[Requirement, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        return (
            f"<ItemBank {self.id}.v{self.version}: {self.course}, {len(self.items)} items, "
            f"{len(self.forms)} forms, {self.security}>"
        )

    def unit_items(self, unit: str) -> tuple[Item, ...]:
        """The items of a unit: of a case set, or the item itself."""
        if unit in self.case_sets:
            return tuple(self._item(reference) for reference in self.case_sets[unit].items)
        return (self._item(unit),)

    def _item(self, reference: str) -> Item:
        if reference not in self.items:
            raise InvalidContent(f"{reference} is neither an item nor a case set of bank {self.id}")
        return self.items[reference]

    @property
    def frozen(self) -> frozenset[str]:
        """Units that no new form may offer."""
        return frozenset(unit for freeze in self.freezes.values() for unit in freeze.units)

    def require_offerable(self, form_reference: str) -> None:
        """Refuse a form that offers what is frozen.

        Raises
        ------
        ActivationRefused
            Naming the unit, and the newest form that goes without it.
        """
        form = self.forms[form_reference]
        held = [unit for unit in form.units if unit in self.frozen]
        if held:
            newest = self.latest_forms()[form.id]
            other = f"; {newest.reference} goes without" if not set(newest.units) & self.frozen else ""
            raise ActivationRefused(f"{form_reference} offers {held[0]}, which is frozen{other}")

    def latest_forms(self) -> dict[str, Form]:
        """The highest version of each form, by form id."""
        latest: dict[str, Form] = {}
        for form in self.forms.values():
            if form.id not in latest or latest[form.id].version < form.version:
                latest[form.id] = form
        return latest


# --- reading ---------------------------------------------------------------


def find_programmes(folder: Path) -> list[Path]:
    """The programme folders in a folder of banks, or the folder itself if it is one."""
    if (folder / "programme.yaml").is_file():
        return [folder]
    if not folder.is_dir():
        raise InvalidContent("there is no such folder; name one that holds item banks", place=str(folder))
    found = sorted(path.parent for path in folder.glob("*/programme.yaml"))
    if not found:
        raise InvalidContent("holds no programme: expected <programme>/programme.yaml", place=str(folder))
    return found


def bank_folders(programme: Path) -> list[Path]:
    """The folders of a programme's banks."""
    return sorted(path.parent for path in programme.glob("*/bank.yaml"))


def load_programme(folder: Path) -> Programme:
    """Read programme.yaml, with its badge rules checked.

    Raises
    ------
    InvalidContent
        A fault, with file and path.
    """
    place = f"{folder.name}/programme.yaml"
    mapping = read_yaml(folder / "programme.yaml", place)
    fields = Fields(mapping, place)
    document = {**mapping, "schema": PROGRAMME_SCHEMA}
    programme_id = fields.text("id")
    if programme_id != folder.name:
        raise fields.fault("id", f"{programme_id!r} is not the name of its folder, {folder.name!r}")
    if fields.text("schema", PROGRAMME_SCHEMA) != PROGRAMME_SCHEMA:
        raise fields.fault("schema", f"expected {PROGRAMME_SCHEMA}")
    fields.texts("title")
    fields.choice("on_loss", ON_LOSS, ON_LOSS[0])
    titles, here = {}, []
    for course_id, below in _courses(fields):
        titles[course_id] = below.texts("title")
        if below.choice("assessed", ("here", "external"), "external") == "here":
            here.append(course_id)
    try:
        load_rules(document)
    except InvalidRule as fault:
        raise InvalidContent(str(fault), place=place) from None
    placement = Placement.from_fields(fields.below("placement")) if "placement" in fields else None
    strange = [part.course for part in placement.parts if part.course not in here] if placement else []
    if strange:
        raise fields.fault("placement", f"{strange[0]!r} is not a course that is assessed here")
    return Programme(programme_id, folder, document, titles, tuple(here), placement)


def _courses(fields: Fields) -> Iterator[tuple[str, Fields]]:
    """Courses from a list of entries with an id, or from a mapping by id."""
    if isinstance(fields.raw("courses"), Mapping):
        yield from fields.named("courses")
    else:
        for below in fields.each("courses"):
            yield below.text("id"), below


def load_bank(folder: Path, programme: Programme | None = None) -> ItemBank:
    """Read one course's bank with all its versions.

    Raises
    ------
    InvalidContent
        The first fault, with file and path; `check` lists all of them.
    """
    faults: list[InvalidContent] = []
    bank = read_bank(folder, programme or load_programme(folder.parent), faults.append)
    if faults:
        raise faults[0]
    assert bank is not None
    return bank


def read_bank(
    folder: Path, programme: Programme, report: Callable[[InvalidContent], None]
) -> ItemBank | None:
    """Read a bank and hand every fault to `report`; what could be read is returned.

    None when bank.yaml itself is at fault: nothing else has a meaning then.
    """
    place = f"{programme.id}/{folder.name}"
    try:
        header = read_yaml(folder / "bank.yaml", f"{place}/bank.yaml")
        fields = Fields(header, f"{place}/bank.yaml")
        course = fields.text("course", folder.name)
        if course != folder.name:
            raise fields.fault("course", f"{course!r} is not the name of its folder, {folder.name!r}")
        if course not in programme.course_titles:
            raise fields.fault("course", f"{course!r} is not a course of programme {programme.id}")
        bank_id, version = fields.text("id"), fields.integer("version", minimum=1)
        security = fields.choice("security", ("open", "secure"))
        fields.text("licence")
        for _, below in fields.named("objectives", {}):
            below.texts("text")
        blueprint = tuple(read_requirement(below) for below in fields.each("blueprint", ()))
    except InvalidContent as fault:
        report(fault)
        return None
    items, case_sets = _read_items(folder, place, report)
    return ItemBank(
        id=bank_id,
        version=version,
        course=course,
        programme=programme.id,
        title=programme.course_titles[course],
        security=security,
        folder=folder,
        header=header,
        items=items,
        case_sets=case_sets,
        forms=_read_all(folder, "forms", place, report, Form.from_mapping, lambda form: form.reference),
        parameter_sets=_read_all(folder, "parameters", place, report, _parameters, lambda found: found.id),
        cuts=_read_all(folder, "cuts", place, report, _cut, lambda stored: stored.cut.id),
        freezes=_read_all(folder, "freezes", place, report, _freeze, lambda found: found.id),
        blueprint=blueprint,
    )


def content_files(folder: Path) -> Iterator[Path]:
    """The versioned files of a bank, in a fixed order."""
    for name in _FOLDERS:
        yield from sorted(path for path in (folder / name).glob("*") if not path.name.startswith("."))


def _read_items(
    folder: Path, place: str, report: Callable[[InvalidContent], None]
) -> tuple[dict[str, Item], dict[str, CaseSet]]:
    def parse(mapping: object, file: str) -> Item | CaseSet:
        kind = mapping.get("kind", "item") if isinstance(mapping, Mapping) else "item"
        if kind == "case_set":
            return CaseSet.from_mapping(mapping, file)
        if kind != "item":
            raise InvalidContent(f"{kind!r} is neither item nor case_set", place=f"{file}: kind")
        item = Item.from_mapping(mapping, file)
        _require_rationales(item, file)
        return item

    found = _read_all(folder, "items", place, report, parse, lambda parsed: parsed.reference)
    items = {reference: item for reference, item in found.items() if isinstance(item, Item)}
    case_sets = {reference: item for reference, item in found.items() if isinstance(item, CaseSet)}
    for case_set in case_sets.values():
        file = f"{place}/items/{case_set.reference}.yaml"
        for reference in case_set.items:
            if reference not in items:
                report(InvalidContent(f"{reference} is not an item of this bank", place=f"{file}: items"))
            elif items[reference].case_set != case_set.id:
                said = items[reference].case_set or "no case set"
                report(InvalidContent(f"{reference} says it belongs to {said}", place=f"{file}: items"))
    return items, case_sets


def _require_rationales(item: Item, place: str) -> None:
    """Every option is explained in the source language; a translation explains all or none."""
    options = getattr(item.interaction, "options", ())
    source = next(iter(item.texts))
    for language, text in item.texts.items():
        wanted = options if language == source or text.rationales else ()
        missing = [option for option in wanted if option not in text.rationales]
        foreign = [option for option in text.rationales if options and option not in options]
        if missing:
            raise InvalidContent(
                f"option {missing[0]!r} has no rationale; say why it is right or wrong",
                place=f"{place}: texts.{language}.rationales",
            )
        if foreign:
            raise InvalidContent(
                f"{foreign[0]!r} is not an option of this item", place=f"{place}: texts.{language}.rationales"
            )


def _read_all(
    folder: Path,
    name: str,
    place: str,
    report: Callable[[InvalidContent], None],
    parse: Callable[[object, str], T],
    reference_of: Callable[[T], str],
) -> dict[str, T]:
    """Every file of a folder by reference; faults go to `report`."""
    found: dict[str, T] = {}
    for path in sorted((folder / name).glob("*")):
        if path.name.startswith("."):
            continue
        file = f"{place}/{name}/{path.name}"
        try:
            if path.suffix != ".yaml":
                raise InvalidContent("only <id>.v<version>.yaml files belong here", place=file)
            parsed = parse(read_yaml(path, file), file)
            reference = reference_of(parsed)
            if reference in found:
                raise InvalidContent(f"a second file holds {reference}; ids are unique", place=file)
            found[reference] = parsed
            if path.stem != reference:
                raise InvalidContent(f"holds {reference}; name the file {reference}.yaml", place=file)
        except AssessError as fault:
            placed = isinstance(fault, InvalidContent) and fault.place
            report(fault if placed else InvalidContent(str(fault), place=file))  # type: ignore[arg-type]
    return found


def _parameters(mapping: object, place: str) -> ParameterSet:
    try:
        return read_parameter_set(Fields(mapping, place))
    except InvalidParameters as fault:
        raise InvalidContent(str(fault), place=f"{place}: items") from None


def _cut(mapping: object, place: str) -> StoredCut:
    fields = Fields(mapping, place)
    cut, ratings = read_cut(fields)
    assert isinstance(mapping, Mapping)
    return StoredCut(cut, ratings, mapping)


def _freeze(mapping: object, place: str) -> Freeze:
    fields = Fields(mapping, place)
    found = Freeze(
        id=f"{read_id(fields)}.v{fields.integer('version', minimum=1)}",
        units=fields.strings("units"),
        reason=fields.text("reason"),
        by=fields.text("by"),
        at=fields.text("at"),
        evidence=fields.raw("evidence", {}),
    )
    for unit in found.units:
        split_reference(unit)
    fields.finish()
    return found


# --- documents -------------------------------------------------------------


def programme_document(programme: Programme) -> dict[str, Any]:
    """programme.yaml as the document that is stored and activated."""
    return dict(programme.document)


def release_document(bank: ItemBank, form_reference: str) -> dict[str, Any]:
    """A form resolved with everything it pins, and nothing else.

    Items that the form does not use stay out, so that a new item in the bank
    does not change the hash of a release.

    Raises
    ------
    InvalidContent
        The form, or something that it pins, is not in the bank.
    """
    if form_reference not in bank.forms:
        known = ", ".join(bank.forms) or "none"
        raise InvalidContent(f"{form_reference} is not a form of bank {bank.id}; its forms: {known}")
    form = bank.forms[form_reference]
    place = f"{bank.programme}/{bank.course}/forms/{form_reference}.yaml"
    if form.course != bank.course:
        raise InvalidContent(
            f"the form is for {form.course}, the bank for {bank.course}", place=f"{place}: course"
        )
    parameter_set = _pinned(bank.parameter_sets, form.parameter_set, f"{place}: parameter_set")
    cut = _pinned(bank.cuts, form.cut, f"{place}: cut")
    if parameter_set.course != bank.course:
        raise InvalidContent(
            f"{parameter_set.id} belongs to {parameter_set.course}", place=f"{place}: parameter_set"
        )
    try:
        used = {item.reference: item for unit in form.units for item in bank.unit_items(unit)}
        used |= {item.reference: item for reference in form.pilot for item in bank.unit_items(reference)}
        parameters = parameter_set.parameters.take(form.units)
    except AssessError as fault:
        raise InvalidContent(str(fault), place=f"{place}: units") from None
    scale = parameter_set.scale
    set_id, set_version = parameter_set.id.rsplit(".v", 1)
    further = [_pinned(bank.cuts, reference, f"{place}: further_cuts") for reference in form.further_cuts]
    document: dict[str, Any] = {
        "schema": RELEASE_SCHEMA,
        "course": {"id": bank.course, "programme": bank.programme, "title": dict(bank.title)},
        "bank": {key: value for key, value in bank.header.items() if key not in _NOT_DELIVERED},
        "form": form.to_mapping(),
        "items": {reference: item.to_mapping() for reference, item in used.items()},
        "case_sets": {
            unit: bank.case_sets[unit].to_mapping() for unit in form.units if unit in bank.case_sets
        },
        "parameter_set": {
            "id": set_id,
            "version": int(set_version),
            "course": parameter_set.course,
            "status": parameter_set.status,
            "scale": {name: getattr(scale, name) for name in scale.__slots__},
            "items": parameters.to_records(),
            "provenance": dict(parameter_set.provenance),
        },
        "cut": dict(cut.document),
    }
    if further:
        document["further_cuts"] = [dict(stored.document) for stored in further]
    return document


def _pinned(known: Mapping[str, T], reference: str, place: str) -> T:
    if reference not in known:
        raise InvalidContent(
            f"{reference} is not in the bank; it has {', '.join(known) or 'none'}", place=place
        )
    return known[reference]
