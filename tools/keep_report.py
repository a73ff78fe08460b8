"""Puts reports into docs/reports, short: python tools/keep_report.py REPORT.json [REPORT.json ...] [--values]

A full report holds every value of each image, a few hundred kilobytes. The repository keeps the figures with their
intervals, to six digits. With --values also the values image by image of the models' faces, by which models of two
reports can be compared. The command that a report's page names makes the full report again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPORTS = Path(__file__).resolve().parents[1] / "docs" / "reports"
DIGITS = 6


def shortened(report: Mapping[str, Any], values: bool = False) -> dict[str, Any]:
    """A report without its values image by image; with `values`, those of the models' faces stay."""
    models = report["protocol"]["models"] if values else ()
    tables = [
        {
            **table,
            "rows": [
                row if table["key"] == "faces" and row["name"] in models else {**row, "per_image": {}}
                for row in table["rows"]
            ],
        }
        for table in report["tables"]
    ]
    short: dict[str, Any] = _rounded({**report, "tables": tables})
    return short


def in_lines(report: Mapping[str, Any]) -> str:
    """JSON with a line for each row of a table, so that a changed figure is a changed line."""
    text = json.dumps(report, ensure_ascii=False, allow_nan=False, separators=(",", ": "))
    return text.replace('{"name": ', '\n {"name": ').replace('"tables": ', '\n"tables": ') + "\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_rounded(inner) for inner in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT.json", help="as an evaluation wrote them")
    parser.add_argument("--values", action="store_true", help="keep the values image by image of the models' faces")
    options = parser.parse_args()
    for path in options.reports:
        report = json.loads(path.read_text(encoding="utf-8"))
        kept = REPORTS / path.name
        kept.write_text(in_lines(shortened(report, options.values)), encoding="utf-8")
        print(f"{path} -> {kept} ({kept.stat().st_size // 1024} kB)")


if __name__ == "__main__":
    main()
