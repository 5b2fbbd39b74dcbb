"""`assess assemble` writes forms of the real bank, or says in a sentence why there are none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

BANKS = Path(__file__).parents[2] / "item_banks" / "teaching-with-technology"


@pytest.fixture
def copied(tmp_path, monkeypatch):
    programme = tmp_path / "banks" / BANKS.name
    programme.mkdir(parents=True)
    shutil.copy(BANKS / "programme.yaml", programme)
    shutil.copytree(BANKS / "twt-2", programme / "twt-2")
    monkeypatch.setenv("ASSESS_ITEM_BANKS", str(tmp_path / "banks"))
    return programme / "twt-2" / "forms"


def test_forms_are_shown_first_and_written_then(assess, copied):
    before = set(copied.iterdir())
    done = assess("assemble", "twt-2", "--forms", 2, "--dry-run")
    assert done.code == 0, done.err
    assert "nothing was written" in done.out
    assert set(copied.iterdir()) == before
    done = assess("assemble", "twt-2", "--forms", 2, "--like", "twt-2-fixed", "--name", "par")
    assert done.code == 0, done.err
    assert {path.name for path in set(copied.iterdir()) - before} == {"par-a.v1.yaml", "par-b.v1.yaml"}


def test_panels_are_written_as_one_form_with_their_routes_shown(assess, copied):
    before = set(copied.iterdir())
    asked = ("--stages", "1-2", "--items", "12,12", "--shares", "0.5,0.5", "--name", "staged")
    done = assess("assemble", "twt-2", *asked)
    assert done.code == 0, done.err
    assert "routes by raw" in done.out
    assert "a-2-1, a-2-2" in done.out
    assert {path.name for path in set(copied.iterdir()) - before} == {"staged.v1.yaml"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--forms", 9), "cannot be met together"),
        (("--objective", "best"), "objective 'best' is not known"),
        (("--like", "nothing"), "is not a form of twt-2"),
        (("--stages", "1-2", "--forms", 2), "--forms, --objective, --at and --common are of parallel forms"),
        (("--stages", "1-x"), "--stages '1,x': numbers with commas between them"),
        (("--stages", "1-2", "--routing", "luck"), "routing 'luck' is not known; say raw or theta"),
        (("--stages", "1-2", "--target", "2-1=3"), "--target '2-1=3': say module, theta and information"),
        (("--stages", "3-3"), "the first 1"),
    ],
)
def test_what_cannot_be_assembled_is_said(assess, copied, arguments, said):
    done = assess("assemble", "twt-2", *arguments)
    assert done.code == 2
    assert said in done.err
