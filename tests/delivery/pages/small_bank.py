"""A small bank with every format, in three languages, and the documents that make it live.

Course `c-1` is judged: a fixed form with looking back, a clock, and a raw rule. Course `c-2`
is calibrated: a fixed form without looking back, and an adaptive one. `c-3` is assessed elsewhere.
"""

from __future__ import annotations

from typing import Any

_MATH = "<math><mfrac><mn>1</mn><mn>2</mn></mfrac><mo>+</mo><mfrac><mn>1</mn><mn>4</mn></mfrac></math>"
_FORMATS: dict[str, dict[str, Any]] = {
    "single": {"interaction": "single_choice", "options": ["a", "b", "c", "d"], "key": "b"},
    "multiple": {"interaction": "multiple_response", "options": ["a", "b", "c", "d"], "key": ["a", "c"]},
    "ordering": {"interaction": "ordering", "options": ["a", "b", "c"], "key": ["b", "c", "a"]},
    "matching": {
        "interaction": "matching",
        "options": ["1", "2"],
        "targets": ["x", "y", "z"],
        "key": {"1": "x", "2": "y"},
    },
    "numeric": {"interaction": "numeric", "key": "0.75", "tolerance": "0.001"},
    "short": {"interaction": "short_text", "key": ["projector"]},
}
BEST: dict[str, Any] = {
    "single": "b",
    "multiple": ["a", "c"],
    "ordering": ["b", "c", "a"],
    "matching": {"1": "x", "2": "y"},
    "numeric": "0.75",
    "short": "projector",
}
CODES = ("TL.3.a", "TL.3.b")


def _texts(kind: str, n: int, course: str) -> dict[str, Any]:
    stems = {
        "single": f"A class of 52 in {course} shares **one laptop**. Which plan for lesson {n} fits best?",
        "multiple": "Which of these help learners to talk about their own work?",
        "ordering": "Put the steps of a lesson with a film in a sensible order.",
        "matching": "Match each aim with a tool.",
        "numeric": f"How much is {_MATH}?",
        "short": "Which device throws a picture on the wall?",
    }
    options = {
        "single": {
            "a": "Everybody watches the teacher type.",
            "b": "Groups plan a slide each and explain it to the class.",
            "c": "The laptop stays in the cupboard, safe from dust.",
            "d": "One learner plays while the others copy from the board.",
        },
        "multiple": {
            "a": "A recording of their reading",
            "b": "A locked cupboard",
            "c": "A wall of photographs",
            "d": "A longer register",
        },
        "ordering": {"a": "Talk about it", "b": "Say what to look for", "c": "Watch the film"},
        "matching": {"1": "Show a picture to all", "2": "Record a voice"},
    }
    text: dict[str, Any] = {"stem": stems[kind]}
    if kind in options:
        text["options"] = options[kind]
        text["rationales"] = dict.fromkeys(options[kind], "Because of the aim.")
    if kind == "matching":
        text["targets"] = {"x": "Projector", "y": "Telephone", "z": "Ruler"}
    texts = {"en": text}
    if kind == "single":
        texts["ar"] = {
            "stem": f"في صف من 52 متعلمًا حاسوب واحد. أيّ خطة للدرس {n} هي الأنسب؟",
            "options": {
                "a": "يشاهد الجميع المعلم وهو يكتب.",
                "b": "تخطط كل مجموعة شريحة وتشرحها للصف.",
                "c": "يبقى الحاسوب في الخزانة.",
                "d": "يلعب متعلم واحد وينسخ الآخرون من السبورة.",
            },
        }
        texts["fr"] = {
            "stem": f"Une classe de 52 partage un ordinateur. Quel plan convient le mieux (leçon {n}) ?",
            "options": {
                "a": "Tout le monde regarde l’enseignant taper.",
                "b": "Chaque groupe prépare une diapositive et l’explique.",
                "c": "L’ordinateur reste dans l’armoire.",
                "d": "Un élève joue, les autres copient.",
            },
        }
    return texts


def item(course: str, n: int, kind: str, *, case_set: str = "") -> dict[str, Any]:
    """An item of a course."""
    made = {
        "id": f"{course}-{n:02}",
        "version": 1,
        "state": "active",
        **_FORMATS[kind],
        "process": "apply",
        "alignments": [{"framework": "unesco-ict-cft", "version": "2", "code": CODES[n % 2]}],
        "texts": _texts(kind, n, course),
    }
    return made | ({"case_set": case_set} if case_set else {})


def kinds(course: str) -> list[str]:
    """The formats of a course's items, in their order."""
    if course == "c-1":
        return ["single", "multiple", "ordering", "matching", "numeric", "short", "single", "single"]
    return ["single"] * 8 + ["ordering", "matching", "multiple", "numeric"]


