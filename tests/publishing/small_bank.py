"""A small bank on disk: eight single items, a partial-credit item, a case set of two, two forms."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FRAMEWORK = {"framework": "unesco-ict-cft", "version": "2"}


def item(number: int, *, judged: float = 0.6, **changes: Any) -> dict[str, Any]:
    """A single-choice item with four options, the key at `a`."""
    options = list("abcd")
    mapping = {
        "id": f"toy-{number:03d}",
        "version": 1,
        "state": "active",
        "interaction": "single_choice",
        "options": options,
        "key": "a",
        "process": "apply",
        "alignments": [{**FRAMEWORK, "code": f"TL.3.{'abc'[number % 3]}"}],
        "judged": {"just_proficient": judged, "reason": "a common situation"},
        "texts": {
            "en": {
                "stem": f"A class needs tool number {number}. Which one?",
                "options": {option: f"The tool {option}" for option in options},
                "rationales": {option: f"Because of {option}." for option in options},
            }
        },
    }
    return mapping | changes


def partial_item(number: int) -> dict[str, Any]:
    """A multiple-response item worth two points."""
    return item(number) | {
        "interaction": "multiple_response",
        "key": ["a", "c"],
        "scoring": "partial",
        "judged": {"just_proficient": 1.2, "reason": "two of four are clear"},
    }


def programme() -> dict[str, Any]:
    """One course assessed here, one elsewhere, one badge over both."""
    return {
        "schema": "assess.programme/1",
        "id": "toys",
        "title": {"en": "Toys"},
        "time_zone": "UTC",
        "accept_provisional": False,
        "on_loss": "suspend",
        "courses": [
            {"id": "toy", "title": {"en": "Toy course"}, "assessed": "here"},
            {"id": "other", "title": {"en": "Other course"}, "assessed": "external"},
        ],
        "badges": [
            {
                "id": "TOY",
                "title": "Toy badge",
                "rule": {"all_of": [{"pass": {"course": "toy"}}, {"pass": {"course": "other"}}]},
            }
        ],
    }


def header() -> dict[str, Any]:
    return {
        "id": "toy-bank",
        "version": 1,
        "course": "toy",
        "security": "open",
        "licence": "CC-BY-4.0",
        "objectives": {f"TL.3.{letter}": {"text": {"en": f"Objective {letter}"}} for letter in "abc"},
    }


def form(kind: str, **changes: Any) -> dict[str, Any]:
    singles = [f"toy-{n:03d}.v1" for n in range(1, 9)]
    mapping: dict[str, Any] = {
        "id": f"toy-{kind}",
        "version": 1,
        "course": "toy",
        "kind": kind,
        "title": {"en": f"Toy course, {kind}"},
        "units": [*singles, "toy-009.v1", "toy-set.v1"],
        "parameter_set": "toy-judged.v1",
        "cut": "toy-ka.v1",
        "rule": {"kind": "raw"},
        "review": "allowed",
        "time_limit_minutes": 30,
        "blueprint": [
            {"label": f"objective {letter}", "minimum": 1, **FRAMEWORK, "code": f"TL.3.{letter}"}
            for letter in "abc"
        ],
    }
    if kind == "adaptive":
        mapping |= {
            "rule": {"kind": "probability"},
            "review": "none",
            "adaptive": {"min_units": 4, "max_units": 6, "randomesque": 2},
        }
    return mapping | changes


def cut(ratings: dict[str, float], **changes: Any) -> dict[str, Any]:
    return {
        "id": "toy-ka",
        "version": 1,
        "level": "KA",
        "theta": 0.0,
        "scale": "toy/0",
        "method": "judged expected score of the just-proficient teacher",
        "status": "provisional",
        "ratings": ratings,
    } | changes


def write(path: Path, mapping: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(mapping, allow_unicode=True, sort_keys=False), encoding="utf-8")


def write_bank(folder: Path) -> Path:
    """Write the whole bank below `folder`; returns the folder of the course."""
    for name, content in _files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "toys" / "toy"


@cache
def _files() -> dict[str, bytes]:
    """What `write_bank` writes: to make the YAML takes longer than most tests that want it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_first(folder)
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


def _write_first(folder: Path) -> None:
    from assess.publishing import judged_parameters, load_bank

    course = folder / "toys" / "toy"
    write(folder / "toys" / "programme.yaml", programme())
    write(course / "bank.yaml", header())
    judged = [0.85, 0.75, 0.7, 0.65, 0.6, 0.5, 0.45, 0.35]
    items = [item(n, judged=p) for n, p in enumerate(judged, start=1)]
    items += [
        partial_item(9),
        item(10, case_set="toy-set", judged=0.6),
        item(11, case_set="toy-set", judged=0.5),
    ]
    for mapping in items:
        write(course / "items" / f"{mapping['id']}.v1.yaml", mapping)
    case_set = {
        "kind": "case_set",
        "id": "toy-set",
        "version": 1,
        "items": ["toy-010.v1", "toy-011.v1"],
        "texts": {"en": "A school buys tablets."},
    }
    write(course / "items" / "toy-set.v1.yaml", case_set)
    ratings = {f"{mapping['id']}.v1": mapping["judged"]["just_proficient"] for mapping in items}
    write(course / "cuts" / "toy-ka.v1.yaml", cut(ratings))
    for kind in ("fixed", "adaptive"):
        write(course / "forms" / f"toy-{kind}.v1.yaml", form(kind))
    write(course / "parameters" / "toy-judged.v1.yaml", judged_parameters(load_bank(course)))
