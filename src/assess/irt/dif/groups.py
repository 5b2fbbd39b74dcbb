"""Two groups of persons, checked; and corrections for many tests."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from assess.errors import DataWarning, InvalidResponses
from assess.irt.parameters import FloatArray

_SMALL = 100


class Groups(NamedTuple):
    """Who is compared with whom: rows of both groups, and which of these rows are focal."""

    rows: NDArray[np.int64]
    is_focal: NDArray[np.bool_]
    reference: Any
    focal: Any

    def said(self) -> dict[str, Any]:
        """For the attrs of a result."""
        n_focal = int(self.is_focal.sum())
        return {
            "reference": self.reference,
            "focal": self.focal,
            "n_reference": len(self.rows) - n_focal,
            "n_focal": n_focal,
        }


def two_groups(labels: NDArray[Any], n_persons: int, reference: Any, focal: Any) -> Groups:
    """The two groups to compare; persons of any other group are left out."""
    if labels.shape != (n_persons,):
        raise InvalidResponses(f"group has shape {labels.shape}; give one label per person, ({n_persons},)")
    known = np.array([label is not None and label == label for label in labels.tolist()], dtype=bool)
    found = sorted(set(labels[known].tolist()), key=lambda label: (str(type(label)), label))
    if reference is None and focal is None:
        if len(found) != 2:
            raise InvalidResponses(
                f"group has {len(found)} labels, {found[:6]}; of more than two name reference and focal, "
                "and of fewer there is nothing to compare"
            )
        reference, focal = found
    elif reference is None or focal is None:
        others = [label for label in found if label not in (reference, focal)]
        if len(others) != 1:
            raise InvalidResponses(f"labels are {found[:6]}; name both reference and focal")
        reference, focal = (others[0], focal) if reference is None else (reference, others[0])
    for word, label in (("reference", reference), ("focal", focal)):
        if label not in found:
            raise InvalidResponses(f"the {word} group {label!r} is empty; labels are {found[:6]}")
    if reference == focal:
        raise InvalidResponses(f"reference and focal are both {focal!r}; compare two groups")
    is_reference, is_focal = labels == reference, labels == focal
    for word, label, members in (("reference", reference, is_reference), ("focal", focal, is_focal)):
        size = int(members.sum())
        if size < _SMALL:
            warnings.warn(
                f"the {word} group {label!r} has {size} persons; below {_SMALL} only large DIF can be seen",
                DataWarning,
                stacklevel=4,
            )
    rows = np.flatnonzero(is_reference | is_focal)
    return Groups(rows, is_focal[rows], reference, focal)


def false_discovery(p: FloatArray) -> FloatArray:
    """Adjusted p values of Benjamini and Hochberg; nan stays nan.

    References
    ----------
    Benjamini & Hochberg (1995), *Journal of the Royal Statistical Society B* 57, 289-300,
    doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    out = np.full_like(p, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    n = len(order)
    raised = p[order] * n / np.arange(1, n + 1)
    out[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1.0)
    return out
