from __future__ import annotations

from pathlib import Path

import pytest

from tests.publishing.small_bank import write_bank


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """The folder of the small bank's course."""
    return write_bank(tmp_path / "banks")
