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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--forms", 9), "cannot be met together"),
        (("--objective", "best"), "objective 'best' is not known"),
        (("--like", "nothing"), "is not a form of twt-2"),
    ],
)
def test_what_cannot_be_assembled_is_said(assess, copied, arguments, said):
    done = assess("assemble", "twt-2", *arguments)
    assert done.code == 2
    assert said in done.err
