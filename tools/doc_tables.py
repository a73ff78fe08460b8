"""Puts the tables of reports into the documents: python tools/doc_tables.py [REPORTS_FOLDER]

A document holds the lines ``<!-- report NAME -->`` and ``<!-- end -->``; what is between them is written anew from
docs/reports/comparisons/NAME.json. With a folder, such as a recipe's out/tables, its reports are taken over first.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calisketch.evaluation.report import HEADINGS

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "docs" / "reports" / "comparisons"
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"<!-- report (?P<name>[\w-]+) -->\n(?P<text>.*?)<!-- end -->\n", re.DOTALL)
ABSENT = "*(not measured yet)*\n"


def rendered(report: Mapping[str, Any]) -> str:
    """The rows' figures, then each claim with its difference, interval and verdict."""
    comparison, *rest = report["tables"]
    metrics = list(report["protocol"]["metrics"])
    present = {name for row in comparison["rows"] for name in row["figures"]}
    columns = [name for name in (*metrics, *sorted(present - set(metrics))) if name in present]
    heads = [HEADINGS.get(name, (name, 3)) for name in columns]
    lines = [line(["", *(head for head, _ in heads)]), line(["---"] * (len(columns) + 1))]
    for row in comparison["rows"]:
        note = f" ({row['note']})" if row["note"] else ""
        figures = (row["figures"].get(name) for name in columns)
        cells = [number(figure, digits) for figure, (_, digits) in zip(figures, heads, strict=True)]
        lines.append(line([row["name"] + note, *cells]))
    for table in rest:
        lines += ["", line(["claim", "difference [95 %]", "verdict"]), line(["---"] * 3)]
        for row in table["rows"]:
            found = row["figures"].get("difference")
            said = "" if found is None else f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
            lines.append(line([row["name"], said, row["note"]]))
    models = report["protocol"]["models"].items()
    steps = "; ".join(f"{key} {total(told)}" for key, told in models if "steps" in told)
    under = f"N = {report['protocol']['N']}, {report['protocol']['split']} split, {report['protocol']['size']} px"
    return "\n".join([*lines, "", under + (f"; steps: {steps}." if steps else ".")]) + "\n"


def total(told: Mapping[str, Any]) -> str:
    """The steps of a model's stages: "500 + 700"."""
    return " + ".join(str(count) for count in told["steps"].values())


def line(cells: list[str]) -> str:
    """A row of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def number(figure: Mapping[str, Any] | None, digits: int) -> str:
    """A figure without its interval, which is in the report."""
    return "" if figure is None or figure["value"] is None else f"{figure['value']:.{digits}f}"


def filled(text: str) -> str:
    """A document with its tables as the reports have them."""

    def block(found: re.Match[str]) -> str:
        path = REPORTS / f"{found['name']}.json"
        table = rendered(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else ABSENT
        return f"<!-- report {found['name']} -->\n{table}<!-- end -->\n"

    return BLOCK.sub(block, text)


def take_over(folder: Path) -> None:
    """Copies reports, OUT/TABLE/NAME.json, as TABLE.json, with the verdicts' Markdown beside them."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*/*.json")):
        for suffix in (".json", ".md"):
            text = path.with_suffix(suffix).read_text(encoding="utf-8")
            (REPORTS / f"{path.parent.name}{suffix}").write_text(text, encoding="utf-8")


def main() -> None:
    for folder in sys.argv[1:]:
        take_over(Path(folder))
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        document.write_text(filled(text), encoding="utf-8")


if __name__ == "__main__":
    main()
