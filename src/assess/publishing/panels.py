"""A multistage form of a bank: panels of modules assembled after the pattern of a fixed form.

The pattern gives blueprint, parameters, cut, clocks and policies; every path
through every panel keeps its blueprint and its enemies. What a raw score
decides in the pattern is decided here by probability, because raw scores of
learners who met other items do not compare.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from string import ascii_lowercase
from typing import Any

import numpy as np

from assess.errors import InvalidContent
from assess.irt.composition import Composition
from assess.irt.multistage import Path, Routing
from assess.irt.panel_assembly import AssembledPanels, ModuleSpec, PanelAssembly
from assess.irt.parameters import ItemParameters
from assess.irt.routing import branches, population_points, ways
from assess.irt.scoring import Prior
from assess.items import DecisionRule, Form, MultistageRules, Panel, Requirement, Route
from assess.publishing.assembling import content_rows, enemies, unscored_units, up_to_date, usable_units
from assess.publishing.banks import ItemBank, release_document
from assess.session.release import Release
from assess.standards.blueprint import Blueprint

_MOST_STAGES, _MOST_MODULES = 5, 5


@dataclass(frozen=True, slots=True)
class PanelOptions:
    """What panels to assemble.

    Parameters
    ----------
    stages : sequence of int
        Modules of each stage; the first has one: (1, 3), (1, 3, 3).
    items : sequence of int
        Items of a module of each stage; the items of the pattern in equal parts unless given.
    n_panels : int
    spread : float
        Modules of a stage aim at thetas from so much below the cut to so much above it.
    routing : str
        "raw" or "theta": what thresholds are compared with.
    shares : sequence of sequences of float
        For each stage after the first, which shares of the population its modules are meant for; where
        the information of the modules crosses unless given.
    population : Prior
        Whose shares these are, on the scale.
    targets : mapping of str to mapping of float to float
        Information wanted of a module ("1", "2-1", ...) at thetas; of all modules, or of none.
    max_overlap : int
        Units that two panels may share.
    max_exposure : float
        Largest share of sessions that may be expected to meet a unit.
    avoid : collection of str
        References of forms whose units stay out.
    requirements : sequence of Requirement
        Asked for on every path beside the blueprint of the pattern.
    """

    stages: Sequence[int] = (1, 3)
    items: Sequence[int] = ()
    n_panels: int = 1
    spread: float = 1.0
    routing: Routing = "raw"
    shares: Sequence[Sequence[float]] = ()
    population: Prior = field(default_factory=Prior)
    targets: Mapping[str, Mapping[float, float]] = field(default_factory=dict)
    max_overlap: int = 0
    max_exposure: float = 1.0
    avoid: Collection[str] = ()
    requirements: Sequence[Requirement] = ()


def assemble_panels(
    bank: ItemBank, pattern: Form, name: str, options: PanelOptions
) -> tuple[Form, AssembledPanels]:
    """A multistage form after a pattern, checked as a release; nothing is written.

    Raises
    ------
    InvalidContent
        The pattern is no fixed form, a form of the name exists, or the stages cannot be meant.
    InvalidParameters
        No such panels exist, or their modules cannot be told apart; the message says why.
    """
    if pattern.kind != "fixed":
        raise InvalidContent(f"{pattern.reference} is {pattern.kind}; a fixed form is the pattern of panels")
    if name in {form.id for form in bank.forms.values()}:
        raise InvalidContent(f"bank {bank.id} has a form {name} already; choose another name")
    pattern = up_to_date(bank, pattern)
    n_wanted = sum(len(bank.unit_items(unit)) for unit in pattern.units)
    lengths = _lengths(options, n_wanted)
    parameter_set = bank.parameter_sets[pattern.parameter_set]
    usable = usable_units(bank, parameter_set.parameters.item_ids, options.avoid)
    parameters = parameter_set.parameters.take(usable)
    held = [bank.unit_items(unit) for unit in usable]
    requirements = (*pattern.blueprint, *options.requirements)
    # Refuses codes that do not exist and sums that no path of this length can meet.
    Blueprint(requirements, n_items=sum(lengths))
    stages = _stages(options.stages)
    specs = _specs(options, stages, lengths, bank.cuts[pattern.cut].cut.theta)
    leads = ways(stages)
    paths = [path for path in _all_paths(leads) if path not in leads]
    found = PanelAssembly(
        parameters,
        Composition(usable, content_rows(held, requirements), enemies(bank, usable)),
        specs,
        paths,
        n_panels=options.n_panels,
        sizes=[float(len(items)) for items in held],
        max_overlap=options.max_overlap,
        max_exposure=options.max_exposure,
    ).solve()
    rules = _rules(options, parameters, usable, stages, found)
    form = _form(bank, pattern, name, rules, sum(lengths) / n_wanted)
    together = replace(bank, forms={**bank.forms, form.reference: form})
    Release.from_document(release_document(together, form.reference))
    return form, found


# --- inside -------------------------------------------------------------------


def _lengths(options: PanelOptions, n_wanted: int) -> list[int]:
    """Items of a module of each stage."""
    stages, items = options.stages, options.items
    if (
        not 2 <= len(stages) <= _MOST_STAGES
        or stages[0] != 1
        or not all(1 <= n <= _MOST_MODULES for n in stages)
    ):
        raise InvalidContent(
            f"stages {'-'.join(map(str, stages))}: say 2 to {_MOST_STAGES} numbers of modules, the first 1 "
            f"and none above {_MOST_MODULES}, as in 1-3 or 1-3-3"
        )
    if not 1 <= options.n_panels <= len(ascii_lowercase):
        raise InvalidContent(f"{options.n_panels} panels have no letters; 1 to {len(ascii_lowercase)}")
    if items and (len(items) != len(stages) or min(items) < 1):
        raise InvalidContent(f"items {list(items)}: one number for each of {len(stages)} stages")
    if options.shares and [len(own) for own in options.shares] != list(stages[1:]):
        raise InvalidContent(f"shares: one for each module of every stage after the first, {stages[1:]}")
    # What does not divide goes to the first stages, on whose score the routes rest.
    return list(items) or [(n_wanted + s) // len(stages) for s in reversed(range(len(stages)))]


def _stages(sizes: Sequence[int]) -> list[list[int]]:
    starts = [0, *accumulate(sizes)]
    return [list(range(start, start + n)) for start, n in zip(starts, sizes, strict=False)]


def _specs(
    options: PanelOptions, stages: Sequence[Sequence[int]], lengths: Sequence[int], cut: float
) -> list[ModuleSpec]:
    """What each module is to be, the easiest of a stage first."""
    found = []
    for s, stage in enumerate(stages):
        middle = [0.0] if len(stage) == 1 else np.linspace(-1.0, 1.0, len(stage)).tolist()
        for k, place in enumerate(middle):
            name = f"{s + 1}-{k + 1}" if len(stage) > 1 else f"{s + 1}"
            wanted = options.targets.get(name, {})
            points = tuple(wanted) or (cut + options.spread * place,)
            share = options.shares[s - 1][k] if options.shares and s else 1.0 / len(stage)
            found.append(ModuleSpec(name, lengths[s], lengths[s], points, tuple(wanted.values()), share))
    strange = sorted(set(options.targets) - {spec.name for spec in found})
    if strange:
        known = ", ".join(spec.name for spec in found)
        raise InvalidContent(f"targets: there is no module {strange[0]}; the modules are {known}")
    return found


def _all_paths(leads: Mapping[Path, Path]) -> list[Path]:
    return [next(iter(leads)), *((*path, module) for path, to in leads.items() for module in to)]


def _rules(
    options: PanelOptions,
    parameters: ItemParameters,
    usable: Sequence[str],
    stages: Sequence[Sequence[int]],
    found: AssembledPanels,
) -> MultistageRules:
    """Modules under their names, and the routes between them."""
    points = [population_points(options.population, own) for own in options.shares] or None
    modules: dict[str, tuple[str, ...]] = {}
    panels = []
    for letter, own in zip(ascii_lowercase, found.panels, strict=False):
        names = [f"{letter}-{spec.name}" for spec in found.modules]
        modules |= {name: tuple(usable[u] for u in units) for name, units in zip(names, own, strict=True)}
        routes = branches(parameters, own, stages, options.routing, points=points, names=names)
        panels.append(
            Panel(
                letter,
                names[0],
                tuple(
                    Route(
                        tuple(names[m] for m in path),
                        tuple(names[m] for m in branch.to),
                        tuple(_written(t, options.routing) for t in branch.thresholds),
                    )
                    for path, branch in routes.items()
                ),
            )
        )
    return MultistageRules(modules, tuple(panels), options.routing, _made(options, found))


def _written(threshold: float, routing: str) -> float:
    """Six digits of a theta: nobody is told apart by the seventh."""
    return int(threshold) if routing == "raw" else round(float(threshold), 6)


def _made(options: PanelOptions, found: AssembledPanels) -> dict[str, Any]:
    people = options.population
    shares: dict[str, Any] = {
        "shares": [list(own) for own in options.shares],
        "population": {"mean": people.mean, "sd": people.sd},
    }
    return {
        "by": "assess assemble",
        "objective": "target" if found.modules[0].targets else "maximin",
        "aims": {spec.name: [round(point, 6) for point in spec.points] for spec in found.modules},
        "routes": shares if options.shares else "where information crosses",
    }


def _form(bank: ItemBank, pattern: Form, name: str, rules: MultistageRules, longer: float) -> Form:
    units = tuple(dict.fromkeys(unit for members in rules.modules.values() for unit in members))
    pilot = unscored_units(bank, pattern, units)
    minutes = pattern.time_limit_minutes
    return replace(
        pattern,
        id=name,
        version=1,
        kind="multistage",
        units=units,
        multistage=rules,
        pilot=tuple(pilot),
        pilot_slots=min(pattern.pilot_slots, len(pilot)),
        rule=DecisionRule() if pattern.rule.kind == "raw" else pattern.rule,
        scoring="EAP",
        review="none",
        time_limit_minutes=None if minutes is None else math.ceil(minutes * longer),
        # A section names the units of the pattern, which are not these.
        sections=(),
    )
