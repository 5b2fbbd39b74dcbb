"""What the doctests of the engine have at hand: a small made-up release, and noon."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _session_examples(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    """`release`, `noon` and `record` (a start record), for the examples of sessions and simulation."""
    if not request.node.name.startswith(("assess.session", "assess.simulation")):
        return
    from assess import session
    from tests import synthetic

    noon = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    release = synthetic.release(form={"review": "none"})
    record = session.start(release, session="ses_1", learner="lrn_1", seed="0f" * 16, now=noon)
    doctest_namespace.update(vars(session), release=release, noon=noon, record=record)
