"""The files of examples/deployment say what docs/deployment.md says, and what the program does."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import yaml

from assess.delivery.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "examples" / "deployment"
_VARIABLE = re.compile(r"ASSESS_[A-Z_]+")


def _compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    return found


def test_two_processes_share_one_database_and_wait_for_it() -> None:
    services = _compose()["services"]
    processes = [service for name, service in services.items() if name.startswith("assess-")]
    assert len(processes) == 2
    for process in processes:
        settings = Settings.from_environment(process["environment"])
        assert settings.database_url.startswith("postgresql+psycopg://")
        assert settings.secure_cookies
        assert process["depends_on"] == {"db": {"condition": "service_healthy"}}
        assert "/readyz" in process["healthcheck"]["test"][-1]
        assert " serve " in process["command"][-1]


def test_the_proxy_names_every_process_and_keeps_the_figures_inside() -> None:
    proxy = (FOLDER / "Caddyfile").read_text()
    for name in _compose()["services"]:
        assert name not in ("assess-1", "assess-2") or f"{name}:8000" in proxy
    assert "path /metrics" in proxy


def test_the_settings_table_has_every_variable_and_its_default() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()
    table = dict(re.findall(r"^\| `(ASSESS_\w+)` \| `?([^`|]*?)`? \|", page, re.MULTILINE))
    read = set(_VARIABLE.findall((ROOT / "src/assess/delivery/settings.py").read_text()))
    assert set(table) == read
    default = Settings()
    for field in dataclasses.fields(Settings):
        written = table[f"ASSESS_{field.name.upper()}"]
        value = getattr(default, field.name)
        said = (
            "empty" if value in ("", (), None) else f"{value:g}" if isinstance(value, float) else str(value)
        )
        assert written == (str(int(value)) if isinstance(value, bool) else said), field.name
