"""The demonstration: prepared once, found again as it was, and never over real data."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

import assess as package
from assess.cli.console import CommandError
from assess.cli.demo import BADGE, SEEDED, announce, prepare
from assess.delivery.settings import Settings
from assess.delivery.store import reading

BANKS = Path(__file__).resolve().parents[2] / "item_banks"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    settings = Settings(database_url=f"sqlite:///{folder}/assess.db", sweep_seconds=0)
    asyncio.run(prepare(settings, BANKS))
    return settings


async def _statuses(settings):
    from assess.delivery.service import eligibility, keys, open_services

    services = await open_services(settings)
    try:
        scope = keys.local(settings.tenant, "test", sandbox=True)
        return {
            learner.id: (await eligibility.badge(services, scope, learner=learner.id, badge=BADGE))[0]
            for learner in SEEDED
        }
    finally:
        services.store.close()


def test_the_six_learners_have_the_six_answers(settings):
    found = asyncio.run(_statuses(settings))
    assert {learner: (e.status, e.progress.met) for learner, e in found.items()} == {
        "demo-none-started": ("not_eligible", 0),
        "demo-4-of-6": ("not_eligible", 4),
        "demo-eligible": ("eligible", 6),
        "demo-undetermined": ("undetermined", 5),
        "demo-withdrawn": ("not_eligible", 5),
        "demo-pending": ("undetermined", 5),
    }
    codes = {learner: {reason.code for reason in e.reasons} for learner, e in found.items()}
    assert "decision_undetermined" in codes["demo-undetermined"]
    assert "decision_withdrawn" in codes["demo-withdrawn"]
    assert "decision_pending" in codes["demo-pending"]
    assert all(e.sandbox for e in found.values())


def test_the_course_to_try_has_decisions_from_real_sessions(settings):
    with package.connect(settings) as database:
        decisions = database.decisions("twt-3")
        matrix = database.matrix("twt-3")
    assert len(decisions) == 5
    assert decisions["passed"].all()
    assert decisions["provisional"].all()
    # A demonstration has no real learners, so all of its learners are read unless one kind is asked for.
    assert matrix.n_persons == 5


def test_a_second_start_changes_nothing_but_the_key(settings):
    def tables():
        with package.connect(settings) as database:
            return (
                database.decisions(),
                [a.seq for a in database.read(reading.activations, "default")],
                [k.id for k in database.read(reading.api_keys, "default") if k.revoked_at is None],
            )

    before = tables()
    asyncio.run(prepare(settings, BANKS))
    after = tables()
    assert before[0].equals(after[0])
    assert before[1] == after[1]
    assert len(after[2]) == 1
    assert before[2] != after[2]


def test_a_later_activation_survives_a_restart(settings, tmp_path):
    from assess.delivery.service import activations, keys, open_services

    async def newer():
        services = await open_services(settings)
        try:
            scope = keys.local("default", "test")
            shelf = await services.catalogue.shelf("default")
            document = json.loads(json.dumps(shelf.forms["twt-3-fixed"].document))
            document["form"]["version"] = 9
            return (await activations.activate(services, scope, document=document, reason="newer")).release
        finally:
            services.store.close()

    sha = asyncio.run(newer())
    asyncio.run(prepare(settings, BANKS))
    with package.connect(settings) as database:
        live = {a.name: a.release for a in database.read(reading.activations, "default")}
    assert live["twt-3-fixed"] == sha


def test_a_tenant_in_use_is_not_turned_into_a_demonstration(tmp_path):
    from assess.delivery.service import activations, keys, open_services
    from assess.publishing import load_programme, programme_document

    settings = Settings(database_url=f"sqlite:///{tmp_path}/real.db", sweep_seconds=0)

    async def real():
        services = await open_services(settings)
        try:
            document = programme_document(load_programme(BANKS / "teaching-with-technology"))
            scope = keys.local("default", "test")
            await activations.activate(services, scope, document=document, reason="real")
        finally:
            services.store.close()

    asyncio.run(real())
    with pytest.raises(CommandError, match="is in use and is no demonstration"):
        asyncio.run(prepare(settings, BANKS))
    with package.connect(settings) as database:
        tenant = database.read(reading.tenant, "default")
    assert tenant is not None
    assert not tenant.demo


def test_it_says_what_to_open_and_what_to_type(capsys):
    announce("http://127.0.0.1:8000", "ask_test_x")
    told = capsys.readouterr().out
    assert "http://127.0.0.1:8000/" in told
    assert "accepts such provisional decisions" in told
    assert (
        "curl -H 'Authorization: Bearer ask_test_x' http://127.0.0.1:8000/v1/learners/demo-eligible" in told
    )


def test_another_tenant_of_the_database_has_no_data(settings):
    with package.connect(replace(settings, tenant="elsewhere")) as database:
        assert database.decisions().empty
