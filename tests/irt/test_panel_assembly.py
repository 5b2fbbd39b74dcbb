"""Assembled panels are the best there are, keep every demand on every path, and say what cannot be."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from assess.errors import InvalidParameters
from assess.irt import ItemParameters, information
from assess.irt.adaptive import Constraint
from assess.irt.composition import Composition
from assess.irt.panel_assembly import ModuleSpec, PanelAssembly
from assess.irt.routing import branches, ways

PATHS = [(0, 1), (0, 2)]


def _bank(n, seed=1):
    rng = np.random.default_rng(seed)
    return ItemParameters(
        [f"i{j}" for j in range(n)], "2PL", rng.lognormal(0.0, 0.3, n), rng.normal(0.0, 1.2, (n, 1))
    )


def _specs(first=4, second=4, **targets):
    return [
        ModuleSpec("1", first, first, (0.0,), targets.get("one", ())),
        ModuleSpec("2-1", second, second, (-1.0,), targets.get("easy", ()), 0.5),
        ModuleSpec("2-2", second, second, (1.0,), targets.get("hard", ()), 0.5),
    ]


def _marks(n, *units):
    out = np.zeros(n)
    out[list(units)] = 1.0
    return out


def _every_panel(n, sizes):
    """Every way to fill disjoint modules of these sizes."""
    for first in itertools.combinations(range(n), sizes[0]):
        left = [u for u in range(n) if u not in first]
        for second in itertools.combinations(left, sizes[1]):
            rest = [u for u in left if u not in second]
            for third in itertools.combinations(rest, sizes[2]):
                yield first, second, third


def test_a_panel_is_as_good_as_the_best_of_all_there_are():
    bank, specs = _bank(8), _specs(2, 2)
    table = information(bank, np.array([0.0, -1.0, 1.0]))

    def value(panel):
        per_item = [table[m, list(units)].sum() / 2 for m, units in enumerate(panel)]
        return min(per_item) + sum(per_item) / 3

    best = max(map(value, _every_panel(8, (2, 2, 2))))
    found = PanelAssembly(bank, Composition(bank.item_ids), specs, PATHS).solve()
    # The solver stops within two percent.
    assert 0.98 * best <= value(found.panels[0]) <= best + 1e-9


def test_targets_are_met_as_closely_as_by_the_best_of_all_panels():
    bank = _bank(8, seed=3)
    table, wanted = information(bank, np.array([0.0, -1.0, 1.0])), np.array([0.5, 0.4, 0.4])

    def distance(panel):
        return max(abs(table[m, list(units)].sum() - wanted[m]) for m, units in enumerate(panel))

    best = min(map(distance, _every_panel(8, (2, 2, 2))))
    specs = _specs(2, 2, one=(0.5,), easy=(0.4,), hard=(0.4,))
    found = PanelAssembly(bank, Composition(bank.item_ids), specs, PATHS).solve()
    # Within two percent of the largest target.
    assert distance(found.panels[0]) <= best + 0.02 * 0.5
    assert found.to_frame()["wanted"].tolist() == wanted.tolist()


def test_every_path_keeps_content_and_enemies_and_no_unit_stands_twice():
    bank = _bank(40, seed=4)
    area = Constraint("area", _marks(40, *range(20)), 3, 5)
    foes = [(0, 31), (1, 32, 33), (2, 3)]
    stages = [[0], [1, 2, 3], [4, 5, 6]]
    specs = [ModuleSpec("1", 4, 4, (0.0,))]
    specs += [ModuleSpec(f"{s}-{k}", 3, 3, (float(k - 2),), share=1 / 3) for s in (2, 3) for k in (1, 2, 3)]
    leads = ways(stages)
    paths = [(*path, m) for path, to in leads.items() for m in to if (*path, m) not in leads]
    assert len(paths) == 7
    found = PanelAssembly(bank, Composition(bank.item_ids, [area], foes), specs, paths).solve()
    everything = [unit for panel in found.panels for module in panel for unit in module]
    assert len(everything) == len(set(everything)) == 4 + 6 * 3
    for panel in found.panels:
        for path in paths:
            units = {unit for m in path for unit in panel[m]}
            assert len(units) == 10
            assert 3 <= sum(unit < 20 for unit in units) <= 5
            assert all(len(units & set(group)) <= 1 for group in foes)
    routes = branches(bank, found.panels[0], stages, "theta")
    assert set(routes) == set(leads)


def test_a_case_set_counts_with_all_its_items():
    bank = _bank(12, seed=5)
    sizes = [3.0, *([1.0] * 11)]
    found = PanelAssembly(bank, Composition(bank.item_ids), _specs(4, 3), PATHS, sizes=sizes).solve()
    for module, length in zip(found.panels[0], (4, 3, 3), strict=True):
        assert sum(sizes[unit] for unit in module) == length


def test_overlap_and_exposure_are_used_and_not_exceeded():
    bank = _bank(24, seed=6)
    composition = Composition(bank.item_ids)
    apart = PanelAssembly(bank, composition, _specs(), PATHS, n_panels=2).solve()
    shared = PanelAssembly(bank, composition, _specs(), PATHS, n_panels=2, max_overlap=4).solve()

    def common(found):
        one, two = ({unit for module in panel for unit in module} for panel in found.panels)
        return one & two

    assert not common(apart)
    # The panels are alike: at the aims of their modules within a sixth of each other.
    one, two = ([float(x[0]) for x in own] for own in apart.information)
    np.testing.assert_allclose(one, two, rtol=1 / 6)
    assert 1 <= len(common(shared)) <= 4
    for panel in shared.panels:
        units = [unit for module in panel for unit in module]
        assert len(units) == len(set(units))
    # A unit of both first modules would be met by all sessions, one of a first and a second by 3 in 4.
    limited = PanelAssembly(
        bank, composition, _specs(), PATHS, n_panels=2, max_overlap=4, max_exposure=0.5
    ).solve()
    for unit in common(limited):
        assert sum(0.5 if unit in panel[0] else 0.25 for panel in limited.panels) <= 0.5


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (
            12,
            {"content": (0, 1)},
            "cannot be met: area: at least 3, the units offer 2 or less",
        ),
        (
            14,
            {"content": (0, 1, 2, 3)},
            (
                "area: at least 3 on every path of each of 2 panels; the units hold 4; "
                "no unit stands twice in a panel or in two panels"
            ),
        ),
        (
            10,
            {"n_panels": 1},
            (
                "module 1: 4 items of the panel; the units hold 10; module 2-1: 4 items of the panel; the "
                "units hold 10; module 2-2: 4 items of the panel; the units hold 10; no unit stands twice in "
                "a panel"
            ),
        ),
        (
            14,
            {"n_panels": 1, "max_exposure": 0.9},
            (
                "module 1: 4 items of the panel; the units hold 14; "
                "exposure: no unit is met in more than 0.9 of the sessions"
            ),
        ),
    ],
)
def test_panels_that_cannot_be_are_explained_in_the_words_of_the_author(n, options, message):
    bank, options = _bank(n), dict(options)
    area = options.pop("content", None)
    rows = [] if area is None else [Constraint("area", _marks(n, *area), 3)]
    question = PanelAssembly(
        bank,
        Composition(bank.item_ids, rows),
        _specs(4, 4 if n < 14 else 3),
        PATHS,
        **{"n_panels": 2} | options,
    )
    with pytest.raises(InvalidParameters) as raised:
        question.solve()
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"composition": Composition(["i1"])}, "of 1 units, the parameters of 8"),
        ({"sizes": [1.0]}, "the items of each unit"),
        ({"n_panels": 0}, "one module or more, one panel or more"),
        ({"max_overlap": -1}, "max_overlap is 0 or more"),
        ({"max_exposure": 0.0}, "max_exposure a share above 0"),
        ({"modules": [ModuleSpec("1", 3, 2, (0.0,))]}, "module 1: 3 to 2 is no length"),
        ({"modules": [ModuleSpec("1", 1, 2, ())]}, "name one finite theta or more"),
        ({"modules": [ModuleSpec("1", 1, 2, (0.0,), (1.0, 2.0))]}, "one target for each"),
        ({"modules": [ModuleSpec("1", 1, 2, (0.0,), share=0.0)]}, "is no share"),
        (
            {"modules": [ModuleSpec("1", 1, 2, (0.0,)), ModuleSpec("2", 1, 2, (0.0,), (1.0,))]},
            "for every module or for none",
        ),
    ],
)
def test_questions_that_cannot_be_are_refused(change, message):
    bank = _bank(8)
    given = {"composition": Composition(bank.item_ids), "modules": _specs(2, 2), "paths": PATHS} | change
    with pytest.raises(InvalidParameters, match=message):
        PanelAssembly(bank, **given)
