"""What a multistage form says: modules, panels of them, and where each route leads; plain data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from assess.items.reading import Fields

ROUTINGS = ("raw", "theta")


@dataclass(frozen=True, slots=True)
class Route:
    """Where a path goes on: the first module below the first threshold, the last from the last one on.

    Parameters
    ----------
    after : tuple of str
        The modules that were gone through, in their order.
    to : tuple of str
        The modules that may follow, the easiest first.
    thresholds : tuple of float
        One fewer, rising. A score that equals a threshold is above it.
    """

    after: tuple[str, ...]
    to: tuple[str, ...]
    thresholds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """Modules that belong together: where a session begins, and its routes."""

    id: str
    start: str
    routes: tuple[Route, ...] = ()

    def paths(self) -> tuple[tuple[str, ...], ...]:
        """Every way through the panel, as modules in their order.

        Examples
        --------
        >>> Panel("a", "a-1", (Route(("a-1",), ("a-2-1", "a-2-2"), (3,)),)).paths()
        (('a-1', 'a-2-1'), ('a-1', 'a-2-2'))
        """
        by_path = {route.after: route for route in self.routes}

        def onwards(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
            route = by_path.get(path)
            if route is None:
                yield path
                return
            for module in route.to:
                yield from onwards((*path, module))

        return tuple(onwards((self.start,)))

    @property
    def modules(self) -> tuple[str, ...]:
        """Every module of the panel once."""
        return tuple(dict.fromkeys(module for path in self.paths() for module in path))


@dataclass(frozen=True, slots=True)
class MultistageRules:
    """The modules and panels of a multistage form.

    Parameters
    ----------
    modules : mapping of str to tuple of str
        Units of each module, in the order in which they are given.
    panels : tuple of Panel
        A session takes one, by chance.
    routing : str
        What thresholds are compared with: "raw", the raw score on the modules so far, or "theta", the
        posterior mean after them.
    made : mapping
        How modules and thresholds were made.
    """

    modules: Mapping[str, tuple[str, ...]]
    panels: tuple[Panel, ...]
    routing: str = "raw"
    made: Mapping[str, Any] = field(default_factory=dict)

    def units_of(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """Units of some modules, in their order."""
        return tuple(unit for module in path for unit in self.modules[module])

    @property
    def lengths(self) -> tuple[int, ...]:
        """Units of every path of every panel."""
        return tuple(len(self.units_of(path)) for panel in self.panels for path in panel.paths())

    def to_mapping(self) -> dict[str, Any]:
        """Plain data that `read_multistage_rules` reads back."""
        out: dict[str, Any] = {
            "routing": self.routing,
            "modules": {name: list(units) for name, units in self.modules.items()},
            "panels": [
                {
                    "id": panel.id,
                    "start": panel.start,
                    "routes": [
                        {"after": list(r.after), "to": list(r.to), "thresholds": list(r.thresholds)}
                        for r in panel.routes
                    ],
                }
                for panel in self.panels
            ],
        }
        if self.made:
            out["made"] = dict(self.made)
        return out


def read_multistage_rules(fields: Fields, units: tuple[str, ...]) -> MultistageRules:
    """The multistage rules of a form over these units; every fault is named with its place.

    Examples
    --------
    >>> given = {"modules": {"1": ["x.v1"], "2": ["y.v1"]},
    ...          "panels": [{"id": "a", "start": "1", "routes": [{"after": ["1"], "to": ["2"]}]}]}
    >>> read_multistage_rules(Fields(given, "here"), ("x.v1", "y.v1")).lengths
    (2,)
    """
    routing = fields.choice("routing", ROUTINGS, "raw")
    given = fields.raw("modules")
    if not isinstance(given, Mapping) or not given:
        raise fields.fault("modules", "expected a mapping from the name of a module to its units")
    below = fields.below("modules")
    modules = {str(name): below.strings(name) for name in given}
    panels = tuple(_read_panel(each, modules, routing) for each in fields.each("panels"))
    rules = MultistageRules(modules, panels, routing, dict(fields.raw("made", {})))
    fields.finish()
    _check_modules(fields, rules, units)
    return rules


# --- inside -------------------------------------------------------------------


def _check_modules(fields: Fields, rules: MultistageRules, units: tuple[str, ...]) -> None:
    for name, members in rules.modules.items():
        strange = next((unit for unit in members if unit not in units), None)
        if strange is not None:
            raise fields.fault(f"modules.{name}", f"{strange} is not a unit of this form")
        if not members or len(set(members)) < len(members):
            raise fields.fault(f"modules.{name}", "a module names one unit or more, each of them once")
    used = {unit for members in rules.modules.values() for unit in members}
    idle = next((unit for unit in units if unit not in used), None)
    if idle is not None:
        raise fields.fault("modules", f"{idle} is a unit of this form and stands in no module")
    if not rules.panels:
        raise fields.fault("panels", "a multistage form has one panel or more")
    ids = [panel.id for panel in rules.panels]
    if len(set(ids)) < len(ids):
        raise fields.fault("panels", "every panel has an id of its own")
    met = {module for panel in rules.panels for module in panel.modules}
    unmet = next((name for name in rules.modules if name not in met), None)
    if unmet is not None:
        raise fields.fault(f"modules.{unmet}", "no path of any panel leads to it")
    for panel in rules.panels:
        home: dict[str, str] = {}
        for name in panel.modules:
            for unit in rules.modules[name]:
                if unit in home:
                    raise fields.fault(
                        f"panels: {panel.id}", f"{unit} stands in {home[unit]} and in {name}; once in a panel"
                    )
                home[unit] = name


def _read_panel(fields: Fields, modules: Mapping[str, tuple[str, ...]], routing: str) -> Panel:
    panel = Panel(
        fields.text("id"),
        fields.text("start"),
        tuple(_read_route(each, modules, routing) for each in fields.each("routes", ())),
    )
    fields.finish()
    if panel.start not in modules:
        raise fields.fault("start", f"unknown module {panel.start!r}; known here: {', '.join(modules)}")
    reached: set[tuple[str, ...]] = {(panel.start,)}
    for r, route in enumerate(panel.routes):
        place = f"routes[{r}]"
        if route.after not in reached:
            said = " > ".join(route.after)
            raise fields.fault(place, f"nothing leads to {said}, or it has a route already; state it once")
        again = next((module for module in route.to if module in route.after), None)
        if again is not None:
            raise fields.fault(place, f"{again} would be met again")
        reached.remove(route.after)
        reached |= {(*route.after, module) for module in route.to}
    return panel


def _read_route(fields: Fields, modules: Mapping[str, tuple[str, ...]], routing: str) -> Route:
    after, to = fields.strings("after"), fields.strings("to")
    thresholds: Any = fields.raw("thresholds", ())
    fields.finish()
    for key, names in (("after", after), ("to", to)):
        strange = next((name for name in names if name not in modules), None)
        if strange is not None:
            raise fields.fault(key, f"unknown module {strange!r}; known here: {', '.join(modules)}")
        if not names or len(set(names)) < len(names):
            raise fields.fault(key, "name one module or more, each of them once")
    if not isinstance(thresholds, list | tuple) or not all(_is_number(t, routing) for t in thresholds):
        wanted = "whole raw scores" if routing == "raw" else "thetas"
        raise fields.fault("thresholds", f"expected a list of {wanted}, got {thresholds!r}")
    if len(thresholds) != len(to) - 1 or any(high <= low for low, high in pairwise(thresholds)):
        raise fields.fault(
            "thresholds",
            f"{len(to)} modules are told apart by {len(to) - 1} rising numbers, not {list(thresholds)}",
        )
    return Route(after, to, tuple(thresholds))


def _is_number(value: Any, routing: str) -> bool:
    """Whether a threshold can be one; a raw score is a whole number."""
    if isinstance(value, bool) or not isinstance(value, int if routing == "raw" else int | float):
        return False
    return bool(math.isfinite(value))
