"""Commands as a person types them: arguments in, text and exit code out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import typer.main

from tests.publishing.small_bank import write_bank


@dataclass
class Done:
    code: int
    out: str
    err: str


# A process builds its table of commands once, and this one stands for hundreds of them.
_command_of = cache(typer.main.get_command)


@pytest.fixture
def assess(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Done]:
    """Runs `assess ...` in a folder of its own, with a database of its own."""
    from assess.cli import main

    monkeypatch.setattr(typer.main, "get_command", _command_of)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSESS_DATABASE_URL", f"sqlite:///{tmp_path}/assess.db")
    monkeypatch.setenv("ASSESS_SWEEP_SECONDS", "0")
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("ASSESS_ITEM_BANKS", "ASSESS_SERVER", "ASSESS_API_KEY", "ASSESS_TENANT"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["assess", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        text = capsys.readouterr()
        return Done(int(stopped.value.code or 0), text.out, text.err)

    return run


@pytest.fixture
def banks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the small bank, as the configured one."""
    write_bank(tmp_path / "banks")
    monkeypatch.setenv("ASSESS_ITEM_BANKS", str(tmp_path / "banks"))
    return tmp_path / "banks"
