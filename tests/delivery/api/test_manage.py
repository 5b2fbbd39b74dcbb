"""Activation over HTTP, health, and what is around every reply."""

from __future__ import annotations

import pytest

from assess.delivery.service import activations, keys
from assess.delivery.store import reading
from assess.errors import ActivationRefused, Forbidden, InvalidContent, InvalidRequest, InvalidRule, NotFound
from tests import synthetic
from tests.delivery.world import World, programme, refused


def test_a_stored_release_is_activated_and_new_sessions_pin_it(world: World) -> None:
    old = world.ask(reading.activations, "default")[1].release
    world.learner()
    before = world.begin()
    new = world.activate(synthetic.document(n_items=6))
    world.learner("lrn_2")
    assert world.begin("lrn_2")["release"] == new
    assert world.begin()["release"] == before["release"] == old
    answer = world.call("POST", "/v1/activations", {"release": old, "approved_by": "B", "reason": "go back"})
    assert (answer.status_code, answer.json()["sequence"], answer.json()["name"]) == (201, 5, "x-fixed")
    world.learner("lrn_3")
    assert world.begin("lrn_3")["release"] == old


def test_an_activation_needs_its_scope_a_reason_and_something_to_activate(world: World) -> None:
    body = {"release": "0" * 64, "reason": "x"}
    refused(world.call("POST", "/v1/activations", body), 404, "form_unknown")
    refused(world.call("POST", "/v1/activations", body, key=world.key("deliver")), 403, "scope_missing")
    known = world.ask(reading.activations, "default")[0].release
    problem = refused(
        world.call("POST", "/v1/activations", {"release": known, "reason": " "}), 422, "field_invalid"
    )
    assert problem["errors"][0]["path"] == "reason"


def test_what_is_frozen_stays_so_when_an_older_form_is_named_by_its_hash(world: World) -> None:
    old = world.ask(reading.activations, "default")[1].release
    units = [f"x-{number:03d}.v1" for number in range(1, 13)]
    shorter = synthetic.document(form={"version": 2, "units": units[1:]})
    body = {"document": shorter, "approved_by": "B", "reason": "its answer is known", "frozen": units[:1]}
    assert world.call("POST", "/v1/activations", body).status_code == 201
    back = {"release": old, "approved_by": "B", "reason": "go back"}
    problem = refused(world.call("POST", "/v1/activations", back), 422, "field_invalid")
    assert "x-fixed offers x-001.v1, which is frozen" in problem["detail"]
    # A later activation that does not name it does not thaw it, nor does another form of the course.
    assert world.call("POST", "/v1/activations", body | {"frozen": []}).status_code == 201
    refused(world.call("POST", "/v1/activations", back), 422, "field_invalid")
    other = synthetic.document(form={"id": "x-other"})
    refused(world.call("POST", "/v1/activations", {"document": other, "reason": "x"}), 422, "field_invalid")
    # A form that offers what is said to be frozen in the same breath is refused as well, and not stored.
    before = world.ask(reading.activations, "default")
    refused(world.call("POST", "/v1/activations", body | {"frozen": units[1:2]}), 422, "field_invalid")
    assert world.ask(reading.activations, "default") == before
    # Other tenants have frozen nothing.
    elsewhere = keys.local("other", "test")
    world.run(activations.set_tenant, elsewhere, title="Other")
    assert world.run(activations.activate, elsewhere, document=other, reason="x").name == "x-other"


def test_a_tenant_may_demand_a_second_person(world: World) -> None:
    world.run(activations.set_tenant, world.admin, two_person=True)
    known = world.ask(reading.activations, "default")[0].release
    body = {"release": known, "reason": "x"}
    refused(world.call("POST", "/v1/activations", body), 403, "role_not_allowed")
    activated = world.ask(reading.activations, "default")
    oneself = next(key.id for key in world.run(keys.listing, world.admin) if not key.sandbox)
    for nobody_else in ("", " ", oneself, f" {oneself.upper()}\n"):
        answer = world.call("POST", "/v1/activations", body | {"approved_by": nobody_else})
        refused(answer, 403, "role_not_allowed")
    assert world.ask(reading.activations, "default") == activated
    assert world.call("POST", "/v1/activations", body | {"approved_by": "B"}).status_code == 201


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"schema": "assess.release/9"}, InvalidContent),
        (synthetic.document(n_items=6, form={"units": ["x-099.v1"]}), ActivationRefused),
        (programme(badges=[{"id": "B", "rule": {"all_of": []}}]), InvalidRule),
    ],
)
def test_a_document_that_must_not_go_live_is_not_stored(
    world: World, document: dict[str, object], error: type[Exception]
) -> None:
    before = world.ask(reading.activations, "default")
    with pytest.raises(error):
        world.run(activations.activate, world.admin, document=document, reason="x")
    assert world.ask(reading.activations, "default") == before


