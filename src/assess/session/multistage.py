"""Multistage forms: which panel a session takes, which module comes next, and what every path holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from assess.errors import ActivationRefused, InvalidContent
from assess.irt.multistage import Branch, ModulePanel, MultistageTest, Path
from assess.items import MultistageRules, Panel, Route
from assess.session.release import Release
from assess.session.state import SessionState, chance
from assess.standards.blueprint import covered
from assess.standards.records import decimal9


def multistage_test(release: Release) -> MultistageTest:
    """The kernel of a multistage form; its modules and panels are numbered as the form lists them.

    Examples
    --------
    >>> from tests import synthetic
    >>> multistage_test(synthetic.release(kind="multistage", calibrated=True)).paths
    ((0, (0, 1)), (0, (0, 2)))
    """
    rules = _rules(release)
    unit = {reference: u for u, reference in enumerate(release.form.units)}
    number = _numbers(rules)

    def branch(route: Route) -> tuple[Path, Branch]:
        return (
            tuple(number[name] for name in route.after),
            Branch(tuple(number[name] for name in route.to), tuple(map(float, route.thresholds))),
        )

    return MultistageTest(
        parameters=release.parameters,
        modules=[[unit[reference] for reference in units] for units in rules.modules.values()],
        panels=[
            ModulePanel(number[panel.start], dict(branch(route) for route in panel.routes))
            for panel in rules.panels
        ],
        routing=rules.routing,  # type: ignore[arg-type]
        prior=release.prior,
        cut=release.cut.theta,
    )


def require_paths(release: Release) -> None:
    """Refuse a multistage form of which some path misses the blueprint, or some module is met by nobody.

    Raises
    ------
    ActivationRefused
        The panel and the path are named.

    Examples
    --------
    >>> from tests import synthetic
    >>> require_paths(synthetic.release(kind="multistage", calibrated=True))
    """
    form, rules = release.form, _rules(release)
    items = {unit.reference: unit.items for unit in release.units}
    points = {unit.reference: unit.n_categories - 1 for unit in release.units}
    for panel in rules.panels:
        for path in panel.paths():
            held = [item for unit in rules.units_of(path) for item in items[unit]]
            for row in covered(form.blueprint, held):
                if not row["met"]:
                    wanted = f"{row['minimum']} to {row['maximum'] or 'any number'}"
                    raise ActivationRefused(
                        f"{form.reference}: panel {panel.id}, path {' > '.join(path)}: blueprint "
                        f"{row['label']} wants {wanted}, found {row['found']}"
                    )
        if rules.routing == "raw":
            worth = {name: sum(points[unit] for unit in units) for name, units in rules.modules.items()}
            _require_reached(release, panel, worth)


def path_lengths(release: Release) -> list[int]:
    """Items of every path of every panel of a multistage form.

    Examples
    --------
    >>> from tests import synthetic
    >>> path_lengths(synthetic.release(kind="multistage", calibrated=True))
    [8, 8]
    """
    rules = _rules(release)
    sizes = {unit.reference: len(unit.items) for unit in release.units}
    paths = [path for panel in rules.panels for path in panel.paths()]
    return [sum(sizes[unit] for unit in rules.units_of(path)) for path in paths]


def drawn_panel(release: Release, seed: str, excluded: Collection[str]) -> str:
    """The panel of a session, by its seed: of those that hold least of what the learner must not meet.

    Examples
    --------
    >>> from tests import synthetic
    >>> drawn_panel(synthetic.release(kind="multistage", calibrated=True), "0f" * 16, ())
    'a'
    """
    rules = _rules(release)
    met = [len(set(rules.units_of(panel.modules)) & set(excluded)) for panel in rules.panels]
    among = [panel.id for panel, n_met in zip(rules.panels, met, strict=True) if n_met == min(met)]
    return among[int(chance(seed, "panel") * len(among))]


def coming(state: SessionState) -> int | None:
    """The next unit of a multistage session, from its records alone; None at the end of the path."""
    test, panel = _kernel(state)
    done = dict(state.complete)
    path: Path = (panel.start,)
    while True:
        for unit in test.modules[path[-1]]:
            if unit not in done:
                return unit
        following = test.following(panel, path, [done[unit] for unit in test.units_of(path)])
        if following is None:
            return None
        path = (*path, following)


def assigned(state: SessionState) -> list[int]:
    """Units of the modules that were begun: what counts, answered or not."""
    return _kernel(state)[0].units_of(_begun(state))


def is_complete(state: SessionState) -> bool:
    """Whether the path was gone through, or time ran out in its last module.

    Then the path is settled, and what was not reached of it scores 0, as in a
    fixed form. Before, nobody knows which modules would have followed.
    """
    test, panel = _kernel(state)
    path = _begun(state)
    if not path or path in panel.branches:
        return False
    if state.ending is not None and state.ending.how in ("timed_out", "completed"):
        return True
    done = dict(state.complete)
    return all(unit in done for unit in test.units_of(path))


def evidence(state: SessionState) -> dict[str, Any]:
    """Which modules were met and why, and what they held of the blueprint; plain data for the record."""
    release = state.release
    test, panel = _kernel(state)
    names, done = list(_rules(release).modules), dict(state.complete)
    path = _begun(state)
    stages: list[dict[str, Any]] = []
    for n in range(len(path)):
        way, row = path[: n + 1], dict[str, Any](module=names[path[n]])
        stages.append(row)
        branch, units = panel.branches.get(way), test.units_of(way)
        if branch is not None and n + 1 < len(path) and all(unit in done for unit in units):
            score = test.score(way, [[done[unit] for unit in units]])
            row |= {
                "score": decimal9(float(score[0])),
                "thresholds": [decimal9(threshold) for threshold in branch.thresholds],
                "next": names[path[n + 1]],
            }
    items = [item for unit in done for item in release.units[unit].items]
    return {
        "panel": state.start.panel,
        "routing": test.routing,
        "stages": stages,
        "units": {"asked": len(test.units_of(path)), "found": len(done)},
        "blueprint": covered(release.form.blueprint, items),
    }


# --- inside -------------------------------------------------------------------


def _rules(release: Release) -> MultistageRules:
    rules = release.form.multistage
    assert rules is not None
    return rules


def _numbers(rules: MultistageRules) -> dict[str, int]:
    return {name: m for m, name in enumerate(rules.modules)}


def _kernel(state: SessionState) -> tuple[MultistageTest, ModulePanel]:
    rules = _rules(state.release)
    place = next(p for p, panel in enumerate(rules.panels) if panel.id == state.start.panel)
    test = state.release.multistage_test
    return test, test.panels[place]


def _begun(state: SessionState) -> Path:
    """Modules of the panel of which something was offered, in that order.

    By the offers, which are facts, and not by the rule: a session that is
    scored again was routed by the key that was thought right then.
    """
    test, panel = _kernel(state)
    modules = {panel.start, *(module for branch in panel.branches.values() for module in branch.to)}
    home = {unit: module for module in modules for unit in test.modules[module]}
    path: dict[int, None] = {}
    for offer in state.offers:
        unit = state.release.unit_of.get(offer.item)
        if unit is not None and unit not in home:
            raise InvalidContent(
                f"session {state.start.session}: position {offer.position} offers {offer.item}, which is not "
                f"in its panel {state.start.panel}"
            )
        if unit is not None:
            path[home[unit]] = None
    return tuple(path)


def _require_reached(release: Release, panel: Panel, worth: Mapping[str, int]) -> None:
    """Refuse a route by raw score that can lead nobody to one of its modules."""
    reach: dict[tuple[str, ...], tuple[int, int]] = {(panel.start,): (0, worth[panel.start])}
    for route in panel.routes:
        least, most = reach[route.after]
        bounds = (least, *route.thresholds, most + 1)
        for k, module in enumerate(route.to):
            low, high = max(least, int(bounds[k])), min(most, int(bounds[k + 1]) - 1)
            if low > high:
                raise ActivationRefused(
                    f"{release.form.reference}: panel {panel.id}: nobody reaches {module} after "
                    f"{' > '.join(route.after)}, where raw scores are {least} to {most} and thresholds "
                    f"{list(route.thresholds)}"
                )
            reach[*route.after, module] = low, high + worth[module]
