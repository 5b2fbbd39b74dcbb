"""`assess release`, `erase` and `appeal` at the command line, without a server and through one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from assess.cli.running import with_services
from assess.delivery.schemas import FileAppeal
from assess.delivery.service import Scope, Services, appealing, problem_notes
from assess.delivery.settings import Settings
from tests import synthetic
from tests.delivery.conftest import open_world
from tests.delivery.service.test_rescoring import sit
from tests.delivery.world import Clock, World, settings


def _form(banks: Path, version: int, **changes: Any) -> None:
    folder = banks / "toys" / "toy"
    written = yaml.safe_load((folder / "forms" / "toy-fixed.v1.yaml").read_text())
    written |= {"version": version} | changes
    (folder / "forms" / f"toy-fixed.v{version}.yaml").write_text(yaml.safe_dump(written, sort_keys=False))


def _adopted_cut(banks: Path) -> str:
    folder = banks / "toys" / "toy" / "cuts"
    cut = yaml.safe_load(next(folder.glob("*.v1.yaml")).read_text())
    cut |= {"version": 2, "status": "adopted", "panel": "toy-panel.v1"}
    (folder / f"{cut['id']}.v2.yaml").write_text(yaml.safe_dump(cut, sort_keys=False))
    return f"{cut['id']}.v2"


def _live(assess: Any, *names: str) -> None:
    for name in names:
        done = assess("activate", name, "--reason", "for a test")
        assert done.code == 0, done.err


def test_a_held_cohort_is_released_with_a_dry_run_first(assess, banks, tmp_path):
    _form(banks, 2, release="after_standard")
    _live(assess, "toys", "toy-fixed.v2")
    assert assess("simulate", "toy", "--learners", 12, "--seed", 3, "--form", "toy-fixed").code == 0
    done = assess("release", "toy-fixed", "--sandbox", "--dry-run")
    assert (done.code, "a cut that a panel adopted" in done.err) == (2, True)
    _form(banks, 3, cut=_adopted_cut(banks))
    _live(assess, "toy-fixed.v3")
    said = assess("release", "toy-fixed", "--sandbox", "--dry-run")
    assert said.code == 0, said.err
    assert "12 sessions would be reached: 12 decided, 0 excluded, 0 left over" in said.out
    saved = tmp_path / "results.csv"
    done = assess("release", "toy-fixed", "--sandbox", "--out", saved)
    assert done.code == 0, done.err
    assert "12 sessions were reached: 12 decided, 0 excluded, 0 left over" in done.out
    assert "is done" in done.out
    assert len(saved.read_text().splitlines()) == 13
    replayed = assess("replay", "--verify-chain")
    assert "24 decisions come out the same, byte by byte; 0 differences" in replayed.out
    assert assess("release", "nothing", "--sandbox").code == 2


def _someone(services: Services, who: Scope) -> Any:
    return _filed(services, who)


async def _filed(services: Services, who: Scope) -> tuple[str, str, str]:
    """A learner who did not pass, the appeal they file, and a note they leave."""
    from assess.delivery.store import reading

    rows = await services.store.read(reading.decisions, who.tenant)
    decision = next(row for row in rows if row.status == "not_passed")
    body = FileAppeal(reason="Item 1 has two right answers.", decision=decision.id)
    found, _ = await appealing.file(services, who, learner=decision.learner, body=body)
    await problem_notes.report(services, who, decision.session, note="The page was white.")
    return found.id, decision.learner, decision.id


@pytest.fixture
def appealed(assess, banks) -> tuple[str, str, str]:
    _live(assess, "toys", "toy-fixed")
    assert assess("simulate", "toy", "--learners", 12, "--seed", 3, "--form", "toy-fixed").code == 0
    return with_services(Settings.from_environment(), "test", _someone, sandbox=True)


def test_an_appeal_is_looked_at_decided_and_shown_in_a_packet(assess, appealed, tmp_path):
    appeal, learner, decision = appealed
    listed = assess("appeal", "list", "--sandbox")
    assert (appeal in listed.out, learner in listed.out) == (True, True)
    assert appeal not in assess("appeal", "list", "--sandbox", "--overdue").out
    assert appeal in assess("appeal", "list", "--sandbox", "--state", "all").out
    done = assess("appeal", "list", "--state", "lost")
    assert (done.code, "say open, upheld" in done.err) == (2, True)
    done = assess("appeal", "decide", appeal, "upheld", "--answer", "x", "--sandbox")
    assert (done.code, "nobody has looked" in done.err) == (2, True)
    done = assess(
        "appeal", "look", appeal, "--note", "It has.", "--who", "Dr. A.", "--evidence", "a review",
        "--sandbox",
    )  # fmt: skip
    assert (done.code, "looked by Dr. A.: It has." in done.out) == (0, True)
    done = assess("appeal", "decide", appeal, "perhaps", "--answer", "x", "--sandbox")
    assert done.code == 2
    done = assess(
        "appeal", "decide", appeal, "upheld", "--status", "passed", "--answer", "You were right.",
        "--evidence", "minutes", "--sandbox",
    )  # fmt: skip
    assert (done.code, "new decision dec_" in done.out) == (0, True)
    assert "You were right." in assess("appeal", "show", appeal, "--sandbox").out
    target = tmp_path / "packet.zip"
    done = assess("appeal", "packet", appeal, "--out", target, "--sandbox")
    assert done.code == 0, done.err
    assert target.stat().st_mode & 0o777 == 0o600
    assert "exists" in assess("appeal", "packet", appeal, "--out", target, "--sandbox").err
    checked = assess("appeal", "check", target)
    assert (checked.code, f"{appeal} holds" in checked.out) == (0, True)
    assert f"{decision}, not_passed: computed again" in checked.out
    target.write_bytes(target.read_bytes()[:-40])
    done = assess("appeal", "check", target)
    assert (done.code, "cannot be read as a packet" in done.err) == (2, True)
    assert "1 made by people on an appeal" in assess("replay", "--verify-chain").out


def test_an_altered_packet_has_exit_code_1(assess, appealed, tmp_path):
    import zipfile

    appeal, _, _ = appealed
    target, other = tmp_path / "packet.zip", tmp_path / "other.zip"
    assert assess("appeal", "packet", appeal, "--out", target, "--sandbox").code == 0
    with zipfile.ZipFile(target) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "appeal.json":
                data = json.dumps(json.loads(data) | {"reason": "nothing"}).encode()
            new.writestr(name, data)
    done = assess("appeal", "check", other)
    assert (done.code, "FAULT appeal.json: it does not have the hash" in done.out) == (1, True)


def test_notes_of_learners_are_listed(assess, appealed):
    done = assess("appeal", "notes", "--sandbox")
    assert (done.code, "The page was white." in done.out) == (0, True)
    assert "The page was white." not in assess("appeal", "notes").out


def test_a_learner_is_erased_after_a_dry_run(assess, appealed):
    _, learner, _ = appealed
    said = assess("erase", learner, "--reason", "asked", "--sandbox", "--dry-run")
    assert (said.code, "would be erased; nothing was changed" in said.out) == (0, True)
    done = assess("erase", learner, "--reason", "asked", "--sandbox")
    assert (done.code, f"{learner} erased at" in done.out) == (0, True)
    assert "Backups that were made before" in done.out
    replayed = assess("replay", "--verify-chain")
    assert (replayed.code, "1 erased" in replayed.out) == (0, True)
    assert "The page was white." not in assess("appeal", "notes", "--sandbox").out
    done = assess("erase", "nobody", "--reason", "asked", "--sandbox")
    assert (done.code, "no learner 'nobody'" in done.err) == (2, True)


def test_through_a_server_the_same_commands_do_the_same(assess, tmp_path, monkeypatch):
    """A held cohort is released by the server's own worker; a packet comes as the bytes of a file."""
    import httpx

    adopted = {"status": "adopted", "panel": "x-panel.v1"}
    for world in open_world(settings(tmp_path), Clock()):
        sit(world, "lrn_1", "b" * 12)
        decision = world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()["decision"]["id"]
        held = {"version": 2, "release": "after_standard"}
        world.activate(synthetic.document(with_case_set=True, form=held))
        sit(world, "lrn_2", "b" * 12)
        world.activate(synthetic.document(with_case_set=True, form={"version": 3}, cut=adopted))
        doubt = {"decision": decision, "reason": "Item 3."}
        appeal = world.call("POST", "/v1/learners/lrn_1/appeals", doubt).json()["id"]
        monkeypatch.setattr(httpx, "request", _server_of(world))
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        monkeypatch.setenv("ASSESS_SERVER", "http://server")
        monkeypatch.setenv("ASSESS_API_KEY", world.keys["live"])
        said = assess("release", "x-fixed", "--dry-run")
        assert "1 sessions would be reached: 1 decided" in said.out, said.err
        done = assess("release", "x-fixed", "--reason", "the standard was set")
        assert "1 sessions were reached: 1 decided, 0 excluded, 0 left over" in done.out, done.err
        target = tmp_path / "packet.zip"
        assert assess("appeal", "packet", appeal, "--out", target).code == 0
        assert f"{appeal} holds" in assess("appeal", "check", target).out
        assert appeal in assess("appeal", "list").out
        assert assess("appeal", "notes").code == 0
        done = assess("erase", "lrn_2", "--reason", "asked")
        assert "lrn_2 erased at" in done.out, done.err
        done = assess("appeal", "show", "apl_nothing")
        assert (done.code, "appeal_unknown" in done.err) == (2, True)


def _server_of(world: World) -> Callable[..., Any]:
    """What a request to http://server answers; its worker works whenever somebody asks how far it is."""

    def request(method: str, url: str, *, json: Any, headers: Any, timeout: Any) -> Any:
        path = url.removeprefix("http://server")
        if path.startswith("/v1/rescores/"):
            world.run(_work)
        return world.client.request(method, path, json=json, headers=headers)

    return request


async def _work(services: Services) -> None:
    from assess.delivery.jobs import worker

    await worker(services).work()
