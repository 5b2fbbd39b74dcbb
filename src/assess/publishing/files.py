"""Content files: strict YAML in, canonical YAML out, and the seal of what was published.

A bank is text that people write and review. So a file is read strictly (UTF-8,
no key twice, ``no`` is the language Norwegian and not false), and every file
that learners may depend on is sealed: its SHA-256 stands in ``published.lock``,
and an edit or a deletion is an error from then on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from assess.errors import InvalidContent
from assess.standards.bounds import require_bounded

LOCK_NAME = "published.lock"
_LOCK_LINE = re.compile(r"(?P<sha>[0-9a-f]{64})  (?P<path>\S.*)")


class _StrictLoader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """Safe YAML in which a doubled key is an error, and only true and false are flags."""


def _mapping(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if not isinstance(key, str | int | float | bool) and key is not None:
            raise InvalidContent(f"line {line}: {key!r} cannot be a key")
        if key in found:
            raise InvalidContent(f"line {line}: the key {key!r} stands twice; keep one")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


# YAML 1.1 reads `no` as false and 2026-11-22 as a date; here both are the text that was written.
_AMBIGUOUS = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _AMBIGUOUS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"true|false"), list("tf"))
_StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_text(path: Path, place: str) -> str:
    """The text of a UTF-8 file, without a byte-order mark."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InvalidContent("there is no such file", place=place) from None
    except IsADirectoryError:
        raise InvalidContent("is a folder, not a file", place=place) from None
    except UnicodeDecodeError as fault:
        line = path.read_bytes()[: fault.start].count(b"\n") + 1
        raise InvalidContent(
            f"line {line}: byte {fault.object[fault.start]:#04x} is not UTF-8; save the file as UTF-8",
            place=place,
        ) from None


def parse_yaml(text: str, place: str) -> Any:
    """What a YAML text says; a fault names the line."""
    try:
        # Before it is read: libyaml's reader ends the process on a text that is nested too deeply.
        require_bounded(yaml.parse(text, Loader=_StrictLoader))
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a subclass of the safe loader
    except InvalidContent as fault:
        raise InvalidContent(str(fault), place=place) from None
    except yaml.MarkedYAMLError as fault:
        line = f"line {fault.problem_mark.line + 1}: " if fault.problem_mark else ""
        raise InvalidContent(f"{line}{fault.problem or 'not YAML'}", place=place) from None
    except yaml.YAMLError as fault:
        raise InvalidContent(f"not YAML: {fault}", place=place) from None


def read_yaml(path: Path, place: str) -> Any:
    """Read one YAML file.

    Raises
    ------
    InvalidContent
        It is not there, not UTF-8, not YAML, too deep, blown up by its aliases, or has a key twice.
    """
    return parse_yaml(read_text(path, place), place)


class _Dumper(yaml.SafeDumper):
    """YAML as a person would write it: lists indented, long text in blocks."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def write_yaml(path: Path, mapping: Mapping[str, Any], *, comment: str = "") -> None:
    """Write a new content file; one that exists is never overwritten.

    Raises
    ------
    InvalidContent
        The file exists: a published version is not edited, a correction is a new version.
    """
    body = yaml.dump(
        _plain(mapping),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=None,
    )
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(head + body)
    except FileExistsError:
        raise InvalidContent(
            "exists already; a published version is never overwritten", place=str(path)
        ) from None


def _plain(value: Any) -> Any:
    """Mappings as dicts and sequences as lists, which the YAML writer knows."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


# --- the seal --------------------------------------------------------------


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes; line ends count as one, so that a checkout on Windows keeps the seal."""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def read_lock(folder: Path, place: str) -> dict[str, str]:
    """The sealed files of a course's folder: path below it -> SHA-256."""
    path = folder / LOCK_NAME
    if not path.exists():
        return {}
    sealed: dict[str, str] = {}
    for number, line in enumerate(read_text(path, place).splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        match = _LOCK_LINE.fullmatch(line)
        if match is None:
            raise InvalidContent(f"line {number}: expected '<sha256>  <path>', got {line!r}", place=place)
        if match["path"] in sealed:
            raise InvalidContent(f"line {number}: {match['path']} stands twice", place=place)
        sealed[match["path"]] = match["sha"]
    return sealed


def add_to_lock(folder: Path, paths: Iterable[str], place: str) -> tuple[str, ...]:
    """Seal files that are not sealed yet; what is sealed keeps its hash.

    Returns
    -------
    tuple of str
        The paths that were added.
    """
    sealed = read_lock(folder, place)
    added = tuple(sorted(path for path in set(paths) if path not in sealed))
    if added:
        sealed |= {path: file_sha256(folder / path) for path in added}
        head = "# SHA-256 of every published file; `assess bank seal` adds, nothing changes a line.\n"
        lines = (f"{sha}  {path}\n" for path, sha in sorted(sealed.items()))
        (folder / LOCK_NAME).write_text(head + "".join(lines), encoding="utf-8", newline="\n")
    return added
