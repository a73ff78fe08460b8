"""Small preparations without contours, and what they leave: for the tests of shards."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from calisketch.datasets import Report, prepare_photos

OPTIONS: dict[str, Any] = {"size": 32, "contour": "none", "align": False, "workers": 0}
TAR = {"output": "tar", "tar_photos": 3}


def prepare(source: Path, out: Path, **options: Any) -> Report:
    return prepare_photos(source, out, **(OPTIONS | options))


def tree(out: Path) -> dict[str, str]:
    """Every file below a folder, hidden ones too, and its SHA-256."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def dates(out: Path) -> dict[str, int]:
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in out.rglob("*.*") if path.is_file()}
