"""The house itself: floors, locks, documents and the habits that a linter cannot see."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "assess"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

SHELL = {"publishing", "exchange", "reports", "delivery", "cli"}
ROOMS = sorted(
    path.stem
    for path in SOURCE.iterdir()
    if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem != "__init__"
)
# progress imports rich, lazily; it is no room that knows anything, so it is not counted as pure.
PURE = [room for room in ROOMS if room not in SHELL | {"progress"}]
MODULES = sorted(path for path in SOURCE.rglob("*.py") if "migrations/versions" not in path.as_posix())
DOCUMENTS = sorted(
    [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    + list((ROOT / "docs").rglob("*.md"))
)


def _modules_of(room: str) -> list[Path]:
    return [path for path in MODULES if path.relative_to(SOURCE).parts[0] in (room, f"{room}.py")]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# --- floors --------------------------------------------------------------------


def test_imports_point_down_and_pure_rooms_stay_pure() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_below_publishing_is_in_the_pure_contract() -> None:
    contracts = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
    assert sorted(contracts["pure"]["source_modules"]) == [f"assess.{room}" for room in PURE], (
        "bring source_modules of the contract `pure` in pyproject.toml up to date with src/assess"
    )


def test_there_is_no_utils() -> None:
    homeless = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
    assert [_name(path) for path in MODULES if path.stem.strip("_") in homeless] == []


def test_pure_rooms_make_no_generator_out_of_nothing() -> None:
    offenders = [
        f"{_name(path)}:{node.lineno}"
        for room in PURE
        for path in _modules_of(room)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and not node.args
        and not node.keywords
        and ast.unparse(node.func).split(".")[-1] in {"default_rng", "PCG64", "SeedSequence", "Philox"}
    ]
    assert offenders == [], "take `rng`, or a seed that the caller chose"


def test_importing_measurement_loads_numpy_and_nothing_heavier() -> None:
    heavy = {"pandas", "scipy", "girth", "yaml", "rich", "pyarrow", "matplotlib"}
    script = f"import sys, assess.irt; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# --- habits --------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, "no module docstring"
    n_lines = text.count("\n")
    assert n_lines <= 500 or " lines" in docstring, (
        f"{n_lines} lines; split it by idea, or say why in its docstring"
    )


def _public_functions(room: str) -> Iterator[tuple[str, str]]:
    """What a caller finds in a room: its `__all__`, or its public names when it has none."""
    module = importlib.import_module(f"assess.{room}")
    for name in getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")]):
        thing = getattr(module, name)
        if inspect.isfunction(thing) and thing.__module__.startswith(module.__name__):
            yield name, inspect.getdoc(thing) or ""


@pytest.mark.parametrize("room", PURE)
def test_public_functions_of_pure_rooms_show_an_example(room: str) -> None:
    assert [name for name, text in _public_functions(room) if ">>>" not in text] == []


# --- what must not be written down -----------------------------------------------

# Put together here, so that this file does not hold what it looks for.
_ADDRESSES = [
    "pypi" + ".org",
    "python" + "hosted",
    "registry." + "npmjs",
    "anaconda" + ".org",
    "/opt/" + "wheels",
]
# A folder beside the checkout, and the checkout itself: neither is there for anybody else.
_PLACES = ["../" + "shared", str(ROOT)]


def _texts() -> Iterator[Path]:
    folders = ("src", "docs", "item_banks", "notebooks", "examples", "benchmarks", "tests", ".ci")
    suffixes = {
        ".py",
        ".md",
        ".yaml",
        ".yml",
        ".json",
        ".toml",
        ".html",
        ".css",
        ".js",
        ".csv",
        ".txt",
        ".sh",
        "",
    }
    for folder in folders:
        if (ROOT / folder).is_dir():
            yield from (
                path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix in suffixes
            )
    yield from (path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith(".git"))


def test_no_file_names_a_package_registry_or_somebodys_machine() -> None:
    offenders = [
        f"{_name(path)}: {word}"
        for path in _texts()
        if "__pycache__" not in path.parts
        for text in [path.read_text(encoding="utf-8", errors="replace")]
        for word in [*_ADDRESSES, *_PLACES]
        if word in text
    ]
    assert offenders == []


# --- locks -----------------------------------------------------------------------

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>[^\s;]+)(?: ; (?P<marker>[^\\]+))?")


def _lock(name: str) -> dict[str, set[str]]:
    """Versions by package (one package may have several, by Python version); every pin has its hashes."""
    pins: dict[str, set[str]] = {}
    blocks = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / name).read_text(encoding="utf-8"))
    for block in blocks:
        if block.startswith("#"):
            continue
        match = _PIN.match(block)
        assert match, f"{name}: {block.splitlines()[0]!r} is not a pin"
        assert "--hash=sha256:" in block, f"{name}: {match['name']} has no hash"
        pins.setdefault(canonicalize_name(match["name"]), set()).add(match["version"])
    return pins


LOCKS = ["requirements.lock", "requirements-dev.lock"]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_address(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"--(index|extra-index|find-links|trusted)", text)


@pytest.mark.parametrize(
    ("name", "extras"), [("requirements.lock", {"build"}), ("requirements-dev.lock", None)], ids=LOCKS
)
def test_a_lock_pins_what_the_project_asks_for(name: str, extras: set[str] | None) -> None:
    pins = _lock(name)
    optional = PROJECT["project"]["optional-dependencies"]
    wanted = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["build-system"]["requires"],
        *(
            entry
            for extra, entries in optional.items()
            if extras is None or extra in extras
            for entry in entries
        ),
    ]
    for requirement in map(Requirement, wanted):
        versions = pins.get(canonicalize_name(requirement.name))
        assert versions, f"{name} does not pin {requirement.name}; type: make lock"
        for version in versions:
            assert Version(version) in requirement.specifier, (
                f"{name}: {requirement.name} {version}; type: make lock"
            )


def test_what_only_verifies_what_we_sign_is_not_installed_with_the_program() -> None:
    assert "openbadgeslib" in _lock("requirements-dev.lock")
    assert "openbadgeslib" not in _lock("requirements.lock")
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "examples").rglob("*.py")]
    assert not [
        path
        for path in sources
        if re.search(r"^\s*(import|from) openbadgeslib", path.read_text("utf-8"), re.MULTILINE)
    ]


def test_the_two_locks_agree() -> None:
    run, dev = map(_lock, LOCKS)
    assert {name: versions for name, versions in run.items() if dev.get(name) != versions} == {}


# --- documents -------------------------------------------------------------------


def test_help_lists_every_task() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY:(.*)$", makefile, re.MULTILINE)
    assert phony
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  make ([a-z-]+) ", done.stdout, re.MULTILINE))
    assert listed == set(phony[1].split())


def test_the_changelog_has_a_place_for_the_next_change() -> None:
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_house_document_names_every_room() -> None:
    house = (ROOT / "docs" / "house.md").read_text(encoding="utf-8")
    assert [room for room in ROOMS if f"`{room}`" not in house] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=_name)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (path.parent / target).exists()] == []


def test_the_python_in_the_documents_runs_as_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = [
        (path, block)
        for path in DOCUMENTS
        for block in re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    ]
    assert any(path.name == "README.md" for path, _ in blocks)
    for path, block in blocks:
        exec(compile(block, str(path), "exec"), {"__name__": "__main__"})
    assert "se_a" in capsys.readouterr().out


def test_a_decision_says_what_was_rejected() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert decisions
    numbers = [path.name[:4] for path in decisions]
    assert len(set(numbers)) == len(numbers), "two decisions have one number"
    for path in decisions:
        assert re.match(r"\d{4}-[a-z0-9-]+\.md$", path.name), path.name
        text = path.read_text(encoding="utf-8")
        for heading in ("## Context", "## Decision", "## Rejected"):
            assert heading in text, f"{_name(path)} has no {heading!r}"


def test_the_ci_script_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
