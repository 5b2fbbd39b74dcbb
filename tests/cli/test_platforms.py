"""`assess webhook` and `assess badge`: in the database itself, with a receiver that is down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assess.delivery.settings import Settings
from assess.delivery.store import Writes, open_store
from assess.delivery.store.rows import Outgoing as Entry
from assess.delivery.store.rows import Update
from tests.delivery.serving import free_port
from tests.delivery.store.test_stores import NOW, change, learner, run


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSESS_WEBHOOK_NETWORKS", "127.0.0.0/8")


def test_a_webhook_is_made_tried_looked_at_and_replayed(assess, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/hook"
    done = assess("webhook", "create", url, "--type", "eligibility.gained", "--description", "ours")
    assert done.code == 0, done.err
    first, secret = done.out.splitlines()
    made = first.split()[0]
    assert secret.startswith("whsec_")
    done = assess("webhook", "list")
    assert made in done.out
    assert secret not in done.out
    done = assess("webhook", "test", made)
    assert (done.code, done.out.strip()) == (1, "not taken: ConnectError")

    store = open_store(Settings.from_environment())
    run(
        store.commit(
            Writes("default", inserts=(learner(),), changes=(change(), change(type="eligibility.lost")))
        )
    )
    key = {"tenant": "default", "webhook": made, "sequence": 1}
    dead = Update(Entry, key, {"dead_at": NOW, "attempts": 10, "error": "the receiver answered 500"})
    run(store.commit(Writes("default", (dead,))))
    store.close()

    done = assess("webhook", "deliveries", made)
    assert "the receiver answered 500" in done.out
    assert "lrn_1" in done.out
    done = assess("webhook", "replay", made, "--after", 0)
    assert done.out.strip() == "1 changes are told again"
    done = assess("webhook", "deliveries", made, "--state", "waiting")
    assert "eligibility.gained" in done.out
    assert "eligibility.lost" not in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "ftp://a.example/"), "it begins with https:// and a host"),
        (("create", "https://10.0.0.1/hook"), "10.0.0.1, which is not a public address"),
        (("create", "http://127.0.0.1/hook", "--type", "x"), "'x' is no type of event"),
        (("deliveries", "whk_x"), "no webhook 'whk_x'"),
        (("replay", "whk_x", "--after", "0"), "no webhook 'whk_x'"),
        (("test", "whk_x"), "no webhook 'whk_x'"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(assess, arguments, said) -> None:
    done = assess("webhook", *arguments)
    assert (done.code, said in done.err) == (2, True), done.err


# --- badges --------------------------------------------------------------------------


def test_a_badge_is_exported_in_both_versions_and_never_over_a_file(
    assess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.delivery.conftest import open_world
    from tests.delivery.world import Clock, settings

    path = Settings.from_environment().sqlite_path
    assert path is not None
    for world in open_world(settings(path.parent, database_url=f"sqlite:///{path}"), Clock()):
        world.sit(world.learner())
    done = assess("badge", "export", "lrn_1", "ONE")
    assert (done.code, "set ASSESS_PUBLIC_URL" in done.err) == (2, True)
    monkeypatch.setenv("ASSESS_PUBLIC_URL", "https://assess.example")
    done = assess("badge", "export", "lrn_1", "ONE")
    assert done.code == 0, done.err
    assert len(done.out.strip().split(".")) == 3
    target = tmp_path / "badge.json"
    done = assess("badge", "export", "lrn_1", "ONE", "--format", "ob2", "--out", target)
    assert done.code == 0, done.err
    assert json.loads(target.read_text())["type"] == "Assertion"
    done = assess("badge", "export", "lrn_1", "ONE", "--out", target)
    assert (done.code, "is there already" in done.err) == (2, True)
    done = assess("badge", "export", "lrn_1", "BOTH")
    assert (done.code, "BOTH: not_eligible" in done.err) == (2, True)
