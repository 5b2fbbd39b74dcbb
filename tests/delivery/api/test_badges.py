"""Badges, their subjects, batch queries and the changes feed over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests import synthetic
from tests.delivery.world import World, refused


def test_a_badge_shows_its_rule_beside_the_published_criterion(world: World) -> None:
    body = world.call("GET", "/v1/badges/BOTH").json()
    assert body["sentence"] == "Pass both courses: twt-1, twt-3."
    assert body["criterion"]["source"] == "made up"
    assert [b["id"] for b in world.call("GET", "/v1/badges").json()["items"]] == ["ONE", "BOTH", "SEEN"]
    assert world.call("GET", "/v1/badges/ONE?language=fr").json()["courses"][0]["title"] == "Pédagogie"
    refused(world.call("GET", "/v1/badges/NONE"), 404, "badge_unknown")
    refused(world.call("GET", "/v1/badges/ONE", key=None), 401, "credentials_missing")


def test_subjects_are_listed_by_status_a_page_at_a_time(world: World) -> None:
    for n in range(3):
        world.learner(f"lrn_{n}")
        world.sit(f"lrn_{n}")
    first = world.call("GET", "/v1/badges/ONE/subjects?limit=2").json()
    second = world.call("GET", f"/v1/badges/ONE/subjects?limit=2&after={first['next']}").json()
    ids = [row["subject"]["id"] for row in first["items"] + second["items"]]
    assert (ids, second["next"]) == (["lrn_0", "lrn_1", "lrn_2"], None)
    assert world.call("GET", "/v1/badges/ONE/subjects?status=not_eligible").json()["items"] == []
    assert world.call("GET", "/v1/badges/ONE/subjects", key="test").json()["items"] == []
    refused(world.call("GET", "/v1/badges/ONE/subjects?status=rich"), 422, "field_invalid")
    refused(world.call("GET", "/v1/badges/ONE/subjects?limit=0"), 422, "field_invalid")
    refused(world.call("GET", "/v1/badges/NONE/subjects"), 404, "badge_unknown")
    refused(world.call("GET", "/v1/badges/ONE/subjects", key=world.key("deliver")), 403, "scope_missing")


def test_a_batch_answers_every_id_or_says_what_is_wrong_with_it(world: World) -> None:
    world.learner()
    body = {"subjects": ["lrn_1", "nobody"]}
    items = world.call("POST", "/v1/badges/ONE/query", body).json()["items"]
    assert [item["id"] for item in items] == ["lrn_1", "nobody"]
    assert items[0]["eligibility"]["status"] == "not_eligible"
    assert (items[1]["eligibility"], items[1]["error"]["code"]) == (None, "learner_unknown")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"subjects": ["x"] * 1001}, "field_invalid"),
        ({"subjects": [1]}, "field_invalid"),
        ({}, "field_invalid"),
        ({"subjects": [], "as_of": "2026-01-01"}, "field_unknown"),
    ],
)
def test_a_batch_that_cannot_be_answered_is_refused(world: World, body: object, code: str) -> None:
    refused(world.call("POST", "/v1/badges/ONE/query", body), 422, code)
    refused(world.call("POST", "/v1/badges/NONE/query", {"subjects": []}), 404, "badge_unknown")


def test_the_feed_is_numbered_without_a_gap_and_snapshots_the_resource(world: World) -> None:
    for n in range(2):
        world.learner(f"lrn_{n}")
        world.sit(f"lrn_{n}")
    seen: list[dict[str, Any]] = []
    after: str | None = "0"
    while after is not None:
        page = world.call("GET", f"/v1/changes?after={after}&limit=1").json()
        seen += page["items"]
        after = page["next"]
    assert [change["data"]["sequence"] for change in seen] == [1, 2, 3, 4]
    last = seen[-1]["data"]
    now = world.call("GET", last["resource"]).json()
    assert last["snapshot"] == now
    refused(world.call("GET", "/v1/changes?after=x"), 400, "invalid_cursor")
    refused(world.call("GET", "/v1/changes?after=-1"), 400, "invalid_cursor")
    refused(world.call("GET", "/v1/changes?limit=5000"), 422, "field_invalid")
    refused(world.call("GET", "/v1/changes", key=world.key("attest")), 403, "scope_missing")


def test_a_badge_over_calibrated_courses_says_how_often_its_rule_errs(world: World) -> None:
    assert world.call("GET", "/v1/badges/ONE").json()["accuracy"] is None, "judged parameters claim nothing"
    document = synthetic.document(calibrated=True, form={"id": "x-fixed", "version": 2})
    world.activate(document)
    found = world.call("GET", "/v1/badges/ONE").json()["accuracy"]
    assert [row["correlation"] for row in found["by_correlation"]] == [0.5, 0.7, 0.9]
    for row in found["by_correlation"]:
        assert sum(row[part] for part in ("accuracy", "false_pass", "false_fail", "undetermined")) == (
            pytest.approx(1.0, abs=1e-5)
        )
    assert "one try in each course" in found["basis"]
    # The same forms keep their study; another form is another study; what rests on other things has none.
    world.activate(document)
    assert world.call("GET", "/v1/badges/ONE").json()["accuracy"] == found
    newer = {"id": "x-fixed", "version": 3}
    world.activate(synthetic.document(calibrated=True, n_items=10, form=newer))
    assert world.call("GET", "/v1/badges/ONE").json()["accuracy"] != found
    for badge in ("BOTH", "SEEN"):
        assert world.call("GET", f"/v1/badges/{badge}").json()["accuracy"] is None
