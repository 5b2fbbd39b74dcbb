"""New files of a bank: put together and resolved in memory, shown with their effect, then written or not.

All files of a plan are written or none, and sealed. Nothing changes for any
learner before a form among them is activated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from assess.errors import AssessError, PublishRefused
from assess.irt.models import ParameterSet
from assess.irt.scoring import Prior
from assess.items import Form, split_reference
from assess.publishing.banks import ItemBank, StoredCut, release_document
from assess.publishing.files import LOCK_NAME, add_to_lock, write_yaml
from assess.session.release import Release
from assess.simulation import Effect, effect_of_change


@dataclass(frozen=True)
class Publication:
    """What was written, and what was left out and why."""

    parameter_set: ParameterSet | None
    cuts: tuple[StoredCut, ...]
    forms: tuple[Form, ...]
    files: tuple[str, ...]
    set_aside: Mapping[str, str] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()

    def __repr__(self) -> str:
        forms = ", ".join(form.reference for form in self.forms) or "no form"
        where = f" {self.parameter_set.id} on {self.parameter_set.scale.id}" if self.parameter_set else ""
        return f"<Publication{where}: {forms}>"


@dataclass(frozen=True, eq=False)
class Planned:
    """Files that would be written; the new forms are resolved as the releases they would become.

    Parameters
    ----------
    bank, extended : ItemBank
        As it is, and as it would be.
    documents : mapping
        Path below the bank's folder -> what the file would say.
    forms : tuple of Form
        New versions.
    set_aside : mapping
        What is left out, and why.
    population : Prior
        In which effects are simulated, on the scale.
    written_by : str
        The command, for the head of each file.

    Raises
    ------
    InvalidContent, ActivationRefused
        A new form would not pass activation.
    """

    bank: ItemBank
    extended: ItemBank = field(repr=False)
    documents: Mapping[str, Mapping[str, Any]] = field(repr=False)
    forms: tuple[Form, ...]
    written_by: str
    parameter_set: ParameterSet | None = None
    cuts: tuple[StoredCut, ...] = ()
    set_aside: Mapping[str, str] = field(default_factory=dict)
    population: Prior = field(default_factory=Prior)
    releases: tuple[Release, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        found = tuple(
            Release.from_document(release_document(self.extended, form.reference)) for form in self.forms
        )
        object.__setattr__(self, "releases", found)

    @cached_property
    def effects(self) -> tuple[Effect, ...]:
        """What each new form would change, against its present version, by simulation."""
        latest = self.bank.latest_forms()
        found = []
        for release in self.releases:
            if not release.calibrated:
                continue
            present = latest.get(release.form.id)
            before = (
                None
                if present is None
                else Release.from_document(release_document(self.bank, present.reference))
            )
            found.append(
                effect_of_change(before, release, np.random.default_rng(1), population=self.population)
            )
        return tuple(found)

    def write(self) -> Publication:
        """Write all files or none, and seal them.

        Raises
        ------
        PublishRefused
            A file is there already, or cannot be written.
        """
        written: list[Path] = []
        try:
            for name, mapping in self.documents.items():
                write_yaml(self.bank.folder / name, mapping, comment=f"Written by `{self.written_by}`.")
                written.append(self.bank.folder / name)
            place = f"{self.bank.programme}/{self.bank.course}/{LOCK_NAME}"
            add_to_lock(self.bank.folder, self.documents, place)
        except (AssessError, OSError) as fault:
            for path in written:
                path.unlink()
            raise PublishRefused(f"nothing was published: {fault}") from fault
        # Simulated only for those who looked.
        effects = self.__dict__.get("effects", ())
        return Publication(
            self.parameter_set, self.cuts, self.forms, tuple(self.documents), self.set_aside, effects
        )


def parameter_document(bank: ItemBank, parameter_set: ParameterSet) -> dict[str, Mapping[str, Any]]:
    """The file of a parameter set, under its path."""
    set_id, version = split_reference(parameter_set.id)
    scale = parameter_set.scale
    return {
        f"parameters/{parameter_set.id}.yaml": {
            "id": set_id,
            "version": version,
            "course": bank.course,
            "status": parameter_set.status,
            "scale": {name: getattr(scale, name) for name in scale.__slots__},
            "provenance": dict(parameter_set.provenance),
            "items": parameter_set.parameters.to_records(),
        }
    }


def cut_documents(cuts: Iterable[StoredCut]) -> dict[str, Mapping[str, Any]]:
    """The files of cuts, under their paths."""
    return {f"cuts/{stored.cut.id}.yaml": stored.document for stored in cuts}


def form_documents(forms: Iterable[Form]) -> dict[str, Mapping[str, Any]]:
    """The files of forms, under their paths."""
    return {f"forms/{form.reference}.yaml": form.to_mapping() for form in forms}
