"""What the live items hold of each framework, as a page that everybody may read."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from assess.delivery.pages.door import services_of, visit_of
from assess.delivery.pages.language import Language
from assess.delivery.service.catalogue import Shelf
from assess.items import Item
from assess.standards import frameworks
from assess.standards.matrix import FrameworkMatrix, Holding, framework_matrix

router = APIRouter(include_in_schema=False)


@router.get("/standards")
async def standards(request: Request) -> Response:
    """The matrix of parts and levels of every framework that an open form measures."""
    visit = await visit_of(request)
    services = services_of(request)
    items = live_items(await services.catalogue.shelf(services.settings.tenant))
    matrices = [framework_matrix(id_, version, items) for id_, version in frameworks.available()]
    return visit.render(
        "standards.html", frameworks=[_view(found, visit.language) for found in matrices if found.n_items]
    )


def live_items(shelf: Shelf) -> list[tuple[str, Item]]:
    """Course and item of everything that an open form may show, practice left out."""
    return [
        (release.course.id, item)
        for release in shelf.forms.values()
        if not release.practice
        for item in release.items.values()
    ]


def _view(matrix: FrameworkMatrix, words: Language) -> dict[str, Any]:
    _ = words.gettext
    framework = matrix.framework
    names = {level.code: f"{level.code} {level.title}" for level in framework.levels}
    numbers = {
        "items": _items(matrix.n_items, words),
        "gaps": words.number(len(matrix.gaps)),
        "cells": words.number(len(matrix.cells)),
    }
    whole = _("%(items)s; every cell holds some.") % numbers
    with_gaps = _("%(items)s; %(gaps)s of %(cells)s cells are empty.") % numbers
    measured = [part for part in framework.competencies if matrix.codes[part.code].n_items]
    return {
        "title": framework.title,
        "summary": with_gaps if matrix.gaps else whole,
        "attribution": framework.attribution,
        "levels": [names.get(level, "") for level in matrix.levels],
        "rows": [
            {
                "name": part.name,
                "cells": [_cell(matrix.cells[part.code, level], words) for level in matrix.levels],
            }
            for part in matrix.parts
        ],
        "codes_words": _("The codes that are measured: %(n)s of %(all)s")
        % {"n": words.number(len(measured)), "all": words.number(len(framework.competencies))},
        "codes": [
            {"code": part.code, "title": part.title, "words": _items(matrix.codes[part.code].n_items, words)}
            for part in measured
        ],
    }


def _cell(held: Holding, words: Language) -> dict[str, Any]:
    return {"n": held.n_items, "words": _items(held.n_items, words), "courses": held.courses}


def _items(n: int, words: Language) -> str:
    return words.ngettext("%(n)s item", "%(n)s items", n) % {"n": words.number(n)}
