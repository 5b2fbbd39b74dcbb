"""Where the reference material lies, when it lies beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

_FOLDER = Path(__file__).resolve().parents[2] / "shared"
SHARED: Path | None = _FOLDER if _FOLDER.is_dir() else None

needs_shared = pytest.mark.skipif(SHARED is None, reason="the reference material is not beside the checkout")


def shared(*parts: str) -> Path:
    """A path below the reference folder; call it only in tests marked `needs_shared`."""
    assert SHARED is not None
    return SHARED.joinpath(*parts)
