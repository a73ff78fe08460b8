"""What a person can type to mend what is missing: lines that work in a checkout, and where the library is installed."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent


def install(extra: str) -> str:
    """The line that installs what an extra of ours needs, for the Python that runs.

    In a checkout the extra is installed by its name. Elsewhere it is the packages that the extra asks for, since only
    a checkout is sure to have our name: what is installed may come from a file that is no longer there.
    """
    root = _PACKAGE.parent
    if _is_checkout(root):
        here = "." if Path.cwd() == root else str(root)
        return f"{_pip()} install -e {quoted(f'{here}[{extra}]')}"
    try:
        needed = requirements(extra)
    except importlib.metadata.PackageNotFoundError:  # copied by hand, without its metadata
        return f"{_pip()} install {quoted(f'FOLDER[{extra}]')}, where FOLDER is a checkout of calisketch"
    return " ".join([f"{_pip()} install", *map(quoted, needed)])


def reinstall(requirement: str) -> str:
    """The line that installs one package again, over what is there, for the Python that runs."""
    return f"{_pip()} install --force-reinstall --no-deps {quoted(requirement)}"


def requirements(extra: str) -> list[str]:
    """What the installed library's metadata says that an extra needs here, extras of ours within it followed.

    Raises:
        importlib.metadata.PackageNotFoundError: the library is not installed.
        ValueError: it has no such extra.
    """
    from packaging.requirements import Requirement

    library = importlib.metadata.distribution("calisketch")
    if extra not in (library.metadata.get_all("Provides-Extra") or []):
        raise ValueError(f"calisketch {library.version} has no extra {extra!r}.")
    found: list[str] = []
    for requirement in map(Requirement, library.requires or []):
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}) or not marker.evaluate({"extra": extra}):
            continue
        if requirement.name == "calisketch":
            found += [each for inner in sorted(requirement.extras) for each in requirements(inner)]
        else:
            requirement.marker = None
            found.append(str(requirement))
    return list(dict.fromkeys(found))


def override(key: str, value: Any) -> str:
    """``key=value`` for a command that Hydra configures, as a shell hands it on whole and Hydra reads it as it is."""
    text = str(value)
    if not re.fullmatch(r"[\w/.+@%-]+", text, re.ASCII):
        text = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
        text = f"'{text}'"
    return quoted(f"{key}={text}")


def quoted(text: str | os.PathLike[str]) -> str:
    """One argument as a shell takes it: sh's quotes, or those of Windows."""
    text = os.fspath(text)
    if os.name == "nt":
        return text if re.fullmatch(r"[\w\\/:.=+@-]+", text, re.ASCII) else f'"{text}"'
    return shlex.quote(text)


def _is_checkout(folder: Path) -> bool:
    project = folder / "pyproject.toml"
    return project.is_file() and 'name = "calisketch"' in project.read_text(encoding="utf-8")


def _pip() -> str:
    """pip of the Python that runs: by a short name where a shell finds this Python by it, else by its path."""
    here = os.path.abspath(sys.executable)
    for name in ("python", "python3"):
        found = shutil.which(name)
        if found is not None and os.path.abspath(found) == here:
            return f"{name} -m pip"
    return f"{quoted(here)} -m pip"
