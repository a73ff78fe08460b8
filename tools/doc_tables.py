"""Puts the tables of reports into the documents: python tools/doc_tables.py [REPORTS_FOLDER]

A document holds the lines ``<!-- report NAME -->`` and ``<!-- end -->``. The text between them is written anew from
docs/reports/comparisons/NAME.json: the claims with their verdicts, and the figures behind a button.
``<!-- tables NAME KEY ... -->`` stands for tables of an evaluation, docs/reports/NAME.json, and
``<!-- paired NAME OTHER -->`` for the difference of NAME's first model and each model of an evaluation OTHER of the
same sketches. With a folder, such as a recipe's out/tables, its reports are first copied, in their short form.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from calisketch.evaluation.measures.every_measure import Row, paired_rows
from calisketch.evaluation.measures.intervals import Interval
from calisketch.evaluation.reports.report import HEADINGS, Report, Table

sys.path.insert(0, str(Path(__file__).resolve().parent))

from keep_report import in_lines, shortened

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "docs" / "reports" / "comparisons"
DOCUMENTS = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "MODEL_CARD.md"]
_WITHIN = r"(?P<text>(?:(?!<!-- ).)*)<!-- end -->\n"  # never on to another block's end
BLOCK = re.compile(r"<!-- report (?P<name>[\w-]+) -->\n" + _WITHIN, re.DOTALL)
TABLES = re.compile(r"<!-- tables (?P<name>[\w-]+) (?P<keys>[\w ]+) -->\n" + _WITHIN, re.DOTALL)
PAIRED = re.compile(r"<!-- paired (?P<name>[\w-]+) (?P<other>[\w-]+) -->\n" + _WITHIN, re.DOTALL)
ABSENT = "*(not measured yet)*\n"


def rendered(report: Mapping[str, Any]) -> str:
    """Each claim with its difference, interval and verdict; the rows' figures and curves in a part that opens."""
    comparison, *rest = report["tables"]
    lines: list[str | None] = []
    for table in rest:
        lines += [line(["claim", "difference [95 %]", "verdict"]), line(["---"] * 3)]
        for row in table["rows"]:
            digits = HEADINGS.get(row["note"].split(":")[0], ("", 3))[1]
            lines.append(line([row["name"], interval(row["figures"].get("difference"), digits), row["note"]]))
        lines.append("")
    lines += ["<details markdown><summary>Figures</summary>", "", *figures_of(comparison, report["protocol"])]
    models = report["protocol"]["models"].items()
    steps = "; ".join(f"{key} {total(told)}" for key, told in models if told.get("steps"))
    under = f"N = {report['protocol']['N']}, {report['protocol']['split']} split, {report['protocol']['size']} px"
    lines += ["", under + (f"; steps: {steps}." if steps else ".")]
    if any(told.get("validation") for _, told in models):
        lines += ["", "Validation figure (lower is better) after so many steps:", "", *map(curve, models)]
    lines += ["", "</details>"]
    return leading_zeros("\n".join(each for each in lines if each is not None) + "\n")


def figures_of(comparison: Mapping[str, Any], protocol: Mapping[str, Any]) -> list[str]:
    """The table of a comparison's rows."""
    metrics = list(protocol["metrics"])
    present = {name for row in comparison["rows"] for name in row["figures"]}
    columns = [name for name in (*metrics, *sorted(present - set(metrics))) if name in present]
    heads = [HEADINGS.get(name, (name, 3)) for name in columns]
    lines = [line(["", *(head for head, _ in heads)]), line(["---"] * (len(columns) + 1))]
    for row in comparison["rows"]:
        note = f" ({row['note']})" if row["note"] else ""
        figures = (row["figures"].get(name) for name in columns)
        cells = [number(figure, digits) for figure, (_, digits) in zip(figures, heads, strict=True)]
        lines.append(line([row["name"] + note, *cells]))
    return lines


def leading_zeros(text: str) -> str:
    """Numbers as 0.25, also where a comparison says .25."""
    return re.sub(r"(?<![\w.])\.(?=\d)", "0.", text)


def of_evaluation(path: Path, keys: Sequence[str]) -> str:
    """Tables of an evaluation by their keys, under their titles."""
    report = read_report(json.loads(path.read_text(encoding="utf-8")))
    sections = report.to_markdown().split("\n## ")[1:]
    titles = {table.key: table.title for table in report.tables}
    tables = dict(section.split("\n\n", 1) for section in sections)
    return "\n\n".join(f"*{titles[key]}*\n\n{tables[titles[key]].strip()}" for key in keys) + "\n"


