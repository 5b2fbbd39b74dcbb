"""Other designs of a form, to see what each of its rules is worth: shorter, longer, stricter, extended."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from assess.errors import AssessError
from assess.irt.models import information
from assess.session import Release

_STRICT = {"kind": "probability", "p_pass": 0.9, "p_fail": 0.1}


def alternative(release: Release, **changes: object) -> Release:
    """The release of a form in which some fields are others.

    Parameters
    ----------
    changes : object
        Fields of the form; a mapping changes what it names, None takes the field out.

    Raises
    ------
    InvalidContent, ActivationRefused
        There is no such form, or it could not go live.

    Examples
    --------
    >>> alternative(release, time_limit_minutes=10).form.time_limit_minutes
    10
    """
    document: dict[str, Any] = copy.deepcopy(dict(release.document))
    form = document["form"]
    for name, value in changes.items():
        if value is None:
            form.pop(name, None)
        elif isinstance(value, Mapping) and isinstance(form.get(name), dict):
            form[name] = {k: v for k, v in (form[name] | dict(value)).items() if v is not None}
        else:
            form[name] = copy.deepcopy(value)
    return Release.from_document(document)


def usual_alternatives(release: Release) -> tuple[dict[str, Release], dict[str, str]]:
    """Designs that are worth a look beside a form, by what they change, and why others cannot be.

    Returns
    -------
    designs : dict of str to Release
    refused : dict of str to str
        Designs that could not go live, with the reason.

    Examples
    --------
    >>> designs, refused = usual_alternatives(release)
    >>> list(designs)
    ['the same items, adaptive, half as long']
    """
    of_kind = {"adaptive": _of_adaptive, "multistage": _of_multistage, "fixed": _of_fixed}
    wanted = of_kind[release.form.kind](release)
    designs, refused = {}, {}
    for name, changes in wanted.items():
        try:
            designs[name] = alternative(release, **changes)
        except AssessError as fault:
            refused[name] = str(fault)
    return designs, refused


def _of_adaptive(release: Release) -> dict[str, dict[str, object]]:
    form = release.form
    rules = form.adaptive
    assert rules is not None
    shorter, longer = math.ceil(0.75 * rules.max_units), math.floor(1.5 * rules.max_units)
    wanted: dict[str, dict[str, object]] = {
        f"at most {shorter} units": {"adaptive": {"max_units": shorter}},
        f"at most {longer} units": {"adaptive": {"max_units": longer}},
        f"always {rules.max_units} units": {
            "adaptive": {"min_units": rules.max_units, "certainty": False, "se": None}
        },
        "bounds of 0.9 and 0.1": {"rule": _STRICT},
    }
    if form.extension is None:
        wanted["extended where undetermined"] = {"extension": {"min_units": 6, "max_units": 10, "most": 2}}
    else:
        wanted["never extended"] = {"extension": None}
    return wanted


def _of_multistage(release: Release) -> dict[str, dict[str, object]]:
    """What routing is worth: everybody on the path that tells most at the cut, or every unit chosen."""
    form, test = release.form, release.multistage_test
    rules = form.multistage
    assert rules is not None
    at_cut = information(release.parameters, np.array([release.cut.theta]))[0]
    _, path = max(test.paths, key=lambda found: float(at_cut[test.units_of(found[1])].sum()))
    names = list(rules.modules)
    longest = max(rules.lengths)
    pilots: dict[str, object] = {"multistage": None, "pilot_slots": 0}
    return {
        "bounds of 0.9 and 0.1": {"rule": _STRICT},
        f"everybody on {' > '.join(names[m] for m in path)}": pilots
        | {"kind": "fixed", "units": [form.units[u] for u in test.units_of(path)]},
        "the same items, adaptive, as long": pilots
        | {
            "kind": "adaptive",
            "adaptive": {
                "min_units": longest,
                "max_units": longest,
                "certainty": False,
                "randomesque": len(rules.panels),
            },
        },
    }


def _of_fixed(release: Release) -> dict[str, dict[str, object]]:
    form = release.form
    half = math.ceil(len(form.units) / 2)
    half_blueprint = [
        {
            name: value
            for name, value in (
                ("label", r.label),
                ("minimum", r.minimum // 2),
                ("maximum", None if r.maximum is None else math.ceil(r.maximum / 2)),
                ("framework", r.framework),
                ("version", r.version),
                ("code", r.code),
                ("process", r.process),
                ("interaction", r.interaction),
            )
            if value not in ("", None)
        }
        for r in form.blueprint
    ]
    wanted: dict[str, dict[str, object]] = {}
    if form.rule.kind == "probability":
        wanted["bounds of 0.9 and 0.1"] = {"rule": _STRICT}
        wanted["point rule"] = {"rule": {"kind": "point"}}
    wanted["the same items, adaptive, half as long"] = {
        "kind": "adaptive",
        "adaptive": {"min_units": math.ceil(half / 2), "max_units": half, "randomesque": 1},
        "rule": {"kind": "probability"},
        "scoring": "EAP",
        "review": "none",
        "sections": None,
        "blueprint": half_blueprint,
        "pilot_slots": 0,
    }
    return wanted
