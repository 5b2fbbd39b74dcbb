"""Published frameworks as data: what an alignment may point at.

Each file of `data/` holds one version of one framework with its licence and
sources, and for every code where its title and wording come from and how sure
that is. Wording is reproduced only where the licence allows; all else is our
paraphrase and says so (`text_is`). A corrected file needs no change of code.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

from assess.errors import InvalidContent
from assess.items import Alignment

_FILES = {
    ("unesco-ict-cft", "2"): "unesco-ict-cft-2.json",
    ("unesco-ict-cft", "3"): "unesco-ict-cft-3.json",
    ("iste-educators", "2017"): "iste-educators-2017.json",
    ("iste-t", "2008"): "iste-t-2008.json",
    ("digcompedu", "2017"): "digcompedu-2017.json",
}


@dataclass(frozen=True, slots=True)
class Competency:
    """A coded part of a framework, at any depth.

    Attributes
    ----------
    kind : str
        aspect, competency, objective, standard, indicator or area.
    text, text_is : str
        "paraphrase" (ours) or "recalled wording" (check before showing it as
        the publication's); empty when there is only a title.
    level, parent : str
        Codes inside the same framework; empty if there is none.
    source, confidence : str
        Of code and title: "document" was seen in a copy of the publication or
        in material that quotes it, "memory" was not.
    text_source, text_confidence : str
        Of the text.
    code_verified : bool
        False when the publication may give another letter to the same idea.
    """

    framework: str
    version: str
    code: str
    kind: str
    title: str
    text: str
    text_is: str
    level: str
    parent: str
    source: str
    confidence: str
    text_source: str
    text_confidence: str
    code_verified: bool

    @property
    def name(self) -> str:
        """Code and title, or the beginning of the text where no title exists."""
        return f"{self.code} {self.title or self.text}"


@dataclass(frozen=True, slots=True)
class Level:
    """A level of a framework, for example KD, Knowledge Deepening."""

    code: str
    title: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What a later edition changed; an alignment stays with the edition it names."""

    version: str
    text: str
    codes: tuple[str, ...]
    source: str
    confidence: str


@dataclass(frozen=True, repr=False)
class Framework:
    """One version of a framework.

    Examples
    --------
    >>> load("unesco-ict-cft", "3")
    <Framework unesco-ict-cft 3: 88 codes, CC BY-SA 3.0 IGO>
    """

    id: str
    version: str
    title: str
    year: int
    publisher: str
    licence: str
    file_licence: str
    attribution: str
    code_scheme: str
    notes: tuple[str, ...]
    sources: tuple[str, ...]
    changes: tuple[Change, ...]
    levels: tuple[Level, ...]
    competencies: tuple[Competency, ...] = field(repr=False)

    def __repr__(self) -> str:
        return f"<Framework {self.id} {self.version}: {len(self.competencies)} codes, {self.licence[:40]}>"

    @cached_property
    def by_code(self) -> Mapping[str, Competency]:
        """Competencies by code."""
        return {competency.code: competency for competency in self.competencies}

    def competency(self, code: str) -> Competency:
        """The competency of a code.

        Raises
        ------
        InvalidContent
            No such code; the message names the nearest.
        """
        if code not in self.by_code:
            if any(code == level.code for level in self.levels):
                raise InvalidContent(
                    f"{self.id} {self.version}: {code!r} is a level, not a code; align to a part of it"
                )
            near = difflib.get_close_matches(code, self.by_code, n=3, cutoff=0.5)
            hint = f"did you mean {', '.join(near)}?" if near else f"codes look like this: {self.code_scheme}"
            raise InvalidContent(f"{self.id} {self.version} has no code {code!r}; {hint}")
        return self.by_code[code]

    def children(self, code: str) -> tuple[Competency, ...]:
        """The direct parts of a code; of the whole framework for an empty code."""
        return tuple(competency for competency in self.competencies if competency.parent == code)

    def lineage(self, code: str) -> Iterator[Competency]:
        """The competency of a code and everything it is a part of, upwards.

        Examples
        --------
        >>> [part.code for part in load("unesco-ict-cft", "2").lineage("TL.3.a")]
        ['TL.3.a', 'TL.3', '3']
        """
        while code:
            competency = self.competency(code)
            yield competency
            code = competency.parent


@dataclass(frozen=True, slots=True)
class Link:
    """A proposed link between two frameworks; it never creates an alignment by itself.

    `strength` is "strong" (an item written for the first will nearly always
    be evidence for the second) or "partial" (often; it depends on the item).
    """

    id: str
    from_: Alignment
    to: Alignment
    strength: str
    rationale: str
    basis: str
    confidence: str


def available() -> tuple[tuple[str, str], ...]:
    """The frameworks that can be loaded, as pairs of id and version.

    Examples
    --------
    >>> ("iste-educators", "2017") in available()
    True
    """
    return tuple(_FILES)


def load(framework_id: str, version: str | None = None) -> Framework:
    """One framework with all its codes.

    Parameters
    ----------
    framework_id : str
        For example ``"unesco-ict-cft"``.
    version : str, optional
        May be left out where only one version exists: KD.3.a of one edition
        is not KD.3.a of another.

    Raises
    ------
    InvalidContent
        No such framework or version, or several versions and none named.

    Examples
    --------
    >>> load("iste-educators").competency("2.5.b").title
    'Authentic, standards-aligned activities'
    """
    versions = [known for id_, known in _FILES if id_ == framework_id]
    if not versions:
        ids = sorted({id_ for id_, _ in _FILES})
        near = difflib.get_close_matches(framework_id, ids, n=2) or ids
        raise InvalidContent(f"there is no framework {framework_id!r}; did you mean {' or '.join(near)}?")
    if version is None and len(versions) == 1:
        version = versions[0]
    if version not in versions:
        said = "no version is named" if version is None else f"there is no version {version!r}"
        raise InvalidContent(f"{framework_id}: {said}; say {' or '.join(versions)}")
    return _read(framework_id, version)


def resolve(alignment: Alignment) -> Competency:
    """What an alignment points at.

    Raises
    ------
    InvalidContent
        Unknown framework, version or code; the message names close matches.

    Examples
    --------
    >>> resolve(Alignment("unesco-ict-cft", "2", "TL.3")).title
    'Integrate Technology'
    >>> resolve(Alignment("unesco-ict-cft", "2", "KA.3"))
    Traceback (most recent call last):
        ...
    assess.errors.InvalidContent: unesco-ict-cft 2 has no code 'KA.3'; did you mean ...
    """
    return load(alignment.framework, alignment.version).competency(alignment.code)


@cache
def crosswalk() -> tuple[Link, ...]:
    """All proposed links between the frameworks.

    Examples
    --------
    >>> {link.strength for link in crosswalk()} == {"strong", "partial"}
    True
    """
    content = _content("crosswalk.json")
    return tuple(
        Link(
            id=row["id"],
            from_=_end(row["from"]),
            to=_end(row["to"]),
            strength=row["strength"],
            rationale=row["rationale"],
            basis=row["basis"],
            confidence=row["confidence"],
        )
        for row in content["links"]
    )


def _end(row: list[str]) -> Alignment:
    framework, version, code = row
    return Alignment(framework, version, code, primary=False)


def links_from(alignment: Alignment, *, strength: str | None = None) -> tuple[Link, ...]:
    """Links that begin at a code, to propose further alignments to an item writer.

    Examples
    --------
    >>> [link.to.code for link in links_from(Alignment("unesco-ict-cft", "2", "TL.3"), strength="strong")]
    ['KA.3']
    """
    where = (alignment.framework, alignment.version, alignment.code)
    return tuple(
        link
        for link in crosswalk()
        if (link.from_.framework, link.from_.version, link.from_.code) == where
        and strength in (None, link.strength)
    )


def _content(name: str) -> dict[str, Any]:
    text = files("assess.standards").joinpath("data", name).read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


@cache
def _read(framework_id: str, version: str) -> Framework:
    content = _content(_FILES[framework_id, version])
    block = content["framework"]
    competencies = tuple(
        Competency(
            framework=framework_id,
            version=version,
            code=row["code"],
            kind=row["kind"],
            title=row["title"],
            text=row.get("text", ""),
            text_is=row.get("text_is", ""),
            level=row.get("level", ""),
            parent=row.get("parent", ""),
            source=row["source"],
            confidence=row["confidence"],
            text_source=row.get("text_source", row["source"] if "text" in row else ""),
            text_confidence=row.get("text_confidence", row["confidence"] if "text" in row else ""),
            code_verified=row.get("code_verified", True),
        )
        for row in content["competencies"]
    )
    return Framework(
        id=block["id"],
        version=block["version"],
        title=block["title"],
        year=block["year"],
        publisher=block["publisher"],
        licence=block["licence"],
        file_licence=block["file_licence"],
        attribution=block.get("attribution", ""),
        code_scheme=block["code_scheme"],
        notes=tuple(block["notes"]),
        sources=tuple(block["sources"]),
        changes=tuple(
            Change(row["version"], row["text"], tuple(row["codes"]), row["source"], row["confidence"])
            for row in block.get("changes", ())
        ),
        levels=tuple(Level(row["code"], row["title"], row.get("text", "")) for row in content["levels"]),
        competencies=competencies,
    )