def test_a_revoked_key_opens_nothing(world: World) -> None:
    row, secret = world.run(keys.create, world.admin, name="k", scopes=["read-status"])
    assert secret.startswith("ask_live_")
    assert secret not in str(world.ask(reading.api_keys, "default"))
    assert world.call("GET", "/v1/changes", key=secret).status_code == 200
    world.run(keys.revoke, world.admin, row.id)
    refused(world.call("GET", "/v1/changes", key=secret), 401, "credentials_expired")
    with pytest.raises(NotFound):
        world.run(keys.revoke, world.admin, "key_none")
    with pytest.raises(InvalidRequest, match="is no scope"):
        world.run(keys.create, world.admin, name="k", scopes=["everything"])
    with pytest.raises(Forbidden):
        world.run(
            keys.create, keys.local("default", "x").__class__("default", "x"), name="k", scopes=["attest"]
        )


def test_health_and_readiness_need_no_key(world: World) -> None:
    assert world.call("GET", "/healthz", key=None).json() == {"status": "ok"}
    assert world.call("GET", "/readyz", key=None).json() == {"status": "ready"}


def test_another_tenants_things_do_not_exist(world: World) -> None:
    other = keys.local("other", "test")
    world.run(activations.set_tenant, other, title="Other")
    _, world.keys["other"] = world.run(
        keys.create, other, name="k", scopes=["deliver", "read-status", "attest"]
    )
    world.learner()
    session = world.sit()
    decision = world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()["decision"]["url"]
    for path, code in (
        (f"/v1/sessions/{session}", "session_unknown"),
        (f"/v1/sessions/{session}/result", "session_unknown"),
        ("/v1/learners/lrn_1/courses/twt-3/status", "learner_unknown"),
        ("/v1/learners/lrn_1/badges", "learner_unknown"),
        (decision, "decision_unknown"),
        ("/v1/badges/ONE", "badge_unknown"),
    ):
        refused(world.call("GET", path, key="other"), 404, code)
    assert world.call("GET", "/v1/changes", key="other").json()["items"] == []


def test_every_reply_has_an_id_and_the_headers_that_keep_a_browser_safe(world: World) -> None:
    for answer in (
        world.call("GET", "/healthz", key=None),
        world.call("GET", "/v1/nothing"),
        world.call("DELETE", "/v1/sessions"),
        world.call("GET", "/v1/changes", key=None),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-request-id"].startswith("req_")
    page = world.call("GET", "/", key=None)
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cross-origin-opener-policy"] == "same-origin"
    assert page.headers["permissions-policy"]


def test_unknown_routes_and_methods_are_problems_too(world: World) -> None:
    refused(world.call("GET", "/v1/nothing"), 404, "route_unknown")
    answer = world.call("DELETE", "/v1/sessions")
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    missing = world.call("GET", "/v1/changes", key=None)
    assert missing.headers["www-authenticate"].startswith("Bearer")


def test_the_openapi_document_describes_every_route_with_its_bodies(world: World) -> None:
    document = world.call("GET", "/v1/openapi.json", key=None).json()
    schemas = document["components"]["schemas"]
    post = document["paths"]["/v1/sessions/{session}/responses"]["post"]
    body = post["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert set(schemas[body]["properties"]) == {"position", "item", "revision", "answer", "fence"}
    assert schemas[body]["additionalProperties"] is False
    assert "CourseStatus" in schemas
    references = [
        part.split('"')[0] for part in str(document).replace("'", '"').split("#/components/schemas/")[1:]
    ]
    assert set(references) <= set(schemas)


def test_a_fault_inside_tells_nothing_of_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the key of item 3 is b")

    monkeypatch.setattr(world.services.store, "read", broken)
    problem = refused(world.call("GET", "/v1/changes"), 500, "internal_error")
    assert "item 3" not in str(problem)
