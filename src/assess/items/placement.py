"""Placement: short adaptive parts, one per course, that grant a course or advise where to start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from assess.items.content import read_id
from assess.items.reading import Fields


@dataclass(frozen=True, slots=True)
class PlacementPart:
    """One course of a placement, and the form that is its part."""

    course: str
    form: str


@dataclass(frozen=True, slots=True)
class Placement:
    """What a programme offers to those who may know much already.

    Parameters
    ----------
    title : mapping of language to text
    parts : tuple of PlacementPart
        In the order in which they are taken, which is that of the courses.
    wait_days : int
        Before somebody is placed again; by trying often, chance would grant what nobody can do.
    window_hours : int
        How long the sitting stays open from its begin on.
    """

    title: Mapping[str, str]
    parts: tuple[PlacementPart, ...]
    wait_days: int = 365
    window_hours: int = 168

    @classmethod
    def from_fields(cls, fields: Fields) -> Placement:
        """The part `placement` of a programme's file.

        Raises
        ------
        InvalidContent
            With the place: no parts, or a course or form that stands in two of them.

        Examples
        --------
        >>> stated = {"title": {"en": "Where to start"}, "parts": [{"course": "c", "form": "c-placement"}]}
        >>> Placement.from_fields(Fields(stated, "programme.yaml: placement")).parts[0].form
        'c-placement'
        """
        parts = []
        for below in fields.each("parts"):
            parts.append(PlacementPart(read_id(below, "course"), read_id(below, "form")))
            below.finish()
        found = cls(
            title=fields.texts("title"),
            parts=tuple(parts),
            wait_days=fields.integer("wait_days", 365, minimum=0),
            window_hours=fields.integer("window_hours", 168, minimum=1),
        )
        fields.finish()
        if not parts:
            raise fields.fault("parts", "a placement needs at least one part")
        for name in ("course", "form"):
            named = [getattr(part, name) for part in parts]
            twice = next((one for one in named if named.count(one) > 1), None)
            if twice is not None:
                raise fields.fault("parts", f"{name} {twice!r} stands in two parts")
        return found
