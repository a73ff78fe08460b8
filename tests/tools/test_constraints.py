"""constraints.txt: one version of everything that `make install` brings, within pyproject.toml's ranges."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest brings it

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


def environment(python: str) -> dict[str, str]:
    """Of a Linux computer with some Python."""
    return {
        **{name: str(value) for name, value in default_environment().items()},
        "python_version": python,
        "python_full_version": f"{python}.7",
        "implementation_version": f"{python}.7",
    }


def pins(python: str) -> dict[str, list[str]]:
    """The pinned versions by name; more than one for a name is a mistake."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(environment(python)):
                version = re.fullmatch(r"==([^*]+)", str(requirement.specifier))
                assert version, f"{line}: not one version"
                found.setdefault(canonicalize_name(requirement.name), []).append(version[1])
    return found


def own_requirements(extra: str) -> list[Requirement]:
    """What pyproject.toml asks for with an extra; an extra that names another one of ours is followed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = [Requirement(line) for line in project["dependencies"]]
    waiting = [extra]
    while waiting:
        for requirement in map(Requirement, project["optional-dependencies"][waiting.pop()]):
            if requirement.name == project["name"]:
                waiting += sorted(requirement.extras)
            else:
                found.append(requirement)
    return found


def needed(requirements: list[Requirement]) -> set[str]:
    """Names of all distributions that these requirements pull in here, by what the installed ones say of themselves."""
    names: set[str] = set()
    waiting = [(canonicalize_name(r.name), frozenset(r.extras)) for r in requirements]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        names.add(name)
        for line in importlib.metadata.requires(name) or []:
            inner = Requirement(line)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
                waiting.append((canonicalize_name(inner.name), frozenset(inner.extras)))
    return names


@pytest.mark.parametrize("python", VERSIONS)
def test_every_pin_is_one_version_within_pyproject_s_range(python: str) -> None:
    pinned = pins(python)
    assert [name for name, versions in pinned.items() if len(versions) != 1] == []
    for requirement in own_requirements("dev"):
        name = canonicalize_name(requirement.name)
        if name != "calisketch":
            assert name in pinned, f"{name} is not in constraints.txt for Python {python}: make lock"
            assert requirement.specifier.contains(pinned[name][0]), (
                f"{requirement}, pinned to {pinned[name]}: make lock"
            )


def test_everything_that_the_requirements_pull_in_is_pinned() -> None:
    python = ".".join(default_environment()["python_full_version"].split(".")[:2])
    missing = needed(own_requirements("dev")) - pins(python).keys()
    assert not missing, f"not in constraints.txt: {sorted(missing)}. Run make lock."


def test_the_build_s_requirements_are_pinned() -> None:
    pinned = pins("3.11")
    assert {"hatchling", "editables", "setuptools", "wheel", "pathspec", "pluggy"} <= pinned.keys()


def test_the_constraints_name_no_address_and_no_path() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|@|^\s*-|/opt|\\", text, re.MULTILINE)