def read_report(plain: Mapping[str, Any]) -> Report:
    """An evaluation's report from its JSON, without pictures."""

    def figure(of: Mapping[str, Any]) -> Interval:
        bounds = [math.nan if of[part] is None else of[part] for part in ("value", "low", "high")]
        return Interval(*bounds, of["N"])

    tables = [
        Table(
            table["key"],
            table["title"],
            [
                Row(
                    row["name"],
                    {name: figure(of) for name, of in row["figures"].items()},
                    row["per_image"],
                    row["note"],
                )
                for row in table["rows"]
            ],
            table["note"],
        )
        for table in plain["tables"]
    ]
    return Report(plain["protocol"], tables, plain["names"], plain["absent"])


def between(name: str, other: str) -> str:
    """Image by image, an evaluation's first model less each model of another one.

    Raises:
        ValueError: they are not of the same sketches.
    """
    reports = [json.loads((REPORTS.parent / f"{each}.json").read_text(encoding="utf-8")) for each in (name, other)]
    for key in ("track", "split", "size", "sketches"):
        first, second = (report["protocol"][key] for report in reports)
        if first != second:
            raise ValueError(f"{name} and {other} are not of the same sketches: {key} is {first} and {second}.")
    if reports[0]["names"] != reports[1]["names"]:
        raise ValueError(f"{name} and {other} are not of the same sketches: their names differ.")
    rows = [
        [Row(row["name"], {}, row["per_image"]) for row in table["rows"] if row["name"] in report["protocol"]["models"]]
        for report in reports
        for table in report["tables"]
        if table["key"] == "faces"
    ]
    resamples = reports[0]["protocol"]["resamples"]
    made = paired_rows([rows[0][0], *(row for row in rows[1] if row.name != rows[0][0].name)], resamples)
    columns = [metric for metric in HEADINGS if metric in made[0].figures]
    lines = [line(["", *(HEADINGS[metric][0] for metric in columns)]), line(["---"] * (len(columns) + 1))]
    for row in made:
        lines.append(line([row.name, *(interval(asdict(row.figures[key]), HEADINGS[key][1]) for key in columns)]))
    return "\n".join(lines) + "\n"


def total(told: Mapping[str, Any]) -> str:
    """The steps of a model's stages, after those of the models it was made from: "500 + 700"."""
    counts = [told.get("steps before") or {}, told.get("steps") or {}]
    if not all(isinstance(each, Mapping) for each in counts):
        return str(told["steps"])
    return " + ".join(str(count) for each in counts for count in each.values())


def curve(model: tuple[str, Mapping[str, Any]]) -> str | None:
    """How the validation figure came down: "- name: stage 100 0.51, 200 0.48", and whether it still falls."""
    key, told = model
    said = []
    for stage, figures in (told.get("validation") or {}).items():
        points = ", ".join(f"{step} {figure:.4g}" for step, figure in figures)
        said.append(f"{stage} {points}" + (", still falling" if falling([figure for _, figure in figures]) else ""))
    return f"- {key}: {'; '.join(said)}" if said else None


def falling(figures: list[float]) -> bool:
    """Whether the last fifth of the way brought more than one part in fifty, so that more steps would bring more."""
    return len(figures) > 1 and figures[-1] < 0.98 * figures[-2]


def interval(found: Mapping[str, Any] | None, digits: int) -> str:
    """A difference with its interval; what there is of both."""
    if found is None or found["value"] is None:
        return ""
    bounds = [found.get("low"), found.get("high")]
    said = "" if None in bounds else f" [{bounds[0]:.{digits}f}, {bounds[1]:.{digits}f}]"
    return f"{found['value']:.{digits}f}{said}"


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

    def tables(found: re.Match[str]) -> str:
        made = of_evaluation(REPORTS.parent / f"{found['name']}.json", found["keys"].split())
        return f"<!-- tables {found['name']} {found['keys']} -->\n{made}<!-- end -->\n"

    def paired(found: re.Match[str]) -> str:
        made = between(found["name"], found["other"])
        return f"<!-- paired {found['name']} {found['other']} -->\n{made}<!-- end -->\n"

    return PAIRED.sub(paired, TABLES.sub(tables, BLOCK.sub(block, text)))


def take_over(folder: Path) -> None:
    """Copies reports, OUT/TABLE/NAME.json, as TABLE.json, in their short form.

    Raises:
        ValueError: no document has a place for one of them.
    """
    REPORTS.mkdir(parents=True, exist_ok=True)
    places = {found["name"] for document in DOCUMENTS for found in BLOCK.finditer(document.read_text(encoding="utf-8"))}
    if homeless := sorted({path.parent.name for path in folder.glob("*/*.json")} - places):
        raise ValueError(
            f"no document has a block <!-- report NAME --> for {', '.join(homeless)}. Add one, or leave it."
        )
    for path in sorted(folder.glob("*/*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        (REPORTS / f"{path.parent.name}.json").write_text(in_lines(shortened(report)), encoding="utf-8")


def main() -> None:
    for folder in sys.argv[1:]:
        take_over(Path(folder))
    made = {document: filled(document.read_text(encoding="utf-8")) for document in DOCUMENTS}  # all, or none is written
    for document, text in made.items():
        document.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
