"""A small made-up bank for tests that need a release before, or apart from, the real one."""

from __future__ import annotations

from typing import Any

from assess.irt.models import ItemParameters
from assess.session import Release

CODES = ("TL.3.a", "TL.3.b", "TL.3.c")


def item(number: int, *, code: str | None = None, **changes: Any) -> dict[str, Any]:
    """A single-choice item with key b."""
    identity = f"x-{number:03d}"
    mapping: dict[str, Any] = {
        "id": identity,
        "version": 1,
        "state": "active",
        "interaction": "single_choice",
        "options": ["a", "b", "c"],
        "key": "b",
        "process": "apply",
        "alignments": [{"framework": "unesco-ict-cft", "version": "2", "code": code or CODES[number % 3]}],
        "judged": {"just_proficient": 0.6, "reason": "made up"},
        "texts": {
            "en": {
                "stem": f"Stem of item {number}.",
                "options": {"a": "First", "b": "Second", "c": "Third"},
                "rationales": {
                    "a": "SECRET-RATIONALE a",
                    "b": "SECRET-RATIONALE b",
                    "c": "SECRET-RATIONALE c",
                },
            }
        },
    }
    return mapping | changes


def document(
    *,
    kind: str = "fixed",
    calibrated: bool = False,
    n_items: int = 12,
    with_case_set: bool = False,
    n_pilot: int = 0,
    form: dict[str, Any] | None = None,
    cut: dict[str, Any] | None = None,
    further: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """A release document over `n_items` scored items, difficulties spread over [-1.5, 1.5].

    `further` are changes to the cut, one set for each further level.
    """
    mappings = [item(number) for number in range(1, n_items + n_pilot + 1)]
    items = {f"{m['id']}.v1": m for m in mappings}
    scored, pilot = list(items)[:n_items], list(items)[n_items:]
    units, case_sets = list(scored), {}
    if with_case_set:
        members = units[-3:]
        case_sets = {
            "x-set.v1": {
                "kind": "case_set",
                "id": "x-set",
                "version": 1,
                "items": members,
                "texts": {"en": "Story."},
            }
        }
        for member in members:
            items[member] = {**items[member], "case_set": "x-set"}
        units = [*units[:-3], "x-set.v1"]
    singles = [unit for unit in units if unit in items]
    difficulties = [3.0 * j / max(len(singles) - 1, 1) - 1.5 for j in range(len(singles))]
    records = ItemParameters(singles, "2PL", [1.2] * len(singles), [[b] for b in difficulties]).to_records()
    if with_case_set:
        records += ItemParameters(["x-set.v1"], "GPCM", [0.8], [[-0.5, 0.0, 0.5]]).to_records()
    status = "calibrated" if calibrated else "provisional"
    raw = kind == "fixed" and not calibrated
    base: dict[str, Any] = {
        "id": f"x-{kind}",
        "version": 1,
        "course": "twt-3",
        "kind": kind,
        "title": {"en": "A made-up form"},
        "units": units,
        "pilot": pilot,
        "pilot_slots": len(pilot),
        "parameter_set": "x-parameters.v1",
        "cut": "x-cut.v1",
        "rule": {"kind": "raw"} if raw else {"kind": "probability"},
        "review": "allowed" if kind == "fixed" else "none",
        "time_limit_minutes": 30,
    }
    if kind == "adaptive":
        base["adaptive"] = {"min_units": 5, "max_units": 8, "randomesque": 2}
        base["blueprint"] = [
            {"label": code, "minimum": 1, "framework": "unesco-ict-cft", "version": "2", "code": code}
            for code in CODES
        ]
    if kind == "multistage":
        base["units"], base["multistage"] = units, multistage(units)
    made: dict[str, Any] = {
        "schema": "assess.release/1",
        "course": {
            "id": "twt-3",
            "programme": "teaching-with-technology",
            "title": {"en": "A made-up course"},
        },
        "bank": {
            "id": "x",
            "version": 1,
            "security": "open",
            "licence": "CC-BY-4.0",
            "objectives": {code: {"text": {"en": f"Paraphrase of {code}"}} for code in CODES},
        },
        "form": base | (form or {}),
        "items": items,
        "case_sets": case_sets,
        "parameter_set": {
            "id": "x-parameters",
            "version": 1,
            "course": "twt-3",
            "status": status,
            "scale": {"id": "twt-3/1" if calibrated else "twt-3/0", "reference_group": "made up"},
            "items": records,
            "provenance": {},
        },
        "cut": {
            "id": "x-cut",
            "version": 1,
            "level": "KA",
            "theta": 0.0,
            "scale": "twt-3/1" if calibrated else "twt-3/0",
            "method": "made up",
            "status": "provisional",
            "ratings": dict.fromkeys(items, 0.6),
        }
        | (cut or {}),
    }
    if further:
        made["further_cuts"] = [made["cut"] | changes for changes in further]
        names = [f"{c['id']}.v{c['version']}" for c in made["further_cuts"]]
        made["form"] = {"further_cuts": names} | made["form"]
    return made


def multistage(units: list[str], **changes: Any) -> dict[str, Any]:
    """One panel 1-2 over units in order of difficulty: the middle third, then the easy or the hard one."""
    third = len(units) // 3
    easy, middle, hard = units[:third], units[third : len(units) - third], units[len(units) - third :]
    return {
        "routing": "raw",
        "modules": {"a-1": middle, "a-2-1": easy, "a-2-2": hard},
        "panels": [
            {
                "id": "a",
                "start": "a-1",
                "routes": [
                    {"after": ["a-1"], "to": ["a-2-1", "a-2-2"], "thresholds": [-(-len(middle) // 2)]}
                ],
            }
        ],
    } | changes


def two_panels(**changes: Any) -> dict[str, Any]:
    """Panels a and b of 1-2 over 18 units that no two modules share, as a release document."""
    units = [f"x-{number:03d}.v1" for number in range(1, 19)]
    modules: dict[str, list[str]] = {}
    panels = []
    for p, letter in enumerate("ab"):
        easy, middle, hard = units[p:6:2], units[6 + p : 12 : 2], units[12 + p :: 2]
        modules |= {f"{letter}-1": middle, f"{letter}-2-1": easy, f"{letter}-2-2": hard}
        to = [f"{letter}-2-1", f"{letter}-2-2"]
        route = {"after": [f"{letter}-1"], "to": to, "thresholds": [-0.1 if "routing" in changes else 2]}
        panels.append({"id": letter, "start": f"{letter}-1", "routes": [route]})
    rules = {"modules": modules, "panels": panels} | changes
    return document(kind="multistage", calibrated=True, n_items=18, form={"multistage": rules})


def confirming(**changes: Any) -> Release:
    """A calibrated confirming form over 40 items, for the passes of the fixed form of the same bank."""
    form = {
        "id": "x-confirming",
        "confirms": {"forms": ["x-fixed"], "loss": 1.0, "alpha": 0.05, "beta": 0.1},
        "adaptive": {"min_units": 3, "max_units": 12, "randomesque": 2, "certainty": False},
        "time_limit_minutes": 15,
    }
    n_items = changes.pop("n_items", 40)
    return release(kind="adaptive", calibrated=True, n_items=n_items, form=form | changes)


def release(**options: Any) -> Release:
    """The resolved release of `document(**options)`."""
    return Release.from_document(document(**options))