def release_document(form_id: str) -> dict[str, Any]:
    """The release of one of the forms: c-1-fixed, c-2-fixed, c-2-adaptive."""
    course, calibrated = form_id[:3], form_id.startswith("c-2")
    case = "c-1-case" if course == "c-1" else ""
    items = [
        item(course, n, kind, case_set=case if n in (7, 8) else "")
        for n, kind in enumerate(kinds(course), start=1)
    ]
    references = [f"{i['id']}.v1" for i in items]
    case_sets = {}
    units = references
    if case:
        units = [*references[:6], f"{case}.v1"]
        case_sets[f"{case}.v1"] = {
            "kind": "case_set",
            "id": case,
            "version": 1,
            "items": references[6:],
            "texts": {
                "en": "Ms Wanjiru teaches civics to 52 learners. There is *electricity* for two hours a day.",
                "ar": "تُدرّس السيدة وانجيرو التربية المدنية لصف كبير. الكهرباء متاحة ساعتين في اليوم.",
            },
        }
    adaptive = form_id.endswith("adaptive")
    form: dict[str, Any] = {
        "id": form_id,
        "version": 1,
        "course": course,
        "kind": "adaptive" if adaptive else "fixed",
        "title": {"en": "Adaptive form" if adaptive else "Fixed form"},
        "languages": ["en", "fr", "ar"],
        "units": units,
        "parameter_set": f"{course}-params.v1",
        "cut": f"{course}-cut.v1",
        "rule": {"kind": "probability" if calibrated else "raw"},
        "review": "none" if calibrated else "allowed",
        "consent_version": "1",
    }
    if adaptive:
        form["adaptive"] = {"min_units": 4, "max_units": 6, "certainty": False}
    if not calibrated:
        form["time_limit_minutes"] = 30
    records = [
        {"item": unit, "model": "GPCM", "a": 0.9, "b1": -0.4, "b2": 0.2}
        if unit.startswith("c-1-case")
        else {"item": unit, "model": "2PL", "a": 1.6, "b": round(-1.2 + 0.2 * n, 2)}
        for n, unit in enumerate(units)
    ]
    cut: dict[str, Any] = {
        "id": f"{course}-cut",
        "version": 1,
        "level": "KA",
        "theta": 0.0,
        "scale": f"{course}/1",
        "method": "modified Angoff",
        "status": "adopted" if calibrated else "provisional",
        "ratings": dict.fromkeys(references, 0.6),
    }
    if calibrated:
        cut["panel"] = "panel-1"
    return {
        "schema": "assess.release/1",
        "course": {"id": course, "programme": "demo", "title": _TITLES[course]},
        "bank": {
            "id": course,
            "version": 1,
            "security": "open",
            "licence": "CC BY 4.0",
            "objectives": {
                "TL.3.a": {
                    "text": {
                        "en": "Match technology with the aim of a lesson",
                        "fr": "Accorder l’outil au but",
                    }
                },
                "TL.3.b": {"text": {"en": "Plan lessons that weave in technology"}},
            },
        },
        "form": form,
        "items": dict(zip(references, items, strict=True)),
        "case_sets": case_sets,
        "parameter_set": {
            "id": f"{course}-params",
            "version": 1,
            "course": course,
            "status": "calibrated" if calibrated else "provisional",
            "scale": {"id": f"{course}/1", "reference_group": "a simulated window"},
            "items": records,
            "provenance": {},
        },
        "cut": cut,
    }


_TITLES = {
    "c-1": {"en": "How Do Technology and Pedagogy Mix?", "ar": "كيف تلتقي التكنولوجيا وأصول التدريس؟"},
    "c-2": {"en": "Organize and Manage the Use of ICT", "fr": "Organiser l’usage des TIC"},
    "c-3": {"en": "Technology Literacy and Your Professional Development"},
}


def programme_document() -> dict[str, Any]:
    """The programme with its three courses and two badges."""
    return {
        "schema": "assess.programme/1",
        "id": "demo",
        "title": {"en": "Teaching with Technology", "fr": "Enseigner avec la technologie"},
        "time_zone": "UTC",
        "accept_provisional": False,
        "on_loss": "suspend",
        "courses": {
            "c-1": {"title": _TITLES["c-1"], "assessed": "here", "forms": ["c-1-fixed"]},
            "c-2": {
                "title": _TITLES["c-2"],
                "assessed": "here",
                "forms": ["c-2-fixed", "c-2-adaptive"],
                "default_form": "c-2-fixed",
            },
            "c-3": {"title": _TITLES["c-3"], "assessed": "external"},
        },
        "badges": [
            {
                "id": "TWT",
                "title": "Teaching with Technology",
                "rule": {"all_of": [{"pass": {"course": c}} for c in ("c-1", "c-2", "c-3")]},
                "published_criterion": "Pass all course assessments.",
                "reading": "Three decisions, each passed.",
                "alignments": [
                    {"framework": "unesco-ict-cft", "version": "2", "code": code} for code in CODES
                ],
            },
            {
                "id": "SEMINAR",
                "title": "Classroom Seminar",
                "rule": {
                    "any_of": [
                        {"fact": {"type": "training_attended"}},
                        {"fact": {"type": "survey_completed"}},
                    ]
                },
                "published_criterion": "Attend the seminar or complete its survey.",
                "reading": "One fact of two.",
            },
        ],
    }
