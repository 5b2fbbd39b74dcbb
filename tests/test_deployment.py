"""The files of examples/deployment say what docs/deployment.md says, and what the program does."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml

from assess.cli import running
from assess.delivery import logs
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


def _server_of(process: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> uvicorn.Config:
    """The configuration with which `assess serve` runs in this environment."""
    configs: list[uvicorn.Config] = []

    def run(server: uvicorn.Server) -> None:
        configs.append(server.config)
        server.started = True

    monkeypatch.setattr(uvicorn.Server, "run", run)
    monkeypatch.setattr(logs, "configure", lambda: None)
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    for name, value in process["environment"].items():
        if not name.startswith("ASSESS_"):
            monkeypatch.setenv(name, value)
    running.run_server(Settings(database_url=f"sqlite:///{tmp_path / 'a.db'}", write_apart=False), "::", 8000)
    (config,) = configs
    return config


def _seen_from(config: uvicorn.Config, peer: str, forwarded: str) -> str:
    """The address that the application sees of a request that a peer passes on."""
    seen: list[str] = []

    async def see(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["client"][0])

    config.app, config.loaded = see, False
    config.load()
    headers = [(b"x-forwarded-for", forwarded.encode())]
    scope = {"type": "http", "scheme": "http", "client": (peer, 40000), "headers": headers}
    call: Any = config.loaded_app
    asyncio.run(call(scope, None, None))
    return seen[0]


def test_each_learner_has_an_address_of_their_own_and_only_the_proxy_says_which(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compose = _compose()
    services = compose["services"]
    (pool,) = compose["networks"]["default"]["ipam"]["config"]
    subnet, others = IPv4Network(pool["subnet"]), IPv4Network(pool["ip_range"])
    proxy = services["proxy"]["networks"]["default"]["ipv4_address"]
    assert IPv4Address(proxy) in subnet
    assert IPv4Address(proxy) not in others
    assert others.subnet_of(subnet)
    # The first address of the subnet is the gateway's.
    assert IPv4Address(proxy) != subnet[1]
    for name in ("assess-1", "assess-2"):
        # The way in is through the proxy.
        assert "ports" not in services[name]
        config = _server_of(services[name], monkeypatch, tmp_path)
        assert _seen_from(config, proxy, "198.51.100.7") == "198.51.100.7"
        # Of what a learner sent along, nothing is believed.
        assert _seen_from(config, proxy, "203.0.113.1, 198.51.100.7") == "198.51.100.7"
        for peer in (str(others[2]), "127.0.0.1"):
            assert _seen_from(config, peer, "198.51.100.7") == peer


def test_the_pages_name_no_option_that_serve_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    assert not [page.name for page in (ROOT / "docs").glob("*.md") if "--forwarded" in page.read_text()]
    table = (ROOT / "docs" / "deployment.md").read_text()
    assert f"| `FORWARDED_ALLOW_IPS` | `{uvicorn.Config(None).forwarded_allow_ips}` |" in table  # type: ignore[arg-type]


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
